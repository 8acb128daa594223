"""The captioner: words in their order, an image embedding near its caption's, feature maps, and what it says to bad input."""

import numpy as np
import pytest
from text_to_image.models import dots, tiny_encoder

torch = pytest.importorskip("torch")

from genovision.errors import InputError  # noqa: E402
from genovision.text_to_image.captioner import (  # noqa: E402
    Captioner,
    Examples,
    Network,
    Shape,
    agreement,
    decode,
    vocabulary,
    write_captioner,
)
from genovision.text_to_image.encoder import Encoder  # noqa: E402
from genovision.training import Recipe, train  # noqa: E402


@pytest.fixture(scope="module")
def pooled(tmp_path_factory):
    _, texts = dots(256)
    embedded, _ = Encoder(tiny_encoder(tmp_path_factory.mktemp("encoder"))).embed(texts)
    return embedded.pooled


@pytest.fixture(scope="module")
def captioner(pooled, tmp_path_factory):
    torch.set_num_threads(1)
    images, texts = dots(256)
    words = vocabulary(texts)
    examples = Examples(images, texts, pooled, words, batch=32, seed=0)
    folder = tmp_path_factory.mktemp("captioner")
    found = train(
        Network(Shape(16, len(words), 32, channels=8, width=32)),
        examples.loss,
        Recipe(steps=200, batch=32, learning_rate=5e-3, average=0.0),
        lambda _: 0.0,
        folder / "checkpoints",
        "mark",
        tell=lambda _: None,
    )
    write_captioner(folder, found.network, words, examples.longest, {"loss": found.curve[-1].loss})
    return Captioner(folder, batch=100)


def test_it_reads_new_images(captioner):
    images, texts = dots(150, seed=9)
    assert captioner.caption(images) == texts
    assert captioner.caption(images[:0]) == []
    assert captioner.caption(images[101:103]) == texts[101:103]


def test_an_image_lies_nearest_to_its_caption(captioner, pooled):
    images, texts = dots(64)
    found = captioner.embed(images)
    assert found.shape == (64, 32) and np.allclose(np.linalg.norm(found, axis=1), 1, atol=1e-5)
    nearest = (found @ pooled[:64].T).argmax(axis=1)
    assert np.mean([texts[a] == texts[b] for a, b in enumerate(nearest)]) > 0.9


def test_feature_maps(captioner):
    images, _ = dots(130)
    maps = captioner.features(images)
    assert [one.shape for one in maps] == [(130, 8, 8, 8), (130, 16, 4, 4), (130, 32, 2, 2)]
    assert np.allclose(captioner.features(images[3:4])[2], maps[2][3:4], atol=1e-5)


def test_a_caption_can_be_empty_and_ends_at_the_longest():
    words, images = ["<end>", "a", "b"], dots(3)[0]
    network = Network(Shape(16, 3, 8, channels=4, width=8)).eval()
    with torch.no_grad():
        network.next.bias[0] += 100
    assert decode(network, images, words, 5) == ["", "", ""]
    with torch.no_grad():
        network.next.bias[1] += 200
    assert decode(network, images, words, 5) == ["a a a a a"] * 3


def test_agreement_counts_captions_and_words():
    table = agreement({"s": (["a red dot", "a dot"], ["a red bar", "a dot there"]), "t": (["a"], ["a"])})
    assert table["set"].tolist() == ["s", "t"] and table["exact"].tolist() == [0, 1]
    assert table["words"].tolist() == pytest.approx([(2 / 3 + 1) / 2, 1]) and table["images"].tolist() == [2, 1]


def test_vocabulary_is_sorted_behind_the_end():
    assert vocabulary(["b a", "c a"]) == ["<end>", "a", "b", "c"]


def test_captioners_and_images_that_do_not_fit(captioner, tmp_path):
    with pytest.raises(InputError, match=r"reads images \(16, 16, 3\) of 8 bits, these are \(8, 8, 3\)"):
        captioner.caption(np.zeros((1, 8, 8, 3), dtype=np.uint8))
    with pytest.raises(InputError, match="no folder of a trained captioner"):
        Captioner(tmp_path)
    (tmp_path / "config.json").write_text('{"kind": "captioner", "loss": 1, "words": [], "longest": 1, "shape": {}}')
    with pytest.raises(InputError, match="does not describe a captioner"):
        Captioner(tmp_path)
    with pytest.raises(InputError, match="the side a multiple of 8"):
        Shape(20, 3, 8)
    images, texts = dots(4)
    with pytest.raises(InputError, match="there are 4 images, 4 captions and 3 embeddings"):
        Examples(images, texts, np.zeros((3, 2)), vocabulary(texts), batch=2, seed=0)
