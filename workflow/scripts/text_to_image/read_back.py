"""Compare captions with what the prompts asked for, part by part: how often does the captioner read back what the generator was told?"""

import argparse

from genovision.errors import InputError
from genovision.tables import read_table, write_table
from genovision.text_to_image.generations import read_generations
from genovision.text_to_image.readback import readback
from genovision.uncertainty.resampled import Draws


def parser() -> argparse.ArgumentParser:
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("--prompts", required=True, metavar="TABLE", help="id, set, and columns with what is asked for")
    p.add_argument("--captions", required=True, metavar="TABLE", help="id, sample, caption: a row per image")
    p.add_argument("--replicates", type=int, default=500, metavar="R", help="bootstrap samples (default 500)")
    p.add_argument("--seed", type=int, default=0, help="non-negative whole number (default 0)")
    p.add_argument("--out", required=True, metavar="TSV", help="a row per set")
    return p


def main(args: argparse.Namespace) -> None:
    if args.replicates < 0 or args.seed < 0:
        raise InputError(f"--replicates {args.replicates} and --seed {args.seed} must not be negative.")
    prompts = read_table(args.prompts, ["id", "set"])
    prompts["id"] = prompts["id"].astype(str)
    generations = read_generations(args.captions, prompts["id"].tolist(), args.prompts, 1)
    number = len(generations.seeds)
    captions = [
        [group[0] for group in generations.captions[start : start + number]]
        for start in range(0, len(generations.captions), number)
    ]
    table = readback(prompts, captions, Draws(args.replicates, args.seed))
    write_table(table, args.out)
    for row in table.itertuples():
        print(f"{row.set}: {row.all_parts:.3f} of {row.images} images show all that was asked for")
