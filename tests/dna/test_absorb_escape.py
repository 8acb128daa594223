"""Absorb & Escape base for base against a slow reading of the rule, its limits, a worked example, the controls, and what is refused."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from genovision.alphabet import decode, encode
from genovision.dna.absorb_escape import (
    ESCAPES,
    absorb_escape,
    random_letters,
    random_refill,
    summary,
)
from genovision.dna.drawing import inverse_distribution
from genovision.errors import InputError

ROOT = Path(__file__).resolve().parents[2]


class Chain:
    """An order-2 chain whose state is the last two bases; 4 stands for none. Counts the steps it is asked for."""

    def __init__(self, seed=0, sharpness=1.0):
        self.table = np.random.default_rng(seed).dirichlet(np.full(4, 1 / sharpness), size=(5, 5))
        self.steps = 0

    def start(self, number):
        return np.full((number, 2), 4)

    def probs(self, state):
        return self.table[state[:, 0], state[:, 1]]

    def advance(self, state, tokens):
        assert tokens.dtype == np.int64 and tokens.shape == (len(state),)
        self.steps += 1
        return np.column_stack([state[:, 1], tokens])

    def of(self, prefix):
        """The distribution after a prefix, without a state."""
        before = ([4, 4, *map(int, prefix)])[-2:]
        return self.table[before[0], before[1]]


class Fixed:
    """The same distribution at every position, from a table (L, 4)."""

    def __init__(self, table):
        self.table = np.asarray(table, dtype=float)

    def start(self, number):
        return number, 0

    def probs(self, state):
        return np.tile(self.table[state[1]], (state[0], 1))

    def advance(self, state, tokens):
        return state[0], state[1] + 1


def slow(tokens, confidence, distribution, threshold, uniforms, escape, temperature, max_run):
    """One row by the rule's own words, the prefix read anew for every base. distribution(prefix) -> four probabilities."""
    tokens, edited = [int(token) for token in tokens], [False] * len(tokens)
    i = 0
    while i < len(tokens):
        if confidence[i] < threshold:
            j = i
            while j < len(tokens):
                p = [float(value) for value in distribution(tokens[:j])]
                if temperature == 1:
                    q = p
                else:
                    powers = [(value / max(p)) ** (1 / temperature) for value in p]
                    q = [value / sum(powers) for value in powers]
                base, total = 0, 0.0
                for value in q[:3]:
                    total += value
                    base += total <= uniforms[j]
                if escape == "natural" and confidence[j] > max(p):
                    break
                if escape == "sampled" and not p[base] > confidence[j]:
                    break
                if escape == "threshold" and confidence[j] >= threshold:
                    break
                if max_run is not None and j - i >= max_run:
                    break
                tokens[j], edited[j] = base, True
                j += 1
            i = j
        i += 1
    return tokens, edited


@settings(max_examples=150, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    rows=st.integers(1, 5),
    length=st.integers(1, 24),
    threshold=st.sampled_from([0.0, 0.2, 0.5, 0.85, 1.0]),
    escape=st.sampled_from(ESCAPES),
    temperature=st.sampled_from([1.0, 0.5, 2.0]),
    max_run=st.sampled_from([None, 1, 2, 5]),
    sharpness=st.sampled_from([0.5, 2.0, 8.0]),
    whole=st.booleans(),
)
def test_it_is_the_slow_rule_base_for_base(
    seed, rows, length, threshold, escape, temperature, max_run, sharpness, whole
):
    rng = np.random.default_rng(seed)
    model = Chain(seed, sharpness)
    tokens = rng.integers(0, 4, size=(rows, length)).astype(np.uint8)
    confidence = rng.random((rows, length))
    if whole:  # ties with the threshold, and with probabilities, are there too
        confidence = np.round(confidence * 4) / 4
        model.table = np.full((5, 5, 4), [0.5, 0.25, 0.25, 0.0])
    confidence = confidence.astype(rng.choice([np.float32, np.float64]))
    uniforms = rng.random((rows, length))
    found, edited = absorb_escape(
        tokens,
        confidence,
        model,
        threshold,
        uniforms,
        escape=escape,
        temperature=temperature,
        max_run=max_run,
    )
    for k in range(rows):
        expected, where = slow(
            tokens[k], confidence[k].astype(float), model.of, threshold, uniforms[k], escape, temperature, max_run
        )
        assert found[k].tolist() == expected
        assert edited[k].tolist() == where
    assert model.steps <= length - 1


def test_threshold_0_changes_nothing_and_asks_the_model_nothing():
    class Nothing:
        def start(self, number):
            raise AssertionError("asked")

    tokens = np.random.default_rng(0).integers(0, 4, size=(3, 9)).astype(np.uint8)
    for confidence in (np.zeros((3, 9)), np.ones((3, 9))):
        for escape in ESCAPES:
            found, edited = absorb_escape(tokens, confidence, Nothing(), 0, escape=escape)
            assert np.array_equal(found, tokens) and not edited.any()
    found, edited = absorb_escape(tokens, np.full((3, 9), 0.85), Nothing(), 0.85)  # not below
    assert np.array_equal(found, tokens) and not edited.any()


@pytest.mark.parametrize("escape", ESCAPES)
def test_confidence_0_gives_the_models_own_samples(escape):
    model, rng = Chain(3), np.random.default_rng(3)
    uniforms = rng.random((6, 30))
    found, edited = absorb_escape(np.zeros((6, 30), np.uint8), np.zeros((6, 30)), model, 0.85, uniforms, escape=escape)
    assert edited.all()
    state = model.start(6)
    for j in range(30):
        expected = inverse_distribution(model.probs(state), uniforms[:, j])
        np.testing.assert_array_equal(found[:, j], expected)
        state = model.advance(state, expected)


def test_the_papers_example_is_repaired_and_nothing_else():
    """DiscDiff's repair of TATT: the model is unsure outside the valleys, and would write other bases there."""
    before, wanted = "CGCGCATATTCGCGATCTAAA", "CGCGCATATACGCGATATAAA"
    valleys = [k for k in range(21) if before[k] != wanted[k]]
    confidence = np.full((1, 21), 0.95)
    confidence[0, valleys] = 0.3
    target = encode([wanted])[0]
    table = np.empty((21, 4))
    for k in range(21):
        sure = 0.9 if k in valleys else 0.4
        # elsewhere the likeliest base is not the one that stands there
        table[k] = (1 - sure) / 3
        table[k, target[k] if k in valleys else (target[k] + 1) % 4] = sure
    found, edited = absorb_escape(encode([before]), confidence, Fixed(table), uniforms=np.full((1, 21), 0.5))
    assert decode(found) == [wanted]
    assert np.flatnonzero(edited[0]).tolist() == valleys


def test_a_model_surer_than_the_sample_goes_on_beyond_the_valley():
    confidence = np.array([[0.9, 0.3, 0.9, 0.9, 0.99, 0.9]])
    table = np.tile([0.0, 0.0, 0.95, 0.05], (6, 1))
    found, edited = absorb_escape(encode(["AAAAAA"]), confidence, Fixed(table), uniforms=np.full((1, 6), 0.5))
    assert decode(found) == ["AGGGAA"]
    assert np.flatnonzero(edited[0]).tolist() == [1, 2, 3]


def test_a_tie_keeps_the_autoregressive_model_by_nature_and_not_when_sampled():
    table = np.tile([0.0, 0.5, 0.5, 0.0], (3, 1))
    confidence, uniforms = np.array([[0.5, 0.5, 0.5 + 1e-9]]), np.full((1, 3), 0.2)
    natural = absorb_escape(encode(["AAA"]), confidence, Fixed(table), 0.85, uniforms)
    assert decode(natural[0]) == ["CCA"]
    sampled = absorb_escape(encode(["AAA"]), confidence, Fixed(table), 0.85, uniforms, escape="sampled")
    assert decode(sampled[0]) == ["AAA"]


def test_an_empty_run_changes_nothing():
    table = np.tile([0.25, 0.25, 0.25, 0.25], (4, 1))
    found, edited = absorb_escape(encode(["ACGT"]), np.full((1, 4), 0.3), Fixed(table))
    assert decode(found) == ["ACGT"] and not edited.any()


def test_the_position_behind_the_longest_run_is_not_tested():
    table = np.tile([0.0, 0.0, 1.0, 0.0], (7, 1))
    found, _ = absorb_escape(encode(["AAAAAAA"]), np.full((1, 7), 0.3), Fixed(table), max_run=2)
    assert decode(found) == ["GGAGGAG"]


def test_the_last_base_is_written():
    table = np.tile([0.0, 0.0, 1.0, 0.0], (4, 1))
    found, edited = absorb_escape(encode(["AAAA"]), np.array([[1, 1, 1, 0.1]]), Fixed(table))
    assert decode(found) == ["AAAG"] and edited[0].tolist() == [False, False, False, True]


def test_sampled_escape_does_not_write_the_base_that_fails():
    table = np.tile([0.6, 0.1, 0.1, 0.2], (4, 1))
    uniforms = np.array([[0.1, 0.1, 0.9, 0.1]])  # A, A, T, A
    found, edited = absorb_escape(
        encode(["CCCC"]), np.full((1, 4), 0.5), Fixed(table), uniforms=uniforms, escape="sampled"
    )
    # T, of probability 0.2, is less than 0.5; behind it the reading goes on and absorbs again
    assert decode(found) == ["AACA"] and edited[0].tolist() == [True, True, False, True]


def test_temperature_is_of_drawing_alone():
    table = np.tile([0.4, 0.3, 0.3, 0.0], (50, 1))
    tokens, confidence = np.full((200, 50), 3, np.uint8), np.full((200, 50), 0.39)
    cold, edited = absorb_escape(tokens, confidence, Fixed(table), temperature=0.05)
    assert edited.all() and (cold == 0).mean() > 0.99
    _, edited = absorb_escape(tokens, np.full((200, 50), 0.41), Fixed(table), temperature=0.05)
    assert not edited.any()


def test_rows_do_not_depend_on_each_other():
    rng, model = np.random.default_rng(1), Chain(1, 4.0)
    tokens, confidence, uniforms = rng.integers(0, 4, size=(9, 40)), rng.random((9, 40)), rng.random((9, 40))
    whole = absorb_escape(tokens, confidence, model, uniforms=uniforms)
    parts = [absorb_escape(tokens[s], confidence[s], model, uniforms=uniforms[s]) for s in (slice(0, 4), slice(4, 9))]
    for k in range(2):
        np.testing.assert_array_equal(whole[k], np.concatenate([part[k] for part in parts]))
    assert whole[0].dtype == tokens.dtype
    again = [absorb_escape(tokens, confidence, model, seed=seed)[0] for seed in (4, 4, 5)]
    assert np.array_equal(again[0], again[1]) and not np.array_equal(again[0], again[2])


@pytest.mark.parametrize("dtype", [np.uint8, np.int64])
@pytest.mark.parametrize("rows", [1, 2])
def test_the_input_stays_as_it_is(rows, dtype):
    tokens, edited = np.zeros((rows, 50), dtype), np.ones((rows, 50), dtype=bool)
    for found in (
        absorb_escape(tokens, np.zeros((rows, 50)), Chain())[0],
        random_refill(tokens, edited, Chain())[0],
        random_letters(tokens, edited, 0, np.full((3, 50), 2))[0],
    ):
        assert found.any() and found.dtype == dtype
        assert not tokens.any() and edited.all()


def test_torch_probabilities_and_tokens_are_taken():
    torch = pytest.importorskip("torch")
    model, rng = Chain(2), np.random.default_rng(2)

    class Torch(Chain):
        def probs(self, state):
            return torch.from_numpy(super().probs(state)).requires_grad_()

    tokens, confidence, uniforms = rng.integers(0, 4, size=(4, 20)), rng.random((4, 20)), rng.random((4, 20))
    ours = absorb_escape(torch.from_numpy(tokens), torch.from_numpy(confidence), Torch(2), uniforms=uniforms)
    expected = absorb_escape(tokens, confidence, model, uniforms=uniforms)
    np.testing.assert_array_equal(ours[0], expected[0])
    np.testing.assert_array_equal(ours[1], expected[1])


def test_it_is_imported_without_torch():
    code = "import sys; sys.modules['torch'] = None; import genovision.dna.absorb_escape"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT / "workflow")


class Wrong(Chain):
    """A chain whose probabilities of row 2 at a position are what is given."""

    def __init__(self, values, position=3):
        super().__init__()
        self.values, self.position = values, position

    def probs(self, state):
        found = super().probs(state).copy()
        if self.steps == self.position:
            found[2] = self.values
        return found


@pytest.mark.parametrize(
    "values", [[np.nan, 0.3, 0.3, 0.4], [-0.1, 0.4, 0.3, 0.4], [0.5, 0.5, 0.5, 0.5], [0, 0, 0, 0], [np.inf, 0, 0, 0]]
)
def test_a_model_without_a_distribution_is_refused_with_its_place(values):
    with pytest.raises(InputError, match=r"sequence 2 at position 3 are .*: no distribution"):
        absorb_escape(np.zeros((4, 6), np.uint8), np.zeros((4, 6)), Wrong(values))


@pytest.mark.parametrize("position", [0, 31, 32, 70, 99])
@pytest.mark.parametrize("temperature", [1.0, 0.5])
def test_its_place_is_told_wherever_it_is(position, temperature):
    wrong = Wrong([np.nan, 0.3, 0.3, 0.4], position)
    with pytest.raises(InputError, match=rf"sequence 2 at position {position} are nan, 0.3, 0.3, 0.4: no distribution"):
        absorb_escape(np.zeros((4, 100), np.uint8), np.zeros((4, 100)), wrong, temperature=temperature)


@pytest.mark.parametrize("temperature", [1.0, 0.5])
@pytest.mark.filterwarnings("error")
def test_a_row_that_is_not_asked_about_needs_no_distribution(temperature):
    confidence = np.zeros((4, 6))
    confidence[2] = 1.0
    options = {"uniforms": np.random.default_rng(0).random((4, 6)), "temperature": temperature}
    found = absorb_escape(np.zeros((4, 6), np.uint8), confidence, Wrong([np.nan, -1, 0, 0]), **options)
    wanted = absorb_escape(np.zeros((4, 6), np.uint8), confidence, Chain(), **options)
    for one, other in zip(found, wanted, strict=True):
        np.testing.assert_array_equal(one, other)


def test_what_cannot_be_is_refused():
    tokens, confidence = np.zeros((2, 3), np.uint8), np.zeros((2, 3))
    odd = confidence.copy()
    for value in (np.nan, -0.1, 1.5):
        odd[1, 2] = value
        with pytest.raises(InputError, match="confidence of sequence 1 at position 2 is"):
            absorb_escape(tokens, odd, Chain())
    with pytest.raises(InputError, match=r"tokens of sequence 0 at position 1 is 4; bases are 0 to 3"):
        absorb_escape(np.array([[0, 4, 0]]), confidence[:1], Chain())
    with pytest.raises(ValueError, match="whole numbers"):
        absorb_escape(np.zeros((2, 3)), confidence, Chain())
    for shape in ((2, 4), (3, 3), (2,)):
        with pytest.raises(ValueError, match="must be of one shape"):
            absorb_escape(tokens, np.zeros(shape), Chain())
    with pytest.raises(ValueError, match=r"uniforms \(2, 4\) and tokens \(2, 3\)"):
        absorb_escape(tokens, confidence, Chain(), uniforms=np.zeros((2, 4)))
    with pytest.raises(ValueError, match="uniforms must lie in"):
        absorb_escape(tokens, confidence, Chain(), uniforms=np.ones((2, 3)))
    for wrong, message in (
        ({"threshold": 1.1}, "threshold 1.1"),
        ({"threshold": float("nan")}, "threshold nan"),
        ({"escape": "never"}, "'never' is none of natural, sampled, threshold"),
        ({"temperature": 0}, "temperature 0"),
        ({"max_run": 0}, "max_run 0"),
    ):
        with pytest.raises(ValueError, match=message):
            absorb_escape(tokens, confidence, Chain(), **wrong)

    class Narrow(Chain):
        def probs(self, state):
            return super().probs(state)[:, :3]

    with pytest.raises(ValueError, match=r"probabilities are \(2, 3\), \(2, 4\) is needed"):
        absorb_escape(tokens, confidence, Narrow())


def test_no_sequence_is_no_error():
    found, edited = absorb_escape(np.zeros((0, 5), np.uint8), np.zeros((0, 5)), Chain())
    assert found.shape == edited.shape == (0, 5)


def test_random_refill_edits_as_many_per_row_elsewhere():
    rng, model = np.random.default_rng(6), Chain(6)
    tokens, edited = rng.integers(0, 4, size=(8, 40)).astype(np.uint8), rng.random((8, 40)) < 0.25
    uniforms, places = rng.random((8, 40)), rng.random((8, 40))
    found, where = random_refill(tokens, edited, model, uniforms, places)
    np.testing.assert_array_equal(where.sum(axis=1), edited.sum(axis=1))
    assert not np.array_equal(where, edited)
    np.testing.assert_array_equal(found[~where], tokens[~where])
    for row, position in np.argwhere(where):
        p = model.of(found[row, :position])
        assert found[row, position] == inverse_distribution(p[None], uniforms[row, position][None])[0]
    part = random_refill(tokens[3:], edited[3:], model, uniforms[3:], places[3:])[0]
    np.testing.assert_array_equal(part, found[3:])


def test_random_letters_are_as_frequent_as_in_the_pool_at_their_place():
    rng = np.random.default_rng(7)
    pool = np.stack([rng.choice(4, p=p, size=500) for p in rng.dirichlet(np.ones(4), size=20)], axis=1)
    tokens, edited = np.zeros((4000, 20), np.uint8), np.zeros((4000, 20), bool)
    edited[:, :10] = True
    found, where = random_letters(tokens, edited, 0, pool)
    assert (where.sum(axis=1) == 10).all() and not np.array_equal(where, edited)
    assert not found[~where].any() and found.dtype == np.uint8
    for position in range(20):
        letters = found[where[:, position], position]
        for base in range(4):
            assert (letters == base).mean() == pytest.approx((pool[:, position] == base).mean(), abs=0.05)
    for pool_of in (pool[:, :5], pool[:0], pool[0]):
        with pytest.raises(ValueError, match="holds no sequences of 20 bases"):
            random_letters(tokens, edited, 0, pool_of)


def test_summary_of_a_hand_made_refinement():
    edited = np.array([[1, 1, 0, 1], [0, 0, 0, 0]], dtype=bool)
    confidence = np.array([[0.1, 0.9, 0.9, 0.1], [0.85, 0.9, 0.9, 0.9]])
    before, after = encode(["AAAA", "CCCC"]), encode(["ATAC", "CCCC"])
    assert summary(edited, confidence, 0.85, before, after) == {
        "edit_rate": 3 / 8,
        "mean_run_length": 1.5,
        "share_below": 0.25,
        "changed_rate": 0.25,
    }
    nothing = summary(np.zeros((1, 4)), confidence[:1], 0.85)
    assert nothing == {"edit_rate": 0, "mean_run_length": 0, "share_below": 0.5}
    with pytest.raises(ValueError, match="of one shape"):
        summary(edited[0], confidence, 0.85)
