"""Train a diffusion model of bases, masked or one-hot; an interrupted run goes on from its newest whole checkpoint, to the same weights."""

import argparse
from pathlib import Path

import torch

from genovision import checkpoints, devices, training_options
from genovision.dna import base_diffusion, masked_diffusion
from genovision.dna.base_networks import Examples, build
from genovision.dna.examples import read_examples
from genovision.errors import InputError
from genovision.training import Recipe, train, write_curve

KINDS = ("masked", "onehot")
# what about a minute of one thread buys most with, by kind; the other defaults suit both
STEPS = {"masked": 1000, "onehot": 700}
CONTEXT = {"masked": 3, "onehot": 0}


def parser() -> argparse.ArgumentParser:
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("--data", required=True, metavar="NPZ", help="sequences of dna/encode_promoters")
    p.add_argument("--kind", required=True, choices=KINDS, help="masked bases, or Gaussian noise on one-hot bases")
    network = p.add_argument_group("network")
    network.add_argument("--width", type=int, default=64, metavar="W", help="a multiple of 8 (default 64)")
    network.add_argument("--kernel", type=int, default=5, metavar="K", help="of the convolutions, odd (default 5)")
    network.add_argument(
        "--dilations",
        nargs="+",
        type=int,
        default=[1, 2, 4, 8, 16],
        metavar="D",
        help="of each layer (default 1 2 4 8 16)",
    )
    network.add_argument(
        "--context",
        type=int,
        metavar="K",
        help="bases to either side in the table of words anywhere (default 3; masked only)",
    )
    network.add_argument(
        "--local", type=int, metavar="K", help="the same near a position (default 2, and 0 without --prediction logits)"
    )
    network.add_argument("--dropout", type=float, default=0.0, metavar="SHARE", help="in every layer (default 0)")
    noise = p.add_argument_group("noise (onehot)")
    noise.add_argument(
        "--prediction", default="logits", help=f"{', '.join(base_diffusion.PREDICTIONS)} (default logits)"
    )
    noise.add_argument("--betas", default="squaredcos_cap_v2", metavar="SCHEDULE", help="default squaredcos_cap_v2")
    noise.add_argument("--beta-range", nargs=2, type=float, default=[1e-4, 0.02], metavar="X", help="of linear ones")
    noise.add_argument("--training-steps", type=int, default=1000, metavar="T", help="times (default 1000)")
    p.add_argument(
        "--unlabelled", type=float, default=0.1, metavar="SHARE", help="trained without species (default 0.1)"
    )
    steps = ", ".join(f"{kind} {number}" for kind, number in STEPS.items())
    training_options.add(p, steps=steps, batch=32, learning_rate=1e-3, seed="weights, order, masks and noise")
    p.add_argument("--out", required=True, metavar="FOLDER", help="gets config, weights, dna.json and curve.tsv")
    return p


def _checked(args: argparse.Namespace) -> Recipe:
    if not 0 <= args.unlabelled < 1:
        raise InputError(f"--unlabelled {args.unlabelled} must lie in [0, 1).")
    if args.kind == "onehot" and args.context:
        raise InputError("--context goes with --kind masked: noisy bases make no words.")
    if args.kind == "onehot" and args.prediction != "logits" and args.local:
        raise InputError("--local goes with --prediction logits: v and x_0 are no probabilities.")
    return training_options.recipe(args, steps=STEPS[args.kind])


def main(args: argparse.Namespace) -> None:
    recipe = _checked(args)
    torch.set_num_threads(args.threads)
    device = devices.choose(args.device)
    data, folder = read_examples(args.data), Path(args.out)
    codes, labels = data.of("train")
    held_out = data.some("validation")
    counted = args.kind == "masked" or args.prediction == "logits"
    network = build(
        args.seed,
        species=len(data.names),
        length=data.length,
        timed=args.kind == "onehot",
        width=args.width,
        kernel=args.kernel,
        dilations=list(args.dilations),
        context=CONTEXT[args.kind] if args.context is None else args.context,
        local=(2 if counted else 0) if args.local is None else args.local,
        dropout=args.dropout,
    )
    if counted:
        network.begin_with(codes, labels)
    network = network.to(device)
    examples = Examples(codes, labels, len(data.names), recipe.batch, args.seed, args.unlabelled)
    more: dict = {}
    if args.kind == "masked":
        objective = masked_diffusion.Objective(examples, held_out)
    else:
        more["scheduler"] = base_diffusion.noise_schedule(
            args.prediction, args.betas, args.training_steps, *args.beta_range
        )
        more["prediction"] = args.prediction
        objective = base_diffusion.Objective(examples, held_out, **more)
    facts = {"recipe": recipe.to_json() | {"unlabelled": args.unlabelled}, "names": list(data.names), "kind": args.kind}
    mark = checkpoints.fingerprint(network, facts | {"config": _config(network)} | more, codes, labels, *held_out)
    trained = train(
        network,
        objective.loss,
        recipe,
        objective.measure,
        folder / "checkpoints",
        mark,
        save_every=args.save_every,
        points=args.points,
        tell=lambda text: print(text, flush=True),
    )
    training_options.refuse_divergence(trained, f"{args.kind} diffusion", recipe)
    end = trained.curve[-1]
    bits = None
    if args.kind == "masked":
        bits = float(masked_diffusion.bits_per_base(trained.network, *data.of("test"), repeats=4).mean())
    facts = {
        "species": list(data.names),
        "length": data.length,
        "training_sequences": len(codes),
        "steps": end.step,
        "seed": args.seed,
        "recipe": facts["recipe"],
        "loss": end.loss,
        "held_out": end.measured,
        "bits_per_base": bits,
    }
    write_curve(trained.curve, folder / "curve.tsv", "held_out")
    if args.kind == "masked":
        masked_diffusion.write_masked_diffusion(folder, trained.network, facts)
    else:
        base_diffusion.write_base_diffusion(folder, trained.network, **more, facts=facts)
    checkpoints.clear(folder / "checkpoints")
    told = "" if bits is None else f", at most {bits:.4f} bits a base in the test fold"
    print(f"{args.kind}: held-out loss {end.measured:.4f} after {end.step} steps{told}")


def _config(network) -> dict:
    return {name: value for name, value in network.config.items() if not name.startswith("_")}
