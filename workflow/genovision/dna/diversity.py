"""Div, the diversity of DiscDiff (arXiv 2402.06079): how many of a set's long n-grams are different ones.

Div depends strongly on the number and the length of the sequences: sets are compared at equal N and L only. It rewards randomness
(a shuffle has a higher Div than real DNA), so what counts is its distance from the natural set's.
"""

import numpy as np
import numpy.typing as npt

from genovision.dna.composition import kmers

SIZES = (10, 11, 12)


def _ratio(ids: npt.NDArray[np.int64], kinds: int) -> float:
    """Different ids among those >= 0, divided by their number; ids run below `kinds`."""
    ids = ids[ids >= 0]
    if not ids.size:
        return float("nan")
    seen = np.zeros(kinds, dtype=bool)
    seen[ids] = True
    return np.count_nonzero(seen) / ids.size


def diversity(codes: npt.NDArray[np.uint8], sizes: tuple[int, ...] = SIZES) -> float:
    """Div: product over n of (different n-grams) / (all n-grams), in (0, 1]. codes (N, L); n-grams with another letter are left out."""
    return float(subset_diversity(codes, np.ones((1, len(codes)), dtype=bool), sizes)[0])


def subset_diversity(
    codes: npt.NDArray[np.uint8], subsets: npt.NDArray[np.bool_], sizes: tuple[int, ...] = SIZES
) -> npt.NDArray[np.float64]:
    """Div of each subset: subsets (R, N) True where a sequence belongs to it -> (R,); NaN for a subset without n-grams."""
    product = np.ones(len(subsets))
    for n in sizes:
        values = kmers(codes, n)
        different, ids = np.unique(values, return_inverse=True)
        ids = ids.reshape(values.shape)
        ids = np.where(values < 0, -1, ids)
        product *= [_ratio(ids[subset], len(different)) for subset in subsets]
    return product


def delta_diversity(generated: npt.NDArray[np.uint8], natural: npt.NDArray[np.uint8]) -> float:
    """Div of the generated set relative to the natural one's, in percent: 100 (Div_gen - Div_nat) / Div_nat.

    Raises ValueError unless both have the same number and length of sequences.
    """
    if generated.shape != natural.shape:
        raise ValueError(
            f"Div compares sets of equal size: generated has shape {generated.shape}, natural {natural.shape}"
        )
    reference = diversity(natural)
    return 100.0 * (diversity(generated) - reference) / reference


def half_samples(number: int, replicates: int, rng: np.random.Generator) -> npt.NDArray[np.bool_]:
    """Random halves (number // 2 of `number`) drawn without replacement: (replicates, number).

    A bootstrap repeats sequences and so destroys a measure of repetition. The mean of a half drawn without replacement spreads about
    as the mean of the whole does over new samples, since (1 - 1/2) / (N / 2) = 1 / N (Politis, Romano & Wolf 1999, chapter 2).
    """
    order = np.argsort(rng.random((replicates, number)), axis=1)
    return order < number // 2
