"""Sample with every chosen setting from test noise, never seen by the choice: errors to the solution, images, evaluations used."""

import argparse
import json
import time
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from tqdm import tqdm

from genovision.arrays import write_arrays
from genovision.errors import InputError
from genovision.samplers.catalogue import run
from genovision.samplers.choice import chosen_settings, from_trace
from genovision.samplers.references import mean_square, noises, open_denoiser, reference, reference_error
from genovision.samplers.statistics import Trace
from genovision.tables import write_table

PICTURED = 8  # images of the run for the figure


def parser() -> argparse.ArgumentParser:
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("--denoiser", required=True, metavar="NAME", help="bed:NAME, or a folder of samplers/train_denoiser")
    p.add_argument("--trace", required=True, metavar="NPZ", help="its statistics, of samplers/collect_normalizer")
    p.add_argument("--chosen", required=True, metavar="JSON", help="of samplers/choose_settings")
    p.add_argument(
        "--seeds", nargs="+", type=int, default=[0, 1, 2], metavar="S", help="of the test noise (default 0 1 2)"
    )
    p.add_argument("--images", type=int, default=200, metavar="N", help="for every seed (default 200)")
    p.add_argument("--kept", type=int, metavar="N", help="images of every seed that are written (default all)")
    p.add_argument(
        "--pictured",
        type=int,
        metavar="N",
        help="evaluations of a run for the figure: few images, settings as at the largest number, without fitted grids",
    )
    p.add_argument("--batch", type=int, default=200, metavar="B", help="samples at a time (default 200)")
    p.add_argument("--reference-steps", type=int, default=200, metavar="N", help="of the solution (default 200)")
    p.add_argument("--threads", type=int, default=1, metavar="N", help="of the CPU (default 1)")
    p.add_argument("--errors", required=True, metavar="NPZ", help="gets squared errors of every sampler and image")
    p.add_argument("--samples", metavar="NPZ", help="gets the images, none of a bed")
    p.add_argument("--seconds", required=True, metavar="TSV", help="gets evaluations used and seconds taken")
    return p


def main(args: argparse.Namespace) -> None:
    for name in ("images", "batch", "reference_steps", "threads", "pictured"):
        if getattr(args, name) is not None and getattr(args, name) < 1:
            raise InputError(f"--{name.replace('_', '-')} {getattr(args, name)} must be 1 or more.")
    if len(set(args.seeds)) < len(args.seeds) or min(args.seeds) < 0:
        raise InputError(f"--seeds {' '.join(map(str, args.seeds))}: give different numbers, not below 0.")
    try:
        chosen = chosen_settings(json.loads(Path(args.chosen).read_text()))
    except json.JSONDecodeError as error:
        raise InputError(f"{args.chosen} is no JSON ({error}); make it with choose_settings.") from error
    if not any(chosen.values()):
        raise InputError(f"{args.chosen} holds no settings; make it with choose_settings.")
    torch.set_num_threads(args.threads)
    source = open_denoiser(args.denoiser)
    trace = Trace.read(args.trace)
    if tuple(trace.r.shape[1:]) != tuple(source.shape):
        raise InputError(
            f"{args.trace} is of samples {trace.r.shape[1:]}, {args.denoiser} of {source.shape}; collect its own."
        )
    statistics = from_trace(trace)
    names = list(dict.fromkeys(row for rows in chosen.values() for row in rows))
    numbers, kept = sorted(chosen), args.images if args.kept is None else min(args.kept, args.images)
    errors = np.full((len(names), len(numbers), len(args.seeds), args.images), np.nan)
    own = np.full((2, len(args.seeds), args.images), np.nan)
    images: dict[tuple[int, int, int], np.ndarray] = {}
    solved, timed = [], []
    runs = sum(len(rows) for rows in chosen.values()) * len(args.seeds)
    with tqdm(total=runs, desc="settings", disable=None) as progress:
        for place, seed in enumerate(args.seeds):
            noise = noises("test", seed, args.images, source.shape, source.dtype)
            solutions = reference(source, noise, args.reference_steps, args.batch)
            own[:, place] = reference_error(source, noise, solutions, args.reference_steps, args.batch)
            if source.decode:
                solved.append(source.decode(torch.from_numpy(solutions[0][:kept]).to(source.dtype)))
            done: dict[tuple[int, str], tuple] = {}
            for column, nfe in enumerate(numbers):
                for name, setting in chosen[nfe].items():
                    key = (nfe, setting.to_json())
                    if key not in done:  # `best-peer` is some peer's setting
                        began = time.perf_counter()
                        parts = [
                            run(
                                setting,
                                source.predict,
                                noise[i : i + args.batch],
                                nfe,
                                source.config,
                                seed + i,
                                statistics,
                            )
                            for i in range(0, args.images, args.batch)
                        ]
                        seconds = time.perf_counter() - began
                        done[key] = torch.cat([x for x, _ in parts]).cpu(), parts[0][1], seconds
                    x, calls, seconds = done[key]
                    row = names.index(name)
                    if not setting.stochastic:
                        solution = solutions[0 if setting.ends_at_zero else 1]
                        errors[row, column, place] = mean_square(x.double().numpy(), solution)
                    if source.decode:
                        images[row, column, place] = source.decode(x[:kept])
                    timed.append([name, nfe, seed, calls, seconds, setting.name])
                    progress.update()
    axes = {"samplers": np.array(names), "nfe": np.array(numbers), "seeds": np.array(args.seeds)}
    pictured: dict[int, np.ndarray] = {}
    if args.pictured and args.pictured not in numbers and source.decode:
        few = noises("test", args.seeds[0], min(kept, PICTURED), source.shape, source.dtype)
        for name, setting in chosen[numbers[-1]].items():
            if "times" not in setting.options:
                x, _ = run(setting, source.predict, few, args.pictured, source.config, args.seeds[0], statistics)
                pictured[names.index(name)] = source.decode(x.cpu())
    write_arrays(args.errors, errors=errors, reference_errors=own, ends=np.array(["zero", "first time"]), **axes)
    if args.samples:
        example = next(iter(images.values())).shape if images else (0,)
        shape = (len(names), len(numbers), len(args.seeds), *example)
        every, present = np.zeros(shape, dtype=np.uint8), np.zeros(shape[:3], dtype=bool)
        for key, found in images.items():
            every[key], present[key] = found, True
        solution_images = np.stack(solved) if solved else np.zeros((len(args.seeds), 0), dtype=np.uint8)
        more = {"pictured": np.zeros(0, dtype=np.uint8), "pictured_present": np.zeros(len(names), dtype=bool)}
        more["pictured_nfe"] = np.array(args.pictured if pictured else 0)
        if pictured:
            more["pictured"] = np.zeros((len(names), *next(iter(pictured.values())).shape), dtype=np.uint8)
            more["pictured_present"][list(pictured)] = True
            more["pictured"][list(pictured)] = np.stack(list(pictured.values()))
        write_arrays(args.samples, images=every, present=present, reference=solution_images, **more, **axes)
    columns = ["sampler", "nfe", "seed", "evaluations", "seconds", "setting"]
    write_table(pd.DataFrame(timed, columns=columns), args.seconds)
    print(
        f"{args.denoiser}: {len(names)} samplers at {len(numbers)} numbers of evaluations, {args.images} images a seed"
    )
