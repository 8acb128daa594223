"""Run Absorb & Escape over rules, confidences and thresholds, each with its controls, against the validation fold; write what did best."""

import argparse
import json
from dataclasses import asdict

import numpy as np
import pandas as pd
import torch
from tqdm import tqdm

from genovision import devices
from genovision.atomic import replacing
from genovision.dna.absorb_escape import summary
from genovision.dna.autoregression import read_autoregression
from genovision.dna.examples import Samples, check_length, check_names, read_examples, read_samples
from genovision.dna.refinement import CONFIDENCES, RULES, Setting, confidence_of, control, read_temperature, refine
from genovision.dna.selection import METRICS, Validation
from genovision.errors import InputError
from genovision.tables import write_table

_OTHERS = 1_000_003  # further than any seed of a refinement that is judged


def parser() -> argparse.ArgumentParser:
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("--data", required=True, metavar="NPZ", help="of dna/encode_promoters")
    p.add_argument("--samples", required=True, metavar="NPZ", help="of the diffusion model, with their posterior")
    p.add_argument("--alone", required=True, metavar="NPZ", help="of the autoregressive model, for comparison")
    p.add_argument("--autoregression", required=True, metavar="FOLDER", help="the autoregressive model")
    p.add_argument("--calibration", required=True, metavar="JSON", help="of the diffusion model")
    p.add_argument("--embedding", required=True, metavar="FOLDER", help="of dna/train_embedding")
    p.add_argument("--autoencoder", required=True, metavar="FOLDER", help="of dna/train_autoencoder, for FReD")
    p.add_argument("--components", type=int, default=16, metavar="C", help="of FReD's features (default 16)")
    p.add_argument(
        "--thresholds",
        required=True,
        action="append",
        nargs="+",
        metavar="X",
        help=f"a confidence ({', '.join(CONFIDENCES)}) and the thresholds to try with it; once per confidence",
    )
    p.add_argument("--rules", nargs="+", default=list(RULES), metavar="RULE", help=f"default {' '.join(RULES)}")
    p.add_argument("--number", type=int, default=500, metavar="N", help="sequences per species (default 500)")
    p.add_argument("--metric", default="fred", help=f"decides: {', '.join(METRICS)} (default fred)")
    p.add_argument("--replicates", type=int, default=50, metavar="R", help="bootstrap samples (default 50)")
    p.add_argument("--threads", type=int, default=1, metavar="N", help="of the CPU (default 1)")
    p.add_argument("--device", default="auto", metavar="NAME", help=devices.HELP)
    p.add_argument("--seed", type=int, default=0, help="non-negative whole number (default 0)")
    p.add_argument("--out", required=True, metavar="TSV", help="every setting, its controls and both parents")
    p.add_argument("--chosen", required=True, metavar="JSON", help="the setting that did best")
    return p


def settings(thresholds: list[list[str]], rules: list[str]) -> list[Setting]:
    """Every combination, and for the threshold rule with a calibrated confidence also the product of both models."""
    found = []
    for kind, *values in thresholds:
        for value in values:
            try:
                at = float(value)
            except ValueError:
                raise InputError(f"--thresholds {kind}: {value!r} is no number.") from None
            found += [Setting(rule, kind, at) for rule in rules]
            if kind == "calibrated":
                found.append(Setting("threshold", kind, at, proposal="product"))
    return found


def cut(samples: Samples, number: int) -> Samples:
    """The first `number` sequences of each species."""
    rows = np.concatenate([np.flatnonzero(samples.species == label)[:number] for label in range(len(samples.names))])
    return Samples(
        samples.tokens[rows],
        samples.confidence[rows],
        samples.species[rows],
        samples.names,
        None if samples.posterior is None else samples.posterior[rows],
    )


def main(args: argparse.Namespace) -> None:
    if args.number < 2 or args.replicates < 2 or args.seed < 0 or args.threads < 1:
        raise InputError("--number and --replicates must be 2 or more, --threads 1 or more, --seed not negative.")
    if args.metric not in METRICS:
        raise InputError(f"--metric {args.metric}: choose one of {', '.join(METRICS)}.")
    torch.set_num_threads(args.threads)
    device = devices.choose(args.device)
    tried = settings(args.thresholds, args.rules)
    examples, samples, alone = read_examples(args.data), read_samples(args.samples), read_samples(args.alone)
    # as many of every species and of both parents, and of the validation fold
    sizes = [np.bincount(found.species, minlength=len(found.names)).min() for found in (samples, alone)]
    number = min(args.number, *map(int, sizes))
    samples, alone = cut(samples, number), cut(alone, number)
    network, _ = read_autoregression(args.autoregression, device)
    for path, names, length in (
        (args.samples, samples.names, samples.tokens.shape[1]),
        (args.alone, alone.names, alone.tokens.shape[1]),
        (args.autoregression, network.species, network.length),
    ):
        check_names(path, names, examples.names)
        check_length(path, length, examples.length)
    calibration = read_temperature(args.calibration)
    validation = Validation(
        examples,
        args.embedding,
        args.autoencoder,
        components=args.components,
        number=number,
        replicates=args.replicates,
        seed=args.seed,
        device=device,
    )
    frames: list[pd.DataFrame] = []
    measured: dict[bytes, pd.DataFrame] = {}

    def add(tokens, species=samples.species, **columns) -> pd.DataFrame:
        key = tokens.tobytes() + species.tobytes()
        if key not in measured:  # many settings write the same, or nothing
            measured[key] = validation.measure(tokens, species)
        found = measured[key]
        frames.append(found.assign(**columns))
        return found.set_index("metric")

    add(samples.tokens, rule="diffusion", control="none")
    add(alone.tokens, alone.species, rule="autoregression", control="none")
    pool, values = examples.of("train"), []
    # the refined sets that are judged later draw others: a choice should not know them
    seed = args.seed + _OTHERS
    for setting in tqdm(tried, desc="settings", disable=None):
        tokens, edited = refine(samples, network, setting, calibration=calibration, seed=seed)
        confidence = confidence_of(samples, setting.confidence, calibration)
        facts = summary(edited, confidence, setting.threshold, samples.tokens, tokens)
        name = setting.rule if setting.proposal == "autoregression" else "product"
        columns = {"rule": name, "confidence": setting.confidence, "threshold": setting.threshold, **facts}
        values.append(add(tokens, control="none", **columns).loc[args.metric, "value"])
        # controls know nothing of rules, only how much is edited: those of one rule stand for all
        for kind, label in (("refill", "random_refill"), ("letters", "random_letters")) if name == "threshold" else ():
            tokens, places = control(samples, edited, kind, network=network, pool=pool, seed=seed)
            written = summary(places, confidence, setting.threshold, samples.tokens, tokens)
            add(tokens, control=label, **(columns | written))
    best = int(np.argmax(values) if args.metric.startswith("cor") else np.argmin(values))
    write_table(pd.concat(frames, ignore_index=True), args.out)
    with replacing(args.chosen) as temporary:
        facts = {"setting": asdict(tried[best]), "metric": args.metric, "value": float(values[best])}
        temporary.write_text(json.dumps(facts, indent=1, sort_keys=True) + "\n")
    print(f"{len(tried)} settings; chosen by {args.metric}: {tried[best]}")
