"""Denoisers on disk: what comes back, what diffusers makes of them, and what is refused."""

import json
import shutil

import numpy as np
import pytest
import torch
from peers import mend_torchvision

from genovision.errors import InputError
from genovision.samplers.catalogue import run, settings
from genovision.samplers.denoisers import (
    Denoiser,
    build,
    decode,
    encode,
    read_denoiser,
    scheduler_config,
    unet_config,
    write_denoiser,
)

mend_torchvision()  # diffusers imports transformers where it is installed, and that imports torchvision


def network(shape=(4, 8, 8), seed=1, **options):
    return build(unet_config(shape, [8, 16], layers=1, groups=4, **options), seed)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A model of grey images of 16 x 16 pixels in patches of 2 x 2."""
    path = tmp_path_factory.mktemp("denoisers") / "grey"
    write_denoiser(path, network(), scheduler_config(), {"space": "pixels", "patch": 2})
    return path


@pytest.fixture
def copy(folder, tmp_path):
    """`copy(file, change)`: the folder with the JSON of a file changed by a function."""

    def change(file, function):
        shutil.copytree(folder, tmp_path / "copy", dirs_exist_ok=True)
        values = json.loads((tmp_path / "copy" / file).read_text())
        (tmp_path / "copy" / file).write_text(json.dumps(function(values)))
        return tmp_path / "copy"

    return change


@pytest.mark.parametrize("colours", [(), (3,)])
@pytest.mark.parametrize("patch", [1, 2, 4])
def test_decode_undoes_encode_and_a_patch_is_a_permutation(colours, patch):
    images = np.random.default_rng(0).integers(0, 256, (5, 8, 12, *colours), dtype=np.uint8)
    x = encode(images, patch)
    assert x.shape == (5, (3 if colours else 1) * patch**2, 8 // patch, 12 // patch)
    assert x.min() >= -1 and x.max() <= 1
    np.testing.assert_array_equal(np.sort(x.flatten(1)), np.sort(encode(images).flatten(1)))
    np.testing.assert_array_equal(decode(x, patch), images)
    np.testing.assert_array_equal(decode(3 * x, patch)[images < 85], 0)


def test_a_patch_that_does_not_divide_is_refused():
    with pytest.raises(InputError, match="a patch of 3 does not divide images of 8 x 8"):
        encode(np.zeros((1, 8, 8), dtype=np.uint8), 3)


def test_what_was_written_comes_back(folder):
    model, written = read_denoiser(folder), network().eval()
    assert model.shape == (4, 8, 8) and model.prediction_type == "epsilon"
    assert model.scheduler_config["beta_end"] == 0.02 and model.facts["patch"] == 2
    assert all(torch.equal(a, b) for a, b in zip(model.network.parameters(), written.parameters(), strict=True))
    x = torch.randn(3, 4, 8, 8)
    with torch.no_grad():
        torch.testing.assert_close(model.denoise(x, torch.tensor(7.0)), written(x, torch.tensor(7)).sample)
    assert model.decode(x).shape == (3, 16, 16) and model.decode(x).dtype == np.uint8


def test_fractions_of_a_time_count_and_times_may_differ_between_samples(folder):
    model, x = read_denoiser(folder), torch.randn(150, 4, 8, 8)
    at = [model.denoise(x, t) for t in (3, 3.5, torch.tensor(3.5, dtype=torch.float64), torch.full((150,), 3.5))]
    assert not torch.equal(at[0], at[1])
    assert torch.equal(at[1], at[2])
    torch.testing.assert_close(at[1], at[3])
    assert at[0].shape == x.shape and not at[0].requires_grad and at[0].is_contiguous()


def test_the_same_weights_are_the_same_bytes(folder, tmp_path):
    write_denoiser(tmp_path / "again", network(), scheduler_config(), {"space": "pixels", "patch": 2})
    files = sorted(path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    assert len(files) == 5
    assert all((folder / file).read_bytes() == (tmp_path / "again" / file).read_bytes() for file in files)


def test_weights_depend_on_the_seed_alone():
    torch.manual_seed(5)
    after = torch.rand(3)
    torch.manual_seed(5)
    first = network(seed=1)
    assert torch.equal(torch.rand(3), after)
    assert not torch.equal(first.conv_in.weight, network(seed=2).conv_in.weight)


def test_diffusers_pipeline_loads_the_folder_and_gives_the_same_output(folder, tmp_path):
    from diffusers import DDPMPipeline

    pipeline, model = DDPMPipeline.from_pretrained(folder), read_denoiser(folder)
    assert pipeline.scheduler.config.clip_sample is False
    x = torch.randn(2, 4, 8, 8)
    with torch.no_grad():
        torch.testing.assert_close(pipeline.unet(x, torch.tensor(99.25)).sample, model.denoise(x, 99.25))
    pipeline.set_progress_bar_config(disable=True)
    images = pipeline(2, torch.Generator().manual_seed(0), num_inference_steps=2, output_type="np").images
    assert images.shape == (2, 8, 8, 4)  # its channels are the pixels of a patch
    # and the way back: a folder that diffusers wrote, without denoiser.json
    write_denoiser(tmp_path / "rgb", network((3, 8, 8)), scheduler_config(), {"space": "pixels", "patch": 1})
    DDPMPipeline.from_pretrained(tmp_path / "rgb").save_pretrained(tmp_path / "theirs")
    theirs = read_denoiser(tmp_path / "theirs")
    assert theirs.shape == (3, 8, 8) and theirs.decode(torch.zeros(1, 3, 8, 8)).shape == (1, 8, 8, 3)


@pytest.mark.parametrize("kind", ["UNet2DModel", "SequenceDenoiser"])
def test_a_sampler_sees_a_model_of_classes_with_the_label_that_means_any(tmp_path, kind):
    config = {"in_channels": 4, "out_channels": 4, "num_class_embeds": 3}
    if kind == "UNet2DModel":
        config = unet_config((4, 8, 8), [8, 16], layers=1, groups=4) | config
    else:
        config |= {"sample_size": [1, 16], "width": 16, "blocks": 2}
    written = build(config, 1, kind)
    with torch.no_grad():
        for parameter in written.parameters():  # the last layer of an untrained one is 0
            parameter.add_(0.1 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(0)))
    facts = {"space": "latents", "any_label": 2}
    write_denoiser(tmp_path, written, scheduler_config(), facts)
    model = read_denoiser(tmp_path)
    assert type(model.network).__name__ == kind
    assert all(torch.equal(a, b) for a, b in zip(model.network.parameters(), written.parameters(), strict=True))
    x = torch.randn(150, *model.shape)
    labels = torch.arange(150) % 3
    alone, told = model.denoise(x, 7.5), model.denoise(x, 7.5, labels)
    assert alone.shape == told.shape == x.shape
    torch.testing.assert_close(alone[labels == 2], told[labels == 2])
    assert not torch.allclose(alone[labels == 0], told[labels == 0])
    # the catalogue runs on it, at times between whole ones
    found, used = run(settings("dpm++2m", 0)[0], model.denoise, x[:3], 4, model.scheduler_config)
    assert found.shape == x[:3].shape and used == 4
    (tmp_path / "denoiser.json").write_text(json.dumps(facts | {"any_label": 3}))
    with pytest.raises(InputError, match="any_label 3 is none of the 3 classes"):
        read_denoiser(tmp_path)


def test_a_model_of_latents_has_no_decode(tmp_path):
    write_denoiser(
        tmp_path, network((5, 4, 16)), scheduler_config(prediction_type="v_prediction"), {"space": "latents"}
    )
    model = read_denoiser(tmp_path)
    assert model.shape == (5, 4, 16) and model.decode is None and model.prediction_type == "v_prediction"
    assert model.denoise(torch.zeros(2, 5, 4, 16), 1.5).shape == (2, 5, 4, 16)
    assert Denoiser(model.network, model.shape, {}).prediction_type == "epsilon"


@pytest.mark.parametrize(
    "name",
    [
        "model_index.json",
        "unet/config.json",
        "scheduler/scheduler_config.json",
        "unet/diffusion_pytorch_model.safetensors",
    ],
)
def test_a_missing_file_is_named(copy, name):
    folder = copy("denoiser.json", lambda values: values)
    (folder / name).unlink()
    with pytest.raises(InputError, match=f"{name} is missing"):
        read_denoiser(folder)


@pytest.mark.parametrize(
    ("file", "change", "message"),
    [
        ("scheduler/scheduler_config.json", {"prediction_type": "sample"}, "the model predicts epsilon .* says sample"),
        (
            "scheduler/scheduler_config.json",
            {"prediction_type": "noise"},
            "prediction_type is 'noise'; it must be one of epsilon",
        ),
        (
            "model_index.json",
            {"_class_name": "StableDiffusionPipeline"},
            "is of a StableDiffusionPipeline; a pipeline of one",
        ),
        (
            "unet/config.json",
            {"_class_name": "UNet2DConditionModel"},
            "is of a UNet2DConditionModel; a UNet2DModel or a SequenceDenoiser is needed",
        ),
        ("unet/config.json", {"num_class_embeds": 10}, "the model wants a class label, and denoiser.json names no any"),
        ("denoiser.json", {"any_label": 2}, "any_label 2 is none of the 0 classes in unet/config.json"),
        ("unet/config.json", {"out_channels": 8}, "8 channels come out and 4 go in"),
        ("unet/config.json", {"time_embedding_type": "learned"}, "which needs positional"),
        ("unet/config.json", {"sample_size": None}, "sample_size is None"),
        ("unet/config.json", {"down_block_types": ["DownBlock2D"]}, "describes no UNet2DModel"),
        ("unet/config.json", {"block_out_channels": [8, 24]}, "another architecture: .*is needed"),
        ("denoiser.json", {"patch": 3}, "a patch of 3 .* makes 9 or 27 channels of pixels, unet/config.json has 4"),
        ("denoiser.json", {"space": "words"}, "space 'words' must be one of pixels, latents"),
    ],
)
def test_what_does_not_fit_is_told_in_one_sentence(copy, file, change, message):
    with pytest.raises(InputError, match=message) as caught:
        read_denoiser(copy(file, lambda values: values | change))
    assert str(caught.value).count("\n") == 0


def test_damaged_files_are_refused(copy):
    folder = copy("denoiser.json", lambda values: values)
    (folder / "unet/diffusion_pytorch_model.safetensors").write_bytes(b"\0" * 40)
    with pytest.raises(InputError, match="no whole safetensors file"):
        read_denoiser(folder)
    (folder / "unet/config.json").write_text("[1")
    with pytest.raises(InputError, match="no whole JSON file"):
        read_denoiser(folder)
    (folder / "unet/config.json").write_text("[1]")
    with pytest.raises(InputError, match="must hold a JSON object"):
        read_denoiser(folder)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"channels": [8, 8, 8, 8, 8]}, "5 levels need a size that 16 divides; it is 8 x 8"),
        ({"channels": [8, 16], "attention": [3]}, "attention at 3: the levels are of 8, 4"),
        ({"channels": [8, 18]}, "4 groups do not divide 18 channels"),
        ({"channels": [8, 16], "attention": [8], "heads": 2}, "2 heads need levels of one width"),
        ({"channels": [8, 0]}, "must be 1 or more"),
        ({"channels": [8], "dropout": 1.0}, "dropout 1.0 must lie in"),
    ],
)
def test_networks_that_cannot_be_are_refused(options, message):
    with pytest.raises(InputError, match=message):
        unet_config((4, 8, 8), **({"groups": 4} | options))


@pytest.mark.parametrize(
    ("shape", "options", "millions"),
    [
        (
            (3, 32, 32),
            {"channels": [128, 256, 256, 256], "layers": 3, "attention": [16, 8], "heads": 4, "scale_shift": True},
            52.5,
        ),
        ((3, 64, 64), {"channels": [128, 256, 384, 512], "attention": [16]}, 81.0),
    ],
)
def test_the_papers_networks_have_their_size_and_heads(shape, options, millions):
    with torch.device("meta"):
        from diffusers.models.unets.unet_2d import UNet2DModel

        model = UNet2DModel.from_config(unet_config(shape, **options))
    assert sum(p.numel() for p in model.parameters()) / 1e6 == pytest.approx(millions, rel=0.03)
    assert {a.heads for m in model.modules() if hasattr(m, "attentions") for a in m.attentions if a} == {
        options.get("heads", 1)
    }
