"""Collect what the options of DEIS-SN are chosen from: the normaliser and linear terms of one denoiser, time grids, and how straight its
paths are."""

import argparse
import json

import torch
from tqdm import tqdm

from genovision.atomic import replacing
from genovision.errors import InputError
from genovision.samplers.flatness import flatness, recommendation
from genovision.samplers.references import open_denoiser
from genovision.samplers.statistics import PER, TIMES, collect_normalizer
from genovision.samplers.time_grids import search
from genovision.tables import write_table


def parser() -> argparse.ArgumentParser:
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("--denoiser", required=True, metavar="NAME", help="bed:NAME, or a folder of samplers/train_denoiser")
    p.add_argument("--samples", type=int, default=256, metavar="N", help="paths (default 256)")
    p.add_argument("--batch", type=int, default=64, metavar="B", help="paths at a time (default 64)")
    p.add_argument("--steps", type=int, default=1000, metavar="N", help="of every path (default 1000)")
    p.add_argument("--times", type=int, default=TIMES, metavar="N", help=f"that are kept (default {TIMES})")
    p.add_argument("--per", choices=PER, default="all", help="one value for each time (default), channel or pixel")
    p.add_argument("--affine", action="store_true", help="put the linear terms in the configuration too")
    p.add_argument("--order", type=int, default=3, metavar="K", help="solver order of the time grids (default 3)")
    p.add_argument("--grids", type=int, nargs="*", default=[], metavar="N", help="steps to search a time grid for")
    p.add_argument("--seed", type=int, default=0, metavar="S", help="of the noise (default 0)")
    p.add_argument("--threads", type=int, default=1, metavar="N", help="of the CPU (default 1)")
    p.add_argument("--out", required=True, metavar="JSON", help="gets a fragment of the scheduler's configuration")
    p.add_argument("--trace", metavar="NPZ", help="gets all statistics")
    p.add_argument("--flatness", metavar="TSV", help="gets second differences and step errors, DEIS against DEIS-SN")
    return p


def main(args: argparse.Namespace) -> None:
    if args.threads < 1 or args.seed < 0:
        raise InputError(f"--threads {args.threads} must be 1 or more, and --seed {args.seed} not below 0.")
    if args.order not in (1, 2, 3, 4):
        raise InputError(f"--order {args.order} must be 1, 2, 3 or 4.")
    if args.times < 8 or args.times > args.steps:
        raise InputError(f"--times {args.times} must lie between 8 and --steps {args.steps}.")
    bad = [n for n in args.grids if not 1 <= n <= args.times]
    if bad:
        raise InputError(f"--grids {bad[0]}: a grid has 1 to {args.times} steps (--times).")
    torch.set_num_threads(args.threads)
    source = open_denoiser(args.denoiser)
    with tqdm(total=args.samples, desc="paths", unit="path", disable=None) as bar:
        found = collect_normalizer(
            source.predict,
            source.config,
            source.shape,
            num_samples=args.samples,
            batch_size=args.batch,
            num_steps=args.steps,
            seed=args.seed,
            per=args.per,
            times=args.times,
            dtype=source.dtype,
            progress=bar.update,
        )
    config = found.to_config(affine=args.affine)
    if args.grids:
        path = found.trace.path("t", 1.0, args.affine, False, "pixel" if args.per == "pixel" else "all")
        grids = search(path, args.grids, args.order - 1)
        config |= {
            "solver_order": args.order,
            "timestep_spacing": "tabulated",
            "time_grids": {str(n): grid for n, grid in grids.items()},
        }
    table = flatness(found.trace)
    advice = recommendation(table)
    if args.trace:
        found.trace.save(args.trace)
    if args.flatness:
        write_table(table, args.flatness)
    with replacing(args.out) as temporary:
        text = json.dumps(
            {"config": config, "metadata": found.metadata, "recommendation": advice}, sort_keys=True, allow_nan=False
        )
        temporary.write_text(text + "\n")
    print(f"{args.denoiser}: {args.samples} paths of {args.steps} steps; {advice}")
