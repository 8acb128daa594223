"""Tables of the system punc: how well each score tells normal prompts from the others, whether recall and precision keep to their kind of
uncertainty, uncertainty by group, unseen concepts, and evidence for the ledger."""

import argparse

import pandas as pd

from genovision.errors import InputError
from genovision.tables import read_table, write_table
from genovision.text_to_image.evaluation import KEYS, NORMAL, evaluate, summary
from genovision.uncertainty.resampled import Draws


def parser() -> argparse.ArgumentParser:
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument(
        "--scores",
        required=True,
        action="append",
        nargs=2,
        metavar=("WORLD", "TABLE"),
        help="of text_to_image/score_generations; once per world",
    )
    p.add_argument(
        "--normal",
        action="append",
        nargs=2,
        default=[],
        metavar=("WORLD", "SET"),
        help="that counts as normal there, instead of the set of this kind, which is left out",
    )
    p.add_argument(
        "--headline", default="bertscore", metavar="SIMILARITY", help="PUNC's in the ledger (default bertscore)"
    )
    p.add_argument(
        "--replicates", type=int, default=500, metavar="R", help="bootstrap samples; 0 = no intervals (default 500)"
    )
    p.add_argument("--seed", type=int, default=0, help="non-negative whole number (default 0)")
    p.add_argument("--detection", required=True, metavar="TSV", help="AUROC, AUPR and FPR@95 by world, score and set")
    p.add_argument("--summary", required=True, metavar="TSV", help="AUROC, one row per world and score")
    p.add_argument(
        "--disentanglement", required=True, metavar="TSV", help="rise of both uncertainties above normal, by set"
    )
    p.add_argument("--groups", required=True, metavar="TSV", help="uncertainty by group of prompts")
    p.add_argument(
        "--concepts", required=True, metavar="TSV", help="AUROC by concept that the generator was never shown"
    )
    p.add_argument(
        "--warnings",
        action="append",
        nargs=2,
        default=[],
        metavar=("WORLD", "TSV"),
        help="of text_to_image/score_generations; once per world",
    )
    p.add_argument("--told", metavar="TSV", help="gets a sentence for each world that has warnings")
    p.add_argument("--evidence", required=True, metavar="TSV", help="bootstrap replicates for the claims ledger")
    return p


def main(args: argparse.Namespace) -> None:
    if args.replicates < 0 or args.seed < 0:
        raise InputError(f"--replicates {args.replicates} and --seed {args.seed} must not be negative.")
    worlds = read_worlds(args.scores, args.normal)
    tables = evaluate(worlds, Draws(args.replicates, args.seed), args.headline)
    for name in tables._fields:
        write_table(getattr(tables, name), getattr(args, name))
    write_table(summary(tables.detection), args.summary)
    if args.told:
        told = [(name, sentence) for name, path in args.warnings for sentence in _sentence(path)]
        write_table(pd.DataFrame(told, columns=["species", "text"]), args.told)
    print(f"{', '.join(worlds)}: {sum(world['id'].nunique() for world in worlds.values())} prompts")


def _sentence(path: str) -> list[str]:
    """One sentence on the warnings of a world, or none."""
    kinds = read_table(path, ["id", "warning"])["warning"].value_counts()
    found = {
        "empty_caption": "{} of the captions are empty, which counts as precision and recall 0",
        "cut_prompt": "{} prompts are longer than the encoder reads, and were cut",
        "cut_caption": "{} captions are longer than the encoder reads, and were cut",
    }
    parts = [text.format(kinds[kind]) for kind, text in found.items() if kind in kinds]
    return [f"{'; '.join(parts)}; {path} lists them."] if parts else []


def read_worlds(scores: list[list[str]], normal: list[list[str]]) -> dict[str, pd.DataFrame]:
    worlds: dict[str, pd.DataFrame] = {}
    for name, path in scores:
        if name in worlds:
            raise InputError(f"--scores {name}: the world is named twice.")
        worlds[name] = read_table(path, KEYS)
    for name, key in normal:
        if name not in worlds or key not in set(worlds[name]["set"]):
            raise InputError(f"--normal {name} {key}: there is no such set in such a world.")
        world = worlds[name]
        world = world[(world["kind"] != NORMAL) | (world["set"] == key)]
        worlds[name] = world.assign(kind=world["kind"].where(world["set"] != key, NORMAL))
    return worlds
