"""Scores of sequences by an ensemble: identities, limits of memory, controls; and tables of what they tell apart."""

import sys
import types

import numpy as np
import pandas as pd
import pytest

from genovision.alphabet import decode, encode
from genovision.dna import markov
from genovision.dna.examples import Examples, write_examples
from genovision.dna.fasta import write_set
from genovision.dna.likelihood import (
    COLUMNS,
    CONTROLS,
    METRICS,
    SCORES,
    SINGLE,
    Controls,
    detection,
    scored,
    sequence_scores,
    sequence_table,
)
from genovision.tables import read_table
from genovision.uncertainty.metrics import aupr, auroc, fpr_at_tpr

RNG = np.random.default_rng(3)
CODES = RNG.integers(0, 4, (7, 12)).astype(np.uint8)


def distributions(members, number=7, length=12, rng=RNG):
    """Log-probabilities (M, N, L, 4)."""
    return np.log(rng.dirichlet(np.ones(4), (members, number, length)))


def test_scores_are_what_their_formulas_say():
    logs = distributions(3)
    p, mean = np.exp(logs), np.exp(logs).mean(axis=0)
    came = np.take_along_axis(mean, CODES[:, :, None].astype(int), axis=2)[..., 0]
    pairs = [(p[a] * (logs[a] - logs[b])).sum(axis=2) for a in range(3) for b in range(3)]
    expected = {
        "nll": -np.log(came).mean(axis=1),
        "total": -(mean * np.log(mean)).sum(axis=2).mean(axis=1),
        "average": -(p * logs).sum(axis=3).mean(axis=(0, 2)),
        "epkl": np.mean(pairs, axis=0).mean(axis=1),
    }
    expected["mutual_information"] = expected["total"] - expected["average"]
    found = sequence_scores(logs, CODES)
    assert set(found) == set(SCORES)
    for name, values in expected.items():
        assert np.allclose(found[name], values), name
    assert (found["mutual_information"] > 0).all() and (found["epkl"] > found["mutual_information"]).all()
    # the mean of members is a convex combination: its likelihood lies between theirs
    each = [sequence_scores(logs[m : m + 1], CODES)["nll"] for m in range(3)]
    assert (found["nll"] <= np.mean(each, axis=0) + 1e-12).all()


def test_members_that_agree_disagree_by_nothing():
    one = distributions(1)
    for members in (1, 4):
        found = sequence_scores(np.repeat(one, members, axis=0), CODES)
        assert np.abs(found["mutual_information"]).max() < 1e-12 and np.abs(found["epkl"]).max() < 1e-12
        assert np.allclose(found["total"], found["average"])
        came = np.take_along_axis(one[0], CODES[:, :, None].astype(int), axis=2)[..., 0]
        assert np.allclose(found["nll"], -came.mean(axis=1))


def test_uniform_and_certain_members():
    uniform = np.full((2, 7, 12, 4), np.log(0.25))
    found = sequence_scores(uniform, CODES)
    assert np.allclose(found["nll"], np.log(4)) and np.allclose(found["total"], np.log(4))
    with np.errstate(divide="ignore"):
        certain = np.log(np.eye(4)[np.stack([CODES, (CODES + 1) % 4])])  # one is right, one is wrong, both are sure
    found = sequence_scores(certain, CODES)
    assert np.allclose(found["nll"], np.log(2)) and np.allclose(found["mutual_information"], np.log(2))
    assert np.allclose(found["average"], 0) and np.isfinite(found["epkl"]).all() and (found["epkl"] > 10).all()
    wrong = sequence_scores(certain[1:], CODES)["nll"]
    assert np.isfinite(wrong).all() and (wrong > 50).all()


@pytest.mark.parametrize(
    ("logs", "codes", "message"),
    [
        (distributions(2)[:, :, :5], CODES, "do not fit codes of shape"),
        (distributions(2)[0], CODES, "do not fit codes of shape"),
        (distributions(2)[:0], CODES, "do not fit codes of shape"),
        (distributions(2) + 0.1, CODES, "member 0 gives no distribution for sequence 0 at position 0"),
        (np.where(np.arange(12)[:, None] == 4, np.nan, distributions(2)), CODES, "sequence 0 at position 4"),
        (distributions(2), np.where(CODES == 0, 255, CODES).astype(np.uint8), "other than A, C, G, T"),
    ],
)
def test_what_is_no_distribution_is_refused(logs, codes, message):
    with pytest.raises(ValueError, match=message):
        sequence_scores(logs, codes)


def test_sequences_are_scored_a_few_at_a_time_with_the_same_result():
    codes = RNG.integers(0, 4, (50, 9)).astype(np.uint8)
    labels, table, seen = np.arange(50) % 3, distributions(1, 3, 9)[0], []

    def member(part, own):
        seen.append(len(part))
        return table[own] if len(seen) % 2 else table[::-1][own]

    found = scored([member, member], codes, labels, batch=8)
    assert max(seen) == 8 and len(seen) == 14
    expected = sequence_scores(np.stack([table[labels], table[::-1][labels]]), codes)
    for name in SCORES:
        assert np.allclose(found[name], expected[name])
    seen.clear()
    assert set(scored([member], codes, labels)) == set(SINGLE)


def test_controls_are_what_their_formulas_say():
    training = RNG.choice(4, p=[0.4, 0.1, 0.1, 0.4], size=(80, 40)).astype(np.uint8)
    codes = RNG.integers(0, 4, (5, 40)).astype(np.uint8)
    found = Controls(training)(codes)
    assert tuple(found) == CONTROLS
    words = [row[k : k + 6] for row in decode(training) for k in range(35)]
    mean = np.isin(training, (1, 2)).mean()
    for row, sequence in enumerate(decode(codes)):
        content = sum(map(sequence.count, "GC")) / 40
        assert found["gc"][row] == pytest.approx(abs(content - mean))
        surprisal = [-np.log((words.count(sequence[k : k + 6]) + 1) / (len(words) + 4096)) for k in range(35)]
        assert found["kmer_surprisal"][row] == pytest.approx(np.mean(surprisal))
    bits = markov.fit(training, 5).bits_per_base(codes)
    assert found["markov5_nll"].mean() == pytest.approx(bits * np.log(2))


@pytest.fixture(scope="module")
def scores():
    rng = np.random.default_rng(5)
    inside = {"nll": rng.normal(0, 1, 80), "gc": rng.normal(0, 1, 80)}
    outside = {
        name: {"nll": rng.normal(2, 1, size), "gc": rng.normal(0, 1, size)}
        for name, size in (("far", 60), ("farther", 80))
    }
    return inside, outside


def test_the_table_holds_the_metrics_of_confidences(scores):
    inside, outside = scores
    table, evidence = detection(inside, outside, system="absorb_escape", replicates=40, seed=1)
    assert list(table) == COLUMNS and len(table) == 2 * 2 * len(METRICS)
    for row in table.itertuples():
        metric = {"auroc": auroc, "aupr": aupr, "fpr95": fpr_at_tpr}[row.metric]
        assert row.value == pytest.approx(metric(-inside[row.score], -outside[row.ood][row.score]))
        assert row.low <= row.value <= row.high
        assert (row.n_id, row.n_ood) == (80, len(outside[row.ood]["nll"]))
        assert row.system == ("control" if row.score == "gc" else "absorb_escape")
    found = table.set_index(["ood", "score", "metric"])["value"]
    assert found["far", "nll", "auroc"] > 0.85 and abs(found["far", "gc", "auroc"] - 0.5) < 0.15
    assert list(evidence) == ["system", "metric", "side", "group", "replicate", "value"]
    assert set(evidence["system"]) == {"absorb_escape"} and set(evidence["side"]) == {"nll", "gc"}
    assert len(evidence) == len(table) * 41 and not evidence.duplicated(["metric", "side", "group", "replicate"]).any()


def test_replicates_are_paired_over_scores_and_follow_the_seed(scores):
    inside, outside = scores
    twice = {name: {**rows, "mine": rows["nll"]} for name, rows in outside.items()}
    _, evidence = detection({**inside, "mine": inside["nll"]}, twice, replicates=30, seed=2)
    wide = evidence.pivot(index=["metric", "group", "replicate"], columns="side", values="value")
    assert (wide["mine"] == wide["nll"]).all()
    first, _ = detection(inside, outside, replicates=30, seed=2)
    pd.testing.assert_frame_equal(first, detection(inside, outside, replicates=30, seed=2)[0])
    other, _ = detection(inside, outside, replicates=30, seed=3)
    assert (first["value"] == other["value"]).all() and (first["low"] != other["low"]).any()
    assert detection(inside, outside, replicates=0)[0]["low"].isna().all()


def test_scores_of_sequences_as_a_table(scores):
    inside, outside = scores
    table = sequence_table({"test": inside, "far": outside["far"]})
    assert list(table) == ["set", "sequence", "nll", "gc"] and len(table) == 140
    assert table["sequence"].tolist() == [*range(80), *range(60)]
    assert table.loc[table["set"] == "far", "nll"].tolist() == outside["far"]["nll"].tolist()


# --- the command -----------------------------------------------------------------------------------------------------------------------

NAMES = ("A_one", "B_two", "C_three")
_WEIGHTS = ([0.7, 0.1, 0.1, 0.1], [0.1, 0.7, 0.1, 0.1], [0.1, 0.1, 0.1, 0.7])


class Frequencies:
    """A model of two species: the frequencies of their bases, each folder with another one."""

    species, length = NAMES[:2], 20

    def __init__(self, folder):
        change = np.array([0.0, 0.1 * (str(folder)[-1] == "2"), 0, 0])
        tables = np.array([*_WEIGHTS[:2], np.mean(_WEIGHTS[:2], axis=0)]) + change
        self.logs = np.log(tables / tables.sum(axis=1, keepdims=True))


@pytest.fixture
def models(monkeypatch):
    """A stand-in for genovision.dna.autoregression."""
    module = types.ModuleType("genovision.dna.autoregression")
    module.read_autoregression = lambda folder, device="cpu": (Frequencies(folder), {})
    module.log_distributions = lambda model, codes, labels: np.repeat(
        model.logs[labels][:, None], codes.shape[1], axis=1
    )
    monkeypatch.setitem(sys.modules, module.__name__, module)


@pytest.fixture
def data(tmp_path):
    rng = np.random.default_rng(6)
    codes = np.concatenate([rng.choice(4, p=_WEIGHTS[s], size=(90, 20)) for s in range(3)]).astype(np.uint8)
    write_examples(tmp_path / "s.npz", Examples(codes, np.repeat([0, 1, 2], 90), np.tile([0, 1, 2], 90), NAMES))
    write_set("shuffle", decode(rng.integers(0, 4, (25, 20)).astype(np.uint8)), tmp_path / "a.fa")
    write_set("shuffle", decode(rng.integers(0, 4, (15, 20)).astype(np.uint8)), tmp_path / "b.fa")
    return tmp_path


@pytest.fixture
def scoring(command, models, data):
    """`scoring(*options)` -> (exit code, standard error), with outputs o.tsv, e.tsv and q.tsv in the folder of `data`."""
    pytest.importorskip("torch")
    given = [
        "--data",
        data / "s.npz",
        "--ood",
        f"shuffle={data / 'a.fa'}",
        f"shuffle={data / 'b.fa'}",
        "--replicates",
        8,
    ]
    given += ["--out", data / "o.tsv", "--evidence", data / "e.tsv", "--sequences", data / "q.tsv"]
    return lambda *options: command("dna/score_sequences", *given, *options)


def test_from_models_to_tables(scoring, data):
    code, err = scoring("--models", "member1", "member2")
    assert code == 0, err
    table = read_table(data / "o.tsv", COLUMNS)
    # a species that the models do not know is an OOD set of its own
    assert set(table["ood"]) == {"shuffle", "C_three"} and set(table["score"]) == {*SCORES, *CONTROLS}
    sizes = table.groupby("ood")[["n_id", "n_ood"]].first()
    assert sizes.loc["shuffle"].tolist() == [60, 40] and sizes.loc["C_three"].tolist() == [60, 30]
    found = table.set_index(["ood", "score", "metric"])["value"]
    assert found["C_three", "nll", "auroc"] > 0.9 and found["C_three", "markov5_nll", "auroc"] > 0.9
    sequences = read_table(data / "q.tsv")
    assert sequences.groupby("set").size().to_dict() == {"test": 60, "shuffle": 40, "C_three": 30}
    first = [path.read_bytes() for path in sorted(data.glob("?.tsv"))]
    assert scoring("--models", "member1", "member2")[0] == 0
    assert [path.read_bytes() for path in sorted(data.glob("?.tsv"))] == first


def test_labels_are_those_of_no_species_unless_asked_for(scoring, data):
    found = {}
    for labels in ("any", "species"):
        assert scoring("--models", "member1", "--labels", labels)[0] == 0
        table = read_table(data / "q.tsv")
        found[labels] = table.groupby("set")["nll"].mean()
        assert "mutual_information" not in table and "total" in table
    assert found["species"]["test"] < found["any"]["test"] - 0.1
    for ood in ("shuffle", "C_three"):
        assert found["species"][ood] == found["any"][ood]


def test_score_sequences_says_what_is_wrong(scoring, data, monkeypatch):
    def wrong(*options):
        code, err = scoring("--models", "member1", *options)
        assert code == 2 and not (data / "o.tsv").exists()
        return err.splitlines()[-1]

    assert "--ood shuffle: write NAME=FASTA" in wrong("--ood", "shuffle")
    assert "with a name other than C_three, test" in wrong("--ood", f"test={data / 'a.fa'}")
    write_set("short", ["ACGT"] * 9, data / "short.fa")
    assert "has sequences of 4 bases, those of --data have 20" in wrong("--ood", f"x={data / 'short.fa'}")
    write_set("n", ["ACGN" * 5] * 9, data / "n.fa")
    assert "sequence 0 has a letter other than A, C, G, T" in wrong("--ood", f"x={data / 'n.fa'}")
    assert "must not be negative" in wrong("--replicates", -1)
    codes = encode(["ACGT" * 5] * 9)
    write_examples(data / "c.npz", Examples(codes, np.zeros(9, dtype=int), np.tile([0, 1, 2], 3), NAMES[2:]))
    assert "has no training or no test sequence of A_one, B_two" in wrong("--data", data / "c.npz")
    write_examples(data / "c.npz", Examples(codes, np.zeros(9, dtype=int), np.tile([0, 1, 2], 3), NAMES[:1]))
    assert "there is no OOD set" in wrong("--data", data / "c.npz", "--ood")
    write_examples(data / "c.npz", Examples(codes[:, :8], np.zeros(9, dtype=int), np.tile([0, 1, 2], 3), NAMES[:1]))
    assert "reads sequences of 20 bases, those of --data have 8" in wrong("--data", data / "c.npz")
    other = types.SimpleNamespace(species=("D",), length=20)
    module = sys.modules["genovision.dna.autoregression"]
    reader = module.read_autoregression
    monkeypatch.setattr(
        module, "read_autoregression", lambda folder, device: (other, {}) if folder == "member3" else reader(folder)
    )
    assert "member3 knows D and member1 A_one, B_two" in wrong("--models", "member1", "member3")
