"""Train one of timm's networks on lists of image files by a paper's recipe; an interrupted run goes on from its newest checkpoint."""

import argparse
import json
import os
from pathlib import Path

os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # CUDA is deterministic only with it, and reads it at start

import numpy as np
import torch

from genovision import checkpoints
from genovision.atomic import replacing
from genovision.classifiers.image_lists import ImageList, read_image_table
from genovision.classifiers.imagenet_training import FileBatches, Normalised, squares
from genovision.classifiers.macs import macs, parameters
from genovision.classifiers.outputs import write_json
from genovision.classifiers.preprocessing import INTERPOLATIONS, Preprocessing
from genovision.classifiers.pretrained import build
from genovision.classifiers.training import SCHEDULES, Recipe, fingerprint, train
from genovision.errors import InputError


def parser() -> argparse.ArgumentParser:
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("--architecture", required=True, metavar="NAME", help="timm's name, such as resnet50")
    p.add_argument("--classes", required=True, type=int, metavar="K", help="outputs of the network")
    p.add_argument(
        "--train", required=True, nargs=2, metavar=("LIST", "FOLDER"), help="of classifiers/prepare_image_list"
    )
    p.add_argument(
        "--calibration", required=True, nargs=2, metavar=("LIST", "FOLDER"), help="for the curve and the accuracy"
    )
    p.add_argument("--name", required=True, help="what messages and tables call the model")
    p.add_argument("--size", type=int, default=224, metavar="PIXELS", help="side of the input (default 224)")
    p.add_argument(
        "--resize", type=int, default=256, metavar="PIXELS", help="shorter side before the test crop (default 256)"
    )
    p.add_argument("--interpolation", choices=tuple(INTERPOLATIONS), default="bilinear", help="default bilinear")
    p.add_argument("--dropout", type=float, metavar="P", help="before the last layer (default: the network's own)")
    p.add_argument("--epochs", required=True, type=float, metavar="E", help="passes over the training images")
    p.add_argument("--batch", required=True, type=int, metavar="B", help="images per step, over all processes")
    p.add_argument("--learning-rate", required=True, type=float, metavar="X", help="the highest one")
    p.add_argument("--weight-decay", required=True, type=float, metavar="X")
    p.add_argument("--momentum", type=float, default=0.9, metavar="X", help="default 0.9")
    p.add_argument("--nesterov", action="store_true")
    p.add_argument("--label-smoothing", type=float, default=0.0, metavar="ALPHA", help="0 <= alpha < 1 (default 0)")
    p.add_argument("--schedule", choices=SCHEDULES, default="cosine", help="default cosine")
    p.add_argument("--warmup-epochs", type=float, default=0.0, metavar="E", help="default 0")
    p.add_argument(
        "--milestones",
        nargs="*",
        type=float,
        default=[],
        metavar="EPOCH",
        help="of schedule `steps`: a tenth from there on",
    )
    p.add_argument("--precision", choices=["no", "bf16"], default="no", help="no: float32 (default); bf16: on CUDA")
    p.add_argument("--processes", type=int, default=1, metavar="N", help="GPUs that share every batch (default 1)")
    p.add_argument("--save-every", type=int, default=1000, metavar="STEPS", help="between checkpoints (default 1000)")
    p.add_argument("--threads", type=int, default=1, metavar="N", help="that decode images, per process (default 1)")
    p.add_argument("--seed", type=int, default=0, help="of weights, order and augmentation (default 0)")
    p.add_argument(
        "--out",
        required=True,
        type=Path,
        metavar="FOLDER",
        help="gets model.safetensors, config.json, curve.tsv, macs.json",
    )
    return p


def _list(path: str, folder: str, classes: int) -> ImageList:
    images = read_image_table(path, folder)
    if not images.root.exists():
        raise InputError(f"{images.root} is not there; the images of {path} must lie in it.")
    if images.labels.min() < 0 or images.labels.max() >= classes:
        found = f"{images.labels.min()}..{images.labels.max()}"
        raise InputError(f"{path}: training of {classes} classes needs labels 0..{classes - 1}, there are {found}.")
    return images


def fit(args: argparse.Namespace) -> None:
    """Train and write; with several processes each runs this, and the first one writes."""
    torch.set_num_threads(args.threads)
    images, calibration = (_list(*paths, args.classes) for paths in (args.train, args.calibration))
    recipe = Recipe(
        steps=max(1, int(args.epochs * len(images)) // args.batch) if args.batch > 0 else 0,
        batch=args.batch,
        learning_rate=args.learning_rate,
        weight_decay=args.weight_decay,
        momentum=args.momentum,
        nesterov=args.nesterov,
        label_smoothing=args.label_smoothing,
        schedule=args.schedule,
        warmup=args.warmup_epochs / args.epochs,
        milestones=tuple(epoch / args.epochs for epoch in args.milestones),
        seed=args.seed,
    )
    preprocessing = Preprocessing(args.size, args.resize, interpolation=args.interpolation)
    torch.manual_seed(args.seed)
    network = Normalised(build(args.architecture, args.classes, dropout=args.dropout), preprocessing)
    names = np.frombuffer("\n".join(images.names).encode(), dtype=np.uint8)
    trained = train(
        network,
        FileBatches(images, recipe, args.size, args.interpolation, args.threads),
        recipe,
        (squares(calibration, preprocessing, args.threads), calibration.labels),
        args.out / "checkpoints",
        fingerprint(
            network, recipe, names, images.labels, calibration.labels, np.array(json.dumps(preprocessing.as_dict()))
        ),
        precision=args.precision,
        save_every=args.save_every,
    )
    if int(os.environ.get("RANK", 0)) == 0:
        _write(args, trained, recipe, preprocessing)
        print(f"{args.name}: accuracy {trained.curve[-1].accuracy:.4f} on {len(calibration)} calibration images")


def _write(args: argparse.Namespace, trained, recipe: Recipe, preprocessing: Preprocessing) -> None:
    with replacing(args.out / "curve.tsv") as temporary:
        rows = [f"{point.step}\t{point.loss:.6g}\t{point.accuracy:.6g}\n" for point in trained.curve]
        temporary.write_text("step\tloss\taccuracy\n" + "".join(rows))
    end, inner = trained.curve[-1], trained.network.network
    write_json(
        {"macs": macs(inner, (3, args.size, args.size)), "parameters": parameters(inner)}, args.out / "macs.json"
    )
    facts = {"name": args.name, "network": {"architecture": args.architecture, "classes": args.classes}}
    facts |= {"recipe": recipe.to_json(), "preprocessing": preprocessing.as_dict()}
    facts |= {"loss": end.loss, "accuracy": end.accuracy}
    write_json(facts, args.out / "config.json")
    checkpoints.write_tensors(inner.state_dict(), args.out / "model.safetensors")
    checkpoints.clear(args.out / "checkpoints")


def main(args: argparse.Namespace) -> None:
    for name in ("classes", "size", "save_every", "threads", "processes"):
        if getattr(args, name) < 1:
            raise InputError(f"--{name.replace('_', '-')} {getattr(args, name)} must be 1 or more.")
    if args.seed < 0 or not args.epochs > 0:
        raise InputError(f"--seed {args.seed} must not be negative and --epochs {args.epochs} must be above 0.")
    if args.processes > max(1, torch.cuda.device_count()):
        raise InputError(f"--processes {args.processes}: this machine has {torch.cuda.device_count()} GPUs.")
    if args.processes == 1:
        fit(args)
        return
    from accelerate import notebook_launcher  # starts one process per GPU

    notebook_launcher(fit, (args,), num_processes=args.processes, mixed_precision=args.precision)
