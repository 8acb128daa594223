"""Train a student of an ensemble of autoregressive promoter models, from the weights of one member; an interrupted run goes on from its
newest checkpoint and ends with the same weights."""

import argparse
from pathlib import Path

import numpy as np
import torch
from torch import nn

from genovision import checkpoints, devices, training_options
from genovision.dna.autoregression import RecurrentModel, read_autoregression, write_autoregression
from genovision.errors import InputError
from genovision.training import train, write_curve
from genovision.translation.base_students import (
    FACTS,
    FAMILIES,
    TRAIN,
    VALIDATION,
    BaseStudent,
    Lessons,
    held_out,
    member_logs,
    read_cache,
    write_student,
)
from genovision.translation.families import bounds_of, typical_spread

_GLANCE = 128  # validation sequences of the curve


def parser() -> argparse.ArgumentParser:
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("--cache", required=True, metavar="NPZ", help="of translation/cache_base_teachers")
    p.add_argument(
        "--start", required=True, metavar="FOLDER", help="of dna/train_autoregression: the member it begins as"
    )
    p.add_argument("--family", required=True, choices=FAMILIES, help="what it learns of the members")
    p.add_argument("--dropout", type=float, default=0.0, metavar="SHARE", help="while it learns (default 0)")
    p.add_argument(
        "--noise-weight",
        type=float,
        default=0.25,
        metavar="W",
        help="laplace and gaussian: of the logits' likelihood beside the divergence from the mean (default 0.25)",
    )
    training_options.add(
        p,
        steps=150,
        batch=64,
        learning_rate=2e-3,
        average=0.97,
        save_every=50,
        points=5,
        seed="the order and dropout",
    )
    p.add_argument(
        "--out", required=True, metavar="FOLDER", help="gets network/, head.safetensors, student.json and curve.tsv"
    )
    return p


def main(args: argparse.Namespace) -> None:
    if not 0 <= args.dropout < 1:
        raise InputError(f"--dropout {args.dropout} must lie in [0, 1).")
    recipe = training_options.recipe(args)
    torch.set_num_threads(args.threads)
    cache = read_cache(args.cache)
    device = devices.choose(args.device)
    network = read_autoregression(args.start, device)[0].requires_grad_(True)
    length, letters = cache.codes.shape[1], cache.logs.shape[3]
    if tuple(network.species) != cache.names or network.length != length:
        raise InputError(
            f"{args.start} reads {network.length} bases of {', '.join(network.species)}, the members of {args.cache} {length} of "
            f"{', '.join(cache.names)}; start from one of them."
        )
    if letters != network.readout.out_features:
        raise InputError(
            f"{args.cache} has {letters} letters, {args.start} knows {network.readout.out_features}: it is of another vocabulary."
        )
    for module in network.modules():
        if isinstance(module, nn.Dropout):
            module.p = args.dropout
    lessons = Lessons(cache.of(TRAIN), batch=recipe.batch, seed=args.seed, noise_weight=args.noise_weight)
    some = member_logs(lessons.cache.logs[:: max(1, len(lessons.cache.logs) // 500)])
    start = typical_spread(args.family, some, bounds_of(args.family))
    # the layer that the readout reads, of either kind of network
    inner = "network" if isinstance(network, RecurrentModel) else "norm"
    student = BaseStudent(
        network, args.family, inner=inner, width=network.readout.in_features, letters=letters, start=start
    ).to(device)
    validation = cache.of(VALIDATION)
    glance = validation.part(
        np.linspace(0, len(validation.codes) - 1, min(_GLANCE, len(validation.codes))).astype(np.int64)
    )
    facts = {
        "recipe": recipe.to_json(),
        "dropout": args.dropout,
        "noise_weight": args.noise_weight,
        "begins_at": start,
        "members": cache.logs.shape[2],
        "family": args.family,
    }
    folder = Path(args.out)
    mark = checkpoints.fingerprint(student, facts, cache.codes, cache.labels, cache.logs, _weights(network))
    trained = train(
        student,
        lessons.loss,
        recipe,
        lambda student: held_out(student, glance, args.noise_weight)["loss"],
        folder / "checkpoints",
        mark,
        save_every=args.save_every,
        points=args.points,
    )
    training_options.refuse_divergence(trained, f"the student {args.family}", recipe)
    end = trained.curve[-1]
    measured = held_out(trained.network, validation, args.noise_weight)
    facts |= {"loss": end.loss, "training_sequences": len(lessons.cache.codes)}
    facts |= {f"held_out_{name}": value for name, value in measured.items()}
    folder.mkdir(parents=True, exist_ok=True)
    (folder / FACTS).unlink(missing_ok=True)  # it comes last, so that a folder with it is whole
    write_curve(trained.curve, folder / "curve.tsv", "held_out")
    write_autoregression(folder / "network", trained.network.network, {"seed": args.seed, "steps": args.steps})
    write_student(folder, trained.network, facts)
    checkpoints.clear(folder / "checkpoints")
    print(
        f"{args.family}: {measured['bits']:.4f} bits per base on validation sequences, the ensemble {measured['ensemble_bits']:.4f}, "
        f"after {end.step} steps"
    )


def _weights(network: nn.Module) -> np.ndarray:
    """All weights in one row: a run from another member must not take up this one's checkpoints."""
    return torch.cat([tensor.detach().flatten() for tensor in network.state_dict().values()]).cpu().numpy()
