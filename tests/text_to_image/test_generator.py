"""The generator: a latent space, training that a kill does not change, sampling by any scheduler, and what the baselines ask of it."""

import json
import shutil

import numpy as np
import pytest
from text_to_image.models import dots, tiny_encoder

torch = pytest.importorskip("torch")

from genovision import checkpoints  # noqa: E402
from genovision.errors import InputError  # noqa: E402
from genovision.text_to_image.encoder import Encoder  # noqa: E402
from genovision.text_to_image.generator import (  # noqa: E402
    NOISE,
    Denoiser,
    Examples,
    Generator,
    Sampling,
    Shape,
    alpha_bar,
    components,
    scheduler_of,
    write_generator,
)
from genovision.training import Recipe, learning_rate, train  # noqa: E402

SHAPE = Shape(side=16, embedding=32, components=16, width=64, blocks=2, text=32, queries=3, length=8)
RECIPE = Recipe(steps=400, batch=64, learning_rate=5e-3, average=0.9)


@pytest.fixture(scope="module")
def encoder(tmp_path_factory):
    return Encoder(tiny_encoder(tmp_path_factory.mktemp("encoder")))


@pytest.fixture(scope="module")
def world(encoder):
    images, texts = dots(256)
    embedded, _ = encoder.embed(texts, layer=0)
    return images, texts, embedded, components(images, SHAPE.components)


def examples(world, **options):
    images, _, embedded, basis = world
    return Examples(images, embedded, basis, SHAPE.length, batch=RECIPE.batch, seed=RECIPE.seed, **options)


def trained(world, folder, recipe=RECIPE, **options):
    torch.set_num_threads(1)
    one = examples(world)
    network = Denoiser(SHAPE, seed=recipe.seed)
    return train(network, one.loss, recipe, one.measure, folder, "mark", tell=lambda _: None, **options)


@pytest.fixture(scope="module")
def model(world, encoder, tmp_path_factory):
    folder = tmp_path_factory.mktemp("generator")
    found = trained(world, folder / "checkpoints")
    facts = {"layer": 0, "encoder": encoder.digest, "loss": found.curve[-1].loss}
    write_generator(folder, found.network, world[3], facts)
    return folder


@pytest.fixture(scope="module")
def generator(model, encoder):
    return Generator(model, encoder, batch=8)


def test_components_are_principal_and_latents_come_back(world):
    images, _, _, basis = world
    flat = images.reshape(len(images), -1).astype(np.float64) / 127.5 - 1
    values = np.linalg.svd(flat - flat.mean(axis=0), compute_uv=False)[:16]
    assert np.allclose(basis.basis.T @ basis.basis, np.eye(16), atol=1e-5)
    projected = (flat - flat.mean(axis=0)) @ basis.basis.numpy()
    # 256 images of 8 kinds span 7 dimensions: the others are empty
    assert np.allclose(np.sqrt((projected**2).sum(axis=0))[:7], values[:7], rtol=1e-3)
    latents = basis.latents(torch.from_numpy(images))
    assert np.allclose(basis.pixels(latents), flat, atol=1e-3)
    with pytest.raises(InputError, match="16 images have fewer than 16 components"):
        components(images[:16], 16)


def test_noise_is_that_of_diffusers():
    from diffusers import DDIMScheduler

    assert np.allclose(alpha_bar(), DDIMScheduler(**NOISE).alphas_cumprod, rtol=1e-4)


def test_word_order_changes_the_condition(encoder):
    network = Denoiser(SHAPE)
    embedded, _ = encoder.embed(["a red dot left of blue", "a blue dot left of red"], layer=0)
    tokens, mask = embedded.padded([0, 1])
    with torch.no_grad():
        told = network.text(torch.from_numpy(tokens), torch.from_numpy(mask))
        longer = np.pad(tokens, ((0, 0), (0, 2), (0, 0))), np.pad(mask, ((0, 0), (0, 2)))
        padded = network.text(*map(torch.from_numpy, longer))
    assert not torch.allclose(told[0], told[1], atol=1e-3)
    assert torch.allclose(told, padded, atol=1e-5)


def test_it_draws_what_it_is_asked_for(generator):
    _, texts = dots(64, seed=1)
    asked = sorted(set(texts))
    made = generator.generate(asked, range(len(asked)))
    images, texts = dots(64, seed=2)
    for text, image in zip(asked, made, strict=True):
        distance = ((images.astype(float) - image) ** 2).mean(axis=(1, 2, 3))
        assert texts[int(distance.argmin())] == text, text


def test_an_image_depends_on_its_prompt_and_seed_alone(generator, model, encoder):
    prompts, seeds = ["a red dot", "a blue bar left"] * 10, list(range(20))
    together = generator.generate(prompts, seeds)
    assert together.shape == (20, 16, 16, 3) and together.dtype == np.uint8
    assert np.array_equal(generator.generate(prompts[13:], seeds[13:]), together[13:])
    other = Generator(model, encoder, batch=5).generate(prompts, seeds)
    assert np.abs(other.astype(int) - together).max() <= 1
    assert not np.array_equal(generator.generate(["a red dot"], [99])[0], together[0])
    assert generator.generate([], []).shape == (0, 16, 16, 3)
    with pytest.raises(ValueError, match="1 prompts and 2 seeds"):
        generator.generate(["a"], [1, 2])


@pytest.mark.parametrize(
    "name",
    [
        "DDIMScheduler",
        "DDPMScheduler",
        "DEISMultistepScheduler",
        "DPMSolverMultistepScheduler",
        "DPMSolverSinglestepScheduler",
        "EulerAncestralDiscreteScheduler",
        "EulerDiscreteScheduler",
        "HeunDiscreteScheduler",
        "LMSDiscreteScheduler",
        "PNDMScheduler",
        "UniPCMultistepScheduler",
        "diffusers.DDIMScheduler",
    ],
)
def test_every_scheduler_by_name(model, encoder, generator, name):
    sampling = Sampling(name, steps=25, guidance=1.0)
    made = Generator(model, encoder, sampling, batch=4).generate(["a red dot", "a blue bar left"], [3, 4])
    right = Generator(model, encoder, Sampling(guidance=1.0, steps=25), batch=4).generate(
        ["a red dot", "a blue bar left"], [3, 4]
    )
    assert np.abs(made.astype(float) - right).mean() < 25, name
    again = Generator(model, encoder, sampling, batch=4).generate(["a blue bar left"], [4])
    assert np.abs(again[0].astype(int) - made[1]).max() <= 1


def test_schedulers_that_are_none():
    assert scheduler_of(Sampling(options=(("solver_order", 3),))).config.solver_order == 3
    with pytest.raises(InputError, match="scheduler 'Nonsense' is no scheduler of diffusers"):
        scheduler_of(Sampling("Nonsense"))
    with pytest.raises(InputError, match=r"scheduler 'os.path' is no scheduler"):
        scheduler_of(Sampling("os.path"))
    with pytest.raises(InputError, match="scheduler DDIMScheduler has no option nonsense"):
        scheduler_of(Sampling("DDIMScheduler", options=(("nonsense", 1),)))
    with pytest.raises(InputError, match="steps 0 must be 1 or more"):
        Sampling(steps=0)


def test_reconstruction_forgets_more_from_more_noise(generator):
    images, texts = dots(12, seed=3)
    errors = []
    for level in (0.05, 0.5, 1.0):
        again = generator.reconstruct(images, texts, level)
        assert again.shape == images.shape and again.dtype == np.uint8
        errors.append(((again.astype(float) - images) ** 2).mean())
    assert errors[0] < 200
    wrong = ["a red bar" if "blue" in text else "a blue bar left" for text in texts]
    other = ((generator.reconstruct(images, wrong, 1.0).astype(float) - images) ** 2).mean()
    assert other > 3 * errors[2]
    few = generator.reconstruct(images[5:7], texts[5:7], 0.5)
    assert np.array_equal(few, generator.reconstruct(images, texts, 0.5)[5:7])
    with pytest.raises(InputError, match=r"level 0 must lie in \(0, 1\]"):
        generator.reconstruct(images, texts, 0)


def test_inpainting_keeps_what_is_known_and_fills_what_is_not(generator):
    images, texts = dots(12, seed=4)
    mask = np.zeros((16, 16), dtype=bool)
    mask[:8] = True
    again = generator.inpaint(images, texts, mask)
    assert np.array_equal(again[:, 8:], images[:, 8:])
    assert ((again.astype(float) - images) ** 2).mean() < 2000
    with pytest.raises(ValueError, match="the mask is"):
        generator.inpaint(images, texts, mask[:8])
    with pytest.raises(ValueError, match="images must be"):
        generator.inpaint(images[:, :8], texts, mask)


def test_training_taken_up_ends_with_the_same_weights(world, tmp_path):
    recipe = Recipe(steps=30, batch=16, learning_rate=1e-3)
    whole = trained(world, tmp_path / "whole", recipe)
    one, calls = examples(world), 0

    def loss(network, step):
        nonlocal calls
        calls += 1
        if calls == 25:
            raise KeyboardInterrupt
        return one.loss(network, step)

    def start():
        return train(
            Denoiser(SHAPE), loss, recipe, one.measure, tmp_path / "cut", "mark", save_every=10, tell=lambda _: None
        )

    one.batch = RECIPE.batch
    whole_again = trained(world, tmp_path / "again", recipe)
    with pytest.raises(KeyboardInterrupt):
        start()
    assert checkpoints.newest(tmp_path / "cut", "mark")[1]["step"] == 20
    taken_up = start()
    assert calls == 25 + 10
    for found in (whole_again, taken_up):
        assert found.curve == whole.curve
        for name, value in whole.network.state_dict().items():
            assert torch.equal(value, found.network.state_dict()[name]), name


def test_a_loss_that_is_no_number_ends_training(tmp_path):
    network = torch.nn.Linear(1, 1)
    found = train(
        network,
        lambda net, step: net.weight.sum() * (float("nan") if step == 3 else 1),
        Recipe(steps=10, batch=2, learning_rate=0.1),
        lambda _: 0.0,
        tmp_path,
        "mark",
        tell=lambda _: None,
    )
    assert found.curve[-1].step == 4 and np.isnan(found.curve[-1].loss)


def test_learning_rate_rises_and_falls():
    recipe = Recipe(steps=1000, batch=2, learning_rate=1.0)
    rates = [learning_rate(step, recipe) for step in range(1000)]
    assert rates[0] == 0.01 and max(rates) == rates[99] == 1 and rates[-1] == pytest.approx(0.02, abs=1e-4)
    for wrong in ({"steps": 0}, {"batch": 1}, {"learning_rate": 0}, {"average": 1}, {"clip": 0}):
        with pytest.raises(InputError):
            Recipe(**({"steps": 1, "batch": 2, "learning_rate": 1.0} | wrong))


def test_generators_that_are_none(model, encoder, tmp_path):
    def wrong(**changes):
        folder = tmp_path / "model"
        shutil.copytree(model, folder, dirs_exist_ok=True)
        facts = json.loads((folder / "config.json").read_text()) | changes
        (folder / "config.json").write_text(json.dumps({k: v for k, v in facts.items() if v != "-"}))
        with pytest.raises(InputError) as caught:
            Generator(folder, encoder)
        return str(caught.value)

    assert "was trained with another encoder" in wrong(encoder="0")
    assert "describes a captioner, a generator is needed" in wrong(kind="captioner")
    assert "diverged in training" in wrong(loss=float("nan"))
    assert "does not describe a generator" in wrong(shape="-")
    assert "does not describe a generator" in wrong(shape={"side": 16, "nonsense": 1})
    shape = json.loads((model / "config.json").read_text())["shape"]
    assert "another architecture" in wrong(shape=shape | {"width": 32})
    with pytest.raises(InputError, match=r"no folder of a trained generator: it has no config.json"):
        Generator(tmp_path, encoder)
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(InputError, match="is no JSON"):
        Generator(tmp_path, encoder)
    with pytest.raises(InputError, match="text must divide by 4"):
        Shape(side=16, embedding=32, text=30)
    with pytest.raises(InputError, match="9999 components"):
        Shape(side=16, embedding=32, components=9999)


def test_a_prompt_that_is_cut_is_told(generator):
    text = "a red dot left of a blue bar above something"
    generator.generate([text], [0])
    assert "has 10 tokens and the generator reads 8" in generator.cuts[text]
