"""The commands of the DNA task, from members to scored sequences; and what they say to bad input."""

import json
import shutil

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from genovision import checkpoints  # noqa: E402
from genovision.alphabet import decode  # noqa: E402
from genovision.arrays import read_arrays, write_arrays  # noqa: E402
from genovision.dna.autoregression import (  # noqa: E402
    bits_per_base,
    build,
    log_distributions,
    read_autoregression,
    write_autoregression,
)
from genovision.dna.examples import Examples, read_examples, write_examples  # noqa: E402
from genovision.dna.fasta import write_set  # noqa: E402
from genovision.dna.likelihood import CONTROLS, scored  # noqa: E402
from genovision.tables import read_table  # noqa: E402
from genovision.translation.base_students import FAMILIES, MEASURES, NOISE, read_cache  # noqa: E402
from genovision.translation.scored import read_task  # noqa: E402
from genovision.translation.sequence_measures import KNOWLEDGE  # noqa: E402

NAMES = ("A_one", "B_two", "C_three")
LENGTH = 24


def member(seed, species=NAMES[:2], length=LENGTH, kind="recurrent"):
    """A network of random tables: members agree in half of what they say."""
    sizes = {"width": 8, "context": 2, "dropout": 0.1} | ({"inside": 6} if kind == "recurrent" else {"heads": 2})
    network = build(kind, seed, species=list(species), length=length, **sizes)
    common, own = (torch.Generator().manual_seed(s) for s in (99, seed))
    with torch.no_grad():
        for table in (network.chain.weight, network.readout.weight):
            table.normal_(generator=common)
            table += 0.5 * torch.randn(table.shape, generator=own)
    return network


@pytest.fixture(scope="module")
def folder(tmp_path_factory, launcher):
    """Members 0 to 2, a transformer, sequences of three species of which members know two, OOD sets, and the cache of two members."""
    torch.set_num_threads(1)
    folder, rng = tmp_path_factory.mktemp("base"), np.random.default_rng(0)
    for k in range(3):
        write_autoregression(folder / f"member{k}", member(k), {})
    write_autoregression(folder / "attentive", member(3, kind="transformer"), {})
    write_autoregression(folder / "short", member(0, length=9), {})
    write_autoregression(folder / "stranger", member(0, species=("A_one", "Z_nine")), {})
    codes = rng.integers(0, 4, (270, LENGTH)).astype(np.uint8)
    write_examples(folder / "s.npz", Examples(codes, np.repeat([0, 1, 2], 90), np.tile([0, 0, 0, 1, 2], 54), NAMES))
    for name, size in (("a", 30), ("b", 20)):
        write_set("shuffle", decode(rng.integers(0, 4, (size, LENGTH)).astype(np.uint8)), folder / f"{name}.fa")
    options = [
        "--models",
        folder / "member0",
        folder / "member1",
        "--data",
        folder / "s.npz",
        "--out",
        folder / "c.npz",
    ]
    assert launcher.run(["translation/cache_base_teachers", *map(str, options)]) == 0
    return folder


def training(folder, family, out, *more):
    given = ["translation/train_base_student", "--cache", folder / "c.npz", "--start", folder / "member0", "--out", out]
    return [str(one) for one in (*given, "--family", family, "--steps", 6, "--batch", 16, *more)]


@pytest.fixture(scope="module")
def students(folder, launcher):
    """Folders by family."""
    found = {family: folder / f"student_{family}" for family in FAMILIES}
    for family, path in found.items():
        assert launcher.run(training(folder, family, path)) == 0
    torch.use_deterministic_algorithms(False)
    return found


def scoring(folder, system, models, out, *more):
    given = ["--data", folder / "s.npz", "--ood", f"shuffle={folder / 'a.fa'}", f"shuffle={folder / 'b.fa'}"]
    outputs = ["--out", out / "o.tsv", "--cost", out / "cost.tsv", "--sets", out / "sets.tsv"]
    return ["translation/score_base_system", "--system", system, "--models", *models, *given, *outputs, *more]


@pytest.fixture
def refused(command, tmp_path):
    def call(*options):
        code, err = command(*options)
        assert code == 2, err
        assert not list(tmp_path.glob("*.tsv")) and not (tmp_path / "o").exists() and not (tmp_path / "o.npz").exists()
        return err.splitlines()[-1]

    return call


# --- cache_base_teachers ---------------------------------------------------------------------------------------------------------------


def test_the_cache_holds_what_members_say(folder):
    found, examples = read_cache(folder / "c.npz"), read_examples(folder / "s.npz")
    assert found.names == NAMES[:2] and found.logs.dtype == np.float16
    # 90 of each of two species, three of five in training and one in validation
    assert found.logs.shape == (144, LENGTH, 2, 4) and (found.fold == 0).sum() == 108
    assert (found.labels == 2).all()  # any species
    known = examples.species < 2
    assert np.array_equal(found.codes[:108], examples.codes[known & (examples.fold == 0)])
    for k in range(2):
        peer = log_distributions(read_autoregression(folder / f"member{k}")[0], found.codes, found.labels)
        assert np.allclose(found.logs[:, :, k], peer, atol=5e-3)


def test_members_can_be_told_the_species_and_asked_of_a_part(folder, command, tmp_path):
    given = [
        "translation/cache_base_teachers",
        "--models",
        folder / "member0",
        folder / "member1",
        "--data",
        folder / "s.npz",
    ]
    more = ("--labels", "species", "--number", 20, "--validation", 7)
    for name in ("a", "b"):
        assert command(*given, "--out", tmp_path / f"{name}.npz", *more)[0] == 0
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()
    found = read_cache(tmp_path / "a.npz")
    assert found.fold.tolist() == [0] * 20 + [1] * 7 and set(found.labels.tolist()) == {0, 1}
    every = read_cache(folder / "c.npz")
    assert {row.tobytes() for row in found.codes} < {row.tobytes() for row in every.codes}
    peer = log_distributions(read_autoregression(folder / "member1")[0], found.codes, found.labels)
    assert np.allclose(found.logs[:, :, 1], peer, atol=5e-3)


def test_cache_base_teachers_says_what_is_wrong(folder, refused, tmp_path):
    def wrong(*models, data="s.npz", more=()):
        models = [folder / name for name in models]
        given = ["--models", *models, "--data", folder / data, "--out", tmp_path / "o.npz", *more]
        return refused("translation/cache_base_teachers", *given)

    assert "names one model; an ensemble has two members or more" in wrong("member0")
    assert "stranger knows A_one, Z_nine and" in wrong("member0", "stranger")
    assert "short reads sequences of 9 bases, those of" in wrong("short", "short")
    assert "dna.json is missing" in wrong("member0", "absent")
    assert "--number -1" in wrong("member0", "member1", more=("--number", -1))
    examples = read_examples(folder / "s.npz")
    write_examples(folder / "other.npz", Examples(examples.codes, examples.species * 0, examples.fold, NAMES[2:]))
    assert "the train fold has no sequence of A_one, B_two" in wrong("member0", "member1", data="other.npz")


# --- train_base_student ----------------------------------------------------------------------------------------------------------------


def test_a_student_s_network_is_one_of_the_dna_story(folder, students):
    cache = read_cache(folder / "c.npz")
    rows = cache.fold == 1
    for family, path in students.items():
        facts = json.loads((path / "student.json").read_text())
        network, _ = read_autoregression(path / "network")
        bits = bits_per_base(network, cache.codes[rows], cache.labels[rows])
        assert facts["held_out_bits"] == pytest.approx(bits, abs=1e-5) and facts["family"] == family
        assert facts["members"] == 2 and facts["recipe"]["steps"] == 6
        assert bool(checkpoints.read_tensors(path / "head.safetensors")) == (family != "end")
        assert not (path / "checkpoints").exists() and (path / "curve.tsv").exists()


def test_distilled_longer_a_student_comes_nearer_to_its_ensemble(folder, launcher, tmp_path):
    assert launcher.run(training(folder, "end", tmp_path / "s", "--steps", 80, "--learning-rate", 0.01)) == 0
    torch.use_deterministic_algorithms(False)
    cache = read_cache(folder / "c.npz")
    rows = cache.fold == 1
    mean = np.exp(cache.logs[rows].astype(np.float64)).mean(axis=2)
    before, after = (
        log_distributions(read_autoregression(path)[0], cache.codes[rows], cache.labels[rows])
        for path in (folder / "member0", tmp_path / "s/network")
    )
    distance = [(mean * (np.log(mean) - logs)).sum(axis=2).mean() for logs in (before, after)]
    assert distance[1] < distance[0] / 2


@pytest.mark.parametrize("family", ["laplace", "dirichlet"])
def test_an_interrupted_run_ends_with_the_same_student(folder, launcher, students, tmp_path, monkeypatch, family):
    kept, save = [], checkpoints.save

    class Killed(Exception):
        pass

    def dying(folder, step, *rest):
        save(folder, step, *rest)
        kept.append(step)
        if step == 4:
            raise Killed

    whole = tmp_path / "whole"
    more = ("--save-every", 2, "--dropout", 0.2)
    assert launcher.run(training(folder, family, whole, *more)) == 0
    monkeypatch.setattr(checkpoints, "save", dying)
    with pytest.raises(Killed):
        launcher.run(training(folder, family, tmp_path / "killed", *more))
    assert not (tmp_path / "killed/student.json").exists()
    monkeypatch.setattr(checkpoints, "save", save)
    assert launcher.run(training(folder, family, tmp_path / "killed", *more)) == 0
    torch.use_deterministic_algorithms(False)
    assert kept == [2, 4]
    for path in sorted(whole.rglob("*")):
        if path.is_file():
            assert path.read_bytes() == (tmp_path / "killed" / path.relative_to(whole)).read_bytes(), path.name


def test_a_seed_is_another_student_and_a_transformer_one_too(folder, launcher, students, tmp_path):
    weights = {}
    for name, more in {
        "same": (),
        "other": ("--seed", 1),
        "attentive": ("--start", folder / "attentive"),
    }.items():
        assert launcher.run(training(folder, "gaussian", tmp_path / name, *more)) == 0
        weights[name] = (tmp_path / name / "head.safetensors").read_bytes()
    torch.use_deterministic_algorithms(False)
    assert weights["same"] == (students["gaussian"] / "head.safetensors").read_bytes() != weights["other"]
    assert json.loads((tmp_path / "attentive/student.json").read_text())["inner"] == "norm"


def test_train_base_student_says_what_is_wrong(folder, refused, tmp_path):
    def wrong(*more):
        return refused(*training(folder, "laplace", tmp_path / "o", *more))

    assert "short reads 9 bases of A_one, B_two, the members of" in wrong("--start", folder / "short")
    assert "start from one of them" in wrong("--start", folder / "stranger")
    assert "a batch of 500 is more than the 108 training sequences" in wrong("--batch", 500)
    assert "--dropout 1.0 must lie in [0, 1)" in wrong("--dropout", 1)
    assert "--save-every 0 must be 1 or more" in wrong("--save-every", 0)
    found = read_arrays(folder / "c.npz")
    five = np.concatenate([found["logs"][..., :1] - np.float16(np.log(2))] * 2 + [found["logs"][..., 1:]], axis=3)
    changed = {
        "single": {"logs": found["logs"][:, :, :1]},
        "nan": {"logs": np.where(np.arange(144)[:, None, None, None] == 3, np.float16(np.nan), found["logs"])},
        "five": {"logs": five},
        "cut": {"logs": found["logs"][:, :9]},
    }
    for name, arrays in changed.items():
        write_arrays(tmp_path / f"{name}.npz", **(found | arrays))
    assert "has 1 member; a student learns the spread of two or more" in wrong("--cache", tmp_path / "single.npz")
    assert "member 0 gives no distribution for sequence 3 at position 0" in wrong("--cache", tmp_path / "nan.npz")
    assert "has 5 letters" in wrong("--cache", tmp_path / "five.npz") and "another vocabulary" in wrong(
        "--cache", tmp_path / "five.npz"
    )
    assert "logs (144, 9, 2, 4)" in wrong("--cache", tmp_path / "cut.npz")


def test_a_student_that_diverges_leaves_no_folder_that_looks_whole(folder, command, tmp_path):
    code, err = command(*training(folder, "laplace", tmp_path / "o", "--learning-rate", 1e30))
    torch.use_deterministic_algorithms(False)
    assert code == 2 and "lower --learning-rate" in err.splitlines()[-1]
    assert not (tmp_path / "o/student.json").exists()


# --- score_base_system -----------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def tables(folder, students, launcher, tmp_path_factory):
    """Outputs by system, in folders of their own."""
    found = {}
    models = {"single": [0, 1], "ensemble": [0, 1], "control": [0]}
    for system in (*models, *students):
        out = tmp_path_factory.mktemp(system)
        own = [folder / f"member{k}" for k in models[system]] if system in models else [students[system]]
        assert launcher.run([str(one) for one in scoring(folder, system, own, out)]) == 0
        found[system] = out
    return found


def test_all_systems_score_the_same_sequences(tables):
    first = None
    for system, out in tables.items():
        table, sets = read_table(out / "o.tsv"), read_table(out / "sets.tsv")
        sizes = dict(zip(sets["set"], sets["sequences"], strict=True))
        assert sizes == {
            "test": 36,
            "C_three": 18,
            "shuffle": 50,
            "valid": 36,
            "valid_shuffle": 36,
            "valid_markov5": 36,
        }
        roles = dict(zip(sets["set"], sets["role"], strict=True))
        assert roles["test"] == "test" and roles["valid"] == "valid" and roles["shuffle"] == roles["C_three"] == "ood"
        assert roles["valid_shuffle"] == roles["valid_markov5"] == "valid_ood"
        keys = table[["set", "role", "id"]]
        assert first is None or keys.equals(first)
        first = keys
        columns = list(table.columns[3:])
        if system == "control":
            assert columns == list(CONTROLS)
        else:
            assert columns == ["nll", *MEASURES, *(NOISE if system in ("laplace", "gaussian") else ())]
        assert np.isfinite(table[columns].to_numpy()).all()
        cost = read_table(out / "cost.tsv").iloc[0]
        passes = {"ensemble": 2, "control": 0}.get(system, 1) * 6
        assert (cost["system"], cost["sentences"], cost["tokens"], cost["passes"]) == (
            system,
            212,
            212 * LENGTH,
            passes,
        )


def test_an_ensemble_is_scored_as_the_dna_story_scores_it(tables, folder):
    table, examples = read_table(tables["ensemble"] / "o.tsv"), read_examples(folder / "s.npz")
    models = [read_autoregression(folder / f"member{k}")[0] for k in range(2)]
    codes = examples.codes[(examples.fold == 2) & (examples.species < 2)]
    members = [lambda codes, labels, model=model: log_distributions(model, codes, labels) for model in models]
    peer = scored(members, codes, np.full(len(codes), 2))
    own = table[table["set"] == "test"]
    names = {
        "nll": "nll",
        "total": "total",
        "average": "data",
        "mutual_information": "mutual_information",
        "epkl": "epkl",
    }
    for theirs, ours in names.items():
        assert np.allclose(peer[theirs], own[ours], atol=1e-8), ours
    assert np.allclose(own["sequence_total_pe"], own["nll"])


def test_a_single_model_and_a_student_of_the_mean_have_no_knowledge(tables):
    for system in ("single", "end"):
        assert (read_table(tables[system] / "o.tsv")[list(KNOWLEDGE)] == 0).all(axis=None)
    for system in ("ensemble", "laplace", "dirichlet"):
        assert (read_table(tables[system] / "o.tsv")["mutual_information"] > 1e-4).all()


def test_shuffles_keep_their_dinucleotides_and_floors_follow_their_seed(folder, command, tmp_path):
    def controls(*more):
        assert command(*scoring(folder, "control", [folder / "member0"], tmp_path, *more))[0] == 0
        return read_table(tmp_path / "o.tsv").set_index("set")

    one, again, other = controls(), controls("--seed", 5), controls("--floor-seed", 1)
    assert one.equals(again) and not one.loc["valid_shuffle"].equals(other.loc["valid_shuffle"])
    assert not one.loc["valid_markov5"].equals(other.loc["valid_markov5"]) and one.loc["test"].equals(other.loc["test"])
    assert np.allclose(one.loc["valid", "gc"], one.loc["valid_shuffle", "gc"])
    few = controls("--number", 10, "--validation", 12)
    assert few.groupby(level=0).size().to_dict() == dict.fromkeys(("C_three", "shuffle", "test"), 10) | dict.fromkeys(
        ("valid", "valid_shuffle", "valid_markov5"), 12
    )


def test_scoring_twice_gives_the_same_bytes_and_samples_follow_their_seed(folder, students, command, tables, tmp_path):
    for system in ("laplace", "dirichlet"):
        before = (tables[system] / "o.tsv").read_bytes()
        assert command(*scoring(folder, system, [students[system]], tmp_path))[0] == 0
        assert (tmp_path / "o.tsv").read_bytes() == before
        assert command(*scoring(folder, system, [students[system]], tmp_path, "--seed", 1, "--samples", 5))[0] == 0
        assert ((tmp_path / "o.tsv").read_bytes() == before) == (system == "dirichlet")


def test_the_tables_are_a_task_of_the_evaluation(tables):
    systems = [system for system in tables if system != "control"]
    sets = read_table(tables["single"] / "sets.tsv")
    task = read_task(
        "dna",
        {("0", system): read_table(tables[system] / "o.tsv") for system in systems},
        dict(zip(sets["set"], sets["role"], strict=True)),
        read_table(tables["control"] / "o.tsv").drop(columns="role"),
    )
    assert set(task.systems) == set(systems) and task.of_role("ood") == ["C_three", "shuffle"]


def test_score_base_system_says_what_is_wrong(folder, students, refused, tmp_path):
    def wrong(system, *models, more=()):
        return refused(*scoring(folder, system, models, tmp_path, *more))

    first, second = folder / "member0", folder / "member1"
    assert "--models names one model; an ensemble has two members or more" in wrong("ensemble", first)
    assert "stranger reads 24 bases of A_one, Z_nine" in wrong("ensemble", first, folder / "stranger")
    assert "short reads 9 bases" in wrong("ensemble", first, folder / "short")
    assert "short reads sequences of 9 bases, those of --data have 24" in wrong("single", folder / "short")
    assert "--models names 2 folders; a student has one" in wrong("laplace", first, second)
    assert "is a student of the family end" in wrong("laplace", students["end"])
    assert "student.json is missing" in wrong("laplace", first)
    assert "--ood shuffle: write NAME=FASTA" in wrong("single", first, more=("--ood", "shuffle"))
    assert "with a name other than C_three, test, valid" in wrong(
        "single", first, more=("--ood", f"valid={folder / 'a.fa'}")
    )
    write_set("short", ["ACGT"] * 9, tmp_path / "short.fa")
    assert "has sequences of 4 bases, those of --data have 24" in wrong(
        "single", first, more=("--ood", f"x={tmp_path / 'short.fa'}")
    )
    write_set("n", ["ACGN" * 6] * 9, tmp_path / "n.fa")
    assert "sequence 0 has a letter other than A, C, G, T" in wrong(
        "single", first, more=("--ood", f"x={tmp_path / 'n.fa'}")
    )
    assert "--samples 0 must be 1 or more" in wrong("laplace", students["laplace"], more=("--samples", 0))
    assert "--floor-seed -1 must not be negative" in wrong("single", first, more=("--floor-seed", -1))
    mixed = tmp_path / "mixed"
    shutil.copytree(students["laplace"], mixed)
    shutil.rmtree(mixed / "network")
    shutil.copytree(students["gaussian"] / "network", mixed / "network")
    assert "was written with another network; train the student again" in wrong("laplace", mixed)
    examples = read_examples(folder / "s.npz")
    two = examples.species < 2
    known = Examples(examples.codes[two], examples.species[two], examples.fold[two], NAMES[:2])
    write_examples(tmp_path / "known.npz", known)
    options = ["--models", first, "--data", tmp_path / "known.npz", "--out", tmp_path / "o.tsv"]
    assert "there is no OOD set" in refused("translation/score_base_system", "--system", "single", *options)
    write_examples(tmp_path / "others.npz", Examples(examples.codes, examples.species * 0, examples.fold, NAMES[2:]))
    given = ("--data", tmp_path / "others.npz")
    assert "the test fold has no sequence of A_one, B_two" in wrong("single", first, more=given)
