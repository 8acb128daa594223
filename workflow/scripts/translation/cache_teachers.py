"""Keep what the members of an ensemble say at every token that students learn from: the likeliest tokens, or the whole vocabulary."""

import argparse
import resource
from pathlib import Path

import numpy as np
import torch

from genovision import devices
from genovision.errors import InputError
from genovision.tables import write_table
from genovision.translation.batches import Corpus, read_corpus
from genovision.translation.network import read_members
from genovision.translation.teachers import (
    TRAIN,
    VALID,
    build_caches,
    exactness,
    joined,
    mixed_sources,
    own_translations,
    select,
    write_cache,
)
from genovision.translation.tokenizer import read_tokenizer

MORE = ("hypotheses", "mixed")


def parser() -> argparse.ArgumentParser:
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("--members", required=True, nargs="+", metavar="FOLDER", help="of train_member, two or more")
    p.add_argument("--encoded", required=True, metavar="NPZ", help="the sets as token ids, of encode_sets")
    p.add_argument("--tokenizer", required=True, metavar="FILE", help="that they were encoded with (.json or .model)")
    p.add_argument("--train", default="train", metavar="SET", help="whose references students learn on (default train)")
    p.add_argument("--valid", default="valid", metavar="SET", help="for their validation (default valid)")
    p.add_argument("--k", type=int, default=64, metavar="K", help="tokens kept of a position (default 64)")
    p.add_argument(
        "--temperature", type=float, default=1.0, metavar="T", help="that divides the members' logits (default 1)"
    )
    p.add_argument(
        "--more",
        nargs="*",
        default=[],
        choices=MORE,
        help="further sentences to learn on, with the ensemble's own translations: of the training sources (hypotheses), of sources made "
        "of two halves (mixed); default none",
    )
    p.add_argument(
        "--sentences", type=int, metavar="N", help="training sentences at most, drawn by --seed (default all)"
    )
    p.add_argument("--seed", type=int, default=0, help="of the mixed sources and of the draw (default 0)")
    p.add_argument("--device", default="auto", help=devices.HELP)
    p.add_argument("--threads", type=int, default=1, metavar="N", help="of the CPU (default 1)")
    p.add_argument("--out", metavar="NPZ", help="the likeliest tokens")
    p.add_argument("--full", metavar="NPZ", help="the whole vocabulary, which the published students of logits want")
    p.add_argument(
        "--truncation", metavar="TSV", help="how exact measures of the likeliest tokens are, and bytes on disk"
    )
    return p


def transfer(args: argparse.Namespace, members, train: Corpus) -> Corpus:
    """The sentences that students learn on."""
    if args.sentences is not None:
        if args.sentences < 1:
            raise InputError(f"--sentences {args.sentences} must be 1 or more.")
        drawn = np.random.default_rng(args.seed).permutation(train.sentences)[: args.sentences]
        train = select(train, np.sort(drawn))
    parts = [train]
    if "hypotheses" in args.more:
        parts.append(own_translations(members, train))
    if "mixed" in args.more:
        parts.append(own_translations(members, mixed_sources(train, args.seed)))
    return joined(*parts)


def main(args: argparse.Namespace) -> None:
    if args.threads < 1:
        raise InputError(f"--threads {args.threads} must be 1 or more.")
    if not args.out and not args.full:
        raise InputError("nothing to write: name --out, --full or both.")
    if args.truncation and not args.out:
        raise InputError("--truncation is of the likeliest tokens: name --out too.")
    torch.set_num_threads(args.threads)
    where = devices.choose(args.device)
    tokenizer = read_tokenizer(args.tokenizer)
    members = [member.to(where) for member in read_members(args.members, tokenizer.digest, least=2)]
    train, valid = (read_corpus(args.encoded, name, tokenizer.digest) for name in (args.train, args.valid))
    for name, corpus in ((args.train, train), (args.valid, valid)):
        if not corpus.sentences or not corpus.target_lengths.all():
            raise InputError(f"{args.encoded}: set {name} needs sentences, each with a reference.")
    learnt = transfer(args, members, train)
    corpus = joined(learnt, valid)
    fold = np.repeat(np.array([TRAIN, VALID], dtype=np.uint8), [learnt.sentences, valid.sentences])
    wanted = {path: k for path, k in ((args.out, args.k), (args.full, None)) if path}
    supports = list(wanted.values())
    caches = build_caches(members, corpus, fold, tokenizer.digest, supports=supports, temperature=args.temperature)
    table = exactness(members, caches[0]) if args.truncation else None
    for path, cache in zip(wanted, caches, strict=True):
        write_cache(path, cache)
    if table is not None:
        # what the whole vocabulary takes, or would
        full = Path(args.full).stat().st_size if args.full else 2 * len(corpus.target) * len(members) * tokenizer.size
        write_table(table.assign(bytes_top=Path(args.out).stat().st_size, bytes_full=full), args.truncation)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(
        f"{len(corpus.target)} tokens of {corpus.sentences} sentences, {len(members)} members; peak memory {peak:.0f} MB"
    )
