"""Ask a generator about real validation sequences: are its probabilities calibrated, and does a low one find a base that was replaced?"""

import argparse
import json

import numpy as np
import torch

from genovision import devices
from genovision.atomic import replacing
from genovision.dna import autoregression, calibration
from genovision.dna.examples import read_examples
from genovision.dna.generators import Autoregression, check_length, check_names, open_generator
from genovision.errors import InputError
from genovision.resampling import bootstrap_counts, interval, stream
from genovision.tables import write_table
from genovision.uncertainty.metrics import auroc

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
    counts = bootstrap_counts(len(codes), args.replicates, rng).astype(int)

    def spread(value, of) -> list[float]:
        low, high = interval([of(np.repeat(np.arange(len(codes)), row)) for row in counts])
        return [float(value), float(low), float(high)]

    def missed(chosen) -> float:
        return calibration.expected_calibration_error(
            calibration.reliability(found[chosen].max(axis=2), found[chosen].argmax(axis=2) == codes[chosen])
        )

    def located(chosen) -> float:
        return float(auroc(likely[chosen][~places[chosen]], likely[chosen][places[chosen]]))

    everything = np.arange(len(codes))
    facts = {
        "generator": args.name,
        "temperature": temperature,
        "bits_per_base": calibration.nll(logits, truth) / np.log(2),
        "bits_per_base_calibrated": calibration.nll(logits, truth, temperature) / np.log(2),
        "mean_largest": float(found.max(axis=2).mean()),
        "calibration_error": spread(missed(everything), missed),
        "error_auroc": {"posterior": spread(located(everything), located)},
        "sequences": len(codes),
    }
    if hasattr(generator, "decoder_confidence"):
        sure = generator.decoder_confidence(wrong)
        facts["error_auroc"]["decoder"] = spread(
            float(auroc(sure[~places], sure[places])),
            lambda chosen: float(auroc(sure[chosen][~places[chosen]], sure[chosen][places[chosen]])),
        )
    with replacing(args.out) as temporary:
        temporary.write_text(json.dumps(facts, indent=1, sort_keys=True) + "\n")
    write_table(table, args.table)
    print(f"{args.name}: temperature {temperature:.3f}, calibration error {facts['calibration_error'][0]:.4f}")
