"""PUNC itself: what it says of a generator that drops or adds, of empty texts, and the command that scores generations."""

import json
import warnings

import numpy as np
import pandas as pd
import pytest
from text_to_image import tiny_encoder

import genovision.text_to_image.prompt_uncertainty as module
from genovision.arrays import read_arrays, write_arrays
from genovision.errors import InputError
from genovision.tables import read_table, write_table
from genovision.text_to_image.pairs import write_image
from genovision.text_to_image.prompt_uncertainty import EmptyCaption, empty_captions, punc
from genovision.text_to_image.similarity import BERTScore, Rouge, Tokens

WORDS = ("heart", "dog", "tree", "moon", "bell", "shirt", "car", "pear")


def one_hot(texts):
    """An encoder without a network: a word is a direction of its own."""
    known = {word: place for place, word in enumerate((*WORDS, "cloud", "grass", "river"))}
    found = [np.eye(len(known))[[known[word] for word in text.split()]] for text in texts]
    return Tokens(found, [np.zeros(len(one), dtype=bool) for one in found])


SIMILARITIES = {"rouge1": Rouge("rouge1"), "rougel": Rouge("rougeL"), "bertscore": BERTScore(one_hot)}


@pytest.fixture(params=SIMILARITIES)
def similarity(request):
    return SIMILARITIES[request.param]


@pytest.fixture
def prompts():
    rng = np.random.default_rng(0)
    return [" ".join(rng.choice(WORDS, size=4, replace=False)) for _ in range(30)]


def test_recall_falls_only_when_the_generator_drops(prompts, similarity):
    found = punc(prompts, [" ".join(prompt.split()[:3]) for prompt in prompts], similarity)
    assert np.allclose(found["recall"], 0.75) and np.allclose(found["epistemic"], 0.25)
    assert np.allclose(found["precision"], 1) and np.allclose(found["aleatoric"], 0)


def test_precision_falls_only_when_the_generator_adds(prompts, similarity):
    found = punc(prompts, [f"{prompt} cloud" for prompt in prompts], similarity)
    assert np.allclose(found["recall"], 1) and np.allclose(found["epistemic"], 0)
    assert np.allclose(found["precision"], 0.8) and np.allclose(found["aleatoric"], 0.2)


def test_the_same_in_parts(prompts, similarity):
    """Dropping more or adding more moves its own side further and the other not at all."""
    said = [[" ".join(prompt.split()[:k]) for k in (4, 3, 2)] for prompt in prompts]
    dropped = [punc(prompts, [one[k] for one in said], similarity) for k in range(3)]
    assert dropped[0]["recall"].gt(dropped[1]["recall"]).all() and dropped[1]["recall"].gt(dropped[2]["recall"]).all()
    assert all(np.allclose(one["precision"], 1) for one in dropped)
    more = [f"{prompt} cloud grass river" for prompt in prompts]
    assert (punc(prompts, more, similarity)["precision"] < 0.6).all()


def test_generations_are_averaged(prompts, similarity):
    drops, adds = [" ".join(p.split()[:2]) for p in prompts], [f"{p} cloud" for p in prompts]
    both = punc(prompts, [list(pair) for pair in zip(drops, adds, strict=True)], similarity)
    each = [punc(prompts, drops, similarity), punc(prompts, adds, similarity)]
    pd.testing.assert_frame_equal(both, (each[0] + each[1]) / 2)
    assert list(both.columns) == ["precision", "recall", "epistemic", "aleatoric", "f1"]
    assert (both.dtypes == np.float64).all()


def test_f1_is_of_each_generation():
    found = punc(["dog tree"], [["dog", "dog tree"]], Rouge())
    assert found["f1"][0] == pytest.approx((2 / 3 + 1) / 2)


def test_an_empty_caption_is_as_uncertain_as_can_be_and_is_told(similarity):
    with pytest.warns(EmptyCaption, match="2 of 4 captions are empty, the first of the prompt 'dog'"):
        found = punc(["heart", "dog"], [["heart", "heart"], ["", " \n"]], similarity)
    assert found["epistemic"].tolist() == [0, 1] and found["aleatoric"].tolist() == [0, 1]
    assert found["f1"].tolist() == [1, 0]
    rows = empty_captions([["heart", "heart"], ["", " \n"]])
    assert rows.to_numpy().tolist() == [[1, 0], [1, 1]]


def test_captions_are_checked_without_a_warning_when_all_is_well():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert punc(["dog"], ["a dog"], Rouge())["recall"][0] == 1
    assert not len(empty_captions(["dog"]))


@pytest.mark.parametrize(("text", "said"), [("", "empty"), ("  ", "empty"), ("dog\x1b[1m", "control character")])
def test_a_prompt_that_is_no_text_is_refused(text, said):
    with pytest.raises(InputError, match=f"prompt 1.*{said}"):
        punc(["heart", text], ["heart", "heart"], Rouge())


@pytest.mark.parametrize(
    ("captions", "said"),
    [
        (["a"], "2 prompts and captions of 1"),
        ([["a"], []], "prompt 1 has no caption"),
        ("ab", "list"),
        (["a", [None]], "no text"),
    ],
)
def test_captions_that_do_not_fit_are_refused(captions, said):
    with pytest.raises(ValueError, match=said):
        punc(["heart", "dog"], captions, Rouge())


def test_the_public_name_is_the_function():
    import genovision.text_to_image
    from genovision.text_to_image import punc as public

    assert public is module.punc is genovision.text_to_image.punc
    with pytest.raises(AttributeError, match="no attribute 'punk'"):
        _ = genovision.text_to_image.punk


# --- the command -------------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def encoder(tmp_path_factory):
    return tiny_encoder.write(tmp_path_factory.mktemp("encoder"))


PROMPTS = [
    ("normal-0", "normal", "normal", "a red heart left of a blue dog", "heart"),
    ("normal-1", "normal", "normal", "a blue dog left of a red tree", "dog"),
    ("ood-0", "ood_object", "ood", "a red cloud left of a blue dog", "cloud"),
    ("vague-0", "vague", "vague", "a red dog left of a dog", "dog"),
]


@pytest.fixture
def inputs(tmp_path, encoder):
    """Files of one world: two noise seeds of two images each."""
    prompts = pd.DataFrame(PROMPTS, columns=["id", "set", "kind", "text", "object1"])
    write_table(prompts, tmp_path / "prompts.tsv")
    rows = [(row.id, sample, row.text) for row in prompts.itertuples() for sample in range(4)]
    captions = pd.DataFrame(rows, columns=["id", "sample", "caption"])
    captions.loc[captions["id"] == "ood-0", "caption"] = "a blue dog"
    captions.loc[5, "caption"] = ""
    write_table(captions, tmp_path / "captions.tsv")
    rng = np.random.default_rng(0)
    write_arrays(tmp_path / "images.npz", images=rng.integers(0, 256, (16, 4, 4, 3), dtype=np.uint8))
    write_arrays(tmp_path / "other.npz", images=rng.integers(0, 256, (16, 4, 4, 3), dtype=np.uint8))
    training = pd.DataFrame({"text": ["a red heart", "a blue dog", "a tree"], "object1": ["heart", "dog", "tree"]})
    write_table(training, tmp_path / "train.tsv")
    return tmp_path


DESK = {"training", "members", "parts"}  # what a model of the hub has not


def options(folder, encoder, **changed):
    given = {
        "prompts": folder / "prompts.tsv",
        "captions": folder / "captions.tsv",
        "size": 2,
        "images": folder / "images.npz",
        "members": folder / "other.npz",
        "encoder": encoder,
        "training": folder / "train.tsv",
        "parts": "object1",
        "out": folder / "scores.parquet",
        "warnings": folder / "warnings.tsv",
    }
    return ["text_to_image/score_generations", *(text for k, v in (given | changed).items() for text in (f"--{k}", v))]


def test_scoring_from_files_to_a_table(command, inputs, encoder):
    code, err = command(*options(inputs, encoder))
    assert code == 0, err
    scores = read_table(inputs / "scores.parquet")
    assert scores[["id", "seed"]].to_numpy().tolist() == [[row[0], seed] for row in PROMPTS for seed in range(2)]
    assert scores["concept"].tolist() == ["", "", "", "", "cloud", "cloud", "", ""]
    names = [f"{s}_{side}" for s in ("rouge1", "rougel", "bertscore") for side in ("epistemic", "aleatoric", "f1")]
    names += ["pixel_distance", "two_models", "ensemble", "nearest_training"]
    assert set(names) < set(scores.columns) and np.isfinite(scores[names]).all(axis=None)
    indexed = scores.set_index(["id", "seed"])
    assert indexed.loc[("normal-0", 0), ["rouge1_epistemic", "bertscore_aleatoric"]].to_numpy() == pytest.approx(
        0, abs=1e-6
    )
    assert indexed.loc[("normal-1", 0), "rouge1_epistemic"] == pytest.approx(0.5)  # one of two captions is empty
    assert indexed.loc[("ood-0", 1), "rouge1_epistemic"] > 0.5 > indexed.loc[("ood-0", 1), "rouge1_aleatoric"]
    told = read_table(inputs / "warnings.tsv")
    assert told[["id", "seed", "warning"]].to_numpy().tolist() == [["normal-1", 0, "empty_caption"]]


def test_neither_the_order_of_captions_nor_weights_by_rarity_change_what_they_should_not(command, inputs, encoder):
    assert command(*options(inputs, encoder))[0] == 0
    before = read_table(inputs / "scores.parquet")
    captions = read_table(inputs / "captions.tsv")
    order = np.random.default_rng(1).permutation(len(captions))
    write_table(captions.iloc[order], inputs / "captions.tsv")
    with np.load(inputs / "images.npz") as file:
        images = file["images"]
    write_arrays(inputs / "images.npz", images=images[order])
    with np.load(inputs / "other.npz") as file:
        images = file["images"]
    write_arrays(inputs / "other.npz", images=images[order])
    assert command(*options(inputs, encoder))[0] == 0
    pd.testing.assert_frame_equal(read_table(inputs / "scores.parquet"), before)
    code, err = command(*options(inputs, encoder), "--idf", "--rescale")
    assert code == 0, err
    other = read_table(inputs / "scores.parquet")
    pd.testing.assert_series_equal(other["rouge1_epistemic"], before["rouge1_epistemic"])
    assert not np.allclose(other["bertscore_epistemic"], before["bertscore_epistemic"])


def test_a_long_prompt_says_how_it_was_cut(command, inputs, encoder):
    prompts = read_table(inputs / "prompts.tsv")
    prompts.loc[0, "text"] = "a red heart left of a blue dog left of a red tree left of a blue moon"
    write_table(prompts, inputs / "prompts.tsv")
    code, err = command(*options(inputs, encoder))
    assert code == 0, err
    told = read_table(inputs / "warnings.tsv").set_index("id").loc["normal-0"]
    assert told["warning"] == "cut_prompt"
    assert "has 18 tokens and the encoder reads 14" in told["text"] and "not read: 'of a blue moon'" in told["text"]


def test_texts_that_are_embedded_already_are_not_read_again(command, inputs, encoder):
    from genovision.text_to_image.encoder import Encoder, write_embedded

    assert command(*options(inputs, encoder))[0] == 0
    before = read_table(inputs / "scores.parquet")
    known = Encoder(encoder).embed([row[3] for row in PROMPTS] + ["a red heart", "a tree"])[0]
    write_embedded(known, inputs / "known.npz")
    assert command(*options(inputs, encoder, embedded=inputs / "known.npz"))[0] == 0
    pd.testing.assert_frame_equal(read_table(inputs / "scores.parquet"), before)
    write_embedded(known._replace(pooled=known.pooled[:, :8]), inputs / "known.npz")
    code, err = command(*options(inputs, encoder, embedded=inputs / "known.npz"))
    assert (code, "another encoder" in err) == (2, True), err


def test_measured_scores_are_joined(command, inputs, encoder):
    measured = pd.DataFrame(
        [(row[0], seed, seed + 0.5) for row in PROMPTS for seed in range(2)], columns=["id", "seed", "lmd"]
    )
    write_table(measured, inputs / "m.tsv")
    assert command(*options(inputs, encoder, measured=inputs / "m.tsv"))[0] == 0
    assert read_table(inputs / "scores.parquet")["lmd"].tolist() == [0.5, 1.5] * 4
    write_table(measured.iloc[1:], inputs / "m.tsv")
    code, err = command(*options(inputs, encoder, measured=inputs / "m.tsv"))
    assert (code, "no value for prompt normal-0, seed 0" in err) == (2, True), err
    write_table(measured.rename(columns={"lmd": "pixel_distance"}), inputs / "m.tsv")
    code, err = command(*options(inputs, encoder, measured=inputs / "m.tsv"))
    assert (code, "pixel_distance already" in err) == (2, True), err


def change(path, function):
    write_table(function(read_table(path)), path)


@pytest.mark.parametrize(
    ("file", "function", "said"),
    [
        ("prompts.tsv", lambda t: t.assign(text=t["text"].where(t.index != 1, "")), "prompt normal-1 is empty"),
        ("prompts.tsv", lambda t: t.assign(id="normal-0"), "id normal-0 is given twice"),
        ("prompts.tsv", lambda t: t.assign(text=t["text"].where(t.index != 1, "猫")), "no word for ROUGE"),
        ("prompts.tsv", lambda t: t.drop(columns="object1"), "no column object1"),
        ("prompts.tsv", lambda t: t.iloc[1:], "captions of prompt normal-0, which"),
        ("captions.tsv", lambda t: t.iloc[1:], "prompt normal-0 has 3 captions of 4"),
        ("captions.tsv", lambda t: pd.concat([t, t.iloc[:1]]), "two captions of sample 0"),
        ("captions.tsv", lambda t: t[t["sample"] < 3], "multiple of 2"),
        ("train.tsv", lambda t: t.drop(columns="text"), "no column `text` or `caption`"),
    ],
)
def test_bad_input_is_one_sentence_and_leaves_nothing(command, inputs, encoder, file, function, said):
    change(inputs / file, function)
    code, err = command(*options(inputs, encoder))
    assert (code, said in err) == (2, True), err
    assert not (inputs / "scores.parquet").exists() and not (inputs / "warnings.tsv").exists()


def test_images_that_do_not_fit_are_refused(command, inputs, encoder):
    for images, said in (
        (np.zeros((15, 4, 4, 3), np.uint8), "has 15 images and there are 16 captions"),
        (np.zeros((16, 4, 4, 3)), "float64"),
    ):
        write_arrays(inputs / "images.npz", images=images)
        code, err = command(*options(inputs, encoder))
        assert (code, said in err) == (2, True), err
    write_arrays(inputs / "images.npz", images=np.zeros((16, 5, 4, 3), np.uint8))
    code, err = command(*options(inputs, encoder))
    assert (code, "other.npz has images" in err) == (2, True), err


def test_a_folder_that_holds_no_encoder_is_named(command, inputs, tmp_path):
    (tmp_path / "none").mkdir()
    (tmp_path / "none" / "config.json").write_text(json.dumps({}))
    code, err = command(*options(inputs, tmp_path / "none"))
    assert (code, "is no folder of an encoder" in err) == (2, True), err


def test_images_in_a_folder_and_no_training_texts_as_of_a_hub_model(command, inputs, encoder):
    images = read_arrays(inputs / "images.npz")["images"]
    captions = pd.read_csv(inputs / "captions.tsv", sep="\t")
    named = captions.assign(image=[write_image(image, inputs / "png") for image in images])
    write_table(named, inputs / "named.tsv")
    hub = options(inputs, encoder, captions=inputs / "named.tsv", images=inputs / "png")
    hub = [text for k, v in zip(hub[1::2], hub[2::2], strict=True) if k[2:] not in DESK for text in (k, v)]
    code, err = command("text_to_image/score_generations", *hub)
    assert code == 0, err
    scores = pd.read_parquet(inputs / "scores.parquet")
    assert "nearest_training" not in scores and "two_models" not in scores
    assert command(*options(inputs, encoder))[0] == 0
    with_training = pd.read_parquet(inputs / "scores.parquet")
    for name in ("pixel_distance", "bertscore_epistemic", "rouge1_aleatoric"):
        np.testing.assert_array_equal(scores[name], with_training[name])
    code, err = command("text_to_image/score_generations", *hub, "--idf")
    assert code == 2 and "--idf needs --training" in err
    (inputs / "png" / named["image"][3]).unlink()
    code, err = command("text_to_image/score_generations", *hub)
    assert code == 2 and f"there is no image {named['image'][3]}" in err
