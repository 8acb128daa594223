"""Batches: each sentence once, budget and padding kept, a function of seed and epoch; corpora on disk and what does not fit them."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from genovision.arrays import read_arrays, write_arrays
from genovision.errors import InputError
from genovision.translation.batches import (
    WASTE,
    Batches,
    make_corpus,
    padded,
    padded_source,
    padded_target,
    read_corpus,
    read_vocabulary,
    source_batches,
    token_batches,
    waste,
    write_corpora,
)

DIGEST = "ab" * 32


def corpus(lengths):
    rng = np.random.default_rng(len(lengths))
    rows = [[np.append(rng.integers(3, 60, n - 1), 2) for n in pair] for pair in lengths]
    return make_corpus([row[0] for row in rows], [row[1] for row in rows])


@pytest.fixture(scope="module")
def sentences():
    """6,000 pairs whose lengths are spread as those of interface strings: log-normal, source and target correlated."""
    rng = np.random.default_rng(5)
    common = rng.normal(0, 1, 6000)
    lengths = [np.exp(2.1 + 0.55 * common + 0.25 * rng.normal(0, 1, 6000)).astype(int).clip(2, 90) for _ in range(2)]
    return corpus(list(zip(*lengths, strict=True)))


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.tuples(st.integers(1, 40), st.integers(1, 40)), min_size=1, max_size=60),
    st.integers(1, 200),
    st.integers(0, 3),
)
def test_every_sentence_once_within_budget_and_padding(lengths, budget, epoch):
    pairs = corpus(lengths)
    target, source = pairs.target_lengths, pairs.source_lengths
    for batches, bound in ((token_batches(pairs, budget, 1, epoch), target), (source_batches(pairs, budget), source)):
        assert sorted(np.concatenate(batches)) == list(range(pairs.sentences))
        assert all(len(rows) == 1 or len(rows) * bound[rows].max() <= budget for rows in batches)
        full = sum(len(rows) * bound[rows].max() for rows in batches)
        if bound is target:
            assert waste(pairs, batches) <= WASTE
        else:
            assert full <= (1 + WASTE) * bound.sum()


@pytest.mark.parametrize("budget", [400, 700, 1000, 1500])
def test_padding_is_kept_without_crumbling_the_batches(sentences, budget):
    batches = token_batches(sentences, budget, 0, 0)
    assert waste(sentences, batches) <= WASTE
    least = sentences.target_lengths.sum() / budget
    assert len(batches) <= 2 * least


def test_waste_is_padding_per_token_of_what_padded_gives(sentences):
    batches = token_batches(sentences, 300, 0, 0)[:20]
    full = real = 0
    for rows in batches:
        for side in padded(sentences, rows):
            full, real = full + side.numel(), real + int((side != 0).sum())
    assert waste(sentences, batches) == pytest.approx(full / real - 1, abs=1e-15)


def test_equal_lengths_need_no_padding():
    same = corpus([(7, 9)] * 50)
    batches = token_batches(same, 45, 0, 0)
    assert [len(rows) for rows in batches] == [5] * 10
    assert waste(same, batches) == 0.0


def test_batches_are_a_function_of_seed_and_epoch(sentences):
    def batches(seed, epoch):
        return [rows.tolist() for rows in token_batches(sentences, 400, seed, epoch)]

    assert batches(0, 2) == batches(0, 2)
    assert batches(0, 2) != batches(1, 2)
    first, second = ({tuple(sorted(rows)) for rows in batches(0, epoch)} for epoch in (0, 1))
    assert len(first & second) < 0.1 * len(first)  # not only the order of batches is drawn, but who meets whom


def test_long_and_short_batches_come_in_shuffled_order(sentences):
    batches = token_batches(sentences, 400, 0, 0)
    means = np.array([sentences.target_lengths[rows].mean() for rows in batches])
    ordinal = np.argsort(np.argsort(means))
    assert abs(np.corrcoef(ordinal, np.arange(len(means)))[0, 1]) < 0.3


def test_a_step_can_be_asked_for_out_of_turn(sentences):
    running = Batches(sentences, 500, 3)
    steps = running.steps(3)
    told = [running.rows(step).tolist() for step in range(steps)]
    taken_up = Batches(sentences, 500, 3)
    assert [taken_up.rows(step).tolist() for step in reversed(range(steps))] == told[::-1]
    expected = [rows.tolist() for epoch in range(3) for rows in token_batches(sentences, 500, 3, epoch)]
    assert told == expected
    counts = np.bincount(np.concatenate([np.array(rows) for rows in told]))
    assert (counts == 3).all()


def test_rows_are_padded_behind():
    pairs = make_corpus([[5, 2], [6, 7, 8, 2]], [[9, 9, 2], [2]])
    source, target = padded(pairs, [1, 0])
    assert source.tolist() == [[6, 7, 8, 2], [5, 2, 0, 0]]
    assert target.tolist() == [[2, 0, 0], [9, 9, 2]]
    assert str(source.dtype) == "torch.int64"


def test_a_batch_that_is_all_padding_is_refused():
    pairs = make_corpus([[5, 2], [6, 2]], [[9, 2], []])
    assert padded_source(pairs, [1]).tolist() == [[6, 2]]
    with pytest.raises(InputError, match="sentence 1 has no target token: its row of the batch would be all padding"):
        padded_target(pairs, [0, 1])
    with pytest.raises(InputError, match="sentence 1 has no target token"):
        token_batches(pairs, 100, 0, 0)
    assert len(source_batches(pairs, 100)) == 1  # decoding needs no reference
    with pytest.raises(InputError, match="no sentence"):
        padded_source(pairs, [])
    with pytest.raises(InputError, match="all padding"):
        waste(make_corpus([[]], [[]]), [[0]])
    with pytest.raises(InputError, match="a budget of 0 tokens"):
        token_batches(pairs, 0, 0, 0)
    with pytest.raises(InputError, match="no sentence to make batches of"):
        source_batches(make_corpus([], []), 10)


@pytest.mark.parametrize(("size", "kind"), [(2000, np.uint16), (1 << 16, np.uint16), (70_000, np.int32)])
def test_ids_are_as_wide_as_the_vocabulary_needs(size, kind):
    pairs = make_corpus([[size - 1, 2]], [[3, 2]], size)
    assert pairs.source.dtype == kind and pairs.source_row(0).tolist() == [size - 1, 2]


def test_corpora_come_back_from_disk(tmp_path):
    path = tmp_path / "encoded.npz"
    one, two = corpus([(3, 4), (5, 6)]), make_corpus([[4, 2]], [[]])
    write_corpora(path, {"train": one, "ood": two}, DIGEST)
    assert read_vocabulary(path) == DIGEST
    found = read_corpus(path, "train", DIGEST)
    assert all((a == b).all() and a.dtype == b.dtype for a, b in zip(found, one, strict=True))
    assert read_corpus(path, "ood").target_lengths.tolist() == [0]
    first = path.read_bytes()
    write_corpora(path, {"train": one, "ood": two}, DIGEST)
    assert path.read_bytes() == first


def test_another_vocabulary_and_an_unknown_set_are_refused(tmp_path):
    path = tmp_path / "encoded.npz"
    write_corpora(path, {"train": corpus([(3, 4)]), "test": corpus([(3, 4)])}, DIGEST)
    with pytest.raises(InputError, match="was encoded with the vocabulary abababababab, this model has cdcdcdcdcdcd"):
        read_corpus(path, "train", "cd" * 32)
    with pytest.raises(InputError, match=r"has no set valid; it has train, test\."):
        read_corpus(path, "valid")


@pytest.mark.parametrize("offsets", [[0, 5], [1, 3], [0, 4, 3], [0]])
def test_offsets_that_do_not_fit_are_refused(tmp_path, offsets):
    path = tmp_path / "encoded.npz"
    write_corpora(path, {"train": corpus([(3, 4)])}, DIGEST)
    write_arrays(path, **(read_arrays(path) | {"train.source_offsets": np.array(offsets)}))
    with pytest.raises(InputError, match="offsets of train"):
        read_corpus(path, "train")
