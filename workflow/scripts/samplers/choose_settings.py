"""Choose, on validation noise, the best setting of every sampler at every number of evaluations."""

import argparse
import json
import sys

import numpy as np
import torch
from tqdm import tqdm

from genovision.atomic import replacing
from genovision.errors import InputError
from genovision.samplers.catalogue import ON_OUR_GRIDS, OURS, PEERS, Setting, run
from genovision.samplers.choice import (
    Searched,
    as_table,
    choose,
    from_trace,
    polished,
    polished_family,
    search_family,
)
from genovision.samplers.references import mean_square, noises, open_denoiser, reference
from genovision.samplers.statistics import Trace
from genovision.tables import write_table


def parser() -> argparse.ArgumentParser:
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("--denoiser", required=True, metavar="NAME", help="bed:NAME, or a folder of samplers/train_denoiser")
    p.add_argument("--trace", required=True, metavar="NPZ", help="its statistics, of samplers/collect_normalizer")
    p.add_argument("--nfe", required=True, nargs="+", type=int, metavar="N", help="numbers of evaluations")
    p.add_argument("--noises", type=int, default=200, metavar="N", help="validation noises (default 200)")
    p.add_argument("--batch", type=int, default=200, metavar="B", help="samples at a time (default 200)")
    p.add_argument("--reference-steps", type=int, default=200, metavar="N", help="of the solution (default 200)")
    p.add_argument("--level", type=int, default=2, metavar="L", help="0 defaults, 1 a short list, 2 all (default)")
    p.add_argument(
        "--polish", type=int, metavar="N", help="runs for improving a time grid (default 0, 24 or 160 by level)"
    )
    p.add_argument("--seed", type=int, default=0, metavar="S", help="of the noise (default 0)")
    p.add_argument("--threads", type=int, default=1, metavar="N", help="of the CPU (default 1)")
    p.add_argument("--out", required=True, nargs=2, metavar=("TSV", "JSON"), help="all settings tried; the chosen ones")
    return p


def main(args: argparse.Namespace) -> None:
    for name in ("noises", "batch", "reference_steps", "threads"):
        if getattr(args, name) < 1:
            raise InputError(f"--{name.replace('_', '-')} {getattr(args, name)} must be 1 or more.")
    if args.level not in (0, 1, 2) or (args.polish or 0) < 0:
        raise InputError(f"--level {args.level} must be 0, 1 or 2, and --polish {args.polish} not below 0.")
    if min(args.nfe) < 1 or len(set(args.nfe)) < len(args.nfe):
        raise InputError(f"--nfe {' '.join(map(str, args.nfe))}: give different numbers of 1 or more.")
    torch.set_num_threads(args.threads)
    trace = Trace.read(args.trace)
    source = open_denoiser(args.denoiser)
    if tuple(trace.r.shape[1:]) != tuple(source.shape):
        raise InputError(
            f"{args.trace} is of samples {trace.r.shape[1:]}, {args.denoiser} of {source.shape}; collect its own."
        )
    statistics = from_trace(trace)
    noise = noises("validation", args.seed, args.noises, source.shape, source.dtype)
    solutions = dict(zip((True, False), reference(source, noise, args.reference_steps, args.batch), strict=True))

    trials = (0, 24, 160)[args.level] if args.polish is None else args.polish
    searched = Searched(trace, args.nfe)
    rows: list[tuple[int, Setting, float, int]] = []
    with tqdm(total=len(args.nfe) * len(PEERS + OURS), desc="families", disable=None) as progress:
        for nfe in args.nfe:
            used: dict[str, int] = {}

            def error(setting: Setting, nfe: int = nfe, used: dict[str, int] = used) -> float:
                squares, used[setting.to_json()] = 0.0, 0
                for start in range(0, args.noises, args.batch):
                    part = slice(start, start + args.batch)
                    x, calls = run(setting, source.predict, noise[part], nfe, source.config, args.seed, statistics)
                    squares += mean_square(x.double().cpu().numpy(), solutions[setting.ends_at_zero][part]).sum()
                    used[setting.to_json()] = calls
                return float(np.sqrt(squares / args.noises))

            for family in PEERS + OURS:
                tried = search_family(family, args.level, error, lambda setting, nfe=nfe: searched(setting, nfe))
                if trials and any("times" in setting.options for setting, _ in tried):
                    tried += polished_family(family, tried, nfe, args.level, error, trials, source.config)
                if trials and f"{family}+grid" in ON_OUR_GRIDS:
                    best = min(
                        (pair for pair in tried if pair[0].options["grid"] != "library"),
                        key=lambda pair: (pair[1], pair[0].to_json()),
                        default=None,
                    )
                    if best is not None:
                        begin = Setting(f"{family}+grid", best[0].name, best[0].options)
                        tried.append(polished(begin, nfe, error, trials, source.config))
                rows += [
                    (nfe, setting, float("nan") if setting.stochastic else value, used[setting.to_json()])
                    for setting, value in tried
                ]
                progress.update()
    table = as_table(rows)
    chosen = choose(table)
    write_table(table, args.out[0])
    with replacing(args.out[1]) as temporary:
        temporary.write_text(json.dumps(chosen, indent=1, sort_keys=True) + "\n")
    failed = table[np.isinf(table["rmse"])]
    lost = {(nfe, family) for nfe, family in zip(table["nfe"], table["family"], strict=True)} - {
        (int(nfe), family) for nfe, families in chosen.items() for family in families
    }
    print(
        f"{args.denoiser}: {len(table)} settings tried on {args.noises} validation noises, {len(failed)} of them diverged"
    )
    for nfe, family in sorted(lost):
        print(f"warning: {family} at {nfe} evaluations is left out: every setting diverged", file=sys.stderr)
