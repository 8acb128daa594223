"""Describe a set of sequences by what networks see in it: features for FReD and P-FID, classes, an oracle's predictions, a discriminator.

First the real set, with the data set whose training fold gives the principal components; then every other set with the real one's
description, whose components it shares and from which the discriminator learns to tell it.
"""

import argparse
from pathlib import Path

import numpy as np
import torch

from genovision import devices
from genovision.alphabet import encode
from genovision.dna.description import (
    LogOdds,
    discriminator_scores,
    in_flanks,
    posterior_means,
    principal_components,
    projected,
    read_oracle,
)
from genovision.dna.embedding import describe, read_embedding
from genovision.dna.examples import FOLDS, read_examples
from genovision.dna.fasta import read_set
from genovision.dna.features import PARTS, Features, read_features, write_features
from genovision.errors import InputError


def parser() -> argparse.ArgumentParser:
    p = argparse.ArgumentParser(description=__doc__)
    what = p.add_mutually_exclusive_group(required=True)
    what.add_argument(
        "--sets",
        nargs="+",
        metavar="FASTA",
        help="one file per species in label order, or SPECIES=FASTA, with species left out",
    )
    what.add_argument("--fold", choices=FOLDS, help="or a fold of --data")
    p.add_argument("--embedding", required=True, metavar="FOLDER", help="of train_embedding")
    p.add_argument("--autoencoder", required=True, metavar="FOLDER", help="of train_autoencoder, not the generator's")
    p.add_argument("--data", metavar="NPZ", help="sequences of encode_promoters; needed with --fold and without --real")
    p.add_argument(
        "--components",
        type=int,
        default=16,
        metavar="C",
        help="of the autoencoder's means on the training fold, for FReD (default 16); many drown the difference of a few hundred "
        "sequences in noise",
    )
    p.add_argument("--real", metavar="NPZ", help="description of the real set, which has as many sequences")
    p.add_argument("--oracle", metavar="FOLDER", help="for the integration measures (default: the embedding)")
    p.add_argument(
        "--flanks",
        metavar="NPZ",
        help="sequences of encode_promoters as long as the oracle reads, whose test fold gives flanks",
    )
    p.add_argument("--threads", type=int, default=1, metavar="N", help="of the CPU (default 1)")
    p.add_argument("--device", default="auto", metavar="NAME", help=devices.HELP)
    p.add_argument("--seed", type=int, default=0, help="of the discriminator (default 0)")
    p.add_argument("--out", required=True, metavar="NPZ", help="the description")
    return p


def _read_autoencoder(folder: str, device):
    from genovision.dna.autoencoders import read_autoencoder

    return read_autoencoder(folder, device)[0]


def _paths(given: list[str], names: tuple[str, ...]) -> dict[int, str]:
    """Label -> FASTA."""
    pairs = [text.split("=", 1) if text.split("=", 1)[0] in names else (None, text) for text in given]
    if all(name is None for name, _ in pairs) and len(pairs) == len(names):
        return {label: path for label, (_, path) in enumerate(pairs)}
    if any(name is None for name, _ in pairs) or len({name for name, _ in pairs}) < len(pairs):
        raise InputError(
            f"--sets {' '.join(given)}: give one file for each of {', '.join(names)}, or SPECIES=FASTA for some of them, each once."
        )
    return {names.index(name): path for name, path in pairs}


def _read_sets(given: list[str], names: tuple[str, ...]):
    """Name of the set, codes and species."""
    found = {label: (path, *read_set(path)) for label, path in sorted(_paths(given, names).items())}
    (first, name, sequences), *others = found.values()
    for path, other, rows in others:
        if other != name or len(rows[0]) != len(sequences[0]):
            raise InputError(
                f"{first} is of set {name} with {len(sequences[0])} bases, {path} of {other} with {len(rows[0])}; give one set."
            )
    codes = {label: encode(rows) for label, (_, _, rows) in found.items()}
    for label, (path, _, rows) in found.items():
        if codes[label].max() > 3:
            row = int((codes[label] > 3).any(axis=1).argmax())
            letter = next(letter for letter in rows[row] if letter not in "ACGT")
            raise InputError(f"{path}: sequence {name}_{row} has a letter {letter}; networks know A, C, G, T only.")
    return name, np.concatenate(list(codes.values())), np.repeat(list(codes), [len(rows) for rows in codes.values()])


def _predictions(oracle, codes: np.ndarray, species: np.ndarray, names: tuple[str, ...], flanks: str | None):
    """(N, K), each sequence in its flanks where the oracle reads more bases."""
    if oracle.length == codes.shape[1]:
        return oracle.predict(codes)
    if flanks is None:
        raise InputError(f"the oracle reads {oracle.length} bases and sequences have {codes.shape[1]}: give --flanks.")
    windows = read_examples(flanks)
    if windows.length != oracle.length or windows.length < codes.shape[1]:
        raise InputError(
            f"{flanks} has windows of {windows.length} bases; the oracle reads {oracle.length} and sequences have {codes.shape[1]}."
        )
    around, of_window = windows.of("test")
    placed = np.empty((len(codes), oracle.length), dtype=np.uint8)
    for label in np.unique(species):
        name, rows = names[label], species == label
        own = around[of_window == windows.names.index(name)] if name in windows.names else around[:0]
        if not len(own):
            raise InputError(f"{flanks} has no test window of {name}.")
        placed[rows] = in_flanks(codes[rows], own)
    return oracle.predict(placed)


def _check_against(real: Features, name: str, codes: np.ndarray, species: np.ndarray, names, path: str) -> None:
    if real.names != names:
        raise InputError(
            f"{path} is of {', '.join(real.names)}, the embedding of {', '.join(names)}; use one embedding."
        )
    for label in np.unique(species):
        number, wanted = int((species == label).sum()), int((real.species == label).sum())
        if number != wanted or number < 2 * PARTS:
            raise InputError(
                f"{name} has {number} sequences of {names[label]} and {path} {wanted}: as many are needed, and {2 * PARTS} at least."
            )
    if real.codes.shape[1] != codes.shape[1]:
        raise InputError(f"{name} has sequences of {codes.shape[1]} bases and {path} of {real.codes.shape[1]}.")


def main(args: argparse.Namespace) -> None:
    if args.data is None and (args.fold or args.real is None):
        raise InputError("--data is needed with --fold, and without --real for the principal components.")
    if args.threads < 1 or args.seed < 0:
        raise InputError(f"--threads {args.threads} >= 1 and --seed {args.seed} >= 0 are needed.")
    torch.set_num_threads(args.threads)
    device = devices.choose(args.device)
    embedding, autoencoder = read_embedding(args.embedding, device), _read_autoencoder(args.autoencoder, device)
    oracle = read_oracle(args.oracle, device) if args.oracle else LogOdds(embedding)
    names = embedding.species
    examples = read_examples(args.data) if args.data else None
    if examples is not None and examples.names != names:
        raise InputError(
            f"{args.data} is of {', '.join(examples.names)}, the embedding of {', '.join(names)}; train one on these sequences."
        )
    if args.fold:
        (codes, species), name = examples.of(args.fold), args.fold
        order = np.argsort(species, kind="stable")
        codes, species = codes[order], species[order]
    else:
        name, codes, species = _read_sets(args.sets, names)
    if codes.shape[1] != embedding.config.length:
        raise InputError(
            f"the set {name} has sequences of {codes.shape[1]} bases and the embedding reads {embedding.config.length}."
        )
    real = read_features(args.real) if args.real else None

    def fred(codes: np.ndarray) -> np.ndarray:
        return projected(posterior_means(autoencoder, codes), basis, args.real or args.data)

    if real is None:
        basis = principal_components(posterior_means(autoencoder, examples.of("train")[0]), args.components)
    else:
        _check_against(real, name, codes, species, names, args.real)
        basis = real.basis
        # components are of one autoencoder, features of one embedding: a few rows tell
        again = fred(real.codes[:8]), describe(embedding, real.codes[:8]).features
        if not all(np.allclose(a, b[:8], atol=1e-3) for a, b in zip(again, (real.fred, real.p_fid), strict=True)):
            raise InputError(
                f"{args.real} was described by another autoencoder or embedding; describe the real set again."
            )
    features, classes = describe(embedding, codes)
    scores = None
    if real is not None:
        chosen = np.isin(real.species, np.unique(species))
        scores = discriminator_scores(embedding, codes, real.codes[chosen], species, args.seed)
    found = Features(
        name,
        codes,
        species,
        names,
        fred=fred(codes),
        basis=basis,
        p_fid=features.astype(np.float64),
        classes=classes.astype(np.float64),
        predictions=_predictions(oracle, codes, species, names, args.flanks),
        outputs=tuple(oracle.outputs),
        scores=scores,
    )
    write_features(Path(args.out), found)
    print(
        f"{name}: {len(codes)} sequences; {len(basis.components)} principal components keep {basis.share:.1%} of the variance of "
        f"{len(basis.centre)} latent values"
    )
