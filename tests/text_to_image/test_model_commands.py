"""The commands from texts to captions: embed, train, generate, caption; runs that are cut short; and what they say to bad input."""

import json
import os
import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from text_to_image.models import dots, tiny_encoder

from genovision.arrays import read_arrays, write_arrays
from genovision.tables import read_table, write_table
from genovision.text_to_image.encoder import read_embedded
from genovision.text_to_image.image_cache import ImageCache, image_seed

ROOT = Path(__file__).resolve().parents[2]


def options(**given):
    return [text for key, value in given.items() for text in (f"--{key.replace('_', '-')}", str(value))]


def generator(folder, out, **changes):
    given = {
        "images": folder / "train.npz",
        "texts": folder / "train.tsv",
        "column": "caption",
        "layer": 0,
        "batch": 32,
    }
    given |= {"embeddings": folder / "tokens.npz", "encoder": folder / "encoder", "components": 16, "width": 32}
    given |= {"blocks": 1, "text_width": 16, "queries": 2, "steps": 60, "out": out}
    return ["text_to_image/train_generator", *options(**(given | changes))]


def captioner(folder, out, **changes):
    given = {"images": folder / "train.npz", "captions": folder / "train.tsv", "embeddings": folder / "pooled.npz"}
    given |= {"test": folder / "test.npz", "channels": 8, "width": 32, "steps": 120, "learning_rate": 5e-3, "out": out}
    return ["text_to_image/train_captioner", *options(**(given | {"batch": 32} | changes))]


@pytest.fixture(scope="module")
def folder(launcher, tmp_path_factory):
    """Folder with encoder/, train.npz and train.tsv, test.*, prompts.tsv, embeddings, and the trained models."""
    home = tmp_path_factory.mktemp("models")
    parts = tiny_encoder(home / "source")
    with zipfile.ZipFile(home / "encoder.whl", "w") as wheel:
        for path in parts.iterdir():
            wheel.write(path, f"pkg/model/{path.name}")
    for name, seed in (("train", 0), ("test", 1)):
        images, texts = dots(64, seed)
        write_arrays(home / f"{name}.npz", images=images)
        write_table(pd.DataFrame({"caption": texts}), home / f"{name}.tsv")
    prompts = [("p0", "a red dot"), ("p1", "a blue bar left"), ("p2", "something")]
    write_table(pd.DataFrame(prompts, columns=["id", "text"]), home / "prompts.tsv")
    embed = ["text_to_image/embed_texts", *options(encoder=home / "encoder")]
    assert launcher.run([*embed, *options(package=home / "encoder.whl")]) == 0
    texts = options(texts=home / "train.tsv", column="caption")
    assert launcher.run([*embed, *texts, *options(layer=0, parts="tokens", out=home / "tokens.npz")]) == 0
    assert launcher.run([*embed, *texts, *options(parts="pooled", out=home / "pooled.npz")]) == 0
    assert launcher.run(generator(home, home / "generator")) == 0
    assert launcher.run(captioner(home, home / "captioner")) == 0
    return home


def generate(folder, cache, out, **changes):
    given = {"prompts": folder / "prompts.tsv", "model": folder / "generator", "encoder": folder / "encoder"}
    given |= {"samples": 3, "steps": 3, "batch": 4, "cache": cache, "out": f"{out}.tsv", "images": f"{out}.npz"}
    given = {key: value for key, value in (given | changes).items() if value is not None}
    return ["text_to_image/generate_images", *options(**given)]


def test_embeddings_hold_what_was_asked_for(folder):
    tokens, pooled = read_embedded(folder / "tokens.npz"), read_embedded(folder / "pooled.npz")
    assert tokens.tokens.shape == (tokens.starts[-1], 32) and tokens.pooled.shape == (64, 0)
    assert pooled.pooled.shape == (64, 32) and pooled.tokens.shape[1] == 0
    assert sorted(p.name for p in (folder / "encoder").iterdir()) == sorted(
        p.name for p in (folder / "source").iterdir()
    )


def test_trained_models(folder):
    facts = json.loads((folder / "generator" / "config.json").read_text())
    assert facts["kind"] == "generator" and facts["layer"] == 0 and facts["recipe"]["steps"] == 60
    curve = read_table(folder / "generator" / "curve.tsv", ["step", "loss", "error_at_half_noise"])
    assert len(curve) == 8 and curve["loss"].iloc[-1] < curve["loss"].iloc[0]
    accuracy = read_table(folder / "captioner" / "accuracy.tsv").set_index("set")
    assert accuracy.loc["training", "exact"] > 0.9 and accuracy.loc["test", "words"] > 0.9
    assert accuracy["images"].tolist() == [64, 64]
    for name in ("generator", "captioner"):
        assert not (folder / name / "checkpoints").exists()


@pytest.mark.parametrize("what", [generator, captioner])
def test_a_killed_training_ends_with_the_bytes_of_an_uninterrupted_one(folder, tmp_path, launcher, what):
    changes = {"steps": 150, "save_every": 20}
    command = [sys.executable, str(ROOT / "workflow"), *what(folder, tmp_path / "cut", **changes)]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1"}
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment)
    checkpoints, end = tmp_path / "cut" / "checkpoints", time.monotonic() + 120
    while not list(checkpoints.glob("step*.json")) and process.poll() is None and time.monotonic() < end:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert list(checkpoints.glob("step*.json")) and not (tmp_path / "cut" / "model.safetensors").exists()
    for name in ("cut", "whole"):
        assert launcher.run(what(folder, tmp_path / name, **changes)) == 0
    for path in (tmp_path / "whole").iterdir():
        assert path.read_bytes() == (tmp_path / "cut" / path.name).read_bytes(), path.name


def test_images_and_captions(folder, tmp_path, command):
    assert command(*generate(folder, tmp_path / "cache", tmp_path / "g"))[0] == 0
    table, images = read_table(tmp_path / "g.tsv"), read_arrays(tmp_path / "g.npz")["images"]
    assert list(table.columns) == ["id", "sample", "seed", "image"] and images.shape == (9, 16, 16, 3)
    assert table["id"].tolist() == [key for key in ("p0", "p1", "p2") for _ in range(3)]
    assert table["seed"].tolist() == [image_seed(0, row.id, row.sample) for row in table.itertuples()]
    assert len({image.tobytes() for image in images}) == 9
    ask = options(generations=tmp_path / "g.tsv", model=folder / "captioner")
    for source, out in ((tmp_path / "g.npz", "a.tsv"), (tmp_path / "cache", "b.tsv")):
        assert command("text_to_image/caption_images", *ask, *options(images=source, out=tmp_path / out))[0] == 0
    captions, named = read_table(tmp_path / "a.tsv"), read_table(tmp_path / "b.tsv")
    assert list(captions.columns) == ["id", "sample", "caption"] and len(captions) == 9
    assert named.drop(columns="image").equals(captions) and named["image"].tolist() == table["image"].tolist()


def test_generation_cut_in_the_middle_goes_on_to_the_same_bytes(folder, tmp_path, command, launcher, monkeypatch):
    assert command(*generate(folder, tmp_path / "whole", tmp_path / "whole"))[0] == 0
    put, count = ImageCache.put, 0

    def broken(self, name, image):
        nonlocal count
        count += 1
        if count == 6:
            raise KeyboardInterrupt
        put(self, name, image)

    with monkeypatch.context() as patch:
        patch.setattr(ImageCache, "put", broken)
        with pytest.raises(KeyboardInterrupt):
            launcher.run(generate(folder, tmp_path / "cut", tmp_path / "cut"))
    assert len(list((tmp_path / "cut").rglob("*.png"))) == 5 and not (tmp_path / "cut.tsv").exists()
    damaged = next((tmp_path / "cut").rglob("*.png"))
    damaged.write_bytes(damaged.read_bytes()[:-20])  # a truncated image is made again
    assert command(*generate(folder, tmp_path / "cut", tmp_path / "cut"))[0] == 0
    for suffix in (".tsv", ".npz"):
        assert (tmp_path / f"cut{suffix}").read_bytes() == (tmp_path / f"whole{suffix}").read_bytes()
    for path in (tmp_path / "whole").rglob("*.png"):
        assert path.read_bytes() == (tmp_path / "cut" / path.relative_to(tmp_path / "whole")).read_bytes()


def test_the_cache_answers_for_the_same_model_prompt_seed_and_settings(folder, tmp_path, launcher, capsys):
    def new(**changes):
        assert launcher.run(generate(folder, tmp_path / "cache", tmp_path / "g", **changes)) == 0
        return int(capsys.readouterr().out.splitlines()[-1].split(", ")[1].split()[0])

    assert new() == 9 and new() == 0
    assert new(samples=4) == 3
    assert new(guidance=1) == 9 and new(seed=1) == 9 and new(scheduler="DDIMScheduler") == 9
    assert new(options='{"solver_order": 1}') == 9 and new(batch=2) == 0


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([("a", "x"), ("a", "y")], "the id a is given twice"),
        ([("a", "x"), ("b", "")], "prompt b is empty"),
        ([("a", "x\x07")], "prompt a holds the control character U+0007"),
    ],
)
def test_prompts_that_are_none(folder, tmp_path, command, rows, message):
    write_table(pd.DataFrame(rows, columns=["id", "text"]), tmp_path / "p.tsv")
    code, err = command(*generate(folder, tmp_path / "c", tmp_path / "g", prompts=tmp_path / "p.tsv"))
    assert code == 2 and message in err and not (tmp_path / "g.tsv").exists() and not (tmp_path / "c").exists()


def test_a_prompt_that_is_too_long_is_told_and_drawn(folder, tmp_path, launcher, capsys):
    write_table(pd.DataFrame({"id": ["a"], "text": ["a red dot " * 20]}), tmp_path / "p.tsv")
    assert launcher.run(generate(folder, tmp_path / "c", tmp_path / "g", prompts=tmp_path / "p.tsv")) == 0
    out = capsys.readouterr().out
    assert "warning: the prompt 'a red dot a red dot" in out and "has 60 tokens and the encoder reads 30" in out


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"samples": 0}, "--samples 0 must be 1 or more"),
        ({"steps": 0}, "steps 0 must be 1 or more"),
        ({"encoder": None}, "--model needs --encoder"),
        ({"options": "["}, "--options '[' is no JSON"),
        ({"options": "3"}, "must be an object"),
        ({"options": '{"nonsense": 1}'}, "has no option nonsense"),
        ({"scheduler": "Nonsense"}, "is no scheduler of diffusers"),
        ({"model": None, "hub": "/nowhere/at/all"}, "there is no such folder; put a diffusers text-to-image pipeline"),
    ],
)
def test_generate_images_says_what_is_wrong(folder, tmp_path, command, changes, message):
    code, err = command(*generate(folder, tmp_path / "c", tmp_path / "g", **changes))
    assert code == 2 and message in err and not (tmp_path / "g.tsv").exists()


@pytest.mark.parametrize(
    ("what", "changes", "message"),
    [
        (generator, {"steps": 0}, "steps 0 >= 1"),
        (generator, {"threads": 0}, "--threads 0 must be 1 or more"),
        (generator, {"unconditional": 1}, "--unconditional 1.0 must lie in [0, 1)"),
        (generator, {"components": 64}, "64 images have fewer than 64 components"),
        (generator, {"embeddings": "pooled.npz"}, "holds no token embeddings"),
        (generator, {"images": "few.npz"}, "are not of the same examples"),
        (captioner, {"embeddings": "tokens.npz"}, "holds no pooled embeddings"),
        (captioner, {"images": "few.npz"}, "few.npz has 3 images"),
        (captioner, {"batch": 1}, "batch 1 >= 2"),
    ],
)
def test_training_says_what_is_wrong(folder, tmp_path, command, what, changes, message):
    write_arrays(folder / "few.npz", images=dots(3)[0])
    changes = {key: folder / value if str(value).endswith(".npz") else value for key, value in changes.items()}
    code, err = command(*what(folder, tmp_path / "o", **changes))
    assert code == 2 and message in err and not (tmp_path / "o").exists()


def test_embed_texts_says_what_is_wrong(folder, tmp_path, command):
    def wrong(**given):
        code, err = command("text_to_image/embed_texts", *options(**given))
        assert code == 2 and not (tmp_path / "o.npz").exists()
        return err

    encoder, out = folder / "encoder", tmp_path / "o.npz"
    assert "give --texts with --out" in wrong(encoder=encoder)
    assert "give --texts with --out" in wrong(encoder=encoder, texts=folder / "train.tsv")
    assert "has no column text; it has caption" in wrong(encoder=encoder, texts=folder / "train.tsv", out=out)
    bad = {"texts": folder / "train.tsv", "column": "caption", "out": out}
    assert "layer 5: the encoder" in wrong(encoder=encoder, layer=5, **bad)
    assert "is no folder of an encoder" in wrong(encoder=tmp_path / "none", **bad)
    write_table(pd.DataFrame({"text": ["a", ""]}), tmp_path / "t.tsv")
    assert "row 2 of" in wrong(encoder=encoder, texts=tmp_path / "t.tsv", out=out)


def test_caption_images_says_what_is_wrong(folder, tmp_path, command):
    assert command(*generate(folder, tmp_path / "cache", tmp_path / "g"))[0] == 0

    def wrong(**changes):
        given = {"generations": tmp_path / "g.tsv", "images": tmp_path / "g.npz", "model": folder / "captioner"}
        given |= {"out": tmp_path / "o.tsv"} | changes
        code, err = command("text_to_image/caption_images", *options(**given))
        assert code == 2 and not (tmp_path / "o.tsv").exists()
        return err

    assert "has 64 images" in wrong(images=folder / "train.npz")
    assert "describes a generator, a captioner is needed" in wrong(model=folder / "generator")
    table = read_table(tmp_path / "g.tsv")
    path = tmp_path / "cache" / table["image"][0]
    path.write_bytes(path.read_bytes()[:50])
    assert "is no whole PNG image" in wrong(images=tmp_path / "cache")
    path.unlink()
    assert f"there is no image {table['image'][0]}" in wrong(images=tmp_path / "cache")
    write_table(table.assign(image="../g.tsv"), tmp_path / "h.tsv")
    assert "there is no image ../g.tsv" in wrong(images=tmp_path / "cache", generations=tmp_path / "h.tsv")
    write_arrays(tmp_path / "x.npz", images=np.zeros((9, 8, 8, 3), dtype=np.uint8))
    assert "reads images (16, 16, 3)" in wrong(images=tmp_path / "x.npz")
