"""Encode the sets as token ids, end included, with the digest of the vocabulary beside them."""

import argparse

from genovision.errors import InputError
from genovision.translation.batches import make_corpus, write_corpora
from genovision.translation.sets import encoded_sets, read_sets
from genovision.translation.tokenizer import read_tokenizer


def parser() -> argparse.ArgumentParser:
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("--sets", required=True, metavar="TSV", help="of build_sets: set, role, id, source, target, tokens")
    p.add_argument("--tokenizer", required=True, metavar="FILE", help="tokenizer.json or SentencePiece .model")
    p.add_argument("--limit", type=int, default=256, metavar="N", help="tokens of a sentence at most (default 256)")
    p.add_argument(
        "--out",
        required=True,
        metavar="NPZ",
        help="<set>.source, .source_offsets, .target, .target_offsets; vocabulary",
    )
    return p


def main(args: argparse.Namespace) -> None:
    if args.limit < 2:
        raise InputError(f"--limit {args.limit} must be 2 or more.")
    tokenizer = read_tokenizer(args.tokenizer)
    encoded = encoded_sets(read_sets(args.sets), tokenizer, args.limit)
    corpora = {name: make_corpus(*sides, size=tokenizer.size) for name, sides in encoded.items()}
    write_corpora(args.out, corpora, tokenizer.digest)
    tokens = sum(len(corpus.source) + len(corpus.target) for corpus in corpora.values())
    print(f"{len(corpora)} sets, {tokens} tokens, vocabulary {tokenizer.digest[:12]}")
