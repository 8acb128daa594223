"""Ask a generator about real validation sequences: are its probabilities calibrated, and does a low one find a base that was replaced?"""

import argparse
import json

import numpy as np
import torch

from genovision import devices
from genovision.atomic import replacing
from genovision.dna import autoregression, calibration
from genovision.dna.examples import check_length, check_names, read_examples
from genovision.dna.generators import Autoregression, open_generator
from genovision.dna.latent_diffusion import LatentDiffusion
from genovision.errors import InputError
from genovision.resampling import bootstrap_counts, interval, stream
from genovision.tables import write_table
from genovision.uncertainty.metrics import Ranking, auroc

REPLACED = 0.05  # share of bases of each sequence that get another letter


def parser() -> argparse.ArgumentParser:
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("--generator", required=True, metavar="FOLDER", help="a trained model")
    p.add_argument("--name", required=True, help="what the table calls it")
    p.add_argument("--data", required=True, metavar="NPZ", help="of dna/encode_promoters")
    p.add_argument("--number", type=int, default=500, metavar="N", help="validation sequences, at most (default 500)")
    p.add_argument("--replicates", type=int, default=200, metavar="R", help="bootstrap samples (default 200)")
    p.add_argument("--threads", type=int, default=1, metavar="N", help="of the CPU (default 1)")
    p.add_argument("--device", default="auto", metavar="NAME", help=devices.HELP)
    p.add_argument("--seed", type=int, default=0, help="non-negative whole number (default 0)")
    p.add_argument(
        "--out", required=True, metavar="JSON", help="temperature, calibration error, AUROC of replaced bases"
    )
    p.add_argument("--table", required=True, metavar="TSV", help="reliability: confidence and accuracy by bin")
    return p


def distributions(generator, codes, labels, seed: int) -> np.ndarray:
    """(N, L, 4): of each base given the others, or given those before it."""
    if isinstance(generator, Autoregression):
        return np.exp(autoregression.log_distributions(generator.network, codes, labels))
    return generator.posterior(codes, labels, seed).astype(np.float64)


def own(probabilities, codes) -> np.ndarray:
    """(N, L): the probability of the base that stands there."""
    return np.take_along_axis(probabilities, codes[..., None].astype(np.int64), axis=2)[..., 0]


def replaced(codes, share: float, rng: np.random.Generator):
    """Codes with a share of the bases of each sequence replaced by another letter, and where: both (N, L)."""
    number = max(1, round(share * codes.shape[1]))
    places = np.argsort(rng.random(codes.shape), axis=1) < number
    other = (codes + rng.integers(1, 4, codes.shape)) % 4
    return np.where(places, other, codes).astype(np.uint8), places


def located(likely, places, counts) -> np.ndarray:
    """AUROC of replaced against other bases, by how likely (N, L) they are, for each of counts (R, N): (R,)."""
    sequence = np.broadcast_to(np.arange(len(places))[:, None], places.shape)
    rows = np.concatenate([sequence[~places], sequence[places]])
    ranking = Ranking.separating(likely[~places], likely[places])
    return np.concatenate(
        [auroc(ranking, weights=part[:, rows]) for part in np.array_split(counts, -(-len(counts) // 4))]
    )


def spread(values) -> list[float]:
    """The first of the values, and the interval of the others."""
    low, high = interval(values[1:])
    return [float(values[0]), float(low), float(high)]


def main(args: argparse.Namespace) -> None:
    if args.number < 2 or args.replicates < 2 or args.seed < 0 or args.threads < 1:
        raise InputError("--number and --replicates must be 2 or more, --threads 1 or more, --seed not negative.")
    torch.set_num_threads(args.threads)
    device = devices.choose(args.device)
    examples, generator = read_examples(args.data), open_generator(args.generator, device)
    check_names(args.generator, generator.names, examples.names)
    check_length(args.generator, generator.length, examples.length)
    codes, labels = examples.of("validation")
    rng = stream(args.seed, "calibration")
    rows = np.sort(rng.permutation(len(codes))[: args.number])
    codes, labels = codes[rows], labels[rows]
    found = distributions(generator, codes, labels, args.seed)
    logits, truth = calibration.logits_of(found).reshape(-1, 4), codes.ravel()
    temperature = calibration.temperature(logits, truth)
    table = calibration.reliability(found.max(axis=2), found.argmax(axis=2) == codes)
    table.insert(0, "generator", args.name)
    wrong, places = replaced(codes, REPLACED, rng)
    likely = own(distributions(generator, wrong, labels, args.seed), wrong)
    counts = bootstrap_counts(len(codes), args.replicates, rng).astype(np.int64)
    counts = np.vstack([np.ones_like(counts[:1]), counts])
    missed = calibration.calibration_errors(found.max(axis=2), found.argmax(axis=2) == codes, counts)
    facts = {
        "generator": args.name,
        "temperature": temperature,
        "bits_per_base": calibration.nll(logits, truth) / np.log(2),
        "bits_per_base_calibrated": calibration.nll(logits, truth, temperature) / np.log(2),
        "mean_largest": float(found.max(axis=2).mean()),
        "calibration_error": spread(missed),
        "error_auroc": {"posterior": spread(located(likely, places, counts))},
        "sequences": len(codes),
    }
    if isinstance(generator, LatentDiffusion):
        sure = generator.decoder_confidence(wrong, args.seed)
        facts["error_auroc"]["decoder"] = spread(located(sure, places, counts))
    with replacing(args.out) as temporary:
        temporary.write_text(json.dumps(facts, indent=1, sort_keys=True) + "\n")
    write_table(table, args.table)
    print(f"{args.name}: temperature {temperature:.3f}, calibration error {facts['calibration_error'][0]:.4f}")
