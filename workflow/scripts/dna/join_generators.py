"""Join the measures of all sets, real, generated and refined, into one tidy table; evidence for the ledger; conditions of A&E."""

import argparse
import json
from pathlib import Path

import pandas as pd

from genovision.dna.generator_tables import conditions, mean_over_species, origins, summary, tidy
from genovision.errors import InputError
from genovision.tables import read_table, write_table

MEASURES = ["species", "length", "set", "motif", "metric", "value", "low", "high", "n", "convention"]
EVIDENCE = ["system", "metric", "side", "group", "replicate", "value"]


def parser() -> argparse.ArgumentParser:
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("--measures", required=True, nargs="+", metavar="TSV", help="of dna/measure_set and dna/judge_set")
    p.add_argument("--evidence", required=True, nargs="+", metavar="TSV", help="their replicates, and others")
    p.add_argument(
        "--set",
        required=True,
        action="append",
        nargs=3,
        metavar=("NAME", "KIND", "PARENTS"),
        help="what a set is, and `A + B` for parents or -; once per set, in the order of the table",
    )
    p.add_argument("--floor", default="train", metavar="SET", help="set of column `floor` (default train)")
    p.add_argument("--calibration", nargs="*", default=[], metavar="JSON", help="of dna/calibrate_generator")
    p.add_argument("--draws", nargs="*", default=[], metavar="TSV", help="of dna/sample_generator")
    p.add_argument("--edits", nargs="*", default=[], metavar="TSV", help="of dna/refine_samples")
    p.add_argument("--bits", nargs="*", default=[], metavar="TSV", help="of dna/train_autoregression")
    p.add_argument("--autoencoders", nargs="*", default=[], metavar="TSV", help="statistics of dna/train_autoencoder")
    p.add_argument("--pair", nargs=2, metavar=("DIFFUSION", "AUTOREGRESSIVE"), help="whose conditions are asked for")
    p.add_argument("--systems", nargs="+", required=True, metavar="SLUG", help="systems that the evidence is for")
    p.add_argument("--table", required=True, metavar="TSV", help="the tidy table")
    p.add_argument("--means", required=True, metavar="TSV", help="averaged over species")
    p.add_argument("--summary", required=True, metavar="TSV", help="the same for reading, one row per set")
    p.add_argument("--evidence-out", required=True, nargs="+", metavar="TSV", help="one per system")
    p.add_argument("--edits-out", required=True, metavar="TSV", help="what each refinement edited")
    p.add_argument("--bits-out", required=True, metavar="TSV", help="bits per base of all models")
    p.add_argument("--autoencoders-out", required=True, metavar="TSV", help="statistics of all autoencoders")
    p.add_argument("--conditions", required=True, metavar="TSV", help="conditions of Absorb & Escape")
    return p


def _together(paths: list[str], columns: list[str], name: str | None = None) -> pd.DataFrame:
    """Tables one under the other; with a `name`, a column of that name with each table's folder."""
    frames = []
    for path in paths:
        frame = read_table(path, columns)
        if name:
            frame.insert(0, name, Path(path).parent.name)
        frames.append(frame)
    return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame(columns=columns)


def main(args: argparse.Namespace) -> None:
    if len(args.systems) != len(args.evidence_out):
        raise InputError(f"--evidence-out names {len(args.evidence_out)} files for {len(args.systems)} --systems.")
    names = [name for name, *_ in args.set]
    if twice := [name for place, name in enumerate(names) if name in names[:place]]:
        raise InputError(f"--set {twice[0]} is there twice.")
    edits = _together(args.edits, ["set", "rule", "threshold", "edit_rate"])
    draws = _together(args.draws, ["set", "sampler", "nfe", "rounds"])
    known = origins([tuple("" if cell == "-" else cell for cell in row) for row in args.set], draws, edits)
    table = tidy([read_table(path, MEASURES) for path in args.measures], known, args.floor)
    evidence = _together(args.evidence, EVIDENCE)
    means = mean_over_species(table, evidence)
    calibrations = {}
    for path in args.calibration:
        try:
            told = json.loads(Path(path).read_text())
        except ValueError as error:
            raise InputError(f"{path} is no whole JSON file ({error}).") from error
        if not isinstance(told, dict) or "calibration_error" not in told:
            raise InputError(f"{path} holds no calibration; write it with dna/calibrate_generator.")
        calibrations[Path(path).stem] = told
    bits = _together(args.bits, ["species", "model", "bits_per_base"], "trained")
    autoencoders = _together(args.autoencoders, [], "autoencoder")
    write_table(table, args.table)
    write_table(means, args.means)
    write_table(summary(means, known), args.summary)
    for system, path in zip(args.systems, args.evidence_out, strict=True):
        write_table(evidence.assign(system=system), path)
    write_table(edits, args.edits_out)
    write_table(bits, args.bits_out)
    write_table(autoencoders, args.autoencoders_out)
    pair = args.pair or ["", ""]
    write_table(conditions(evidence, calibrations, edits, *pair), args.conditions)
    print(f"{len(table)} measures of {table['set'].nunique()} sets")
