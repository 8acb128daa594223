"""Write the prompts to ask a model for: sets expanded from templates, corrupted ones made from the normal set, and lists of one's own."""

import argparse

import pandas as pd

from genovision.errors import InputError
from genovision.tables import write_table
from genovision.text_to_image.prompt_sets import COLUMNS, chosen, corrupted, expand, lengths, read_prompts, read_words


def parser() -> argparse.ArgumentParser:
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("--templates", nargs="*", default=[], metavar="TSV", help="kind, text with slots, group; a set each")
    p.add_argument("--words", metavar="TSV", help="slot, word")
    p.add_argument("--lists", nargs="*", default=[], metavar="TSV", help="id, set, kind, text: ready prompts")
    p.add_argument(
        "--number",
        type=int,
        default=200,
        metavar="N",
        help="prompts of each expanded set, more where groups need whole templates (default 200)",
    )
    p.add_argument(
        "--corruption",
        nargs="*",
        type=float,
        default=[],
        metavar="RATE",
        help="letters mistyped in the prompts of kind normal; a set for each rate",
    )
    p.add_argument("--seed", type=int, default=0, help="non-negative whole number (default 0)")
    p.add_argument(
        "--out", required=True, metavar="TSV", help="gets id, set, kind, text, template, group, concept, source"
    )
    p.add_argument("--table", metavar="TSV", help="gets set, kind, prompts, mean number of words")
    return p


def _check(args: argparse.Namespace) -> None:
    if args.number < 1:
        raise InputError(f"--number {args.number} must be 1 or more.")
    if args.seed < 0:
        raise InputError(f"--seed {args.seed} must not be negative.")
    wrong = [rate for rate in args.corruption if not 0 < rate <= 1]
    if wrong:
        raise InputError(f"--corruption {wrong[0]} must lie above 0 and be at most 1.")
    percents = [round(100 * rate) for rate in args.corruption]
    if len(set(percents)) < len(percents):
        raise InputError("--corruption: two rates are the same number of percent, which names the set; leave one out.")
    if not args.templates and not args.lists:
        raise InputError("there is nothing to write; give --templates and --words, or --lists.")
    if args.templates and not args.words:
        raise InputError("--templates need the words of their slots; give --words.")


def main(args: argparse.Namespace) -> None:
    _check(args)
    words = read_words(args.words) if args.templates else {}
    found = [chosen(expand(path, words), args.number, args.seed) for path in args.templates]
    for path in args.lists:
        own = read_prompts(path)
        missing = [column for column in ("set", "kind") if column not in own.columns]
        if missing:
            raise InputError(f"{path} has no column {', '.join(missing)}; it has {', '.join(own.columns)}.")
        found.append(own.assign(**{name: "" for name in COLUMNS if name not in own.columns})[list(COLUMNS)])
    prompts = pd.concat(found, ignore_index=True)
    normal = prompts[prompts["kind"] == "normal"]
    if args.corruption and not len(normal):
        raise InputError("--corruption: none of the prompts is of the kind normal; add such a set.")
    prompts = pd.concat([prompts, *(corrupted(normal, rate, args.seed) for rate in args.corruption)], ignore_index=True)
    twice = prompts["id"][prompts["id"].duplicated()]
    if len(twice):
        raise InputError(f"the id {twice.iloc[0]} is in two of the files; rename the set or the prompt in one of them.")
    write_table(prompts, args.out)
    table = lengths(prompts)
    if args.table:
        write_table(table, args.table)
    print(f"{len(prompts)} prompts in {len(table)} sets")
