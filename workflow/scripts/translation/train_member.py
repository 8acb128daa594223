"""Train a member of the translation ensemble; a run that was cut short goes on from its newest whole checkpoint to the same weights."""

import argparse
from dataclasses import asdict
from pathlib import Path

import torch

from genovision import checkpoints, devices, training_options
from genovision.errors import InputError
from genovision.training import train, write_curve
from genovision.translation.batches import read_corpus
from genovision.translation.members import Lessons, negative_log_likelihood
from genovision.translation.network import ARCHITECTURES, Sizes, build, write_network
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
    training_options.add(
        p,
        batch=400,
        of="target tokens",
        learning_rate=2e-3,
        seed="weights, order and dropout, a member's own",
    )
    p.add_argument(
        "--out", required=True, metavar="FOLDER", help="gets model.safetensors, config.json, facts.json and curve.tsv"
    )
    return p


def main(args: argparse.Namespace) -> None:
    recipe = training_options.recipe(args)
    torch.set_num_threads(args.threads)
    where = devices.choose(args.device)
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
    lessons = Lessons(corpus, budget=recipe.batch, smoothing=args.label_smoothing, seed=args.seed)
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
    training_options.refuse_divergence(trained, "the member", recipe)
    write_curve(trained.curve, folder / "curve.tsv", "validation_nll")
    facts |= {"loss": last.loss, "validation_nll": last.measured, "sentences": corpus.sentences}
    write_network(folder, trained.network, tokenizer.digest, facts)
    checkpoints.clear(folder / "checkpoints")
    print(f"member: {last.measured:.4f} nats per token of {args.valid} after {last.step} steps")
