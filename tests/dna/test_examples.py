"""Sequences and samples on disk: they come back as they were, and files that hold something else are told by name and place."""

import numpy as np
import pytest

from genovision.arrays import write_arrays
from genovision.dna.examples import Examples, Samples, read_examples, read_samples, write_examples, write_samples
from genovision.errors import InputError

NAMES = ("A_thaliana", "S_cerevisiae")
RNG = np.random.default_rng(7)
N, L = 6, 9


def arrays_of_examples():
    codes = RNG.integers(0, 4, (N, L)).astype(np.uint8)
    species, fold = np.array([0, 0, 0, 1, 1, 1]), np.array([0, 1, 2, 0, 0, 1], dtype=np.uint8)
    return {"codes": codes, "species": species, "fold": fold, "names": np.array(NAMES)}


def arrays_of_samples():
    posterior = RNG.dirichlet(np.ones(4), (N, L)).astype(np.float32)
    found = {"tokens": RNG.integers(0, 4, (N, L)).astype(np.uint8), "confidence": posterior.max(axis=2)}
    found |= {"species": np.array([0, 0, 0, 1, 1, 1]), "names": np.array(NAMES)}
    return found | {"posterior": posterior, "edited": RNG.random((N, L)) < 0.5}


def test_examples_come_back_from_disk_and_twice_with_the_same_bytes(tmp_path):
    given = arrays_of_examples()
    examples = Examples(given["codes"], given["species"], given["fold"], NAMES)
    for name in ("a.npz", "b.npz"):
        write_examples(tmp_path / name, examples)
    found = read_examples(tmp_path / "a.npz")
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()
    for name in ("codes", "species", "fold"):
        assert np.array_equal(getattr(found, name), given[name]) and getattr(found, name).dtype == given[name].dtype
    assert (found.names, found.length) == (NAMES, L)


def test_a_fold_keeps_the_order_of_the_file(tmp_path):
    write_arrays(tmp_path / "s.npz", **arrays_of_examples())
    examples = read_examples(tmp_path / "s.npz")
    codes, species = examples.of("train")
    assert np.array_equal(codes, examples.codes[[0, 3, 4]]) and species.tolist() == [0, 1, 1]
    alone = Examples(codes, species, np.zeros(3, dtype=np.uint8), NAMES)
    with pytest.raises(InputError, match="the validation fold has no sequence of A_thaliana, S_cerevisiae"):
        alone.of("validation")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"codes": None}, "has no array codes; it has"),
        ({"names": None}, "has no array names"),
        ({"codes": np.zeros((N, L))}, r"codes must be \(N, L\) of bytes, not \(6, 9\) of float64"),
        ({"codes": np.zeros(N, dtype=np.uint8)}, r"codes must be \(N, L\) of bytes, not \(6,\)"),
        ({"codes": np.zeros((0, L), dtype=np.uint8)}, "codes must be"),
        ({"codes": np.where(np.arange(N * L).reshape(N, L) == 13, 255, 0).astype(np.uint8)}, "1 at position 4 is 255"),
        ({"fold": np.zeros(N - 1, dtype=np.uint8)}, r"fold \(5,\) disagree; write it with dna/encode_promoters"),
        ({"species": np.zeros((N, 1), dtype=int)}, r"species \(6, 1\) and fold"),
        ({"fold": np.full(N, 3, dtype=np.uint8)}, r"fold 3 is none of 0 to 2 \(train, validation, test\)"),
        ({"fold": np.full(N, -1)}, "fold -1 is none of 0 to 2"),
        ({"species": np.full(N, 2)}, "species must be numbers from 0 to 1, one per sequence"),
        ({"species": np.full(N, -1)}, "species must be numbers from 0 to 1"),
        ({"species": np.full(N, np.nan)}, "species must be numbers from 0 to 1"),
        ({"species": np.full(N, 0.5)}, "species must be numbers from 0 to 1"),
        ({"names": np.array(["A_thaliana", "A_thaliana"])}, "names must be different strings"),
        ({"names": np.array([1, 2])}, "names must be different strings"),
    ],
)
def test_a_file_of_other_sequences_is_refused(tmp_path, changes, message):
    given = {name: array for name, array in (arrays_of_examples() | changes).items() if array is not None}
    write_arrays(tmp_path / "s.npz", **given)
    with pytest.raises(InputError, match=message) as told:
        read_examples(tmp_path / "s.npz")
    assert str(tmp_path / "s.npz") in str(told.value)


@pytest.mark.parametrize("more", [(), ("posterior",), ("edited",), ("posterior", "edited")])
def test_samples_come_back_from_disk(tmp_path, more):
    given = arrays_of_samples()
    plain = (given["tokens"], given["confidence"], given["species"], NAMES)
    write_samples(tmp_path / "s.npz", Samples(*plain, **{name: given[name] for name in more}))
    found = read_samples(tmp_path / "s.npz")
    for name in ("tokens", "confidence", "species", *more):
        assert np.array_equal(getattr(found, name), given[name]) and getattr(found, name).dtype == given[name].dtype
    assert found.names == NAMES
    assert [getattr(found, name) is None for name in ("posterior", "edited")] == [
        name not in more for name in ("posterior", "edited")
    ]


def changed(name, value):
    found = arrays_of_samples()[name].copy()
    found[4, 2] = value
    return {name: found}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"confidence": None, "names": None}, "has no array confidence, names; write it with dna/sample_generator"),
        ({"tokens": np.zeros((N, L))}, "tokens must be"),
        (changed("tokens", 4), "tokens of sequence 4 at position 2 is 4; models know A, C, G, T only"),
        ({"confidence": np.zeros((N, L - 1))}, r"tokens have shape \(6, 9\) and confidence \(6, 8\)"),
        ({"edited": np.zeros(N, dtype=bool)}, r"tokens have shape \(6, 9\) and edited \(6,\)"),
        ({"posterior": np.full((N, L, 5), 0.2)}, r"tokens have shape \(6, 9\) and posterior \(6, 9, 5\)"),
        (changed("confidence", np.nan), "the confidence of sequence 4 at position 2 is nan"),
        (changed("confidence", 1.5), "the confidence of sequence 4 at position 2 is 1.5"),
        (changed("confidence", -0.5), "the confidence of sequence 4 at position 2 is -0.5"),
        (changed("posterior", [np.nan, 0, 0, 1]), r"posterior of sequence 4 at position 2 is no distribution: \[nan"),
        (changed("posterior", [-1, 1, 1, 0]), "posterior of sequence 4 at position 2 is no distribution"),
        (changed("posterior", [0.2, 0.2, 0.2, 0.2]), "posterior of sequence 4 at position 2 is no distribution"),
        ({"species": np.zeros(N - 1, dtype=int)}, "species must be numbers from 0 to 1, one per sequence"),
        ({"species": np.full(N, 2)}, "species must be numbers from 0 to 1"),
        ({"names": np.array(["x", "x"])}, "names must be different strings"),
    ],
)
def test_a_file_of_other_samples_is_refused(tmp_path, changes, message):
    given = {name: array for name, array in (arrays_of_samples() | changes).items() if array is not None}
    write_arrays(tmp_path / "s.npz", **given)
    with pytest.raises(InputError, match=message) as told:
        read_samples(tmp_path / "s.npz")
    assert str(tmp_path / "s.npz") in str(told.value)


def test_what_is_no_archive_is_refused(tmp_path):
    (tmp_path / "s.npz").write_text("no archive\n")
    for read in (read_examples, read_samples):
        with pytest.raises(InputError, match=r"s\.npz"):
            read(tmp_path / "s.npz")
