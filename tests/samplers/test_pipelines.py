"""diffusers' own pipelines run with our scheduler, with tiny random networks made here."""

import json

import numpy as np
import pytest
import torch
from peers import mend_torchvision

from genovision.samplers import DEISSNScheduler
from genovision.samplers.sampling import sample

mend_torchvision()  # transformers, below the pipelines, imports torchvision where it is installed
from diffusers import DDIMPipeline, DDIMScheduler, DDPMPipeline, UNet2DModel  # noqa: E402

TABLE = {"normalizer": [0.5, 0.7, 0.8, 0.8], "normalizer_times": [1e-3, 0.1, 0.5, 1.0]}


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.fixture(scope="module")
def unet():
    torch.manual_seed(0)
    return UNet2DModel(
        sample_size=8,
        in_channels=3,
        out_channels=3,
        block_out_channels=(8, 8),
        layers_per_block=1,
        norm_num_groups=4,
        down_block_types=("DownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "UpBlock2D"),
    ).eval()


@pytest.mark.parametrize("options", [{}, TABLE, {"prediction_type": "v_prediction", "solver_order": 4}])
def test_ddpm_pipeline(unet, options):
    scheduler = DEISSNScheduler(**options)
    pipeline = DDPMPipeline(unet=unet, scheduler=scheduler)
    pipeline.set_progress_bar_config(disable=True)
    images = pipeline(batch_size=2, num_inference_steps=5, generator=seeded(), output_type="np").images
    assert images.shape == (2, 8, 8, 3) and pipeline.scheduler is scheduler
    ours = DEISSNScheduler(**options)
    ours.set_timesteps(5)
    x = sample(lambda x, t: unet(x, t).sample, ours, torch.randn(2, 3, 8, 8, generator=seeded()))
    np.testing.assert_allclose(images, (x / 2 + 0.5).clamp(0, 1).permute(0, 2, 3, 1).numpy(), atol=1e-6)


def test_ddim_pipeline_replaces_every_scheduler_by_ddim(unet):
    """It does so with any scheduler; what matters is that ours gives it a configuration it can take."""
    pipeline = DDIMPipeline(unet=unet, scheduler=DEISSNScheduler(beta_end=0.015, **TABLE))
    pipeline.set_progress_bar_config(disable=True)
    assert type(pipeline.scheduler) is DDIMScheduler and pipeline.scheduler.config.beta_end == 0.015
    images = pipeline(batch_size=1, num_inference_steps=3, generator=seeded(), output_type="np").images
    assert np.isfinite(images).all()
    back = DEISSNScheduler.from_config(pipeline.scheduler.config)
    assert back.config.normalizer == TABLE["normalizer"]


def test_a_saved_pipeline_comes_back(unet, tmp_path):
    pipeline = DDPMPipeline(unet=unet, scheduler=DEISSNScheduler(**TABLE))
    pipeline.save_pretrained(tmp_path)
    index = json.loads((tmp_path / "model_index.json").read_text())
    assert index["scheduler"][1] == "DEISSNScheduler"
    again = DDPMPipeline.from_pretrained(tmp_path)
    assert isinstance(again.scheduler, DEISSNScheduler) and again.scheduler.config.normalizer == TABLE["normalizer"]


@pytest.fixture(scope="module")
def components(tmp_path_factory):
    """Stable Diffusion in miniature, random, with a tokenizer of 30 tokens."""
    transformers = pytest.importorskip("transformers")
    from diffusers import AutoencoderKL, UNet2DConditionModel

    folder = tmp_path_factory.mktemp("tokenizer")
    letters = "abcdefghijklmnopqrstuvwxyz"
    tokens = ["<|startoftext|>", "<|endoftext|>", *letters, *(letter + "</w>" for letter in letters)]
    (folder / "vocab.json").write_text(json.dumps({token: i for i, token in enumerate(tokens)}))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    tokenizer = transformers.CLIPTokenizer(str(folder / "vocab.json"), str(folder / "merges.txt"), model_max_length=16)
    torch.manual_seed(0)
    text = transformers.CLIPTextModel(
        transformers.CLIPTextConfig(
            hidden_size=16,
            intermediate_size=16,
            num_hidden_layers=1,
            num_attention_heads=2,
            vocab_size=len(tokens),
            max_position_embeddings=16,
            bos_token_id=0,
            eos_token_id=1,
            pad_token_id=1,
        )
    )
    unet = UNet2DConditionModel(
        sample_size=8,
        in_channels=4,
        out_channels=4,
        block_out_channels=(8, 8),
        layers_per_block=1,
        norm_num_groups=4,
        cross_attention_dim=16,
        attention_head_dim=2,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
    )
    vae = AutoencoderKL(
        block_out_channels=(8, 8),
        in_channels=3,
        out_channels=3,
        latent_channels=4,
        norm_num_groups=4,
        down_block_types=("DownEncoderBlock2D", "DownEncoderBlock2D"),
        up_block_types=("UpDecoderBlock2D", "UpDecoderBlock2D"),
    )
    return {
        "unet": unet.eval(),
        "vae": vae.eval(),
        "text_encoder": text.eval(),
        "tokenizer": tokenizer,
        "safety_checker": None,
        "feature_extractor": None,
        "requires_safety_checker": False,
    }


STABLE = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear", "steps_offset": 1}
PIXELS = {
    "affine_times": [0.01, 0.5, 1.0],
    "affine_slope": np.linspace(0.5, 1, 12),
    "affine_intercept": np.linspace(-0.1, 0.1, 12),
    "affine_shape": [4],
}
VARIANTS = [{}, TABLE, {"timestep_spacing": "leading"}, PIXELS | {"analytical_first_step": True}]


@pytest.mark.parametrize("options", VARIANTS, ids=["plain", "normalised", "leading", "linear terms and first step"])
def test_stable_diffusion(components, options):
    from diffusers import StableDiffusionPipeline

    scheduler = DEISSNScheduler(**STABLE, **options)
    pipeline = StableDiffusionPipeline(**components, scheduler=scheduler)
    pipeline.set_progress_bar_config(disable=True)
    call = {"prompt": "a cat", "num_inference_steps": 4, "output_type": "np", "height": 16, "width": 16}
    first, second = (pipeline(**call, generator=seeded()).images for _ in range(2))
    assert first.shape == (1, 16, 16, 3) and np.isfinite(first).all()
    np.testing.assert_array_equal(first, second)
    assert pipeline.scheduler is scheduler and scheduler.step_index == 4
    chosen = pipeline(**call | {"num_inference_steps": 3}, timesteps=[900, 500, 100], generator=seeded()).images
    assert np.isfinite(chosen).all() and scheduler.timesteps.tolist() == [900, 500, 100]


def test_image_to_image_starts_in_the_middle(components):
    from diffusers import StableDiffusionImg2ImgPipeline

    scheduler = DEISSNScheduler(**STABLE, **TABLE, solver_order=4)
    pipeline = StableDiffusionImg2ImgPipeline(**components, scheduler=scheduler)
    pipeline.set_progress_bar_config(disable=True)
    image = torch.rand(1, 3, 16, 16, generator=seeded())
    result = pipeline("a dog", image=image, strength=0.5, num_inference_steps=6, generator=seeded(), output_type="np")
    assert np.isfinite(result.images).all() and scheduler.begin_index == 3 and scheduler.step_index == 6
