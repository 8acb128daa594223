"""Generators on another device than the CPU: the same batches and noise, the same results, and nothing left behind on the CPU.

Run by test_devices.py, in a process of its own for each device, which the environment variable OTHER_DEVICE names: `elsewhere`, made up for
machines without a GPU, or `cuda`. On one of its own because torch counts the devices once, at its first gradient.
"""

import contextlib
import json
import os

import numpy as np
import pandas as pd
import pytest
import torch
from peers import mend_torchvision

mend_torchvision()  # diffusers imports transformers where it is installed, and that imports torchvision

import elsewhere  # noqa: E402
from torch import nn  # noqa: E402

from genovision import devices  # noqa: E402
from genovision.arrays import read_arrays  # noqa: E402
from genovision.checkpoints import read_tensors  # noqa: E402
from genovision.training import Recipe, train  # noqa: E402

KIND = os.environ["OTHER_DEVICE"]
there = elsewhere.there if KIND == elsewhere.NAME else contextlib.nullcontext
DEVICE = elsewhere.device() if KIND == elsewhere.NAME else torch.device(KIND)
WEIGHTS = "diffusion_pytorch_model.safetensors"
TRAININGS = {
    "recurrent": ("train_autoregression", "--width", 16, "--inside", 8, "--context", 3),
    "transformer": ("train_autoregression", "--kind", "transformer", "--width", 16, "--heads", 2, "--context", 3),
    "patch": ("train_autoencoder", "--patch", 4, "--channels", 6, "--width", 16),
    "conv": ("train_autoencoder", "--architecture", "conv", "--pools", 1, "--maps", 4, 8, "--width", 8),
    "codewords": ("train_latent_diffusion", "--width", 16, "--blocks", 2),
    "v": ("train_latent_diffusion", "--width", 16, "--blocks", 2, "--prediction", "v_prediction", "--unscaled"),
    "unet": ("train_latent_diffusion", "--denoiser", "unet", "--channels", 8, "--prediction", "epsilon"),
    "onehot": ("train_base_diffusion", "--kind", "onehot", "--width", 16, "--dilations", 1, 2),
    "x0": ("train_base_diffusion", "--kind", "onehot", "--width", 16, "--dilations", 1, "--prediction", "sample"),
    "masked": ("train_base_diffusion", "--kind", "masked", "--width", 16, "--dilations", 1, 2, "--context", 2),
    "embedding": ("train_embedding", "--width", 6, "--features", 6, "--copies", 1),
}
GENERATORS = ("recurrent", "transformer", "latent", "onehot", "masked")


@pytest.fixture
def other(launcher, monkeypatch):
    """`other(command, *options)` runs a command on the other device."""

    def run(*command):
        with monkeypatch.context() as context, there():
            if KIND == elsewhere.NAME:
                context.setattr(devices, "choose", lambda name: DEVICE)
            code = launcher.run([*map(str, command), "--device", "cuda"])
        torch.use_deterministic_algorithms(False)
        assert code == 0, command

    return run


@pytest.fixture
def cpu(launcher):
    def run(*command):
        code = launcher.run([*map(str, command), "--device", "cpu"])
        torch.use_deterministic_algorithms(False)
        assert code == 0, command

    return run


def both(cpu, other, command, tmp_path, **outputs):
    """Run a command on both devices; `outputs` are its options for paths, with file names. Returns the folders of both."""
    folders = []
    for run, place in ((cpu, "cpu"), (other, "other")):
        folder = tmp_path / place
        folder.mkdir(exist_ok=True)
        told = []
        for name, files in outputs.items():
            files = files if isinstance(files, list) else [files]
            told += [f"--{name.replace('_', '-')}", *(folder / file for file in files)]
        run(*command, *told)
        folders.append(folder)
    return folders


# --- the device that stands for a GPU --------------------------------------------------------------------------------------------------


def test_what_is_left_on_the_cpu_is_caught():
    with there():
        here, away = torch.arange(6.0).reshape(2, 3), torch.arange(6.0).reshape(2, 3).to(DEVICE)
        table = nn.Embedding(6, 2).to(DEVICE)
        assert away.device.type == torch.zeros(2, device=away.device).device.type == KIND
        assert (away + torch.tensor(2.0)).device == away.device  # a number, as on a GPU
        for wrong in (
            lambda: away + torch.zeros(3),
            lambda: away @ torch.ones(3, 1),
            lambda: torch.cat([away, here]),
            lambda: torch.where(torch.ones(2, 3, dtype=torch.bool), away, 0.0),
            lambda: table(torch.arange(3)),
            lambda: here[away[0].long()],
            lambda: away.gather(1, torch.zeros(2, 1, dtype=torch.long)),
        ):
            with pytest.raises((elsewhere.Mixed, RuntimeError)):
                wrong()
        with pytest.raises((TypeError, RuntimeError)):
            away.numpy()
        assert torch.equal(away.cpu(), here)


# --- training --------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", TRAININGS)
def test_training_gives_the_cpus_weights(cpu, other, tiny, tmp_path, kind):
    script, *options = TRAININGS[kind]
    given = [f"dna/{script}", *options, "--data", tiny / "s.npz", "--steps", 12, "--batch", 16]
    if script == "train_latent_diffusion":
        folder = tiny / "patch"
        if kind == "unet":  # whose latents are pictures
            folder, (_, *conv) = tmp_path / "ae", TRAININGS["conv"]
            cpu("dna/train_autoencoder", *conv, "--data", tiny / "s.npz", "--steps", 4, "--batch", 16, "--out", folder)
        given += ["--autoencoder", folder]
    places = both(cpu, other, given, tmp_path, out="m")
    name = f"m/unet/{WEIGHTS}" if script == "train_latent_diffusion" else f"m/{WEIGHTS}"
    mine, theirs = (read_tensors(place / name) for place in places)
    assert mine.keys() == theirs.keys()
    # sums may be ordered otherwise, and where a gradient is nothing but rounding, Adam makes a step of it; another batch would move all
    near = 1e-4 if KIND == elsewhere.NAME else 5e-3
    close = [torch.isclose(mine[name], theirs[name], atol=near, rtol=near).flatten() for name in mine]
    assert torch.cat(close).float().mean() > 0.8
    curves = [pd.read_csv(place / "m/curve.tsv", sep="\t") for place in places]
    assert np.allclose(*curves, rtol=2e-3)


def test_an_interrupted_training_goes_on_there_and_not_from_the_cpus_checkpoint(tmp_path):
    torch.manual_seed(0)
    recipe, told = Recipe(steps=6, batch=2, learning_rate=0.1), []

    def trained(folder, device, last=6):
        torch.manual_seed(1)
        network = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 1)).to(device)

        def loss(network, step):
            if step == last:
                raise KeyboardInterrupt
            x = torch.from_numpy(np.random.default_rng(step).random((8, 3), dtype=np.float32))
            return network(x.to(devices.device_of(network))).square().mean()

        found = train(network, loss, recipe, lambda network: 0.0, folder, "m", save_every=2, tell=told.append)
        return [tensor.cpu() for tensor in found.network.state_dict().values()]

    try:
        with there():
            whole = trained(tmp_path / "whole", DEVICE)
            with pytest.raises(KeyboardInterrupt):
                trained(tmp_path / "cut", DEVICE, last=5)
            again = trained(tmp_path / "cut", DEVICE)
        assert all(torch.equal(a, b) for a, b in zip(whole, again, strict=True))
        assert told.count("taken up at step 4 of 6") == 1
        with pytest.raises(KeyboardInterrupt):
            trained(tmp_path / "here", "cpu", last=5)
        with there():
            trained(tmp_path / "here", DEVICE)
        assert told.count("taken up at step 4 of 6") == 1
    finally:
        torch.use_deterministic_algorithms(False)


def test_an_operation_that_is_never_deterministic_warns_on_a_gpu_and_leaves_no_trace(tmp_path):
    told, steps = [], []

    def loss(network, step):
        steps.append(step)
        strict = (
            torch.are_deterministic_algorithms_enabled() and not torch.is_deterministic_algorithms_warn_only_enabled()
        )
        x = torch.ones(4, 3).to(devices.device_of(network))
        found = network(x).square().mean()
        if strict:
            raise RuntimeError("some_backward_cuda does not have a deterministic implementation\nand more")
        return found

    try:
        with there():
            network = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4)).to(DEVICE)
            recipe = Recipe(steps=3, batch=2, learning_rate=0.1)
            found = train(network, loss, recipe, lambda network: 0.0, tmp_path, "m", tell=told.append).network
        assert steps == [0, 0, 1, 2] and int(network[1].num_batches_tracked.cpu()) == 3
        assert (
            told[0]
            == "not deterministic on this device: some_backward_cuda does not have a deterministic implementation"
        )
        assert devices.device_of(found).type == KIND
        with pytest.raises(RuntimeError, match="deterministic"):
            train(nn.Linear(3, 4), loss, recipe, lambda network: 0.0, tmp_path / "cpu", "m", tell=told.append)
    finally:
        torch.use_deterministic_algorithms(False)


# --- what trained models are asked ------------------------------------------------------------------------------------------------------


def same(folders, name, close=2e-4):
    """Arrays of a file of both folders: whole numbers are equal, the others close."""
    mine, theirs = (read_arrays(folder / name) for folder in folders)
    assert mine.keys() == theirs.keys()
    for key, array in mine.items():
        if array.dtype.kind == "f":
            assert np.allclose(array, theirs[key], atol=close, rtol=1e-2), key
        else:
            assert (array == theirs[key]).mean() > 0.99, key


@pytest.fixture
def drawn(cpu, tiny, tmp_path):
    """Samples of `latent` with their posterior and calibration, and of `recurrent`, drawn on the CPU."""
    for name, more in (("latent", ("--nfe", 3, "--posterior")), ("recurrent", ())):
        given = ("--generator", tiny / name, "--data", tiny / "s.npz", "--name", name, *more)
        sets = [tmp_path / f"{name}.{species}.fa" for species in "ab"]
        cpu("dna/sample_generator", *given, "--out", tmp_path / f"{name}.npz", "--sets", *sets)
    given = ("--generator", tiny / "latent", "--data", tiny / "s.npz", "--name", "l", "--number", 20, "--replicates", 2)
    cpu("dna/calibrate_generator", *given, "--out", tmp_path / "c.json", "--table", tmp_path / "c.tsv")
    return tmp_path


@pytest.mark.parametrize("kind", GENERATORS)
def test_samples_and_posteriors_are_the_cpus(cpu, other, tiny, tmp_path, kind):
    more = {"latent": ["--nfe", 3, "--guidance", 1.5], "onehot": ["--nfe", 3], "masked": ["--rounds", 4]}.get(kind, [])
    more += [] if kind in ("recurrent", "transformer") else ["--posterior"]
    given = ("dna/sample_generator", "--generator", tiny / kind, "--data", tiny / "s.npz", "--name", "x", *more)
    same(both(cpu, other, given, tmp_path, out="x.npz", sets=["a.fa", "b.fa"]), "x.npz")


@pytest.mark.parametrize("kind", ["transformer", "latent"])
def test_calibration_is_the_cpus(cpu, other, tiny, tmp_path, kind):
    given = ("dna/calibrate_generator", "--generator", tiny / kind, "--data", tiny / "s.npz", "--name", "x")
    given += ("--number", 20, "--replicates", 2)
    folders = both(cpu, other, given, tmp_path, out="c.json", table="c.tsv")
    mine, theirs = (json.loads((folder / "c.json").read_text())["temperature"] for folder in folders)
    assert mine == pytest.approx(theirs, rel=1e-2)


@pytest.mark.parametrize(
    ("network", "more"),
    [
        ("recurrent", ()),
        ("transformer", ("--rule", "threshold", "--proposal", "product")),
        ("transformer", ("--rule", "sampled")),
    ],
)
def test_absorb_and_escape_edits_what_it_does_on_the_cpu(cpu, other, tiny, drawn, network, more):
    given = ("dna/refine_samples", "--samples", drawn / "latent.npz", "--autoregression", tiny / network)
    given += ("--data", tiny / "s.npz", "--name", "x", "--confidence", "calibrated", "--calibration", drawn / "c.json")
    folders = both(
        cpu, other, (*given, "--threshold", 0.4, *more), drawn, out="r.npz", sets=["a.fa", "b.fa"], table="r.tsv"
    )
    same(folders, "r.npz")
    assert read_arrays(folders[0] / "r.npz")["edited"].any()
    control = (*given[:9], "--control", "refill", "--like", folders[0] / "r.npz")
    same(both(cpu, other, control, drawn, out="c.npz", sets=["c.fa", "d.fa"], table="c.tsv"), "c.npz")


def test_descriptions_and_the_sweep_are_the_cpus(cpu, other, tiny, drawn):
    judges = (
        "--data",
        tiny / "s.npz",
        "--embedding",
        tiny / "embedding",
        "--autoencoder",
        tiny / "patch",
        "--components",
        4,
    )
    same(both(cpu, other, ("dna/describe_set", *judges, "--fold", "test"), drawn, out="t.npz"), "t.npz", 1e-3)
    sets = [drawn / f"latent.{species}.fa" for species in "ab"]
    given = ("dna/describe_set", *judges, "--sets", *sets, "--real", drawn / "cpu" / "t.npz")
    same(both(cpu, other, given, drawn, out="l.npz"), "l.npz", 1e-2)  # the discriminator learns there, too
    given = ("dna/sweep_refinement", *judges, "--samples", drawn / "latent.npz", "--alone", drawn / "recurrent.npz")
    given += (
        "--autoregression",
        tiny / "recurrent",
        "--calibration",
        drawn / "c.json",
        "--number",
        20,
        "--replicates",
        2,
    )
    given += ("--rules", "threshold", "--thresholds", "calibrated", 0.4)
    folders = both(cpu, other, given, drawn, out="s.tsv", chosen="s.json")
    run = ("--run", "patch", "codewords", "angular", 16, 0, drawn / "latent.npz", "--number", 20, "--replicates", 2)
    more = both(cpu, other, ("dna/measure_latent_grid", *judges, *run), drawn, out="g.tsv")
    for pair, name in ((folders, "s.tsv"), (more, "g.tsv")):
        mine, theirs = (pd.read_csv(folder / name, sep="\t")["value"] for folder in pair)
        assert np.allclose(mine, theirs, rtol=0.05, atol=0.02)


def test_scores_and_bits_are_the_cpus(cpu, other, tiny, drawn):
    models = ("--models", tiny / "recurrent", tiny / "transformer")
    given = ("dna/score_sequences", *models, "--data", tiny / "s.npz", "--ood", f"x={drawn / 'latent.a.fa'}")
    pair = both(cpu, other, (*given, "--replicates", 2), drawn, out="d.tsv", sequences="s.tsv")
    mine, theirs = (pd.read_csv(folder / "s.tsv", sep="\t").select_dtypes("number") for folder in pair)
    assert np.allclose(mine, theirs, atol=1e-4)
    given = (
        "dna/measure_bits",
        "--model",
        tiny / "recurrent",
        "--name",
        "x",
        "--data",
        tiny / "s.npz",
        "--replicates",
        2,
    )
    pair = both(cpu, other, given, drawn, out="b.tsv")
    mine, theirs = (pd.read_csv(folder / "b.tsv", sep="\t")["value"] for folder in pair)
    assert np.allclose(mine, theirs, atol=1e-4)


# --- students of an ensemble ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("family", ["end", "dirichlet", "laplace"])
def test_students_of_promoters_are_the_cpus(cpu, other, tiny, drawn, family):
    models = (tiny / "recurrent", tiny / "transformer")
    given = ("translation/cache_base_teachers", "--models", *models, "--data", tiny / "s.npz")
    folders = both(cpu, other, given, drawn, out="teachers.npz")
    same(folders, "teachers.npz", close=2e-3)  # of half precision
    given = ("translation/train_base_student", "--family", family, "--cache", folders[0] / "teachers.npz")
    given += ("--start", models[0], "--steps", 6, "--batch", 16)
    both(cpu, other, given, drawn, out=family)
    for name in (f"network/{WEIGHTS}", "head.safetensors"):
        mine, theirs = (read_tensors(folder / family / name) for folder in folders)
        assert mine.keys() == theirs.keys()
        for key, tensor in mine.items():
            assert torch.allclose(tensor, theirs[key], atol=1e-3, rtol=1e-2), key
    sets = [f"drawn={drawn / f'recurrent.{species}.fa'}" for species in "ab"]
    for system, folder in ((family, folders[0] / family), ("ensemble", models)):
        given = ("translation/score_base_system", "--system", system, "--data", tiny / "s.npz", "--ood", *sets)
        given += ("--models", *(folder if isinstance(folder, tuple) else [folder]), "--samples", 3)
        both(cpu, other, given, drawn, out="scored.tsv")
        mine, theirs = (pd.read_csv(one / "scored.tsv", sep="\t") for one in folders)
        numbers = mine.columns.drop(["set", "role"])
        assert (mine[["set", "role"]] == theirs[["set", "role"]]).all(axis=None)
        np.testing.assert_allclose(mine[numbers], theirs[numbers], atol=2e-3, rtol=1e-2)
