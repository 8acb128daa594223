"""Train the joint byte-level BPE of sources and targets on training pairs, or take a SentencePiece model as it is."""

import argparse
from pathlib import Path

from genovision.errors import InputError
from genovision.tables import read_table
from genovision.translation.tokenizer import read_tokenizer, train_tokenizer, write_tokenizer


def parser() -> argparse.ArgumentParser:
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("--pairs", metavar="TSV", help="source, target, fold; the rows of the fold train are learnt from")
    p.add_argument("--size", type=int, default=2000, metavar="N", help="of the vocabulary at most (default 2000)")
    p.add_argument(
        "--model", metavar="FILE", help="in place of --pairs: a SentencePiece .model or a tokenizer.json to take over"
    )
    p.add_argument("--out", required=True, metavar="FILE", help="tokenizer.json, or .model for SentencePiece")
    return p


def main(args: argparse.Namespace) -> None:
    if (args.pairs is None) == (args.model is None):
        raise InputError("give either --pairs or --model.")
    if args.model is not None:
        tokenizer = read_tokenizer(args.model)
    else:
        pairs = read_table(args.pairs, ["source", "target", "fold"]).fillna("").astype(str)
        pairs = pairs[pairs["fold"] == "train"]
        if pairs.empty:
            raise InputError(f"{args.pairs} has no row of the fold train.")
        tokenizer = train_tokenizer([*pairs["source"], *pairs["target"]], args.size)
    write_tokenizer(tokenizer, Path(args.out))
    print(f"vocabulary of {tokenizer.size}, {tokenizer.digest[:12]}")
