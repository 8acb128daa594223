"""Train latent diffusion of DNA; an interrupted run goes on from its newest whole checkpoint and ends with the same weights."""

import argparse
import math
from pathlib import Path

import torch

from genovision import checkpoints, devices, training_options
from genovision.dna.autoencoders import check_length, read_autoencoder
from genovision.dna.examples import read_examples
from genovision.dna.latent_diffusion import (
    BETAS,
    LOSSES,
    Examples,
    network_for,
    no_scale,
    noise_config,
    scale_of,
    write_latent_diffusion,
)
from genovision.errors import InputError
from genovision.training import train, write_curve


def parser() -> argparse.ArgumentParser:
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("--data", required=True, metavar="NPZ", help="codes, species and fold of encode_promoters")
    p.add_argument(
        "--autoencoder", required=True, metavar="FOLDER", help="of train_autoencoder; the model keeps a copy"
    )
    p.add_argument("--denoiser", default="sequence", choices=("sequence", "unet"), help="default sequence")
    p.add_argument("--prediction", default="codewords", choices=LOSSES, help="what is predicted (default codewords)")
    p.add_argument("--no-counts", action="store_true", help="codewords without their frequencies in the training fold")
    p.add_argument("--betas", default="angular", choices=BETAS, help="of the noise (default angular)")
    p.add_argument("--unscaled", action="store_true", help="take the latents as they are, as the authors do")
    p.add_argument("--width", type=int, default=96, metavar="W", help="of the sequence denoiser (default 96)")
    p.add_argument("--blocks", type=int, default=6, metavar="N", help="of the sequence denoiser (default 6)")
    p.add_argument("--kernel", type=int, default=3, metavar="K", help="of the sequence denoiser, odd (default 3)")
    p.add_argument("--dropout", type=float, default=0.0, metavar="X", help="in the denoiser (default 0)")
    p.add_argument(
        "--channels", type=int, nargs="+", default=[64, 96, 128], metavar="C", help="of the unet's levels (64 96 128)"
    )
    p.add_argument("--layers", type=int, default=1, metavar="N", help="of each level of the unet (default 1)")
    p.add_argument("--attention", type=int, nargs="*", default=[], metavar="SIZE", help="unet's levels with attention")
    p.add_argument("--heads", type=int, default=1, metavar="N", help="of the unet's attention (default 1)")
    p.add_argument(
        "--unlabelled", type=float, default=0.1, metavar="SHARE", help="trained without a species (default 0.1)"
    )
    training_options.add(p, steps=2400, batch=32, learning_rate=2e-3, seed="weights, noise and order")
    p.add_argument("--out", required=True, metavar="FOLDER", help="gets the model, dna.json and curve.tsv")
    return p


def options_of(args: argparse.Namespace) -> dict:
    """Of the network."""
    if args.denoiser == "unet":
        groups = math.gcd(32, *args.channels)
        options = {"channels": args.channels, "layers": args.layers, "attention": args.attention, "heads": args.heads}
        return options | {"groups": groups, "dropout": args.dropout}
    names = ("width", "blocks", "kernel", "dropout")
    return {name: getattr(args, name) for name in names} | {"codewords": args.prediction == "codewords"}


def main(args: argparse.Namespace) -> None:
    if not 0 <= args.unlabelled < 1:
        raise InputError(f"--unlabelled {args.unlabelled} must lie in [0, 1).")
    if args.prediction == "codewords" and args.denoiser != "sequence":
        raise InputError(
            f"--prediction codewords needs --denoiser sequence; a unet predicts one of {', '.join(LOSSES[:3])}."
        )
    recipe = training_options.recipe(args)
    torch.set_num_threads(args.threads)
    device = devices.choose(args.device)
    sequences = read_examples(args.data)
    codes, labels = sequences.of("train")
    autoencoder, own = read_autoencoder(args.autoencoder, device)
    check_length(autoencoder, sequences.length, args.data)
    if own["species"] != list(sequences.names):
        raise InputError(
            f"{args.autoencoder} was trained on {', '.join(own['species'])}, {args.data} holds {', '.join(sequences.names)}."
        )
    species = len(sequences.names)
    options = options_of(args)
    network = network_for(autoencoder, species, kind=args.denoiser, seed=args.seed, **options).to(device)
    scheduler = noise_config(args.betas, "sample" if args.prediction == "codewords" else args.prediction)
    scale = no_scale(autoencoder.shape[0]).to(device) if args.unscaled else scale_of(autoencoder, codes)
    examples = Examples(
        codes,
        labels,
        autoencoder,
        scale,
        scheduler,
        species=species,
        batch=recipe.batch,
        seed=args.seed,
        unconditional=args.unlabelled,
    )
    if args.prediction == "codewords":
        examples.know(network, counts=not args.no_counts)
    facts = {"recipe": recipe.to_json(), "denoiser": args.denoiser, "loss_of": args.prediction, "betas": args.betas}
    facts |= {"options": options, "unconditional": args.unlabelled, "scaled": not args.unscaled}
    facts |= {"counts": args.prediction == "codewords" and not args.no_counts}
    folder = Path(args.out)
    weights = [tensor.cpu().numpy() for tensor in autoencoder.state_dict().values()]
    trained = train(
        network,
        examples.loss,
        recipe,
        examples.held_out(*sequences.some("validation")),
        folder / "checkpoints",
        checkpoints.fingerprint(network, facts, codes, labels, *weights),
        save_every=args.save_every,
        points=args.points,
    )
    training_options.refuse_divergence(trained, "latent diffusion", recipe)
    last = trained.curve[-1]
    write_curve(trained.curve, folder / "curve.tsv", "held_out")
    facts |= {"species": list(sequences.names), "length": sequences.length, "training_sequences": len(codes)}
    facts |= {"steps": last.step, "seed": args.seed, "loss": last.loss, "held_out": last.measured}
    write_latent_diffusion(folder, trained.network, scheduler, scale, (autoencoder, own), facts)
    checkpoints.clear(folder / "checkpoints")
    print(f"latent diffusion: loss {last.loss:.4f}, held-out {last.measured:.4f} after {last.step} steps")
