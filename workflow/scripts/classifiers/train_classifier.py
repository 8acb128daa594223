"""Train one classifier; a run that was interrupted goes on from its newest whole checkpoint and ends with the same weights."""

import argparse
import os
from pathlib import Path

os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # CUDA is deterministic only with it, and reads it at start

import numpy as np
import torch

from genovision import checkpoints
from genovision.atomic import replacing
from genovision.classifiers.image_sets import read_set
from genovision.classifiers.macs import macs, parameters
from genovision.classifiers.networks import ResNet, Shape
from genovision.classifiers.outputs import write_json, write_model
from genovision.classifiers.training import AUGMENTATIONS, SCHEDULES, InMemory, Recipe, fingerprint, train
from genovision.errors import InputError


def parser() -> argparse.ArgumentParser:
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("--train", required=True, metavar="NPZ", help="training images, labels 0..K-1")
    p.add_argument("--calibration", required=True, metavar="NPZ", help="images for the curve and the final accuracy")
    p.add_argument("--name", required=True, help="what messages and tables call the model, as in M/ls0.2/seed0")
    p.add_argument("--width", required=True, type=int, metavar="C", help="channels of the first stage")
    p.add_argument("--blocks", type=int, default=1, metavar="N", help="residual blocks per stage (default 1)")
    p.add_argument("--epochs", required=True, type=float, metavar="E", help="passes over the training images")
    p.add_argument("--batch", required=True, type=int, metavar="B", help="images per step, over all processes")
    p.add_argument("--learning-rate", required=True, type=float, metavar="X", help="the highest one")
    p.add_argument("--weight-decay", type=float, default=5e-4, metavar="X", help="default 5e-4")
    p.add_argument("--momentum", type=float, default=0.9, metavar="X", help="default 0.9")
    p.add_argument("--label-smoothing", type=float, default=0.0, metavar="ALPHA", help="0 <= alpha < 1 (default 0)")
    p.add_argument("--schedule", default="one_cycle", help=f"{', '.join(SCHEDULES)} (default one_cycle)")
    p.add_argument("--warmup", type=float, default=0.3, metavar="SHARE", help="of all steps (default 0.3)")
    p.add_argument(
        "--milestones",
        nargs="*",
        type=float,
        default=[],
        metavar="SHARE",
        help="where schedule `steps` goes to a tenth",
    )
    p.add_argument("--augmentation", default="none", help=f"{', '.join(AUGMENTATIONS)} (default none)")
    p.add_argument(
        "--precision", choices=["float32", "bf16"], default="float32", help="bf16: on CUDA (default float32)"
    )
    p.add_argument("--processes", type=int, default=1, metavar="N", help="GPUs that share every batch (default 1)")
    p.add_argument("--save-every", type=int, default=200, metavar="STEPS", help="between checkpoints (default 200)")
    p.add_argument("--threads", type=int, default=1, metavar="N", help="of the CPU (default 1)")
    p.add_argument("--seed", type=int, default=0, help="of weights, order and augmentation (default 0)")
    p.add_argument(
        "--out", required=True, metavar="FOLDER", help="gets model.safetensors, config.json, curve.tsv, macs.json"
    )
    return p


def _checked(args: argparse.Namespace) -> None:
    for name in ("width", "blocks", "save_every", "threads", "processes"):
        if getattr(args, name) < 1:
            raise InputError(f"--{name.replace('_', '-')} {getattr(args, name)} must be 1 or more.")
    if args.seed < 0 or not args.epochs > 0:
        raise InputError(f"--seed {args.seed} must not be negative and --epochs {args.epochs} must be above 0.")
    if args.processes > max(1, torch.cuda.device_count()):
        raise InputError(f"--processes {args.processes}: this machine has {torch.cuda.device_count()} GPUs.")


def fit(args: argparse.Namespace) -> None:
    """Train and write; with several processes each runs this, and the first one writes."""
    torch.set_num_threads(args.threads)
    images, calibration = read_set(args.train), read_set(args.calibration)
    classes = int(images.labels.max()) + 1
    for path, labels in ((args.train, images.labels), (args.calibration, calibration.labels)):
        if labels.min() < 0 or labels.max() >= classes or classes < 2:
            raise InputError(
                f"{path}: training needs labels 0..{max(classes, 2) - 1}, there are {labels.min()}..{labels.max()}."
            )
    recipe = Recipe(
        steps=max(1, int(args.epochs * len(images)) // args.batch) if args.batch > 0 else 0,
        batch=args.batch,
        learning_rate=args.learning_rate,
        weight_decay=args.weight_decay,
        momentum=args.momentum,
        nesterov=args.momentum > 0,
        label_smoothing=args.label_smoothing,
        schedule=args.schedule,
        warmup=args.warmup,
        milestones=tuple(args.milestones),
        augmentation=args.augmentation,
        seed=args.seed,
    )
    pixels = images.images.astype(np.float64) / 255
    shape = Shape(
        args.width, classes, round(float(pixels.mean()), 6), round(float(pixels.std()), 6), blocks=args.blocks
    )
    network = ResNet(shape, seed=args.seed)
    folder = Path(args.out)
    trained = train(
        network,
        InMemory(images.images, images.labels, recipe),
        recipe,
        (calibration.images, calibration.labels),
        folder / "checkpoints",
        fingerprint(network, recipe, images.images, images.labels, calibration.images, calibration.labels),
        precision=args.precision,
        save_every=args.save_every,
    )
    if int(os.environ.get("RANK", 0)) == 0:
        _write(folder, trained, recipe, args.name, images.images.shape[1:])
        print(f"{args.name}: accuracy {trained.curve[-1].accuracy:.4f} on {len(calibration)} calibration images")


def _write(folder: Path, trained, recipe: Recipe, name: str, size: tuple[int, int]) -> None:
    with replacing(folder / "curve.tsv") as temporary:
        rows = [f"{point.step}\t{point.loss:.6g}\t{point.accuracy:.6g}\n" for point in trained.curve]
        temporary.write_text("step\tloss\taccuracy\n" + "".join(rows))
    cost = {"macs": macs(trained.network, (1, *size)), "parameters": parameters(trained.network)}
    write_json(cost, folder / "macs.json")
    end = trained.curve[-1]
    facts = {"name": name, "recipe": recipe.to_json(), "loss": end.loss, "accuracy": end.accuracy}
    write_model(folder, trained.network, facts)
    checkpoints.clear(folder / "checkpoints")


def main(args: argparse.Namespace) -> None:
    _checked(args)
    if args.processes == 1:
        fit(args)
        return
    from accelerate import notebook_launcher  # starts one process per GPU

    notebook_launcher(fit, (args,), num_processes=args.processes)
