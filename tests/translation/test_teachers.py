"""The teachers' cache: what members say one sentence at a time, what a support leaves out, and files that are no cache."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")
from translation.tiny import DIGEST, SIZE, network, reversals, taught  # noqa: E402

from genovision.arrays import read_arrays, write_arrays  # noqa: E402
from genovision.errors import InputError  # noqa: E402
from genovision.translation.decoding import translate  # noqa: E402
from genovision.translation.teachers import (  # noqa: E402
    TRAIN,
    VALID,
    build_cache,
    exactness,
    joined,
    mixed_sources,
    own_translations,
    read_cache,
    read_logs,
    select,
    write_cache,
)
from genovision.translation.tokenizer import END, PAD  # noqa: E402

FOLD = np.repeat(np.array([TRAIN, VALID], dtype=np.uint8), [30, 10])


@pytest.fixture(scope="module")
def members():
    return [taught(seed) for seed in range(3)]


@pytest.fixture(scope="module")
def corpus():
    return reversals(40, seed=7)


@pytest.fixture(scope="module")
def cache(members, corpus):
    return build_cache(members, corpus, FOLD, DIGEST, k=5)


def said(members, corpus, row):
    """(L, M, V) of one sentence alone."""
    pair = [torch.from_numpy(one(row).astype(np.int64))[None] for one in (corpus.source_row, corpus.target_row)]
    with torch.no_grad():
        return torch.stack([member(*pair).logits.double().log_softmax(dim=1) for member in members], dim=1).numpy()


@pytest.mark.parametrize("budget", [15, 2000])
def test_it_keeps_what_the_members_say_of_each_sentence_alone(members, corpus, budget):
    cache = build_cache(members, corpus, FOLD, DIGEST, k=5, budget=budget)
    full = build_cache(members, corpus, FOLD, DIGEST, k=None, budget=budget)
    assert full.tokens is None and cache.logs.dtype == full.logs.dtype == np.float16
    for row in range(corpus.sentences):
        wanted, places = said(members, corpus, row), cache.positions(np.array([row]))
        np.testing.assert_allclose(full.logs[places], wanted, rtol=2e-3, atol=1e-3)
        for place, logs in zip(places, wanted, strict=True):
            tokens = cache.tokens[place].astype(int)
            mean = np.exp(logs).mean(axis=0)
            assert set(tokens[:4]) == set(np.argsort(-mean)[:4]) and corpus.target[place] in tokens
            np.testing.assert_allclose(cache.logs[place, :, :5], logs[:, tokens], rtol=2e-3, atol=1e-3)
            rest = 1 - np.exp(logs[:, tokens]).sum(axis=1)
            np.testing.assert_allclose(np.exp(cache.logs[place, :, 5].astype(float)), rest, rtol=1e-2, atol=1e-4)


def test_a_temperature_divides_the_logits(members, corpus):
    warm = build_cache(members, corpus, FOLD, DIGEST, k=None, temperature=2.0)
    logs = said(members, corpus, 3) / 2
    wanted = logs - np.log(np.exp(logs).sum(axis=-1, keepdims=True))
    np.testing.assert_allclose(warm.logs[warm.positions(np.array([3]))], wanted, rtol=2e-3, atol=1e-3)


def test_a_file_gives_back_the_cache(cache, tmp_path):
    write_cache(tmp_path / "top.npz", cache)
    read = read_cache(tmp_path / "top.npz", DIGEST, full=False)
    np.testing.assert_array_equal(read.tokens, cache.tokens)
    np.testing.assert_array_equal(read.logs, cache.logs)
    for ours, theirs in zip(read.corpus, cache.corpus, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert (read.members, read.vocabulary, read.temperature) == (3, DIGEST, 1.0)
    assert read.of(TRAIN).tolist() == list(range(30)) and read.of(VALID).tolist() == list(range(30, 40))
    places = read.positions(np.array([31, 2]))
    offsets = cache.corpus.target_offsets
    assert places.tolist() == [*range(offsets[31], offsets[32]), *range(offsets[2], offsets[3])]
    torch.testing.assert_close(read_logs(read.logs).exp().sum(dim=-1), torch.ones(read.logs.shape[:2]))


def test_what_a_support_leaves_out(members, corpus):
    tables = {}
    for k in (2, 8, SIZE - 1):
        table = exactness(members, build_cache(members, corpus, FOLD, DIGEST, k=k)).set_index("measure")
        assert (table["k"] == k).all() and (table["tokens"] == len(corpus.target) - corpus.target_offsets[30]).all()
        # a bucket cannot tell tokens apart: coarser distributions have less entropy, and less divergence from each other
        assert (table["mean_top"] <= table["mean_full"] + 2e-3).all()
        tables[k] = table
    errors = [tables[k]["max_abs_error"] for k in tables]
    assert (errors[0] > errors[1]).all() and (errors[1] > errors[2]).all()
    assert (errors[2] < 0.01).all() and (tables[SIZE - 1]["spearman"] > 0.999).all()
    with pytest.raises(ValueError, match="nothing was left out"):
        exactness(members, build_cache(members, corpus, FOLD, DIGEST, k=None))


def test_more_sentences_to_learn_on(members, corpus):
    own = own_translations(members, corpus)
    assert [row.tolist() for row in map(own.source_row, range(40))] == [
        corpus.source_row(i).tolist() for i in range(40)
    ]
    source = torch.from_numpy(corpus.source_row(4).astype(np.int64))[None]
    assert own.target_row(4).tolist() == translate(members, source)[0][0].tokens.tolist()
    mixed = mixed_sources(corpus, seed=1)
    halves = {tuple(corpus.source_row(row)[(len(corpus.source_row(row)) - 1) // 2 :]) for row in range(40)}
    for row in range(40):
        found, first = mixed.source_row(row), corpus.source_row(row)
        half = first[: len(first) // 2]
        assert found[: len(half)].tolist() == half.tolist() and tuple(found[len(half) :]) in halves
        assert found[-1] == END and not np.isin(found[:-1], [END, PAD]).any() and mixed.target_lengths[row] == 0
    assert mixed_sources(corpus, 1).source.tolist() == mixed.source.tolist() != mixed_sources(corpus, 2).source.tolist()
    both = joined(corpus, own)
    assert both.sentences == 80 and both.target_row(44).tolist() == own.target_row(4).tolist()
    assert select(both, [44, 3]).target_row(0).tolist() == own.target_row(4).tolist()


def test_teachers_that_are_no_ensemble(members, corpus):
    with pytest.raises(InputError, match="2 or more members, 1 given"):
        build_cache(members[:1], corpus, FOLD, DIGEST, k=5)
    with pytest.raises(InputError, match="vocabularies of 23 and 30"):
        build_cache([members[0], network(vocabulary=30)], corpus, FOLD, DIGEST, k=5)
    for k in (0, SIZE):
        with pytest.raises(InputError, match=rf"a support of {k} tokens is no part of a vocabulary of {SIZE}"):
            build_cache(members, corpus, FOLD, DIGEST, k=k)
    with pytest.raises(InputError, match="temperature 0 must be above 0"):
        build_cache(members, corpus, FOLD, DIGEST, k=5, temperature=0)
    with pytest.raises(ValueError, match="40 sentences have 3 folds"):
        build_cache(members, corpus, FOLD[:3], DIGEST, k=5)
    with pytest.raises(ValueError, match="training mode"):
        build_cache([members[0], taught(1).train()], corpus, FOLD, DIGEST, k=5)


def test_files_that_are_no_cache(cache, tmp_path):
    path = tmp_path / "top.npz"
    write_cache(path, cache)
    with pytest.raises(InputError, match="was written for the vocabulary abababababab, here it is cdcdcdcdcdcd"):
        read_cache(path, "cd" * 32)
    with pytest.raises(InputError, match="keeps a support of each position, the whole vocabulary is needed"):
        read_cache(path, full=True)
    arrays = read_arrays(path)
    broken = arrays["logs"].copy()
    broken[17, 2] = -1
    for changes, match in (
        ({"logs": arrays["logs"][:-1]}, "not of the same tokens"),
        ({"tokens": arrays["tokens"][:, :-1]}, "not of the same tokens"),
        ({"fold": arrays["fold"][:-1]}, "not of the same tokens"),
        ({"logs": arrays["logs"][:, :1]}, "has 1 member; students learn from 2 or more"),
        ({"fold": arrays["fold"] * 0}, "has no validation sentence"),
        ({"logs": broken}, "member 2 gives no distribution at token 17"),
    ):
        write_arrays(path, **(arrays | changes))
        with pytest.raises(InputError, match=match):
            read_cache(path)
    write_arrays(path, **{name: array for name, array in arrays.items() if name != "fold"})
    with pytest.raises(InputError, match="has no array fold"):
        read_cache(path)
