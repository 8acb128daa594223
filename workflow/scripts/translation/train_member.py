"""Train a member of the translation ensemble; a run that was cut short goes on from its newest whole checkpoint to the same weights."""

import os

os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # CUDA is deterministic only with it, and reads it at start

import argparse
import math
from dataclasses import asdict
from pathlib import Path

import torch

from genovision import checkpoints
from genovision.errors import InputError
from genovision.training import Recipe, train, write_curve
from genovision.translation.batches import read_corpus
from genovision.translation.members import Lessons, negative_log_likelihood
from genovision.translation.network import ARCHITECTURES, DEVICES, Sizes, build, device, write_network
from genovision.translation.tokenizer import read_tokenizer


def parser() -> argparse.ArgumentParser:
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("--encoded", required=True, metavar="NPZ", help="the sets as token ids, of encode_sets")
    p.add_argument("--tokenizer", required=True, metavar="FILE", help="that they were encoded with (.json or .model)")
    p.add_argument("--train", default="train", metavar="SET", help="to learn from (default train)")
    p.add_argument("--valid", default="valid", metavar="SET", help="for the curve (default valid)")
    p.add_argument("--architecture", choices=list(ARCHITECTURES), default="pegasus", help="default pegasus")
    p.add_argument("--width", type=int, default=128, metavar="D", help="of states (default 128)")
    p.add_argument("--layers", type=int, default=2, metavar="N", help="of encoder and of decoder (default 2)")
    p.add_argument("--heads", type=int, default=4, metavar="N", help="of attention, which divide the width (default 4)")
    p.add_argument("--inner", type=int, default=512, metavar="D", help="width between (default 512)")
    p.add_argument("--longest", type=int, default=256, metavar="L", help="tokens of a sentence (default 256)")
    p.add_argument("--dropout", type=float, default=0.2, metavar="P", help="default 0.2")
    p.add_argument("--label-smoothing", type=float, default=0.1, metavar="A", help="default 0.1")
    p.add_argument("--steps", required=True, type=int, metavar="N", help="of training")
    p.add_argument("--budget", type=int, default=400, metavar="T", help="target tokens per step (default 400)")
    p.add_argument("--learning-rate", type=float, default=2e-3, metavar="X", help="the highest one (default 2e-3)")
    p.add_argument("--weight-decay", type=float, default=0.01, metavar="X", help="default 0.01")
    p.add_argument(
        "--average", type=float, default=0.99, metavar="X", help="decay of the weights' moving average (default 0.99)"
    )
    p.add_argument("--save-every", type=int, default=500, metavar="STEPS", help="between checkpoints (default 500)")
    p.add_argument("--points", type=int, default=8, metavar="N", help="rows of the curve (default 8)")
    p.add_argument(
        "--device", choices=DEVICES, default="auto", help="auto takes a GPU where there is one (default auto)"
    )
    p.add_argument("--threads", type=int, default=1, metavar="N", help="of the CPU (default 1)")
    p.add_argument("--seed", type=int, default=0, help="of weights, order and dropout, a member's own (default 0)")
    p.add_argument(
        "--out", required=True, metavar="FOLDER", help="gets model.safetensors, config.json, facts.json and curve.tsv"
    )
    return p


def main(args: argparse.Namespace) -> None:
    for name in ("threads", "save_every", "points"):
        if getattr(args, name) < 1:
            raise InputError(f"--{name.replace('_', '-')} {getattr(args, name)} must be 1 or more.")
    recipe = Recipe(
        args.steps, args.budget, args.learning_rate, args.weight_decay, average=args.average, seed=args.seed
    )
    torch.set_num_threads(args.threads)
    where = device(args.device)
    tokenizer = read_tokenizer(args.tokenizer)
    corpora = {name: read_corpus(args.encoded, name, tokenizer.digest) for name in (args.train, args.valid)}
    sizes = Sizes(
        tokenizer.size, args.width, args.layers, args.heads, args.inner, args.dropout, args.longest, args.architecture
    )
    for name, corpus in corpora.items():
        if not corpus.sentences or not corpus.target_lengths.all():
            raise InputError(f"{args.encoded}: set {name} needs sentences, each with a reference.")
        most = int(max(corpus.source_lengths.max(), corpus.target_lengths.max()))
        if most > args.longest:
            raise InputError(
                f"{args.encoded}: set {name} has a sentence of {most} tokens; raise --longest {args.longest}."
            )
    corpus, valid = corpora[args.train], corpora[args.valid]
    lessons = Lessons(corpus, budget=args.budget, smoothing=args.label_smoothing, seed=args.seed)
    network = build(sizes, args.seed).to(where)
    facts = {"recipe": recipe.to_json(), "label_smoothing": args.label_smoothing, "sizes": asdict(sizes)}
    facts["epochs"] = args.steps / lessons.batches.steps(1)
    folder = Path(args.out)
    trained = train(
        network,
        lessons.loss,
        recipe,
        lambda average: negative_log_likelihood(average, valid),
        folder / "checkpoints",
        checkpoints.fingerprint(network, facts, *corpus),
        save_every=args.save_every,
        points=args.points,
    )
    last = trained.curve[-1]
    if not math.isfinite(last.loss) or not math.isfinite(last.measured):
        raise InputError(f"training diverged at step {last.step}; lower --learning-rate {args.learning_rate}.")
    write_curve(trained.curve, folder / "curve.tsv", "validation_nll")
    facts |= {"loss": last.loss, "validation_nll": last.measured, "sentences": corpus.sentences}
    write_network(folder, trained.network, tokenizer.digest, facts)
    checkpoints.clear(folder / "checkpoints")
    print(f"member: {last.measured:.4f} nats per token of {args.valid} after {last.step} steps")
