"""Score sequences by the uncertainty of autoregressive models; tabulate how well each score tells the test fold from others."""

import argparse
from functools import partial

import numpy as np
import torch

from genovision import devices
from genovision.dna.examples import read_examples
from genovision.dna.fasta import read_named_sets
from genovision.dna.likelihood import Controls, detection, scored, sequence_table
from genovision.errors import InputError
from genovision.tables import write_table

LABELS = ("any", "species")
INSIDE = "test"


def parser() -> argparse.ArgumentParser:
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument(
        "--models", required=True, nargs="+", metavar="FOLDER", help="of train_autoregression: members of one ensemble"
    )
    p.add_argument(
        "--data",
        required=True,
        metavar="NPZ",
        help="sequences of encode_promoters: the test fold of the models' species is ID, that of a species they do not know an OOD set",
    )
    p.add_argument(
        "--ood",
        nargs="*",
        default=[],
        metavar="NAME=FASTA",
        help="further OOD sets; files of one name (a species each) are put together",
    )
    p.add_argument(
        "--labels",
        choices=LABELS,
        default="any",
        help="what ID sequences are scored under: no species, as OOD always is (default), or their own, which tells the model more",
    )
    p.add_argument(
        "--replicates", type=int, default=200, metavar="R", help="bootstrap samples; 0 = no intervals (default 200)"
    )
    p.add_argument("--seed", type=int, default=0, help="non-negative whole number (default 0)")
    p.add_argument("--system", default="discdiff", metavar="SLUG", help="named in the tables (default discdiff)")
    p.add_argument("--threads", type=int, default=1, metavar="N", help="of the CPU (default 1)")
    p.add_argument("--device", default="auto", metavar="NAME", help=devices.HELP)
    p.add_argument("--out", required=True, metavar="TSV", help="AUROC, AUPR and FPR95 of every score and OOD set")
    p.add_argument("--evidence", metavar="TSV", help="their bootstrap replicates for the claims ledger")
    p.add_argument("--sequences", metavar="TSV", help="the scores of every sequence")
    return p


def _members(folders: list[str], length: int, device):
    """The models as functions of codes and labels, and their species."""
    from genovision.dna.autoregression import log_distributions, read_autoregression

    models = [read_autoregression(folder, device)[0] for folder in folders]
    for folder, model in zip(folders, models, strict=True):
        if tuple(model.species) != tuple(models[0].species):
            raise InputError(
                f"{folder} knows {', '.join(model.species)} and {folders[0]} {', '.join(models[0].species)}; "
                "members of an ensemble need the same species."
            )
        if model.length != length:
            raise InputError(f"{folder} reads sequences of {model.length} bases, those of --data have {length}.")
    return [partial(log_distributions, model) for model in models], tuple(models[0].species)


def main(args: argparse.Namespace) -> None:
    if args.replicates < 0 or args.seed < 0 or args.threads < 1:
        raise InputError(
            f"--replicates {args.replicates} and --seed {args.seed} must not be negative, --threads {args.threads} not below 1."
        )
    torch.set_num_threads(args.threads)
    device = devices.choose(args.device)
    examples = read_examples(args.data)
    members, species = _members(args.models, examples.length, device)
    known = np.array([name in species for name in examples.names])
    codes, of_codes = examples.of("test")
    training, of_training = examples.of("train")
    if not known[of_codes].any() or not known[of_training].any():
        raise InputError(f"{args.data} has no training or no test sequence of {', '.join(species)}.")
    anything = len(species)
    own = np.array([species.index(name) if name in species else anything for name in examples.names])
    inside = known[of_codes]
    labels = own[of_codes[inside]] if args.labels == "species" else np.full(inside.sum(), anything)
    strange = {name: codes[of_codes == label] for label, name in enumerate(examples.names) if not known[label]}
    strange = {name: rows for name, rows in strange.items() if len(rows)}
    ood = strange | read_named_sets(args.ood, {INSIDE, *strange}, examples.length)
    if not ood:
        raise InputError("there is no OOD set: give some with --ood NAME=FASTA.")
    controls = Controls(training[known[of_training]])

    def scores(codes: np.ndarray, labels: np.ndarray) -> dict[str, np.ndarray]:
        return scored(members, codes, labels) | controls(codes)

    found = {INSIDE: scores(codes[inside], labels)}
    found |= {name: scores(rows, np.full(len(rows), anything)) for name, rows in ood.items()}
    table, evidence = detection(
        found[INSIDE],
        {name: found[name] for name in ood},
        system=args.system,
        replicates=args.replicates,
        seed=args.seed,
    )
    write_table(table, args.out)
    if args.evidence:
        write_table(evidence, args.evidence)
    if args.sequences:
        write_table(sequence_table(found), args.sequences)
    nll = float(found[INSIDE]["nll"].mean())
    print(f"{len(members)} members: {nll:.4f} nats a base on {int(inside.sum())} test sequences, {len(ood)} OOD sets")
