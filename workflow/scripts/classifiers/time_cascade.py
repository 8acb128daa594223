"""Measure the seconds of single models, pairs and cascades on the CPU; in a cascade the second model runs only on what goes on to it."""

import argparse
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from genovision.arrays import read_arrays
from genovision.classifiers.early_exit import cascade, seconds
from genovision.classifiers.image_sets import read_set
from genovision.classifiers.outputs import read_model, refuse_untrained
from genovision.errors import InputError
from genovision.tables import write_table
from genovision.uncertainty.cascade import SingleThreshold, Window, fit_windows


def parser() -> argparse.ArgumentParser:
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument(
        "--pair",
        required=True,
        action="append",
        nargs=4,
        metavar=("NAME", "MODEL", "MODEL", "NPZ"),
        help="two models' folders, and the first one's outputs on the calibration set; once per pair, cheapest first",
    )
    p.add_argument("--images", required=True, metavar="NPZ", help="images to classify (test)")
    p.add_argument("--half-width", type=float, default=0.1, metavar="X", help="of the window, as a share (default 0.1)")
    p.add_argument("--risk", type=float, default=0.05, metavar="X", help="the window lies around it (default 0.05)")
    p.add_argument("--batch", type=int, default=256, metavar="B", help="images at a time (default 256)")
    p.add_argument("--repeats", type=int, default=5, metavar="N", help="measurements of each (default 5)")
    p.add_argument("--threads", type=int, default=1, metavar="N", help="of the CPU (default 1)")
    p.add_argument("--out", required=True, metavar="TSV", help="a row per pair, system and repeat")
    return p


def _policies(path: str, risk: float, half_width: float) -> dict[str, object]:
    """The policies, placed on calibration outputs of the first model: for selective classification the window and its rival, which pass
    on the same share, and for OOD detection the window around the energy that keeps 95 % of the inputs."""
    arrays = read_arrays(path, ["logits", "labels"])
    logits = torch.from_numpy(arrays["logits"]).double()
    confidence = logits.softmax(dim=1).max(dim=1).values.numpy()
    correct = logits.argmax(dim=1).numpy() == arrays["labels"]
    window = Window("sc", level=risk).fit(confidence, correct, half_width)
    rival = SingleThreshold().fit(confidence, share=window.share)
    energy = logits.logsumexp(dim=1).numpy()
    detection = Window("ood").fit(energy, half_width=half_width)
    return {"window": window.passes_on, "single_threshold": rival.passes_on, "window_ood": detection.passes_on}


def _systems(name: str, folders: list[str], path: str, args: argparse.Namespace) -> dict[tuple[str, str], tuple]:
    """(pair, system) -> (networks in order of running, what passes images on)."""
    networks = []
    for folder in folders:
        network, facts = read_model(Path(folder))
        refuse_untrained(facts, folder)
        networks.append(network)
    cascades = {system: (networks, [policy]) for system, policy in _policies(path, args.risk, args.half_width).items()}
    everything = (networks, [lambda confidence: np.ones(len(confidence), dtype=bool)])
    found = {"single": (networks[:1], []), "ensemble": everything} | cascades
    return {(name, system): stages for system, stages in found.items()}


def _family(pairs: list[list[str]], risk: float, half_width: float) -> dict[tuple[str, str], tuple]:
    """The cascade through the first models of all pairs, cheapest first, with a window after each, placed on their calibration outputs."""
    networks = [read_model(Path(first))[0] for _, first, _, _ in pairs]
    outputs = [read_arrays(path, ["logits", "labels"]) for *_, path in pairs]
    windows = fit_windows([one["logits"] for one in outputs], outputs[0]["labels"], "sc", risk, half_width)
    return {("+".join(name for name, *_ in pairs), "family_cascade"): (networks, [one.passes_on for one in windows])}


def _score(system: str) -> str:
    return "energy" if system.endswith("_ood") else "msp"


def _measured(systems: dict[tuple[str, str], tuple], images: np.ndarray, args: argparse.Namespace) -> pd.DataFrame:
    """Every system once per repeat, in turn, so that a slow moment of the machine does not fall on one of them alone."""
    rows = []
    for (_, system), (networks, passes_on) in systems.items():  # not timed: the first call of a network is slower
        cascade(networks, passes_on, images[: 4 * args.batch], args.batch, _score(system))
    for repeat in range(args.repeats):
        for (pair, system), (networks, passes_on) in systems.items():
            spent, (_, stage) = seconds(partial(cascade, networks, passes_on, images, args.batch, _score(system)))
            rows.append((pair, system, repeat, len(images), float((stage > 0).mean()), spent))
    return pd.DataFrame(rows, columns=["pair", "system", "repeat", "images", "share", "seconds"])


def main(args: argparse.Namespace) -> None:
    if args.batch < 1 or args.threads < 1 or args.repeats < 1 or not 0 < args.half_width <= 0.5:
        raise InputError(
            f"--batch {args.batch}, --threads {args.threads} and --repeats {args.repeats} must be 1 or more, "
            f"--half-width {args.half_width} in (0, 0.5]."
        )
    torch.set_num_threads(args.threads)
    images = read_set(args.images).images
    systems = {}
    for name, first, second, path in args.pair:
        systems |= _systems(name, [first, second], path, args)
    if len(args.pair) > 1:
        systems |= _family(args.pair, args.risk, args.half_width)
    write_table(_measured(systems, images, args), args.out)
    print(f"{len(args.pair)} pairs, {args.repeats} repeats on {len(images)} images")
