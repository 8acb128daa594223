"""The command: what it writes goes into the scheduler; what is wrong is one sentence, and leaves no file."""

import json

import numpy as np
import pytest
import torch

from genovision.samplers import DEISSNScheduler, beds
from genovision.samplers.sampling import sample
from genovision.samplers.statistics import Trace, plain_config, sample_noise
from genovision.tables import read_table

COMMAND = "samplers/collect_normalizer"
QUICK = ("--samples", 24, "--batch", 10, "--steps", 100, "--times", 40)


def outputs(folder):
    return ("--out", folder / "n.json", "--trace", folder / "t.npz", "--flatness", folder / "f.tsv")


def test_its_configuration_makes_a_scheduler_that_is_better_than_plain_deis(command, tmp_path):
    code, said = command(COMMAND, "--denoiser", "bed:anisotropic", *QUICK, "--grids", 5, 8, *outputs(tmp_path))
    assert code == 0 and "%" not in said
    written = json.loads((tmp_path / "n.json").read_text())
    assert written["metadata"] == {
        "batch": 10, "kept": 24, "model": "", "per": "all", "samples": 24, "seed": 0, "steps": 100,
    }  # fmt: skip
    assert sorted(written["config"]["time_grids"]) == ["5", "8"]
    bed = beds.denoiser("anisotropic")
    noise = torch.from_numpy(np.stack([sample_noise(1, i, bed.shape) for i in range(100)]))
    errors = []
    for options in (written["config"], {}):
        scheduler = DEISSNScheduler(**plain_config(bed.scheduler_config), **options)
        scheduler.set_timesteps(5)
        errors.append(float((sample(bed, scheduler, noise) - bed.solution(noise)).square().mean().sqrt()))
    assert errors[0] < 0.7 * errors[1]
    trace = Trace.read(tmp_path / "t.npz")
    assert len(trace.times) == 40 and trace.facts["samples"] == 24
    assert written["config"]["normalizer"] == trace.mean_abs_eps.tolist()
    assert set(read_table(tmp_path / "f.tsv").method) == {"deis", "deis-sn", "deis-sn per pixel", "deis affine"}


def test_the_same_command_writes_the_same_bytes(command, tmp_path):
    for name in ("a", "b"):
        options = ("--per", "pixel", "--affine", "--grids", 4, *outputs(tmp_path / name))
        assert command(COMMAND, "--denoiser", "bed:mixture", *QUICK, *options)[0] == 0
    for name in ("n.json", "t.npz", "f.tsv"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()
    config = json.loads((tmp_path / "a" / "n.json").read_text())["config"]
    assert config["normalizer_shape"] == config["affine_shape"] == [1, 4, 4]
    assert len(config["affine_slope"]) == 40 * 16


def test_it_tells_whether_to_normalise(launcher, capsys, tmp_path):
    options = ["--denoiser", "bed:isotropic", *map(str, QUICK), "--out", str(tmp_path / "n.json")]
    assert launcher.run([COMMAND, *options]) == 0
    assert "bed:isotropic: 24 paths of 100 steps; use score normalisation" in capsys.readouterr().out
    assert [path.name for path in tmp_path.iterdir()] == ["n.json"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (("--denoiser", "bed:none"), "there is no bed 'none'"),
        (("--denoiser", "nowhere"), "there is no denoiser nowhere"),
        (("--samples", 1), "num_samples 1: give 2 or more"),
        (("--batch", 0), "batch_size 0: give 1 or more"),
        (("--threads", 0), "--threads 0 must be 1 or more"),
        (("--seed", -1), "--seed -1 not below 0"),
        (("--order", 5), "--order 5 must be 1, 2, 3 or 4"),
        (("--times", 101), "--times 101 must lie between 8 and --steps 100"),
        (("--grids", 3, 41), "--grids 41: a grid has 1 to 40 steps"),
    ],
)
def test_bad_options_are_one_sentence_and_leave_nothing(command, tmp_path, changes, message):
    code, said = command(COMMAND, "--denoiser", "bed:isotropic", *QUICK, *outputs(tmp_path), *changes)
    assert code == 2
    assert message in said and "Traceback" not in said
    assert not list(tmp_path.iterdir())
