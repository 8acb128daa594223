"""Draw the sets of an experiment: the folds of the bitext, and sets out of domain of one size, at most that of test (or of valid)."""

import argparse

import pandas as pd

from genovision.tables import read_table, write_table
from genovision.translation.sets import FOLDS, make_sets
from genovision.translation.summary import summarize
from genovision.translation.tokenizer import read_tokenizer

TEXT = ["id", "source", "target"]


def parser() -> argparse.ArgumentParser:
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("--pairs", required=True, metavar="TSV", help="of build_bitext: id, source, target, fold")
    p.add_argument("--others", required=True, metavar="TSV", help="of build_bitext: set, role, id, source, target")
    p.add_argument("--tokenizer", required=True, metavar="FILE", help="whose tokens are permuted and counted")
    p.add_argument(
        "--noise", type=float, default=0.1, metavar="X", help="share of characters hit in noised (default 0.1)"
    )
    p.add_argument("--seed", type=int, default=0, help="of draws, permutations and noise (default 0)")
    p.add_argument("--out", required=True, metavar="TSV", help="set, role, id, source, target, tokens")
    p.add_argument("--summary", required=True, metavar="TSV", help="a row for each set, with an example")
    return p


def _table(path: str, columns: list[str]) -> pd.DataFrame:
    return read_table(path, columns)[columns].fillna("").astype(str)


def main(args: argparse.Namespace) -> None:
    pairs = _table(args.pairs, [*TEXT, "fold"])
    others = _table(args.others, ["set", "role", *TEXT])
    tokenizer = read_tokenizer(args.tokenizer)
    pairs = pairs[pairs["fold"].isin(FOLDS)]
    sets = make_sets(pairs, others, tokenizer, seed=args.seed, rate=args.noise)
    summary = summarize(sets, tokenizer)
    write_table(sets, args.out)
    write_table(summary, args.summary)
    print(summary.drop(columns="example").to_string(index=False))
