"""Absorb & Escape on the samples of a diffusion model, or a control that edits as many bases at random places; FASTA sets per species."""

import argparse
import json
from pathlib import Path

import pandas as pd
import torch

from genovision import devices
from genovision.alphabet import decode
from genovision.dna.absorb_escape import summary
from genovision.dna.examples import Samples, check_length, check_names, read_examples, read_samples, write_samples
from genovision.dna.fasta import write_set
from genovision.dna.refinement import (
    CONFIDENCES,
    CONTROLS,
    PROPOSALS,
    RULES,
    Setting,
    confidence_of,
    control,
    read_temperature,
    refine,
)
from genovision.errors import InputError
from genovision.tables import write_table


def parser() -> argparse.ArgumentParser:
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("--samples", required=True, metavar="NPZ", help="of the diffusion model")
    p.add_argument("--autoregression", required=True, metavar="FOLDER", help="the autoregressive model")
    p.add_argument("--data", required=True, metavar="NPZ", help="of dna/encode_promoters: frequencies of letters")
    p.add_argument("--name", required=True, help="of the set")
    p.add_argument("--rule", default="natural", help=f"{', '.join(RULES)}: when to escape (default natural)")
    p.add_argument("--confidence", default="decoder", help=f"{', '.join(CONFIDENCES)} (default decoder)")
    p.add_argument("--calibration", metavar="JSON", help="of dna/calibrate_generator, for calibrated and product")
    p.add_argument("--threshold", type=float, default=0.85, metavar="T", help="absorb below it (default 0.85)")
    p.add_argument("--proposal", default="autoregression", help=f"{', '.join(PROPOSALS)} (default autoregression)")
    p.add_argument("--temperature", type=float, default=1.0, metavar="X", help="of what is drawn (default 1)")
    p.add_argument("--max-run", type=int, metavar="N", help="longest run of absorbed bases (default: no limit)")
    p.add_argument("--chosen", metavar="JSON", help="of dna/sweep_refinement, instead of the options above")
    p.add_argument("--control", choices=CONTROLS, help="edit at random places, as many bases as --like did")
    p.add_argument("--like", metavar="NPZ", help="a refinement of the same samples")
    p.add_argument("--threads", type=int, default=1, metavar="N", help="of the CPU (default 1)")
    p.add_argument("--device", default="auto", metavar="NAME", help=devices.HELP)
    p.add_argument("--seed", type=int, default=0, help="non-negative whole number (default 0)")
    p.add_argument("--out", required=True, metavar="NPZ", help="tokens, confidence, edited")
    p.add_argument("--sets", required=True, nargs="+", metavar="FASTA", help="one per species, in label order")
    p.add_argument("--table", required=True, metavar="TSV", help="what was edited")
    return p


def _setting(args: argparse.Namespace) -> Setting:
    if args.chosen:
        try:
            return Setting(**json.loads(Path(args.chosen).read_text())["setting"])
        except (ValueError, KeyError, TypeError) as error:
            raise InputError(
                f"{args.chosen} holds no setting ({error}); write it with dna/sweep_refinement."
            ) from error
    return Setting(args.rule, args.confidence, args.threshold, args.proposal, args.temperature, args.max_run)


def _read_network(args: argparse.Namespace, names: tuple[str, ...], length: int):
    # imported where it is needed, since that takes longer than to draw letters
    from genovision.dna.autoregression import read_autoregression

    torch.set_num_threads(args.threads)
    network, _ = read_autoregression(args.autoregression, devices.choose(args.device))
    check_names(args.autoregression, network.species, names)
    check_length(args.autoregression, network.length, length)
    return network


def main(args: argparse.Namespace) -> None:
    if bool(args.control) != bool(args.like):
        raise InputError("--control and --like go together: give both or neither.")
    if args.seed < 0 or args.threads < 1:
        raise InputError("--seed must not be negative, --threads must be 1 or more.")
    samples, examples = read_samples(args.samples), read_examples(args.data)
    check_names(args.samples, samples.names, examples.names)
    check_length(args.samples, samples.tokens.shape[1], examples.length)
    if len(args.sets) != len(samples.names):
        raise InputError(f"--sets names {len(args.sets)} files; {args.samples} has {len(samples.names)} species.")
    network = None if args.control == "letters" else _read_network(args, samples.names, examples.length)
    calibration = read_temperature(args.calibration) if args.calibration else 1.0
    setting = _setting(args)
    if (setting.confidence == "calibrated" or setting.proposal == "product") and not args.calibration:
        raise InputError("confidence calibrated and proposal product need --calibration of dna/calibrate_generator.")
    confidence = confidence_of(samples, setting.confidence, calibration)
    if args.control:
        like = read_samples(args.like)
        if like.edited is None or like.tokens.shape != samples.tokens.shape:
            raise InputError(f"{args.like} is no refinement of {args.samples}.")
        tokens, edited = control(
            samples, like.edited, args.control, network=network, pool=examples.of("train"), seed=args.seed
        )
    else:
        tokens, edited = refine(samples, network, setting, calibration=calibration, seed=args.seed)
    for label, path in enumerate(args.sets):
        write_set(args.name, decode(tokens[samples.species == label]), path)
    write_samples(args.out, Samples(tokens, samples.confidence, samples.species, samples.names, edited=edited))
    facts = summary(edited, confidence, setting.threshold, samples.tokens, tokens)
    columns = {"set": args.name, "rule": args.control or setting.rule}
    columns |= {"confidence": setting.confidence, "proposal": setting.proposal, "threshold": setting.threshold, **facts}
    if args.control:  # goes by no confidence
        columns |= dict.fromkeys(("confidence", "proposal", "threshold", "share_below"))
    write_table(pd.DataFrame([columns]), args.table)
    print(
        f"{args.name}: {100 * facts['edit_rate']:.2f} % of bases written, {100 * facts['changed_rate']:.2f} % changed"
    )
