"""Chains learn what they are shown, give it back, and back off where they have seen nothing."""

from itertools import product

import numpy as np
import pytest

from genovision.alphabet import encode
from genovision.dna.composition import jensen_shannon, spectrum
from genovision.dna.markov import Markov, fit

RNG = np.random.default_rng(8)


def slow_probability(codes, position, context, base, order, half_window):
    """p(base | context) at a position by the recursion of the module's docstring, counting with loops."""
    if order < 0:
        return 0.25
    places = range(codes.shape[1])
    if half_window is not None:
        places = [i for i in places if abs(i - position) <= half_window]
    context = context[len(context) - order :]
    seen = [row[i] for row in codes for i in places if i >= order and tuple(row[i - order : i]) == tuple(context)]
    shorter = slow_probability(codes, position, context[1:], base, order - 1, half_window)
    return (seen.count(base) + shorter) / (len(seen) + 1)


@pytest.mark.parametrize("half_window", [None, 0, 2])
def test_tables_follow_the_recursion(half_window):
    codes = RNG.integers(0, 4, size=(6, 7)).astype(np.uint8)
    model = fit(codes, 2, half_window)
    for position in (0, 1, 4, 6):
        order = min(position, 2)
        for context in product(range(4), repeat=order):
            index = int(sum(digit * 4 ** (order - 1 - i) for i, digit in enumerate(context)))
            table = model.tables[order][position if half_window is not None else 0]
            expected = [slow_probability(codes, position, context, base, order, half_window) for base in range(4)]
            np.testing.assert_allclose(table[index], expected, rtol=1e-12)


def test_tables_are_distributions_without_zeros():
    codes = encode(["ACGTNNACGT", "AAAAAAAAAA"])
    for model in (fit(codes, 5), fit(codes, 3, half_window=1)):
        for table in model.tables:
            assert (table > 0).all()
            np.testing.assert_allclose(table.sum(axis=2), 1)


def test_an_unseen_context_has_the_shorter_ones_distribution():
    model = fit(encode(["AACAACAAC"]), 2)
    # TC, code 3 * 4 + 1, was never seen
    np.testing.assert_array_equal(model.tables[2][0, 13], model.tables[1][0, 1])


def test_empirical_transitions_of_samples_converge():
    table = RNG.dirichlet(np.ones(4), size=(1, 4))
    truth = Markov((np.full((1, 1, 4), 0.25), table))
    codes = truth.sample(4000, 60, np.random.default_rng(0))
    pairs = spectrum(codes, 2).reshape(4, 4)
    # 236,000 transitions: a standard error of 0.005 at most in a context of 10,000
    np.testing.assert_allclose(pairs / pairs.sum(axis=1, keepdims=True), table[0], atol=0.015)
    np.testing.assert_allclose(fit(codes, 1).tables[1], table, atol=0.015)


def test_samples_of_order_5_have_the_spectrum_of_what_it_was_fitted_on():
    text = RNG.choice(4, p=[0.4, 0.1, 0.1, 0.4], size=(2000, 100)).astype(np.uint8)
    text[:, 10::10] = text[:, 9:-1:10]  # some structure beyond single bases
    sampled = fit(text, 5).sample(2000, 100, np.random.default_rng(1))
    assert jensen_shannon(spectrum(sampled, 6), spectrum(text, 6)) < 0.01


def test_the_positional_chain_keeps_positions_and_the_homogeneous_one_does_not():
    codes = RNG.integers(0, 4, size=(500, 30)).astype(np.uint8)
    codes[:, 15] = 2
    positional = fit(codes, 3, half_window=0).sample(400, 30, np.random.default_rng(2))
    homogeneous = fit(codes, 3).sample(400, 30, np.random.default_rng(2))
    assert (positional[:, 15] == 2).mean() > 0.97
    assert (homogeneous[:, 15] == 2).mean() < 0.4
    # a window of 13 positions spreads it over them
    spread = fit(codes, 3, half_window=6).sample(4000, 30, np.random.default_rng(3))
    assert (spread[:, 15] == 2).mean() == pytest.approx((1 + 12 / 4) / 13, abs=0.04)


def test_bits_per_base_of_known_chains():
    uniform = Markov((np.full((1, 1, 4), 0.25),))
    codes = RNG.integers(0, 4, size=(3, 9)).astype(np.uint8)
    assert uniform.bits_per_base(codes) == pytest.approx(2)
    biased = Markov((np.array([[[0.5, 0.25, 0.125, 0.125]]]),))
    assert biased.bits_per_base(encode(["AACG"])) == pytest.approx((1 + 1 + 2 + 3) / 4)
    np.testing.assert_allclose(biased.log_probabilities(encode(["AC"])), np.log([[0.5, 0.25]]))


def test_log_probabilities_use_the_context():
    text = RNG.choice(4, size=(50, 20)).astype(np.uint8)
    model = fit(text, 2)
    logs = model.log_probabilities(text[:1])
    row = text[0].astype(int)
    assert logs[0, 0] == pytest.approx(np.log(model.tables[0][0, 0, row[0]]))
    assert logs[0, 1] == pytest.approx(np.log(model.tables[1][0, row[0], row[1]]))
    assert logs[0, 7] == pytest.approx(np.log(model.tables[2][0, 4 * row[5] + row[6], row[7]]))


def test_a_longer_context_helps_where_there_is_one():
    text = np.tile(np.array([0, 0, 1, 0, 0, 2], dtype=np.uint8), (10, 5))
    bits = [fit(text, order).bits_per_base(text) for order in (0, 1, 2, 3)]
    assert bits == sorted(bits, reverse=True)
    assert bits[3] < 0.3


def test_the_same_seed_gives_the_same_sequences():
    model = fit(RNG.integers(0, 4, size=(20, 30)).astype(np.uint8), 3, half_window=6)
    first, second = (model.sample(5, 30, np.random.default_rng(9)) for _ in range(2))
    np.testing.assert_array_equal(first, second)


def test_what_cannot_be_is_refused():
    codes = encode(["ACGT", "ACGA"])
    with pytest.raises(ValueError, match="no sequence"):
        fit(codes[:0], 2)
    with pytest.raises(ValueError, match="negative"):
        fit(codes, -1)
    positional = fit(codes, 1, half_window=1)
    with pytest.raises(ValueError, match="fitted on 4 bases, not 5"):
        positional.sample(1, 5, RNG)
    with pytest.raises(ValueError, match="letter other than"):
        positional.bits_per_base(encode(["ACGN"]))
