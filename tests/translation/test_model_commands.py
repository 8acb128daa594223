"""The commands from encoded sets to students: train_member, cache_teachers, train_student; runs cut short, and bad input."""

import json

import numpy as np
import pytest

torch = pytest.importorskip("torch")
from translation.tiny import build  # noqa: E402, F401  torchvision is mended before the commands import transformers

from genovision.arrays import read_arrays, write_arrays  # noqa: E402
from genovision.tables import read_table  # noqa: E402
from genovision.translation import members as lessons_of_members  # noqa: E402
from genovision.translation import students as lessons_of_students  # noqa: E402
from genovision.translation.batches import make_corpus, write_corpora  # noqa: E402
from genovision.translation.network import read_network  # noqa: E402
from genovision.translation.students import FULL, read_student  # noqa: E402
from genovision.translation.teachers import TRAIN, VALID, read_cache  # noqa: E402
from genovision.translation.tokenizer import read_tokenizer, train_tokenizer, write_tokenizer  # noqa: E402

WORDS = {
    "open": "öffnen",
    "close": "schließen",
    "the": "die",
    "door": "Tür",
    "window": "Fenster",
    "light": "Licht",
    "all": "alle",
}
FILES = ("config.json", "curve.tsv", "facts.json", "model.safetensors")


def options(**given):
    found = []
    for key, value in given.items():
        values = value if isinstance(value, (list, tuple)) else [value]
        found += [f"--{key.replace('_', '-')}", *map(str, values)]
    return found


def member(home, out, **changes):
    given = {
        "encoded": home / "encoded.npz",
        "tokenizer": home / "tokenizer.json",
        "width": 16,
        "layers": 1,
        "heads": 2,
    }
    given |= {
        "inner": 32,
        "longest": 64,
        "steps": 40,
        "budget": 150,
        "learning_rate": 5e-3,
        "save_every": 10,
        "points": 4,
    }
    return ["translation/train_member", *options(**(given | {"out": out} | changes))]


def cache(home, out, **changes):
    given = {"members": [home / f"member{seed}" for seed in range(2)], "encoded": home / "encoded.npz", "k": 8}
    given |= {"tokenizer": home / "tokenizer.json", "out": out}
    return ["translation/cache_teachers", *options(**(given | changes))]


def student(home, family, out, **changes):
    given = {
        "family": family,
        "start": home / "member0",
        "tokenizer": home / "tokenizer.json",
        "steps": 20,
        "budget": 150,
    }
    given |= {
        "teachers": home / ("full.npz" if family in FULL else "top.npz"),
        "save_every": 5,
        "points": 2,
        "out": out,
    }
    return ["translation/train_student", *options(**(given | changes))]


def texts(number, seed):
    rng = np.random.default_rng(seed)
    rows = [rng.choice(list(WORDS), size=rng.integers(1, 5)) for _ in range(number)]
    return [" ".join(row) for row in rows], [" ".join(WORDS[word] for word in row[::-1]) for row in rows]


@pytest.fixture(scope="module")
def home(launcher, tmp_path_factory):
    """tokenizer.json, encoded.npz, member0 and member1, top.npz, full.npz and truncation.tsv."""
    home = tmp_path_factory.mktemp("models")
    sides = {name: texts(number, seed) for seed, (name, number) in enumerate({"train": 120, "valid": 30}.items())}
    tokenizer = train_tokenizer([text for side in sides.values() for part in side for text in part], 300)
    write_tokenizer(tokenizer, home / "tokenizer.json")
    corpora = {name: make_corpus(*map(tokenizer.encode, side)) for name, side in sides.items()}
    write_corpora(home / "encoded.npz", corpora | {"nothing": make_corpus([], [])}, tokenizer.digest)
    for seed in range(2):
        assert launcher.run(member(home, home / f"member{seed}", seed=seed)) == 0
    made = cache(home, home / "top.npz", full=home / "full.npz", truncation=home / "truncation.tsv")
    assert launcher.run(made) == 0
    return home


def same_files(one, other, names=FILES):
    for name in names:
        assert (one / name).read_bytes() == (other / name).read_bytes(), name


def test_a_member_is_written_whole_and_learns(home):
    network, facts = read_network(home / "member0", read_tokenizer(home / "tokenizer.json").digest)
    assert not network.training and network.sizes.width == 16
    curve = read_table(home / "member0" / "curve.tsv", ["step", "loss", "validation_nll"])
    assert curve["step"].tolist() == [10, 20, 30, 40]
    assert curve["validation_nll"].iloc[-1] < curve["validation_nll"].iloc[0]
    assert facts["validation_nll"] == pytest.approx(curve["validation_nll"].iloc[-1], rel=1e-4)
    assert facts["recipe"]["steps"] == 40 and facts["epochs"] > 1 and facts["sentences"] == 120
    assert sorted(path.name for path in (home / "member0").iterdir()) == sorted(FILES)
    other, _ = read_network(home / "member1")
    assert not torch.equal(other.network.model.shared.weight, network.network.model.shared.weight)


def cut(monkeypatch, lessons, step):
    """Training that dies at a step."""
    whole = lessons.loss

    def loss(self, network, at):
        if at == step:
            raise KeyboardInterrupt
        return whole(self, network, at)

    monkeypatch.setattr(lessons, "loss", loss)


def test_a_member_cut_short_ends_with_the_same_bytes(home, launcher, tmp_path, monkeypatch, capsys):
    with monkeypatch.context() as patched:
        cut(patched, lessons_of_members.Lessons, 27)
        with pytest.raises(KeyboardInterrupt):
            launcher.run(member(home, tmp_path / "out"))
    assert not (tmp_path / "out" / "model.safetensors").exists()
    capsys.readouterr()
    assert launcher.run(member(home, tmp_path / "out")) == 0
    assert "taken up at step 20 of 40" in capsys.readouterr().out
    same_files(home / "member0", tmp_path / "out")


def test_the_cache_holds_both_folds_and_its_exactness(home):
    top, full = read_cache(home / "top.npz", full=False), read_cache(home / "full.npz", full=True)
    assert len(top.of(TRAIN)) == 120 and len(top.of(VALID)) == 30 and top.tokens.shape[1] == 8
    assert top.logs.shape[1:] == (2, 9) and full.logs.shape[1:] == (2, read_tokenizer(home / "tokenizer.json").size)
    place = 17
    np.testing.assert_array_equal(top.logs[place, :, :8], full.logs[place][:, top.tokens[place].astype(int)])
    table = read_table(home / "truncation.tsv")
    assert table["measure"].tolist() == ["total", "data", "mutual_information", "epkl", "rmi"]
    assert (table["k"] == 8).all() and table["bytes_top"].iloc[0] == (home / "top.npz").stat().st_size
    assert table["bytes_full"].iloc[0] == (home / "full.npz").stat().st_size > table["bytes_top"].iloc[0]


def test_further_sentences_are_asked_for(home, command, tmp_path):
    assert command(*cache(home, tmp_path / "more.npz", more=["hypotheses", "mixed"], sentences=50))[0] == 0
    more = read_cache(tmp_path / "more.npz")
    assert len(more.of(TRAIN)) == 150 and len(more.of(VALID)) == 30
    assert command(*cache(home, tmp_path / "warm.npz", temperature=3))[0] == 0
    warm, plain = read_cache(tmp_path / "warm.npz"), read_cache(home / "top.npz")
    assert warm.temperature == 3.0
    assert warm.logs[:, :, 0].astype(float).mean() < plain.logs[:, :, 0].astype(float).mean()


@pytest.mark.parametrize("family", lessons_of_students.FAMILIES)
def test_a_student_is_written_whole(home, command, tmp_path, family):
    assert command(*student(home, family, tmp_path / "out"))[0] == 0
    found, facts = read_student(tmp_path / "out", read_tokenizer(home / "tokenizer.json").digest)
    assert found.family == family and facts["members"] == 2 and facts["temperature"] == 1.0
    assert (found.spread != 1.0) == family.endswith("_top")
    curve = read_table(tmp_path / "out" / "curve.tsv", ["step", "loss", "validation_kl"])
    assert curve["validation_kl"].iloc[-1] == pytest.approx(facts["validation_kl"], rel=1e-4)
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == sorted([*FILES, "student.json"])


def test_a_student_cut_short_ends_with_the_same_bytes(home, launcher, tmp_path, monkeypatch):
    whole = student(home, "laplace_top", tmp_path / "whole")
    assert launcher.run(whole) == 0
    with monkeypatch.context() as patched:
        cut(patched, lessons_of_students.Lessons, 13)
        with pytest.raises(KeyboardInterrupt):
            launcher.run(student(home, "laplace_top", tmp_path / "cut"))
    assert not (tmp_path / "cut" / "student.json").exists()
    assert launcher.run(student(home, "laplace_top", tmp_path / "cut")) == 0
    same_files(tmp_path / "whole", tmp_path / "cut", [*FILES, "student.json"])


def test_heavy_scales_are_an_alarm(home, launcher, tmp_path, capsys):
    # at a low temperature members differ by more than 1 in their logarithms
    assert launcher.run(cache(home, tmp_path / "cold.npz", temperature=0.05)) == 0
    capsys.readouterr()
    assert (
        launcher.run(
            student(home, "laplace_top", tmp_path / "heavy", teachers=tmp_path / "cold.npz", steps=4, spread=1)
        )
        == 0
    )
    assert (
        "warning: " in (said := capsys.readouterr().out) and "of the scales on validation tokens are 1 or more" in said
    )
    assert json.loads((tmp_path / "heavy" / "student.json").read_text())["validation_heavy"] > 0
    limited = student(
        home, "laplace_top", tmp_path / "limited", teachers=tmp_path / "cold.npz", steps=4, scale_limit=0.9, spread=1
    )
    assert launcher.run(limited) == 0
    assert "warning" not in capsys.readouterr().out
    assert json.loads((tmp_path / "limited" / "student.json").read_text())["bounds"] == [1e-3, 0.9]


def test_the_whole_vocabulary_alone(home, command, tmp_path):
    call = cache(home, tmp_path / "none.npz", full=tmp_path / "full.npz", sentences=20)
    place = call.index("--out")
    assert command(*call[:place], *call[place + 2 :])[0] == 0
    full = read_cache(tmp_path / "full.npz", full=True)
    assert len(full.of(TRAIN)) == 20 and not (tmp_path / "none.npz").exists()
    bare = cache(home, tmp_path / "none.npz")
    refused(command, [*bare[: bare.index("--out")], *bare[bare.index("--out") + 2 :]], "name --out, --full or both")
    alone = [*call[:place], *call[place + 2 :], "--truncation", tmp_path / "t.tsv"]
    refused(command, alone, "--truncation is of the likeliest tokens: name --out too")


def test_noise_can_be_centred_on_the_members(home, command, tmp_path):
    found = {}
    for centre in ("student", "members"):
        assert command(*student(home, "laplace_top", tmp_path / centre, centre=centre, spread=1))[0] == 0
        found[centre] = read_student(tmp_path / centre)[1]
        assert found[centre]["centre"] == centre
    # what the student has not learnt yet is in its scales, unless they are centred on the members
    assert found["members"]["validation_mean_scale"] < found["student"]["validation_mean_scale"]


def refused(command, call, *parts):
    code, error = command(*call)
    assert code == 2 and error.count("error: ") == 1
    for part in parts:
        assert str(part) in error
    return error


def test_bad_input_of_training(home, command, tmp_path):
    out = tmp_path / "out"
    other = train_tokenizer(["something else altogether"], 270)
    write_tokenizer(other, tmp_path / "other.json")
    for changes, *parts in (
        ({"tokenizer": tmp_path / "other.json"}, "was encoded with the vocabulary", other.digest[:12]),
        ({"train": "training"}, "has no set training; it has train, valid, nothing"),
        ({"train": "nothing"}, "set nothing needs sentences, each with a reference"),
        ({"longest": 3}, "tokens; raise --longest 3"),
        ({"width": 15}, "is no translation network"),
        ({"steps": 0}, "steps 0 >= 1"),
        ({"points": 0}, "--points 0 must be 1 or more"),
        ({"label_smoothing": 1.5}, "label smoothing 1.5 must be in [0, 1)"),
        ({"learning_rate": 1e9}, "the member diverged at step", "lower --learning-rate 1000000000.0"),
        ({"encoded": tmp_path / "none.npz"}, "none.npz: No such file"),
    ):
        refused(command, member(home, out, **changes), *parts)
        assert not (out / "model.safetensors").exists()


def test_bad_input_of_the_cache(home, command, tmp_path):
    other = train_tokenizer(["something else altogether"], 270)
    write_tokenizer(other, tmp_path / "other.json")
    out = tmp_path / "top.npz"
    for changes, *parts in (
        ({"members": home / "member0"}, "an ensemble needs 2 or more members, 1 given"),
        ({"tokenizer": tmp_path / "other.json"}, "reads the vocabulary", other.digest[:12]),
        ({"members": [home / "member0", home]}, home / "config.json"),
        ({"train": "nothing"}, "set nothing needs sentences"),
        ({"k": 5000}, "a support of 5000 tokens is no part of a vocabulary"),
        ({"sentences": 0}, "--sentences 0 must be 1 or more"),
        ({"temperature": 0}, "temperature 0.0 must be above 0"),
    ):
        refused(command, cache(home, out, **changes), *parts)
        assert not out.exists()


def test_bad_input_of_students(home, command, tmp_path):
    out = tmp_path / "out"
    arrays = read_arrays(home / "top.npz")
    write_arrays(tmp_path / "single.npz", **(arrays | {"logs": arrays["logs"][:, :1]}))
    for family, changes, *parts in (
        ("laplace", {"teachers": home / "top.npz"}, "laplace learns from a cache of the whole vocabulary"),
        ("end", {"teachers": home / "full.npz"}, "end learns from a cache of a support"),
        ("end", {"teachers": tmp_path / "single.npz"}, "has 1 member; students learn from 2 or more"),
        ("end", {"start": home / "member2"}, "member2"),
        ("laplace_top", {"weight": 0}, "weight of the noise's likelihood, 0.0, must be above 0"),
        ("laplace_top", {"scale_limit": 0}, "--scale-limit 0.0 must be above 0.001"),
        ("laplace_top", {"spread": "wide"}, "--spread wide must be matched or a number above 0"),
        ("end", {"learning_rate": 1e9}, "the student end diverged at step"),
    ):
        refused(command, student(home, family, out, **changes), *parts)
        assert not (out / "student.json").exists()
