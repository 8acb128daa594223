"""Measure what every sampler reached on test noise: solver error, distances to real images, and the evidence for the claims."""

import argparse

import numpy as np
import pandas as pd

from genovision.arrays import read_arrays
from genovision.errors import InputError
from genovision.samplers.tables import FLOOR, SOLUTION, distances, evidence, slopes, solver_errors
from genovision.tables import read_table, write_table


def parser() -> argparse.ArgumentParser:
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("--denoiser", required=True, metavar="NAME", help="its name in the tables")
    p.add_argument("--errors", required=True, metavar="NPZ", help="of samplers/sample_denoiser")
    p.add_argument(
        "--seconds", required=True, metavar="TSV", help="of samplers/sample_denoiser; gives the evaluations used"
    )
    p.add_argument("--trace", required=True, metavar="NPZ", help="of samplers/collect_normalizer")
    p.add_argument(
        "--features", metavar="NPZ", help="of samplers/describe_samples; without it no distances are measured"
    )
    p.add_argument("--eps-slope", action="store_true", help="evidence on how mean |eps| moves (claim 24)")
    p.add_argument(
        "--replicates", type=int, default=200, metavar="R", help="bootstrap samples; 0 = no intervals (default 200)"
    )
    p.add_argument("--seed", type=int, default=0, help="non-negative whole number (default 0)")
    p.add_argument("--table", required=True, metavar="TSV", help="a row for every sampler and number of evaluations")
    p.add_argument(
        "--reference", required=True, metavar="TSV", help="the reference solution's own error, and the floors"
    )
    p.add_argument("--evidence", required=True, metavar="TSV", help="bootstrap replicates for the claims ledger")
    return p


def main(args: argparse.Namespace) -> None:
    if args.replicates < 0 or args.seed < 0:
        raise InputError(f"--replicates {args.replicates} and --seed {args.seed} must not be negative.")
    found = read_arrays(args.errors, ["errors", "reference_errors", "ends", "samplers", "nfe", "seeds"])
    samplers, numbers = [str(name) for name in found["samplers"]], [int(nfe) for nfe in found["nfe"]]
    table, rmses = solver_errors(found["errors"], samplers, numbers, args.replicates, args.seed)
    used = read_table(args.seconds, ["sampler", "nfe", "evaluations", "setting"])
    used = used.drop_duplicates(["sampler", "nfe"])[["sampler", "nfe", "evaluations", "setting"]]
    table = used.merge(table, on=["sampler", "nfe"], how="left", validate="one_to_one")
    frechets: dict = {}
    if args.features:
        described = read_arrays(args.features, ["features", "reference", "real", "present"])
        features = {
            (sampler, nfe): described["features"][row, column].reshape(-1, described["features"].shape[-1])
            for row, sampler in enumerate(samplers)
            for column, nfe in enumerate(numbers)
            if described["present"][row, column].all()
        }
        features[SOLUTION, 0] = described["reference"].reshape(-1, described["reference"].shape[-1])
        apart, frechets = distances(features, described["real"], args.replicates, args.seed)
        table = table.merge(apart, on=["sampler", "nfe"], how="left", validate="one_to_one")
        floors = apart[apart["sampler"].isin([FLOOR, SOLUTION])].drop(columns="nfe")
    else:
        floors = pd.DataFrame(columns=["sampler"])
    own = np.sqrt(found["reference_errors"].reshape(len(found["ends"]), -1).mean(axis=1))
    own = pd.DataFrame({"sampler": [f"{SOLUTION}, to the {end}" for end in found["ends"]], "own_rmse": own})
    table.insert(0, "denoiser", args.denoiser)
    reference = pd.concat([own, floors], ignore_index=True)
    reference.insert(0, "denoiser", args.denoiser)
    curves = None
    if args.eps_slope:
        trace = read_arrays(args.trace, ["times", "abs_eps"])
        curves = slopes(trace["times"], trace["abs_eps"], args.replicates, args.seed)
    write_table(table, args.table)
    write_table(reference, args.reference)
    write_table(evidence(args.denoiser, rmses, frechets, curves), args.evidence)
    print(f"{args.denoiser}: {len(table)} rows, {len(frechets)} distances to real images")
