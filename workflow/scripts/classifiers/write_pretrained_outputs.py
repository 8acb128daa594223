"""Logits and features of a pretrained network (timm's by name, weights from the hub or by path) on lists of images, as npz files."""

import argparse
import json
from pathlib import Path

import numpy as np

from genovision.arrays import write_arrays
from genovision.atomic import replacing
from genovision.classifiers.image_lists import ImageList, read_image_table
from genovision.classifiers.macs import macs, parameters
from genovision.classifiers.outputs import refuse_untrained
from genovision.classifiers.preprocessing import Preprocessing, tile
from genovision.classifiers.pretrained import batches, build, head_of, load_weights, outputs, preprocessing_of, sliced
from genovision.errors import InputError


def parser() -> argparse.ArgumentParser:
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument(
        "--architecture", required=True, metavar="NAME", help="timm's name, such as resnet50 or densenet121.tv_in1k"
    )
    weights = p.add_mutually_exclusive_group(required=True)
    weights.add_argument(
        "--checkpoint", type=Path, metavar="FILE", help=".safetensors, a state dict of torch, BiT's .npz, or an archive"
    )
    weights.add_argument("--hub", action="store_true", help="timm's published weights, from the model hub")
    p.add_argument(
        "--training",
        type=Path,
        metavar="JSON",
        help="config.json of classifiers/train_imagenet: images are prepared as there, and a failed training is refused",
    )
    p.add_argument(
        "--member",
        metavar="PATH",
        help="the checkpoint's path inside --checkpoint, when that is a zip archive or wheel",
    )
    p.add_argument(
        "--outputs", type=int, metavar="K", help="outputs of the network (default: its own, 1000 for ImageNet)"
    )
    keep = p.add_mutually_exclusive_group()
    keep.add_argument(
        "--first", type=int, metavar="N", help="keep the first N classes of its outputs (SIRC's ImageNet-200: 200)"
    )
    keep.add_argument("--keep", type=Path, metavar="FILE", help="keep these classes, one index per line, in this order")
    p.add_argument(
        "--preprocessing",
        type=json.loads,
        metavar="JSON",
        help="keys to replace in the preprocessing of --training, or else in the network's own",
    )
    p.add_argument(
        "--set",
        dest="sets",
        nargs=3,
        action="append",
        required=True,
        metavar=("LIST", "FOLDER", "OUT"),
        help="a list of classifiers/prepare_image_list, the folder or archive its names lie in, and the npz to write",
    )
    p.add_argument(
        "--tiles", nargs="*", default=[], metavar="OUT", help="which OUT are of tiles: whole image by Lanczos, no crop"
    )
    p.add_argument("--batch", type=int, default=64, help="images at a time (default 64)")
    p.add_argument("--threads", type=int, default=1, help="threads that decode images and compute (default 1)")
    p.add_argument("--device", default="auto", help="cpu, cuda, cuda:1, ... (default auto: cuda when there is one)")
    p.add_argument("--head", required=True, metavar="NPZ", help="weight (K, D) and bias (K,) of the last layer")
    p.add_argument("--macs", required=True, metavar="JSON", help="multiply-accumulates for one image, and parameters")
    p.add_argument("--config", required=True, metavar="JSON", help="architecture, weights and preprocessing")
    return p


def read_lists(sets: list[list[str]], classes: int) -> list[tuple[ImageList, str]]:
    """Read every list before the network runs on any: a misfit in the last one costs no hour. Labels must be classes of the network."""
    lists = []
    for path, folder, out in sets:
        images = read_image_table(path, folder)
        if not images.root.exists():
            raise InputError(f"{images.root} is not there; the images of {path} must lie in it.")
        if images.labels.max() >= classes:
            k = int(images.labels.argmax())
            raise InputError(
                f"{images.place(k)}: the label {images.labels[k]} is no class of the network, which has {classes}."
            )
        lists.append((images, out))
    return lists


def main(args: argparse.Namespace) -> None:
    import torch

    if args.batch < 1 or args.threads < 1:
        raise InputError(f"--batch {args.batch} and --threads {args.threads} must be positive.")
    if args.hub and args.outputs is not None:
        raise InputError(
            "--outputs with --hub would put a random last layer behind published weights; use --first or --keep."
        )
    if args.checkpoint and not args.checkpoint.is_file():
        raise InputError(
            f"{args.checkpoint}, the checkpoint of {args.architecture}, is not there: put it there or name another."
        )
    training = json.loads(args.training.read_text(encoding="utf-8")) if args.training else None
    if training:
        refuse_untrained(training, str(args.training))
    torch.set_num_threads(args.threads)
    device = args.device if args.device != "auto" else "cuda" if torch.cuda.is_available() else "cpu"
    model = build(args.architecture, args.outputs, args.hub)
    if args.checkpoint:
        load_weights(model, args.checkpoint, args.member)
    preprocessing = Preprocessing(**training["preprocessing"]) if training else preprocessing_of(model)
    if args.preprocessing:
        try:
            preprocessing = Preprocessing(**{**preprocessing.as_dict(), **args.preprocessing})
        except TypeError as error:
            raise InputError(f"--preprocessing takes {', '.join(preprocessing.as_dict())} ({error}).") from error
    head = head_of(model)
    classes = np.arange(len(head.bias))
    if args.first is not None:
        classes = np.arange(args.first)
    elif args.keep:
        try:
            classes = np.array([int(word) for word in args.keep.read_text(encoding="utf-8").split()])
        except ValueError as error:
            raise InputError(f"{args.keep}: one class index per line is needed ({error}).") from error
    if unknown := set(args.tiles) - {out for _, _, out in args.sets}:
        raise InputError(f"--tiles {sorted(unknown)[0]} is the OUT of no --set.")
    for images, out in read_lists(args.sets, len(classes)):
        how = tile(preprocessing) if out in args.tiles else preprocessing
        made = outputs(model, batches(images, how, args.batch, args.threads), device)
        made, kept = sliced(made, head, classes)
        write_arrays(out, logits=made.logits, features=made.features, labels=images.labels)
        print(f"{out}: {len(images)} images", flush=True)
    write_arrays(args.head, weight=kept.weight, bias=kept.bias)
    told = {
        "architecture": args.architecture,
        "weights": "hub" if args.hub else args.member or args.checkpoint.name,
        "classes": len(classes),
        "preprocessing": preprocessing.as_dict(),
    }
    cost = {"macs": macs(model, (3, preprocessing.size, preprocessing.size)), "parameters": parameters(model)}
    for path, what in ((args.config, told), (args.macs, cost)):
        with replacing(path) as temporary:
            temporary.write_text(json.dumps(what, indent=2) + "\n", encoding="utf-8")
