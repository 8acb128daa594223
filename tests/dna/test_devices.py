"""Which device is chosen; and all that generators do on another device than the CPU (other_device.py)."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from checkouts import ROOT
from torch import nn

from genovision import devices
from genovision.errors import InputError


def test_a_device_is_chosen_by_name(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert devices.choose() == devices.choose("cpu") == torch.device("cpu")
    for name, told in (
        ("gpu", "choose auto, cpu, cuda or cuda:N"),
        ("cuda:x", "choose auto"),
        ("cuda", "finds no GPU"),
    ):
        with pytest.raises(InputError, match=told):
            devices.choose(name)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", ":16:8")
    try:
        assert devices.choose() == torch.device("cuda") and devices.choose("cuda:1") == torch.device("cuda:1")
        assert torch.is_deterministic_algorithms_warn_only_enabled()
        with pytest.raises(InputError, match="this machine has 2 GPUs, counted from 0"):
            devices.choose("cuda:2")
    finally:
        torch.use_deterministic_algorithms(False)
    assert (
        devices.device_of(nn.Linear(1, 1))
        == devices.device_of(nn.Identity())
        == devices.device_of(len)
        == torch.device("cpu")
    )


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_gpu_that_is_not_there_is_refused_in_a_sentence(command, tiny, tmp_path):
    given = ("--data", tiny / "s.npz", "--out", tmp_path / "m", "--device", "cuda")
    code, err = command("dna/train_autoencoder", *given)
    assert code == 2 and "finds no GPU here; choose cpu (gpu: 0 in the configuration)" in err
    assert not (tmp_path / "m").exists()


@pytest.mark.parametrize("device", ["elsewhere", pytest.param("cuda", marks=pytest.mark.cuda)])
def test_generators_on_another_device(device):
    if device == "cuda" and not torch.cuda.is_available():
        pytest.skip("no GPU of CUDA is here")
    tests = Path(__file__).with_name("other_device.py")
    command = [sys.executable, "-m", "pytest", "-q", "-x", "--tb=short", "-p", "no:cacheprovider", tests]
    found = subprocess.run(command, cwd=ROOT, env=os.environ | {"OTHER_DEVICE": device}, capture_output=True, text=True)
    assert found.returncode == 0, found.stdout[-8000:]
