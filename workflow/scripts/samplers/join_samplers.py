"""Join the tables of all denoisers, and summarise what every NFE's published and best settings reach."""

import argparse
import json
from pathlib import Path

import pandas as pd

from genovision.errors import InputError
from genovision.samplers.tables import straightness, summary
from genovision.tables import read_table, write_table


def parser() -> argparse.ArgumentParser:
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("--denoisers", required=True, nargs="+", metavar="NAME", help="in the order of the tables")
    p.add_argument("--tables", required=True, nargs="+", metavar="TSV", help="of samplers/measure_samples")
    p.add_argument("--references", required=True, nargs="+", metavar="TSV", help="of samplers/measure_samples")
    p.add_argument("--flatness", required=True, nargs="+", metavar="TSV", help="of samplers/collect_normalizer")
    p.add_argument("--normalizers", required=True, nargs="+", metavar="JSON", help="of samplers/collect_normalizer")
    p.add_argument("--out", required=True, nargs=4, metavar="TSV", help="table, summary, references, flatness")
    return p


def main(args: argparse.Namespace) -> None:
    for name in ("tables", "references", "flatness", "normalizers"):
        if len(getattr(args, name)) != len(args.denoisers):
            raise InputError(f"--{name}: {len(getattr(args, name))} files for {len(args.denoisers)} denoisers.")
    table = pd.concat(
        [read_table(path, ["denoiser", "sampler", "nfe", "rmse"]) for path in args.tables], ignore_index=True
    )
    references = pd.concat([read_table(path, ["denoiser", "sampler"]) for path in args.references], ignore_index=True)
    advice = [json.loads(Path(path).read_text())["recommendation"] for path in args.normalizers]
    flat = pd.DataFrame(
        [
            straightness(read_table(path, ["quantity", "method", "degree", "tau", "ratio"])) | {"recommendation": told}
            for path, told in zip(args.flatness, advice, strict=True)
        ]
    )
    flat.insert(0, "denoiser", args.denoisers)
    frames = (table, summary(table), references, flat)
    for frame, path in zip(frames, args.out, strict=True):
        write_table(frame, path)
    print(f"{len(table)} rows of {len(args.denoisers)} denoisers")
