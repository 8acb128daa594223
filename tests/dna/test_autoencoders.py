"""Autoencoders of DNA: the authors' sizes, what comes back, how they are kept, and what is refused."""

import itertools
import json
import shutil

import numpy as np
import pandas as pd
import pytest
import torch
from peers import mend_torchvision

from genovision.dna.examples import Examples as Sequences
from genovision.dna.examples import write_examples
from genovision.errors import InputError

mend_torchvision()  # diffusers imports transformers where it is installed, and that imports torchvision

from genovision.dna.autoencoders import (  # noqa: E402
    SHORT,
    ConvAutoencoder,
    Examples,
    Moments,
    PatchAutoencoder,
    accuracy,
    build,
    one_hot,
    read_autoencoder,
    statistics,
    write_autoencoder,
)


def codes(number=40, length=64, seed=0):
    return np.random.default_rng(seed).integers(0, 4, (number, length), dtype=np.uint8)


FACTS = {"species": ["A_one", "B_two"], "length": 64, "loss": 1.0, "held_out": 1.0}


def test_the_authors_network_has_their_latents_and_their_size():
    network = build("conv")
    assert network.shape == (16, 16, 16)
    # dna.md 2.1 by hand: a unit is normalisation 2 d, convolution k d d' + d'; a level adds a unit of kernel 1
    widths = [64, 76, 90, 108, 128]

    def level(a, b, kernel):
        return 2 * a + kernel * a * b + b + 2 * b + b * b + b

    tower = sum(level(a, b, 5) for a, b in itertools.pairwise(widths))
    back = sum(level(b, a, 5) for a, b in itertools.pairwise(widths))
    maps = [1, 8, 16, 32]
    shrink = sum(9 * a * b + b + 2 * b for a, b in itertools.pairwise(maps))
    grow = sum(9 * a * b + b + 2 * b for a, b in ((32, 16), (16, 8), (8, 8)))
    middle = 32 * 32 + 32 + 16 * 32 + 32 + 9 * 8 + 1
    wanted = level(4, 64, 15) + tower + shrink + middle + grow + back + level(64, 4, 15)
    assert sum(p.numel() for p in network.parameters()) == wanted == 454_785
    examples = Examples(codes(4, 2048), batch=2, seed=0, kl_weight=1e-6)
    before = network.bases.unit.conv.weight.clone()
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-4)
    loss = examples.loss(network, 0)
    assert loss.item() > 2048  # nats: above one a base before training
    loss.backward()
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in network.parameters())
    optimizer.step()
    assert not torch.equal(before, network.bases.unit.conv.weight)
    assert network.eval().decode(network.encode(examples.codes[:2]).mean).shape == (2, 2048, 4)


@pytest.mark.parametrize(
    ("architecture", "options", "shape"),
    [
        ("patch", {"length": 64, "patch": 4, "channels": 6}, (6, 1, 16)),
        ("patch", {"length": 64, "patch": 8}, (8, 1, 8)),
        ("conv", {"length": 64, "pools": 2, "width": 16, "maps": (4, 8)}, (4, 4, 4)),
        ("conv", {"length": 256} | SHORT, (16, 16, 16)),
    ],
)
def test_shapes_and_codes_or_one_hot_are_the_same(architecture, options, shape):
    network = build(architecture, **options).eval()
    x = torch.from_numpy(codes(3, options["length"]))
    found, same = network.encode(x), network.encode(one_hot(x))
    assert network.shape == shape and found.mean.shape == found.logvar.shape == (3, *shape)
    assert torch.equal(found.mean, same.mean)
    assert network.decode(found.mean).shape == (3, options["length"], 4)


def test_weights_depend_on_the_seed_alone():
    first, again, other = (build("patch", seed, length=64).encoder[0].weight for seed in (0, 0, 1))
    assert torch.equal(first, again) and not torch.equal(first, other)


def test_divergence_is_that_of_normal_distributions():
    torch.manual_seed(0)
    mean, logvar = torch.randn(3, 2, 1, 5), torch.randn(3, 2, 1, 5)
    own = torch.distributions.Normal(mean, torch.exp(logvar / 2))
    wanted = torch.distributions.kl_divergence(own, torch.distributions.Normal(0.0, 1.0)).flatten(1).sum(1)
    torch.testing.assert_close(Moments(mean, logvar).divergence(), wanted)


def test_codewords_are_the_means_of_the_patches():
    network = build("patch", length=64, patch=4).eval()
    x = torch.from_numpy(codes(5))
    words = network.words(x)
    assert network.codewords().shape == (256, 8) and words.shape == (5, 16)
    assert int(words[0, 0]) == int("".join(map(str, x[0, :4].tolist())), 4)
    torch.testing.assert_close(network.codewords()[words].movedim(-1, 1)[:, :, None], network.encode(x).mean)
    with pytest.raises(ValueError, match="65536 codewords"):
        build("patch", length=64, patch=8).codewords()


def test_the_loss_of_a_step_is_the_same_whenever_it_is_asked_for_and_sums_over_a_sequence():
    network = build("patch", length=64)
    examples = Examples(codes(), batch=8, seed=3, kl_weight=0.5)
    with torch.no_grad():
        first, again, other = (float(examples.loss(network, step)) for step in (7, 7, 8))
    assert first == again != other
    free = Examples(codes(), batch=8, seed=3, kl_weight=0.0)
    rows = np.random.default_rng([3, 7]).integers(40, size=8)
    divergence = network.encode(torch.from_numpy(codes()[rows])).divergence().mean()
    torch.testing.assert_close(examples.loss(network, 7), free.loss(network, 7) + 0.5 * divergence)
    assert 64 < free.loss(network, 7).item() < 64 * 3


@pytest.fixture
def sequences(tmp_path):
    found = codes(60)
    fold = np.repeat([0, 1, 2], 20).astype(np.uint8)
    species = np.tile([0, 1], 30)
    write_examples(tmp_path / "s.npz", Sequences(found, species, fold, ("A_one", "B_two")))
    return tmp_path / "s.npz"


def files(folder):
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir()) if path.is_file()}


@pytest.mark.parametrize("options", [("patch", "--steps", 60), ("conv", "--steps", 6, "--width", 16, "--maps", 4, 8)])
def test_a_killed_run_ends_with_the_same_bytes(command, sequences, tmp_path, monkeypatch, options):
    from genovision import training

    options = ("--architecture", *options, "--data", sequences, "--batch", 8, "--save-every", 3)
    assert command("dna/train_autoencoder", *options, "--out", tmp_path / "whole")[0] == 0
    step = training._step

    def killed(*arguments):
        if arguments[-1] == 5:
            raise KeyboardInterrupt
        return step(*arguments)

    monkeypatch.setattr(training, "_step", killed)
    with pytest.raises(KeyboardInterrupt):
        command("dna/train_autoencoder", *options, "--out", tmp_path / "killed")
    assert list((tmp_path / "killed" / "checkpoints").glob("*.safetensors"))
    monkeypatch.setattr(training, "_step", step)
    assert command("dna/train_autoencoder", *options, "--out", tmp_path / "killed")[0] == 0
    assert files(tmp_path / "whole") == files(tmp_path / "killed")
    assert not (tmp_path / "killed" / "checkpoints").exists()
    network, facts = read_autoencoder(tmp_path / "whole")
    assert facts["species"] == ["A_one", "B_two"] and facts["training_sequences"] == 20 and facts["length"] == 64
    assert facts["kind"] == "autoencoder" and facts["bits_per_base"] is None and facts["seed"] == 0
    assert facts["parameters"] == sum(p.numel() for p in network.parameters())
    assert facts["held_out"] == facts["statistics"]["accuracy_mean"]
    table = pd.read_csv(tmp_path / "whole" / "statistics.tsv", sep="\t").iloc[0]
    wanted = statistics(network, codes(60)[20:40])
    assert table["fold"] == "validation" and table["sequences"] == 20
    assert accuracy(network, codes(60)[20:40]) == pytest.approx(wanted.accuracy_mean)
    assert table["accuracy_mean"] == pytest.approx(wanted.accuracy_mean)
    assert table["posterior_std"] == pytest.approx(wanted.posterior_std)
    assert len(pd.read_csv(tmp_path / "whole" / "curve.tsv", sep="\t")) >= 6


def test_patches_of_random_bases_come_back_after_a_short_training(command, sequences, tmp_path):
    options = ("--data", sequences, "--steps", 150, "--batch", 16)
    assert command("dna/train_autoencoder", *options, "--out", tmp_path / "model")[0] == 0
    network, facts = read_autoencoder(tmp_path / "model")
    assert facts["held_out"] > 0.99
    assert not network.training
    loaded = PatchAutoencoder.from_pretrained(tmp_path / "model")
    x = torch.from_numpy(codes(3))
    assert torch.equal(loaded.eval().encode(x).mean, network.encode(x).mean)
    loaded.save_pretrained(tmp_path / "again")
    assert torch.equal(PatchAutoencoder.from_pretrained(tmp_path / "again").encode(x).mean, network.encode(x).mean)


def test_what_was_written_comes_back(tmp_path):
    written = build("conv", length=64, pools=2, width=16, maps=(4, 8)).eval()
    write_autoencoder(tmp_path, written, FACTS)
    network, facts = read_autoencoder(tmp_path)
    x = torch.from_numpy(codes(3))
    assert torch.equal(network.encode(x).mean, written.encode(x).mean)
    assert facts["architecture"] == "conv" and facts["latent"] == [4, 4, 4]
    loaded = ConvAutoencoder.from_pretrained(tmp_path).eval()
    assert torch.equal(loaded.encode(x).mean, written.encode(x).mean)


@pytest.mark.parametrize(
    ("file", "change", "message"),
    [
        ("dna.json", None, "is no folder of a trained autoencoder model: it has no dna.json"),
        ("dna.json", {"kind": "latent"}, "another kind of model .latent.; autoencoder is needed"),
        ("dna.json", {"loss": float("nan")}, "diverged in training; lower its learning rate"),
        ("dna.json", {"loss": None}, "diverged in training"),
        ("config.json", None, "config.json is missing"),
        ("config.json", {"_class_name": "AutoencoderKL"}, "is of a AutoencoderKL; PatchAutoencoder or ConvAutoencoder"),
        ("config.json", {"patch": 5}, "describes no autoencoder"),
        ("config.json", {"wings": 2}, "describes no autoencoder"),
        ("config.json", {"width": 64}, "another architecture: .* is needed"),
        ("diffusion_pytorch_model.safetensors", None, "diffusion_pytorch_model.safetensors is missing"),
    ],
)
def test_what_does_not_fit_is_told_in_one_sentence(tmp_path, file, change, message):
    write_autoencoder(tmp_path / "model", build("patch", length=64), FACTS)
    shutil.copytree(tmp_path / "model", tmp_path / "copy")
    path = tmp_path / "copy" / file
    if change is None:
        path.unlink()
    else:
        path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(InputError, match=message) as caught:
        read_autoencoder(tmp_path / "copy")
    assert str(caught.value).count("\n") == 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--patch", 5), "no patch autoencoder of this kind: patches of 5 bases, length 64"),
        (("--architecture", "conv", "--pools", 5), "cannot be halved 5 and 2 times"),
        (("--steps", 0), "steps 0 >= 1"),
        (("--kl-weight", -1), "--kl-weight -1.0 must be 0 or more"),
        (("--threads", 0), "--threads 0 must be 1 or more"),
        (("--data", "nowhere.npz"), "nowhere.npz"),
        (("--learning-rate", 1e30, "--steps", 20), "the autoencoder diverged at step"),
    ],
)
def test_the_command_says_what_is_wrong_and_writes_nothing(command, sequences, tmp_path, options, message):
    given = ("--data", sequences, "--batch", 8, *options, "--out", tmp_path / "model")
    code, err = command("dna/train_autoencoder", *given)
    assert code == 2 and message in err
    assert not (tmp_path / "model" / "dna.json").exists()
    assert not (tmp_path / "model" / "diffusion_pytorch_model.safetensors").exists()
