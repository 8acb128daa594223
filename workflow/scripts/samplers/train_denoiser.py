"""Train one denoiser of images; a run that was interrupted goes on from its newest whole checkpoint and ends with the same weights."""

import argparse
import math
import os
from pathlib import Path

os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # CUDA is deterministic only with it, and reads it at start

import pandas as pd
import torch

from genovision import checkpoints
from genovision.errors import InputError
from genovision.samplers.denoisers import build, scheduler_config, unet_config, write_denoiser
from genovision.samplers.diffusion_training import (
    PRECISIONS,
    PREDICTIONS,
    SCHEDULES,
    TIMES,
    Batches,
    HeldOut,
    Recipe,
    train,
)
from genovision.samplers.image_sources import read_images
from genovision.tables import write_table


def parser() -> argparse.ArgumentParser:
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("--train", required=True, metavar="NPZ", help="training images (N, H, W) or (N, H, W, 3)")
    p.add_argument("--held-out", required=True, metavar="NPZ", help="images for the curve")
    p.add_argument("--first", type=int, default=2000, metavar="N", help="of the held-out images (default 2000)")
    p.add_argument("--name", required=True, help="what messages and tables call the model")
    network = p.add_argument_group("network")
    network.add_argument(
        "--patch", type=int, default=1, metavar="P", help="squares of P x P pixels become channels (default 1)"
    )
    network.add_argument(
        "--channels", required=True, nargs="+", type=int, metavar="C", help="of each level, the largest size first"
    )
    network.add_argument("--layers", type=int, default=2, metavar="N", help="residual blocks per level (default 2)")
    network.add_argument(
        "--attention", nargs="*", type=int, default=[], metavar="SIZE", help="sizes of levels with attention"
    )
    network.add_argument("--no-middle-attention", action="store_true", help="none in the middle either")
    network.add_argument("--heads", type=int, default=1, metavar="N", help="of every attention (default 1)")
    network.add_argument("--groups", type=int, default=32, metavar="N", help="of group normalisation (default 32)")
    network.add_argument("--dropout", type=float, default=0.0, metavar="SHARE", help="default 0")
    network.add_argument("--scale-shift", action="store_true", help="time scales and shifts normalised values")
    recipe = p.add_argument_group("recipe")
    recipe.add_argument("--steps", required=True, type=int, metavar="N", help="of the optimiser")
    recipe.add_argument("--prediction", default="epsilon", help=f"{', '.join(PREDICTIONS)} (default epsilon)")
    recipe.add_argument(
        "--batch", type=int, default=256, metavar="B", help="images per step, over all processes (default 256)"
    )
    recipe.add_argument("--learning-rate", type=float, default=1e-4, metavar="X", help="the highest one (default 1e-4)")
    recipe.add_argument("--weight-decay", type=float, default=0.01, metavar="X", help="of AdamW (default 0.01)")
    recipe.add_argument("--beta2", type=float, default=0.999, metavar="X", help="of AdamW (default 0.999)")
    recipe.add_argument("--schedule", default="constant", help=f"{', '.join(SCHEDULES)} (default constant)")
    recipe.add_argument("--warmup", type=float, default=0.0, metavar="SHARE", help="of all steps (default 0)")
    recipe.add_argument(
        "--ema-decay", type=float, default=0.9999, metavar="X", help="of the averaged weights (default 0.9999)"
    )
    recipe.add_argument("--times", default="stratified", help=f"{', '.join(TIMES)} (default stratified)")
    recipe.add_argument("--clip-gradient", type=float, default=0.0, metavar="NORM", help="0: not (default)")
    recipe.add_argument("--no-flip", action="store_true", help="no random mirror images")
    recipe.add_argument(
        "--training-steps", type=int, default=1000, metavar="T", help="times of the noise (default 1000)"
    )
    recipe.add_argument(
        "--betas", nargs=2, type=float, default=[1e-4, 0.02], metavar="X", help="first and last (default 1e-4 0.02)"
    )
    recipe.add_argument("--seed", type=int, default=0, help="of weights, order, noise and times (default 0)")
    p.add_argument("--points", type=int, default=10, metavar="N", help="rows of the curve (default 10)")
    p.add_argument("--precision", choices=PRECISIONS, default="float32", help="bf16, fp16: on CUDA (default float32)")
    p.add_argument("--processes", type=int, default=1, metavar="N", help="GPUs that share every batch (default 1)")
    p.add_argument("--save-every", type=int, default=500, metavar="STEPS", help="between checkpoints (default 500)")
    p.add_argument("--threads", type=int, default=1, metavar="N", help="of the CPU (default 1)")
    p.add_argument(
        "--out", required=True, metavar="FOLDER", help="gets a DDPMPipeline's files, denoiser.json, curve.tsv"
    )
    return p


def _checked(args: argparse.Namespace) -> None:
    for name in ("first", "points", "save_every", "threads", "processes"):
        if getattr(args, name) < 1:
            raise InputError(f"--{name.replace('_', '-')} {getattr(args, name)} must be 1 or more.")
    if args.processes > max(1, torch.cuda.device_count()):
        raise InputError(f"--processes {args.processes}: this machine has {torch.cuda.device_count()} GPUs.")


def _recipe(args: argparse.Namespace) -> Recipe:
    return Recipe(
        steps=args.steps,
        batch=args.batch,
        prediction_type=args.prediction,
        learning_rate=args.learning_rate,
        weight_decay=args.weight_decay,
        beta2=args.beta2,
        schedule=args.schedule,
        warmup=args.warmup,
        ema_decay=args.ema_decay,
        times=args.times,
        clip_gradient=args.clip_gradient,
        flip=not args.no_flip,
        patch=args.patch,
        training_steps=args.training_steps,
        beta_start=args.betas[0],
        beta_end=args.betas[1],
        seed=args.seed,
    )


def fit(args: argparse.Namespace) -> None:
    """Train and write; with several processes each runs this, and the first one writes."""
    torch.set_num_threads(args.threads)
    recipe, images, held_out = _recipe(args), read_images(args.train), read_images(args.held_out)[: args.first]
    if images.shape[1:] != held_out.shape[1:]:
        raise InputError(f"{args.train} has images of {images.shape[1:]}, {args.held_out} of {held_out.shape[1:]}.")
    height, width, *colours = images.shape[1:]
    if height % args.patch or width % args.patch:
        raise InputError(f"--patch {args.patch} does not divide images of {height} x {width} pixels.")
    shape = (math.prod(colours) * args.patch**2, height // args.patch, width // args.patch)
    config = unet_config(
        shape,
        args.channels,
        layers=args.layers,
        attention=args.attention,
        middle_attention=not args.no_middle_attention,
        heads=args.heads,
        groups=args.groups,
        dropout=args.dropout,
        scale_shift=args.scale_shift,
    )
    network, folder = build(config, args.seed), Path(args.out)
    mark = checkpoints.fingerprint(
        network, {"network": config, "recipe": recipe.to_json(), "precision": args.precision}, images, held_out
    )
    trained = train(
        network,
        Batches(images, recipe),
        recipe,
        HeldOut(held_out, recipe),
        folder / "checkpoints",
        mark,
        precision=args.precision,
        save_every=args.save_every,
        points=args.points,
        tell=lambda text: print(text, flush=True),
    )
    if int(os.environ.get("RANK", 0)) == 0:
        end = trained.curve[-1]
        if not math.isfinite(end.loss):
            raise InputError(
                f"{args.name}: the loss is {end.loss} at step {end.step}; lower --learning-rate or give --clip-gradient."
            )
        facts = {
            "name": args.name,
            "space": "pixels",
            "patch": args.patch,
            "image_size": [height, width],
            "parameters": sum(parameter.numel() for parameter in trained.network.parameters()),
            "training_images": len(images),
            "loss": end.loss,
            "held_out_loss": end.held_out,
            "recipe": recipe.to_json(),
        }
        write_table(pd.DataFrame(trained.curve), folder / "curve.tsv")
        schedule = scheduler_config(recipe.training_steps, recipe.beta_start, recipe.beta_end, recipe.prediction_type)
        write_denoiser(folder, trained.network, schedule, facts)
        checkpoints.clear(folder / "checkpoints")
        print(f"{args.name}: {facts['parameters']:,} parameters, held-out loss {end.held_out:.4f}")


def main(args: argparse.Namespace) -> None:
    _checked(args)
    if args.processes == 1:
        fit(args)
        return
    from accelerate import notebook_launcher  # starts one process per GPU

    notebook_launcher(fit, (args,), num_processes=args.processes)
