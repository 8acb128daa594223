"""Score the outputs of one model by every confidence score: softmax, OOD detectors fitted on its training outputs, and SIRC of both."""

import argparse

from genovision.arrays import write_arrays
from genovision.errors import InputError
from genovision.tables import write_table
from genovision.uncertainty.outputs import read_head, read_members, read_outputs, refuse_chance
from genovision.uncertainty.sirc_tables import score_model


def parser() -> argparse.ArgumentParser:
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument(
        "--train",
        required=True,
        metavar="NPZ",
        help="outputs on the training split: detectors and SIRC are fitted on them",
    )
    p.add_argument(
        "--outputs",
        required=True,
        action="append",
        nargs=2,
        metavar=("SPLIT", "NPZ"),
        help="outputs to score: `test`, and every OOD set by its name",
    )
    p.add_argument("--head", required=True, metavar="NPZ", help="weight and bias of the last layer")
    p.add_argument(
        "--bank", type=int, default=12_500, metavar="N", help="training features of KNN, at most half (default 12500)"
    )
    p.add_argument("--neighbours", type=int, default=10, metavar="K", help="KNN takes the K-th nearest (default 10)")
    p.add_argument(
        "--seed",
        type=int,
        default=0,
        help="non-negative whole number: which training features make the bank (default 0)",
    )
    p.add_argument(
        "--out", required=True, metavar="NPZ", help="arrays <split>/<score>, higher = accept, and test/correct"
    )
    p.add_argument("--parameters", required=True, metavar="TSV", help="a and b of SIRC for every secondary score")
    return p


def main(args: argparse.Namespace) -> None:
    train = read_outputs(args.train)
    refuse_chance(train)
    splits = {split: one for split, (one,) in read_members(args.outputs).items()}
    if "test" not in splits or len(splits) < 2:
        raise InputError(f"--outputs: `test` and at least one OOD set are needed, there is {', '.join(splits)}.")
    if args.seed < 0 or args.neighbours < 1 or min(args.bank, len(train.labels) // 2) < args.neighbours:
        raise InputError(
            f"--seed {args.seed} must not be negative, and --neighbours {args.neighbours} lies between 1 and the bank, the lesser of"
            f" --bank {args.bank} and half of the {len(train.labels)} training inputs."
        )
    head = read_head(args.head, train)
    for one in splits.values():
        read_head(args.head, one)
    try:
        scores, parameters = score_model(train, splits, head, args.bank, args.neighbours, args.seed)
    except ValueError as error:
        raise InputError(f"{args.train}: {error}.") from error
    arrays = {f"{split}/{name}": values for split, some in scores.items() for name, values in some.items()}
    write_table(parameters, args.parameters)
    write_arrays(args.out, **arrays, **{"test/correct": splits["test"].correct})
    print(f"{len(scores['test'])} scores of {len(splits)} splits")
