"""Latent diffusion of DNA: what the denoiser knows, what is drawn and from what, how it is kept, and what is refused."""

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

from genovision.dna.autoencoders import build, write_autoencoder  # noqa: E402
from genovision.dna.latent_diffusion import (  # noqa: E402
    BETAS,
    Examples,
    alpha_bar,
    log_frequencies,
    log_ratios,
    network_for,
    no_scale,
    noise_config,
    read_latent_diffusion,
    scale_of,
)
from genovision.resampling import stream  # noqa: E402
from genovision.samplers.catalogue import run, settings  # noqa: E402
from genovision.samplers.denoisers import read_denoiser  # noqa: E402
from genovision.samplers.references import open_denoiser  # noqa: E402
from genovision.samplers.sequence_networks import SequenceDenoiser  # noqa: E402

LENGTH = 32
NAMES = ("A_one", "B_two")
FACTS = {"species": list(NAMES), "length": LENGTH, "loss": 1.0, "held_out": 1.0}


def codes(number, seed=0):
    """Sequences with a word at one place: TATA in one species, GCGC in the other."""
    rng = np.random.default_rng(seed)
    found = rng.integers(0, 4, (number, LENGTH), dtype=np.uint8)
    species = np.arange(number) % 2
    found[species == 0, 9:13] = [3, 0, 3, 0]
    found[species == 1, 9:13] = [2, 1, 2, 1]
    return found, species.astype(np.int64)


def told(tokens):
    """Share of sequences with TATA, and with GCGC, at their place."""
    word = tokens[:, 9:13]
    return (word == [3, 0, 3, 0]).all(axis=1).mean(), (word == [2, 1, 2, 1]).all(axis=1).mean()


@pytest.fixture(scope="session")
def material(tmp_path_factory):
    """sequences.npz and folders of a patch and of a conv autoencoder."""
    folder = tmp_path_factory.mktemp("latent")
    found, species = codes(4000)
    fold = np.repeat([0, 1, 2], [3600, 200, 200]).astype(np.uint8)
    write_examples(folder / "s.npz", Sequences(found, species, fold, NAMES))
    network = build("patch", length=LENGTH, patch=4, channels=6, width=32)
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-2)
    from genovision.dna.autoencoders import Examples as Reconstruction

    examples = Reconstruction(found, batch=32, seed=0, kl_weight=0.02)
    for step in range(300):
        optimizer.zero_grad()
        examples.loss(network, step).backward()
        optimizer.step()
    write_autoencoder(folder / "patch", network.eval(), FACTS)
    conv = build("conv", length=LENGTH, pools=1, width=16, maps=(4, 8))
    write_autoencoder(folder / "conv", conv.eval(), FACTS)
    return folder


def options(material, autoencoder="patch", *more):
    given = ("--data", material / "s.npz", "--autoencoder", material / autoencoder, "--batch", 16)
    small = ("--width", 32, "--blocks", 3, "--steps", 6)
    return (*given, *small, *more)


@pytest.fixture(scope="session")
def trained(material, tmp_path_factory, launcher):
    """A model that has learnt the words."""
    folder = tmp_path_factory.mktemp("trained") / "model"
    more = ("--steps", 300, "--batch", 32, "--learning-rate", 5e-3)
    arguments = map(str, (*options(material), *more, "--out", folder))
    assert launcher.run(["dna/train_latent_diffusion", *arguments]) == 0
    return folder


# --- the network ---------------------------------------------------------------------------------------------------------------------


def sequence_network(**options):
    given = {"in_channels": 4, "out_channels": 4, "sample_size": (1, 12), "width": 16, "blocks": 2}
    torch.manual_seed(0)
    network = SequenceDenoiser(**(given | options)).eval()
    with torch.no_grad():
        for parameter in network.parameters():  # the last layers of an untrained one are 0
            parameter.add_(0.1 * torch.randn_like(parameter))
    return network


def test_without_context_the_denoiser_is_the_exact_posterior_mean():
    torch.manual_seed(1)
    kept = np.cumprod(np.full(100, 0.96))
    network = SequenceDenoiser(4, 4, (1, 12), 8, 1, codewords=4, joint=1, times=100, num_class_embeds=2).eval()
    network.know(torch.randn(4, 4), kept, torch.randn(2, 12, 4).log_softmax(dim=2), torch.zeros(4, 4))
    x = torch.randn(3, 4, 1, 12)
    for t in (0, 30, 99):
        scale, spread = kept[t] ** 0.5, (1 - kept[t]) ** 0.5
        density = torch.distributions.Normal(0.0, float(spread))
        away = x[:, None, :, 0] - scale * network.codebook[None, :, :, None]
        weights = (density.log_prob(away).sum(dim=2) + network.prior[1].T).softmax(dim=1)
        wanted = torch.einsum("bkw,kc->bcw", weights, network.codebook)
        with torch.no_grad():
            torch.testing.assert_close(network(x, torch.tensor(float(t))).sample[:, :, 0], wanted)
    with torch.no_grad():  # between whole times, what it gives lies between
        ends = [network(x, torch.tensor(t)).sample for t in (30.0, 30.5, 31.0)]
    assert (ends[1] - (ends[0] + ends[2]) / 2).abs().max() < 0.05 * (ends[0] - ends[2]).abs().max()


def test_what_neighbours_say_is_exact_for_two_places():
    """Words of two letters, where the end of the first word and the beginning of the second are not independent."""
    torch.manual_seed(2)
    kept = np.cumprod(np.full(100, 0.96))
    network = SequenceDenoiser(3, 3, (1, 2), 8, 1, codewords=9, letters=3, joint=1, times=100).eval()
    prior, ratios = torch.randn(1, 2, 9).log_softmax(dim=2), torch.rand(3, 3) * 2
    network.know(torch.randn(9, 3), kept, prior, ratios.log())
    x = torch.randn(1, 3, 1, 2)
    words = torch.arange(9)
    joint = prior[0, 0, :, None] + prior[0, 1, None, :] + ratios.log()[words % 3][:, words // 3]
    for place, axis in ((0, (1, 0)), (1, (0, 1))):
        away = x[0, :, 0, place] - kept[40] ** 0.5 * network.codebook
        density = torch.distributions.Normal(0.0, float((1 - kept[40]) ** 0.5)).log_prob(away).sum(dim=1)
        joint = joint + density[(slice(None), None) if axis == (1, 0) else (None, slice(None))]
    wanted = joint.flatten().softmax(dim=0).view(9, 9)
    with torch.no_grad():
        found = network.answers(x, torch.tensor(40.0)).softmax(dim=-1)[0]
    torch.testing.assert_close(found[0], wanted.sum(dim=1), rtol=1e-3, atol=1e-5)
    torch.testing.assert_close(found[1], wanted.sum(dim=0), rtol=1e-3, atol=1e-5)


def test_time_place_neighbours_and_label_count_and_no_label_is_any():
    network = sequence_network(num_class_embeds=3)
    x = torch.randn(2, 4, 1, 12)
    with torch.no_grad():
        found = network(x, 5.0, torch.tensor([0, 2])).sample
        assert torch.equal(network(x, 5.0).sample, network(x, 5.0, torch.tensor([2, 2])).sample)
        torch.testing.assert_close(network(x, torch.tensor([5.0, 5.0])).sample[1], found[1])
        assert not torch.allclose(network(x, 6.0).sample, found)
        assert not torch.allclose(network(x, 5.0).sample[0], found[0])
        assert not torch.allclose(network(x.roll(4, dims=3), 5.0).sample.roll(-4, dims=3), network(x, 5.0).sample)
        changed = x.clone()
        changed[:, :, :, 3] += 1
        moved = (network(changed, 5.0).sample - network(x, 5.0).sample).abs().amax(dim=(0, 1, 2))
    # dilations 1 and 2 see three places to either side, the mean over all of them sees the others
    assert moved.min() > 0 and moved[7:].max() < moved[2:5].min()


def test_the_network_is_one_of_diffusers(tmp_path):
    network = sequence_network(num_class_embeds=3, codewords=16, joint=1)
    network.know(torch.randn(16, 4), np.linspace(0.99, 0.01, 1000), torch.zeros(3, 12, 16), torch.zeros(4, 4))
    network.save_pretrained(tmp_path)
    again = SequenceDenoiser.from_pretrained(tmp_path).eval()
    x = torch.randn(2, 4, 1, 12)
    with torch.no_grad():
        torch.testing.assert_close(network(x, 3.0).sample, again(x, 3.0, return_dict=False)[0])


@pytest.mark.parametrize(
    "options", [{"out_channels": 5}, {"sample_size": (2, 12)}, {"kernel": 4}, {"width": 0}, {"codewords": 15}]
)
def test_networks_that_cannot_be_are_refused(options):
    with pytest.raises(ValueError):
        sequence_network(**options)


# --- what it learns from -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("betas", BETAS)
def test_noise_schedules_are_those_of_diffusers(betas):
    from diffusers import DDPMScheduler

    config = noise_config(betas, "v_prediction")
    kept = DDPMScheduler.from_config(config).alphas_cumprod.double().numpy()
    np.testing.assert_allclose(alpha_bar(config), kept, rtol=1e-3, atol=1e-6)
    if betas == "angular":
        ratio = np.sqrt(1 / alpha_bar(config) - 1)
        assert ratio[[0, -1]] == pytest.approx([0.1, 10.0])
        assert np.ptp(np.diff(np.arctan(ratio))) == pytest.approx(0, abs=1e-9)


def test_scaled_latents_have_unit_spread(material):
    from genovision.dna.autoencoders import read_autoencoder

    autoencoder, _ = read_autoencoder(material / "patch")
    found = torch.from_numpy(codes(600)[0])
    scale = scale_of(autoencoder, codes(600)[0])
    moments = autoencoder.encode(found)
    drawn = scale.scaled(moments.sample(torch.randn(moments.mean.shape)))
    torch.testing.assert_close(drawn.mean(dim=(0, 2, 3)), torch.zeros(6), atol=0.05, rtol=0)
    torch.testing.assert_close(drawn.std(dim=(0, 2, 3)), torch.ones(6), atol=0.05, rtol=0)
    torch.testing.assert_close(scale.latents(scale.scaled(moments.mean)), moments.mean)
    assert torch.equal(no_scale(6).scaled(moments.mean), moments.mean)


@pytest.mark.parametrize("prediction", ["epsilon", "sample", "v_prediction"])
def test_the_loss_is_the_squared_error_of_what_is_predicted(material, prediction):
    """Of a network that gives 0, it is the mean square of the target: 1 for noise, and for latents of unit spread."""
    from genovision.dna.autoencoders import read_autoencoder

    autoencoder, _ = read_autoencoder(material / "patch")
    found, labels = codes(600)
    scale, scheduler = scale_of(autoencoder, found), noise_config("angular", prediction)
    examples = Examples(found, labels, autoencoder, scale, scheduler, species=2, batch=200, seed=0)
    network = network_for(autoencoder, 2, width=8, blocks=1)
    with torch.no_grad():
        losses = [examples.loss(network, step).item() for step in (0, 0, 1)]
    assert losses[0] == losses[1] != losses[2]
    assert losses == pytest.approx([1.0] * 3, abs=0.05)
    measure = examples.held_out(found, labels)
    assert measure(network) == measure(network) == pytest.approx(1.0, abs=0.05)


def test_frequencies_are_counted_by_label_and_place():
    words = torch.tensor([[0, 1, 1, 2, 2, 2]] * 30 + [[1, 1, 1, 1, 1, 1]] * 20)
    found = log_frequencies(words, torch.tensor([0] * 30 + [1] * 20), 4, 2).exp()
    assert found.shape == (3, 6, 4)
    torch.testing.assert_close(found.sum(dim=2), torch.ones(3, 6))
    whole = torch.tensor([30.5, 60.5, 90.5, 0.5]) / 182  # half a word of each of 4, and 180
    torch.testing.assert_close(found[0, 0], (torch.tensor([30.0, 7.5, 0.0, 0.0]) + 50 * whole) / 87.5)
    torch.testing.assert_close(found[0, 4], (torch.tensor([0.0, 0.0, 45.0, 0.0]) + 50 * whole) / 95)
    assert found[1, :, 1].min() > 0.95
    assert (found > 0).all()


def test_ratios_are_of_ends_and_beginnings():
    """Words of three letters out of four: one that ends in 23 is always followed by one that begins with 30."""
    rng = np.random.default_rng(0)
    words = torch.from_numpy(rng.integers(0, 64, (20000, 2)))
    words[:, 1] = torch.where(words[:, 0] % 16 == 11, words[:, 1] % 4 + 48, words[:, 1])
    found = log_ratios(words, 64, 16)
    assert found.shape == (16, 16)
    assert found.argmax() == 11 * 16 + 12
    assert found[11, 12].item() == pytest.approx(np.log(1 / (1 / 16 + 15 / 256)), abs=0.2)
    assert found[11, 3] < -1 and abs(found[0, 3]) < 0.4


def test_counts_are_a_start_and_can_be_left_out(material):
    """An untrained denoiser draws the words at their places from the counts alone, and without them it draws anything."""
    from genovision.dna.autoencoders import read_autoencoder

    autoencoder, _ = read_autoencoder(material / "patch")
    found, labels = codes(600)
    scheduler = noise_config("angular", "sample")
    examples = Examples(
        found, labels, autoencoder, scale_of(autoencoder, found), scheduler, species=2, batch=200, seed=0
    )
    network = network_for(autoencoder, 2, width=8, blocks=1, codewords=True).eval()
    losses = []
    for counts in (True, False):
        examples.know(network, counts)
        with torch.no_grad():
            losses.append(examples.loss(network, 0).item())
    assert losses[0] < losses[1] - 0.1
    assert network.prior.abs().max() == network.junction.abs().max() == 0 < network.codebook.abs().max()


# --- training and sampling -----------------------------------------------------------------------------------------------------------


def test_it_draws_the_words_of_the_species_that_is_asked_for(trained):
    model = read_latent_diffusion(trained)
    assert (model.kind, model.names, model.length) == ("latent", NAMES, LENGTH)
    labels = np.repeat([0, 1, 2], 60)
    drawn = model.draw(labels, 0, nfe=10)
    assert drawn.tokens.shape == drawn.confidence.shape == (180, LENGTH)
    assert drawn.tokens.dtype == np.uint8 and drawn.confidence.dtype == np.float32
    assert ((drawn.confidence > 0.25) & (drawn.confidence <= 1)).all()
    first, second, either = (told(drawn.tokens[labels == label]) for label in (0, 1, 2))
    assert first[0] > 0.8 and first[1] < 0.05
    assert second[1] > 0.8 and second[0] < 0.05
    assert min(either) > 0.1
    none = model.draw(labels, 0, nfe=10, guidance=0.0)  # the label is forgotten
    assert min(told(none.tokens[labels == 0])) > 0.05
    assert not np.array_equal(model.draw(labels, 0, nfe=10, guidance=3.0).tokens, drawn.tokens)


def test_what_is_drawn_depends_on_seed_and_place_and_not_on_the_batch(trained):
    model, labels = read_latent_diffusion(trained), np.arange(50) % 2
    told = []
    drawn = model.draw(labels, 1, nfe=6, progress=told.append)
    assert told == [1, 2, 3, 4, 5, 6]
    for batch in (7, 50):
        again = model.draw(labels, 1, nfe=6, batch=batch)
        assert np.array_equal(again.tokens, drawn.tokens)
        np.testing.assert_allclose(again.confidence, drawn.confidence, atol=1e-4)
    assert np.array_equal(model.draw(labels[:20], 1, nfe=6).tokens, drawn.tokens[:20])
    assert not np.array_equal(model.draw(labels, 2, nfe=6).tokens, drawn.tokens)
    assert model.draw(labels[:0], 1, nfe=2).tokens.shape == (0, LENGTH)


@pytest.mark.parametrize("sampler", ["ddim", "ddpm", "deis-2", "ipndm", "heun"])
def test_any_sampler_of_the_catalogue_draws(trained, sampler):
    drawn = read_latent_diffusion(trained).draw(np.repeat([0, 1], 20), 0, sampler=sampler, nfe=12)
    assert told(drawn.tokens[:20])[0] > 0.6 and told(drawn.tokens[20:])[1] > 0.6


def test_the_folder_is_a_denoiser_of_the_samplers(trained):
    model = read_denoiser(trained)
    assert model.shape == (6, 1, 8) and model.decode is None and model.prediction_type == "sample"
    source = open_denoiser(str(trained))
    noise = torch.randn(30, *source.shape, generator=torch.Generator().manual_seed(0))
    found, used = run(settings("dpm++2m", 0)[0], source.predict, noise, 8, source.config)
    assert used == 8 and torch.isfinite(found).all()
    network = model.network
    nearest = torch.cdist(found.movedim(1, 3).reshape(-1, 6), network.codebook).amin(dim=1)
    assert nearest.median() < 0.1  # it ends at codewords


def test_the_posterior_knows_the_words_and_says_little_of_the_rest(trained):
    model = read_latent_diffusion(trained)
    found, labels = codes(40, seed=5)
    spoilt = found.copy()
    spoilt[:, 10] = (spoilt[:, 10] + 1) % 4
    posterior = model.posterior(spoilt, labels, 0, tau=0.8)
    assert posterior.shape == (40, LENGTH, 4) and posterior.dtype == np.float32
    np.testing.assert_allclose(posterior.sum(axis=2), 1, atol=1e-5)
    rows = np.arange(40)
    assert posterior[rows, 10, found[:, 10]].mean() > 0.9
    assert posterior[:, 20:].max(axis=2).mean() < 0.8
    # a base does not vouch for itself, however little its latent is noised
    near = model.posterior(spoilt, labels, 0, tau=0.05, repeats=1)
    assert near[rows, 10, spoilt[:, 10]].mean() < 0.1
    assert near[:, 20:].max(axis=2).mean() < 0.8
    again = model.posterior(spoilt, labels, 0, tau=0.8, batch=7)
    np.testing.assert_allclose(again, posterior, atol=1e-5)


def test_a_decoder_is_as_sure_of_a_wrong_base_as_of_the_right_one(trained):
    model = read_latent_diffusion(trained)
    spoilt = codes(40, seed=5)[0].copy()
    spoilt[:, 10] = (spoilt[:, 10] + 1) % 4
    sure = model.decoder_confidence(spoilt, 0)
    assert sure.shape == (40, LENGTH) and sure.dtype == np.float32
    moments = model.autoencoder.encode(torch.from_numpy(spoilt))
    noise = stream(0, "latent diffusion/decoder").standard_normal(moments.mean.shape, dtype=np.float32)
    probabilities = model.autoencoder.decode(moments.sample(torch.from_numpy(noise))).softmax(dim=-1)
    np.testing.assert_allclose(sure, probabilities.amax(dim=-1).detach(), atol=1e-5)
    np.testing.assert_allclose(model.decoder_confidence(spoilt, 0, batch=7), sure, atol=1e-5)
    assert abs(sure[:, 10].mean() - sure[:, 20:].mean()) < 0.1


def test_a_label_that_is_none_lists_the_species(trained):
    model = read_latent_diffusion(trained)
    for call in (lambda labels: model.draw(labels, 0), lambda labels: model.posterior(codes(2)[0], labels, 0)):
        with pytest.raises(InputError, match=r"label 3 of sequence 1 is none of 0 \(A_one\), 1 \(B_two\), 2 \(any\)"):
            call(np.array([0, 3]))
        with pytest.raises(InputError, match="labels must be whole numbers"):
            call(np.array([0.5, 1.0]))
    with pytest.raises(InputError, match="there is no sampler 'euler'"):
        model.draw(np.array([0]), 0, sampler="euler")
    with pytest.raises(InputError, match="needs the statistics 'scalar'"):
        model.draw(np.array([0]), 0, sampler="deis-sn-tab2")
    with pytest.raises(InputError, match="must be 2 sequences of 32 bases"):
        model.posterior(codes(2)[0][:, :8], np.array([0, 1]), 0)
    with pytest.raises(InputError, match="tau 0 must lie in"):
        model.posterior(codes(2)[0], np.array([0, 1]), 0, tau=0)


def files(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


UNET = ("--denoiser", "unet", "--prediction", "epsilon", "--betas", "linear", "--channels", 8, 16)


@pytest.mark.parametrize(
    ("autoencoder", "more"),
    [("patch", ("--dropout", 0.1)), ("patch", ("--prediction", "v_prediction", "--unscaled")), ("conv", UNET)],
)
def test_a_killed_run_ends_with_the_same_bytes(command, material, tmp_path, monkeypatch, autoencoder, more):
    from genovision import training

    given = options(material, autoencoder, *more, "--save-every", 2)
    assert command("dna/train_latent_diffusion", *given, "--out", tmp_path / "whole")[0] == 0
    step = training._step

    def killed(*arguments):
        if arguments[-1] == 5:
            raise KeyboardInterrupt
        return step(*arguments)

    monkeypatch.setattr(training, "_step", killed)
    with pytest.raises(KeyboardInterrupt):
        command("dna/train_latent_diffusion", *given, "--out", tmp_path / "killed")
    monkeypatch.setattr(training, "_step", step)
    assert command("dna/train_latent_diffusion", *given, "--out", tmp_path / "killed")[0] == 0
    assert files(tmp_path / "whole") == files(tmp_path / "killed")
    model = read_latent_diffusion(tmp_path / "whole")
    assert model.facts["parameters"] == sum(model.facts["parameters_of"].values())
    assert model.facts["training_sequences"] == 3600 and model.facts["steps"] == 6
    assert model.facts["bits_per_base"] is None and model.facts["recipe"]["batch"] == 16
    curve = pd.read_csv(tmp_path / "whole" / "curve.tsv", sep="\t")
    assert list(curve) == ["step", "loss", "held_out"] and curve["held_out"].iloc[-1] > 0
    drawn = model.draw(np.array([0, 1, 2]), 0, nfe=3, guidance=2.0)
    assert drawn.tokens.max() <= 3 and drawn.tokens.shape == (3, LENGTH)
    assert model.posterior(drawn.tokens, np.array([0, 1, 2]), 0, repeats=2).shape == (3, LENGTH, 4)
    assert read_denoiser(tmp_path / "whole").facts["any_label"] == 2


@pytest.mark.parametrize(
    ("file", "change", "message"),
    [
        ("dna.json", None, "is no folder of a trained latent model: it has no dna.json"),
        ("dna.json", {"kind": "recurrent"}, "of another kind of model .recurrent.; latent is needed"),
        ("dna.json", {"loss": None}, "diverged in training"),
        ("dna.json", {"species": ["B_two", "A_one"]}, "latents .* of A_one, B_two, the denoiser is of .* B_two, A_one"),
        ("denoiser.json", {"any_label": None}, "names no any_label"),
        ("model_index.json", None, "model_index.json is missing"),
        ("autoencoder/dna.json", None, "no folder of a trained autoencoder model"),
    ],
)
def test_what_does_not_fit_is_told_in_one_sentence(trained, tmp_path, file, change, message):
    shutil.copytree(trained, tmp_path / "copy")
    path = tmp_path / "copy" / file
    if change is None:
        path.unlink()
    else:
        path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(InputError, match=message) as caught:
        read_latent_diffusion(tmp_path / "copy")
    assert str(caught.value).count("\n") == 0


@pytest.mark.parametrize(
    ("autoencoder", "more", "message"),
    [
        ("patch", ("--denoiser", "unet"), "--prediction codewords needs --denoiser sequence"),
        ("conv", (), "codewords need the denoiser sequence, and an autoencoder of patches"),
        ("conv", ("--prediction", "epsilon"), "latents of 4 x 4 x 4 are no sequence of places; take the denoiser unet"),
        ("patch", ("--kernel", 4), "there is no denoiser of this kind: kernel 4"),
        ("patch", ("--unlabelled", 1), "--unlabelled 1.0 must lie in"),
        ("patch", ("--threads", 0), "--threads 0 must be 1 or more"),
        ("patch", ("--learning-rate", 1e30, "--steps", 20), "latent diffusion diverged at step"),
        ("nowhere", (), "is no folder of a trained autoencoder model"),
    ],
)
def test_the_command_says_what_is_wrong_and_writes_nothing(command, material, tmp_path, autoencoder, more, message):
    code, err = command(
        "dna/train_latent_diffusion", *options(material, autoencoder, *more), "--out", tmp_path / "model"
    )
    assert code == 2 and message in err
    assert not (tmp_path / "model" / "dna.json").exists()
    assert not (tmp_path / "model" / "model_index.json").exists()


def test_sequences_of_other_species_or_another_length_are_refused(command, material, tmp_path):
    found, species = codes(60)
    fold = np.repeat([0, 1, 2], 20).astype(np.uint8)
    for name, sequences, message in (
        ("names", Sequences(found, species, fold, ("B_two", "A_one")), "was trained on A_one, B_two"),
        ("length", Sequences(found[:, :16].copy(), species, fold, NAMES), "of 16 bases and the autoencoder reads 32"),
    ):
        write_examples(tmp_path / f"{name}.npz", sequences)
        given = ("--data", tmp_path / f"{name}.npz", "--autoencoder", material / "patch", "--steps", 2)
        code, err = command("dna/train_latent_diffusion", *given, "--out", tmp_path / "model")
        assert code == 2 and message in err
