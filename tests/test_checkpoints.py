"""Checkpoints: whole or not there, without pickle, of one architecture; what a run must share with them."""

import json

import numpy as np
import pytest
import torch
from torch import nn

from genovision import checkpoints
from genovision.errors import InputError


def network(width: int = 3) -> nn.Module:
    torch.manual_seed(width)
    return nn.Sequential(nn.Linear(2, width), nn.BatchNorm1d(width), nn.Linear(width, 1))


def test_pickled_and_damaged_tensor_files_are_refused(tmp_path):
    torch.save({"a": torch.zeros(3)}, tmp_path / "a.pt")
    checkpoints.write_tensors({"a": torch.zeros(300)}, tmp_path / "b.safetensors")
    (tmp_path / "b.safetensors").write_bytes((tmp_path / "b.safetensors").read_bytes()[:-100])
    (tmp_path / "c.safetensors").write_bytes(b"")
    for name in ("a.pt", "b.safetensors", "c.safetensors"):
        with pytest.raises(InputError, match="no whole safetensors"):
            checkpoints.read_tensors(tmp_path / name)


def test_the_newest_whole_checkpoint_is_taken_and_older_ones_go(tmp_path):
    for step in (10, 20, 30):
        checkpoints.save(tmp_path, step, {"a": torch.full((3,), float(step))}, {"fingerprint": "f"})
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        f"step0000000{step}.{suffix}" for step in (20, 30) for suffix in ("json", "safetensors")
    ]
    tensors, facts = checkpoints.newest(tmp_path, "f")
    assert facts["step"] == 30 and tensors["a"][0] == 30
    assert checkpoints.newest(tmp_path, "another run") is None
    newest = tmp_path / "step000000030.safetensors"
    newest.write_bytes(newest.read_bytes()[:-1])  # torn
    assert checkpoints.newest(tmp_path, "f")[1]["step"] == 20
    (tmp_path / "step000000020.json").write_text(json.dumps({"fingerprint": "f"})[:-4])
    assert checkpoints.newest(tmp_path, "f") is None
    checkpoints.clear(tmp_path)
    assert not tmp_path.exists()


def test_state_of_network_and_optimizer_comes_back():
    trained, other = network(), network()
    optimizer = torch.optim.AdamW(trained.parameters(), lr=0.1)
    trained(torch.rand(4, 2)).sum().backward()
    optimizer.step()
    taken = torch.optim.AdamW(other.parameters(), lr=0.1)
    checkpoints.restore(other, taken, checkpoints.state(trained, optimizer), "x")
    assert all(
        torch.equal(a, b) for a, b in zip(trained.state_dict().values(), other.state_dict().values(), strict=True)
    )
    for a, b in zip(trained.parameters(), other.parameters(), strict=True):
        assert all(
            torch.equal(optimizer.state[a][key], taken.state[b][key]) for key in ("step", "exp_avg", "exp_avg_sq")
        )


def test_another_architecture_is_refused_with_the_first_difference():
    with pytest.raises(
        InputError, match=r"a\.safetensors is .* another architecture: 0\.bias is \(4,\), \(3,\) is needed"
    ):
        checkpoints.load_into(network(), network(4).state_dict(), "a.safetensors")
    with pytest.raises(InputError, match=r"it lacks 0\.weight"):
        checkpoints.load_into(network(), {"0.bias": torch.zeros(3)} | network()[1:].state_dict(), "a.safetensors")


def test_a_fingerprint_changes_with_the_network_the_recipe_and_the_data():
    marks = [
        checkpoints.fingerprint(network(width), {"seed": seed}, np.full(3, value))
        for width, seed, value in ((3, 0, 0), (3, 0, 0), (4, 0, 0), (3, 1, 0), (3, 0, 1))
    ]
    assert marks[0] == marks[1] and len(set(marks)) == 4
