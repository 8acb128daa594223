"""Which confidence Absorb & Escape goes by, what it draws from, and its controls."""

import numpy as np
import pytest

from genovision.dna.absorb_escape import absorb_escape
from genovision.dna.examples import Samples
from genovision.dna.refinement import Product, Setting, confidence_of, control, posterior_of, read_temperature, refine
from genovision.errors import InputError
from genovision.resampling import stream

N, L = 40, 24


class Chain:
    """A first-order chain as an autoregressive model; the label shifts its table."""

    def __init__(self, labels):
        self.labels = np.asarray(labels)
        table = np.random.default_rng(5).dirichlet(np.ones(4), size=(3, 5))
        self.table = table[self.labels]

    def start(self, number):
        assert number == len(self.labels)
        return np.full(number, 4)

    def probs(self, state):
        return self.table[np.arange(len(state)), state]

    def advance(self, state, tokens):
        return np.asarray(tokens)


class Network:
    def conditioned(self, labels):
        return Chain(labels)


@pytest.fixture
def samples():
    rng = np.random.default_rng(3)
    return Samples(
        tokens=rng.integers(0, 4, (N, L)).astype(np.uint8),
        confidence=rng.random((N, L)).astype(np.float32),
        species=np.repeat([0, 1], N // 2),
        names=("A_thaliana", "S_cerevisiae"),
        posterior=rng.dirichlet(np.ones(4), size=(N, L)).astype(np.float32),
    )


def test_the_posteriors_confidence_is_that_of_the_base_that_stands_there(samples):
    found = confidence_of(samples, "posterior")
    for row, column in [(0, 0), (7, 11), (N - 1, L - 1)]:
        assert found[row, column] == pytest.approx(
            samples.posterior[row, column, samples.tokens[row, column]], rel=1e-5
        )
    assert np.array_equal(confidence_of(samples, "decoder"), samples.confidence.astype(np.float64))


def test_a_temperature_above_one_flattens_and_one_changes_nothing(samples):
    plain, hot = posterior_of(samples), posterior_of(samples, 3.0)
    assert np.allclose(plain, samples.posterior, atol=1e-6)
    assert np.allclose(hot.sum(axis=2), 1)
    assert (hot.max(axis=2) <= plain.max(axis=2) + 1e-9).all()
    assert np.array_equal(hot.argmax(axis=2), plain.argmax(axis=2))


@pytest.mark.parametrize("rule", ["natural", "sampled", "threshold"])
def test_refining_is_absorb_escape_whatever_the_batch(samples, rule):
    setting = Setting(rule, "decoder", 0.6)
    uniforms = stream(9, "absorb and escape").random((N, L))
    expected = absorb_escape(samples.tokens, samples.confidence, Chain(samples.species), 0.6, uniforms, escape=rule)
    for batch in (7, N):
        tokens, edited = refine(samples, Network(), setting, seed=9, batch=batch)
        assert np.array_equal(tokens, expected[0]) and np.array_equal(edited, expected[1])
    assert expected[1].any() and not expected[1].all()


def test_the_product_is_proportional_to_both_models(samples):
    factor = posterior_of(samples)
    model = Product(Chain(samples.species), factor)
    state = model.start(N)
    for position in range(3):
        found = model.probs(state)
        inner, _ = state
        wanted = Chain(samples.species).probs(inner) * factor[:, position]
        assert np.allclose(found, wanted / wanted.sum(axis=1, keepdims=True))
        state = model.advance(state, samples.tokens[:, position])


def test_a_uniform_factor_leaves_the_autoregressive_model(samples):
    flat = Samples(
        *(getattr(samples, name) for name in ("tokens", "confidence", "species", "names")),
        np.full((N, L, 4), 0.25, dtype=np.float32),
    )
    product = refine(flat, Network(), Setting("threshold", "decoder", 0.7, "product"), seed=2)
    plain = refine(flat, Network(), Setting("threshold", "decoder", 0.7), seed=2)
    assert np.array_equal(product[0], plain[0])


@pytest.mark.parametrize("kind", ["refill", "letters"])
def test_controls_edit_as_many_bases_of_each_sequence(samples, kind):
    _, edited = refine(samples, Network(), Setting("threshold", "decoder", 0.5), seed=1)
    pool = np.zeros((10, L), dtype=np.uint8), np.repeat([0, 1], 5)
    tokens, places = control(samples, edited, kind, network=Network(), pool=pool, seed=4, batch=11)
    again, _ = control(samples, edited, kind, network=Network(), pool=pool, seed=4, batch=N)
    assert np.array_equal(places.sum(axis=1), edited.sum(axis=1))
    assert not np.array_equal(places, edited)
    assert np.array_equal(tokens[~places], samples.tokens[~places])
    assert np.array_equal(tokens, again)
    if kind == "letters":
        assert (tokens[places] == 0).all()


def test_letters_follow_the_species_of_the_sequence(samples):
    edited = np.ones((N, L), dtype=bool)
    pool = np.vstack([np.full((3, L), 1), np.full((3, L), 2)]).astype(np.uint8), np.repeat([0, 1], 3)
    tokens, _ = control(samples, edited, "letters", pool=pool)
    assert (tokens[samples.species == 0] == 1).all() and (tokens[samples.species == 1] == 2).all()


def test_bad_settings_are_told(samples, tmp_path):
    for options, word in [
        ({"rule": "magic"}, "rule"),
        ({"confidence": "gut"}, "confidence"),
        ({"threshold": 1.5}, "threshold"),
    ]:
        with pytest.raises(InputError, match=word):
            Setting(**options)
    bare = Samples(samples.tokens, samples.confidence, samples.species, samples.names)
    with pytest.raises(InputError, match="--posterior"):
        confidence_of(bare, "posterior")
    with pytest.raises(InputError, match="refill, letters"):
        control(samples, np.zeros((N, L), dtype=bool), "noise")
    path = tmp_path / "t.json"
    path.write_text('{"temperature": -1}')
    with pytest.raises(InputError, match="positive"):
        read_temperature(path)
    path.write_text("[]")
    with pytest.raises(InputError, match="holds no temperature"):
        read_temperature(path)
