"""Any network of timm with weights by path: saved, loaded, run, sliced; and checkpoints that are refused."""

import json
import pickle
import zipfile

import numpy as np
import pytest
from classifiers.imagenet_miniature import picture, run_command, save, write_text

from genovision.arrays import read_arrays
from genovision.classifiers.image_lists import read_image_table
from genovision.classifiers.preprocessing import Preprocessing, read_image
from genovision.errors import InputError
from genovision.uncertainty.outputs import read_outputs

torch = pytest.importorskip("torch")
pretrained = pytest.importorskip("genovision.classifiers.pretrained")

TINY = "test_efficientnet"  # of timm, 0.4 million parameters


@pytest.fixture(scope="module")
def network():
    torch.set_num_threads(1)
    torch.manual_seed(0)
    return pretrained.build(TINY, classes=5)


@pytest.fixture(scope="module")
def checkpoint(network, tmp_path_factory):
    """The random network, saved as safetensors, as a state dict of torch, and as a training script's dictionary."""
    from safetensors.torch import save_file

    folder = tmp_path_factory.mktemp("checkpoints")
    save_file(network.state_dict(), folder / "tiny.safetensors")
    torch.save(network.state_dict(), folder / "tiny.pth")
    wrapped = {f"module.{name}": tensor for name, tensor in network.state_dict().items()}
    torch.save({"state_dict": wrapped, "epoch": 3}, folder / "tiny.ckpt")
    with zipfile.ZipFile(folder / "tiny.whl", "w") as wheel:
        wheel.write(folder / "tiny.pth", "package/tiny.pth")
    return folder


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    """Five pictures and their list."""
    folder = tmp_path_factory.mktemp("images")
    for k in range(5):
        save(folder, f"{k}.png", picture(k, (70 + k, 50)))
    write_text(folder / "list.tsv", ["name\tlabel", *(f"{k}.png\t{k if k < 4 else -1}" for k in range(5))])
    return folder


def listed(images):
    return read_image_table(images / "list.tsv", images)


@pytest.mark.parametrize(
    ("file", "member"),
    [("tiny.safetensors", None), ("tiny.pth", None), ("tiny.ckpt", None), ("tiny.whl", "package/tiny.pth")],
)
def test_weights_come_back_from_every_kind_of_file(network, checkpoint, file, member):
    torch.manual_seed(1)
    other = pretrained.build(TINY, classes=5)
    pretrained.load_weights(other, checkpoint / file, member)
    assert not other.training
    for name, tensor in network.state_dict().items():
        assert torch.equal(other.state_dict()[name], tensor), name


def test_a_checkpoint_of_another_architecture_is_refused_with_what_differs(checkpoint):
    with pytest.raises(InputError) as caught:
        pretrained.load_weights(pretrained.build("test_resnet", classes=5), checkpoint / "tiny.pth")
    assert "tiny.pth is a checkpoint of another architecture than test_resnet: it lacks" in str(caught.value)
    assert "more" in str(caught.value)
    with pytest.raises(InputError, match=r"classifier\.weight is \(5, 256\), not \(7, 256\)"):
        pretrained.load_weights(pretrained.build(TINY, classes=7), checkpoint / "tiny.pth")


class Harm:
    def __reduce__(self):
        return (print, ("harm",))


def test_pickled_objects_are_never_loaded(network, tmp_path, capsys):
    torch.save({"state_dict": network.state_dict(), "args": Harm()}, tmp_path / "harm.pth")
    with pytest.raises(InputError, match=r"harm\.pth holds pickled objects besides tensors and is not loaded"):
        pretrained.load_weights(network, tmp_path / "harm.pth")
    (tmp_path / "plain.pkl").write_bytes(pickle.dumps(Harm()))
    with pytest.raises(InputError, match=r"plain\.pkl"):
        pretrained.load_weights(network, tmp_path / "plain.pkl")
    assert "harm" not in capsys.readouterr().out


@pytest.mark.parametrize("file", ["tiny.safetensors", "tiny.pth"])
def test_a_damaged_checkpoint_is_named(network, checkpoint, tmp_path, file):
    data = (checkpoint / file).read_bytes()
    (tmp_path / file).write_bytes(data[: len(data) // 2])
    with pytest.raises(InputError, match=rf"{file} is damaged or no"):
        pretrained.load_weights(network, tmp_path / file)


def test_a_file_without_a_state_dict_is_named(network, tmp_path):
    torch.save(torch.zeros(3), tmp_path / "one.pth")
    torch.save({"epoch": 3}, tmp_path / "epoch.pth")
    for name in ("one", "epoch"):
        with pytest.raises(InputError, match=f"{name}.pth is no state dict"):
            pretrained.load_weights(network, tmp_path / f"{name}.pth")


def test_torchvisions_older_densenets_are_understood(tmp_path):
    model = pretrained.build("densenet121")
    old = {}
    for name, tensor in model.state_dict().items():
        parts = name.split(".")
        if "denselayer" in name and parts[-2][-1] in "12" and parts[-2][:-1] in ("norm", "conv"):
            parts[-2] = f"{parts[-2][:-1]}.{parts[-2][-1]}"
        if parts[-1] != "num_batches_tracked":  # torch 0.3 had none
            old[".".join(parts)] = tensor.clone()
    assert "features.denseblock1.denselayer1.norm.1.weight" in old
    torch.save(old, tmp_path / "densenet121.pth")
    pretrained.load_weights(model, tmp_path / "densenet121.pth")


def bit_arrays(model):
    """The network's weights in the layout of Google's BiT files."""
    found = {
        "root_block/standardized_conv2d/kernel": model.stem.conv.weight,
        "head/conv2d/kernel": model.head.fc.weight,
    }
    found |= {
        "head/conv2d/bias": model.head.fc.bias,
        "group_norm/gamma": model.norm.weight,
        "group_norm/beta": model.norm.bias,
    }
    for i, stage in enumerate(model.stages):
        for j, block in enumerate(stage.blocks):
            place = f"block{i + 1}/unit{j + 1:02d}"
            for letter, conv, norm in zip("abc", (1, 2, 3), (1, 2, 3), strict=True):
                found[f"{place}/{letter}/standardized_conv2d/kernel"] = getattr(block, f"conv{conv}").weight
                found[f"{place}/{letter}/group_norm/gamma"] = getattr(block, f"norm{norm}").weight
                found[f"{place}/{letter}/group_norm/beta"] = getattr(block, f"norm{norm}").bias
            if block.downsample is not None:
                found[f"{place}/a/proj/standardized_conv2d/kernel"] = block.downsample.conv.weight
    arrays = {f"resnet/{name}": tensor.detach().numpy() for name, tensor in found.items()}
    return {name: array.transpose(2, 3, 1, 0) if array.ndim == 4 else array for name, array in arrays.items()}


def test_googles_bit_files_are_read_and_a_head_of_another_size_is_refused(tmp_path):
    torch.manual_seed(2)
    saved = pretrained.build("resnetv2_50x1_bit", classes=6)
    np.savez(tmp_path / "BiT.npz", **bit_arrays(saved))
    model = pretrained.load_weights(pretrained.build("resnetv2_50x1_bit", classes=6), tmp_path / "BiT.npz")
    for name, tensor in saved.state_dict().items():
        assert torch.equal(model.state_dict()[name], tensor), name
    with pytest.raises(InputError, match=r"BiT\.npz is of a network with 6 outputs, not 7"):
        pretrained.load_weights(pretrained.build("resnetv2_50x1_bit", classes=7), tmp_path / "BiT.npz")
    with pytest.raises(InputError, match="only networks such as resnetv2_101x1_bit read"):
        pretrained.load_weights(pretrained.build(TINY), tmp_path / "BiT.npz")
    np.savez(tmp_path / "other.npz", x=np.zeros(3))
    with pytest.raises(InputError, match="has no array resnet/head/conv2d/bias"):
        pretrained.load_weights(model, tmp_path / "other.npz")


def test_an_unknown_network_is_named_with_some_there_are():
    with pytest.raises(InputError, match=r"timm has no network called 'resnet49'"):
        pretrained.build("resnet49")


def test_outputs_are_the_networks_whatever_the_batch(network, images):
    how = Preprocessing(size=64, resize=72)
    one = pretrained.outputs(network, pretrained.batches(listed(images), how, 5))
    two = pretrained.outputs(network, pretrained.batches(listed(images), how, 2, threads=2))
    np.testing.assert_allclose(one.logits, two.logits, atol=1e-5)
    x = torch.from_numpy(np.stack([how(read_image(images, f"{k}.png")) for k in range(5)]))
    with torch.inference_mode():
        np.testing.assert_allclose(one.logits, network(x).numpy(), atol=1e-5)
    head = pretrained.head_of(network)
    np.testing.assert_allclose(one.features @ head.weight.T + head.bias, one.logits, atol=1e-5)
    assert one.logits.dtype == one.features.dtype == np.float32


@pytest.mark.parametrize(
    "name", ["test_resnet", "test_vit", "test_convnext", "resnetv2_50x1_bit", "mobilenetv3_small_050"]
)
def test_features_and_head_explain_the_logits_of_every_family(name, images):
    network = pretrained.build(name, classes=4)
    size = 224 if name == "resnetv2_50x1_bit" else pretrained.preprocessing_of(network).size
    made = pretrained.outputs(network, pretrained.batches(listed(images), Preprocessing(size, size), 5))
    head = pretrained.head_of(network)
    assert made.features.shape == (5, head.weight.shape[1])
    np.testing.assert_allclose(made.features @ head.weight.T + head.bias, made.logits, atol=1e-3)


def test_a_network_without_one_linear_head_is_refused():
    with pytest.raises(InputError, match="deit_tiny_distilled_patch16_224 does not end in one linear layer"):
        pretrained.head_of(pretrained.build("deit_tiny_distilled_patch16_224"))


@pytest.mark.parametrize(
    "name", ["densenet121", "efficientnet_b3", "vit_small_patch16_224", "resnetv2_101x1_bit.goog_in21k_ft_in1k"]
)
def test_preprocessing_is_timms_own(name):
    network = pretrained.build(name)
    from timm.data import create_transform, resolve_data_config

    image = picture(9, (500, 375))
    theirs = create_transform(**resolve_data_config({}, model=network))(image).numpy()
    np.testing.assert_allclose(pretrained.preprocessing_of(network)(image), theirs, rtol=0, atol=1e-5)


def test_efficientnet_lite_keeps_its_authors_crop():
    how = pretrained.preprocessing_of(pretrained.build("tf_efficientnet_lite2"))
    assert (how.size, how.resize, how.rule) == (260, 292, "crop_first")


def test_the_first_classes_of_a_wider_head_are_a_slice(network, images):
    made = pretrained.outputs(network, pretrained.batches(listed(images), Preprocessing(64, 64), 5))
    head = pretrained.head_of(network)
    outputs, kept = pretrained.sliced(made, head, [0, 2])
    np.testing.assert_array_equal(outputs.logits, made.logits[:, [0, 2]])
    np.testing.assert_allclose(outputs.features @ kept.weight.T + kept.bias, outputs.logits, atol=1e-5)
    for wrong in ([0], [0, 0], [0, 5], [-1, 0]):
        with pytest.raises(InputError, match=r"at least two, each once, in 0\.\.4"):
            pretrained.sliced(made, head, wrong)


@pytest.fixture
def options(checkpoint, images, tmp_path):
    common = [
        "classifiers/write_pretrained_outputs",
        "--architecture",
        TINY,
        "--checkpoint",
        checkpoint / "tiny.safetensors",
    ]
    common += [
        "--outputs",
        5,
        "--set",
        images / "list.tsv",
        images,
        tmp_path / "test.npz",
        "--preprocessing",
        '{"size": 64, "resize": 72}',
    ]
    return [
        *common,
        "--head",
        tmp_path / "head.npz",
        "--macs",
        tmp_path / "macs.json",
        "--config",
        tmp_path / "config.json",
    ]


def test_the_command_writes_the_houses_arrays(options, tmp_path):
    assert run_command(*options) == 0
    arrays = read_arrays(tmp_path / "test.npz")
    assert {name: (array.shape, array.dtype) for name, array in arrays.items()} == {
        "logits": ((5, 5), np.float32), "features": ((5, 256), np.float32), "labels": ((5,), np.int64)
    }  # fmt: skip
    assert arrays["labels"].tolist() == [0, 1, 2, 3, -1]
    assert set(json.loads((tmp_path / "macs.json").read_text())) == {"macs", "parameters"}
    told = json.loads((tmp_path / "config.json").read_text())
    assert told["preprocessing"]["size"] == 64
    assert told["weights"] == "tiny.safetensors"
    first = (tmp_path / "test.npz").read_bytes()
    assert run_command(*options) == 0
    assert (tmp_path / "test.npz").read_bytes() == first


def test_the_command_slices_and_treats_tiles_apart(options, images, tmp_path):
    write_text(images / "ood.tsv", ["name\tlabel", "0.png\t-1"])
    tiles = ("--set", images / "ood.tsv", images, tmp_path / "tiles.npz", "--tiles", tmp_path / "tiles.npz")
    assert run_command(*options, *tiles, "--first", 4) == 0
    assert read_outputs(tmp_path / "tiles.npz", "ood").logits.shape == (1, 4)
    assert read_arrays(tmp_path / "head.npz")["weight"].shape == (4, 256)
    assert (read_arrays(tmp_path / "tiles.npz")["logits"] != read_arrays(tmp_path / "test.npz")["logits"][:1]).any()
    write_text(tmp_path / "keep.txt", ["3", "0", "1", "2"])
    assert run_command(*options, "--keep", tmp_path / "keep.txt") == 0
    assert read_arrays(tmp_path / "test.npz")["logits"].shape == (5, 4)


BAD = {
    "a label that is no class": (
        ["--first", 3],
        "list.tsv, line 5: the label 3 is no class of the network, which has 3",
    ),
    "an unknown key": (["--preprocessing", '{"crop": 3}'], "--preprocessing takes size, resize"),
    "hub": (["--hub"], None),
    "a missing checkpoint": (
        ["--checkpoint", "gone.npz"],
        "gone.npz, the checkpoint of test_efficientnet, is not there",
    ),
    "tiles of nothing": (["--tiles", "x.npz"], "--tiles x.npz is the OUT of no --set"),
    "no batch": (["--batch", 0], "--batch 0"),
}


@pytest.mark.parametrize("name", BAD)
def test_the_command_ends_with_one_sentence_and_2(options, tmp_path, capsys, name):
    more, sentence = BAD[name]
    if sentence is None:
        with pytest.raises(SystemExit):
            run_command(*options, *more)
        return
    assert run_command(*options, *more) == 2
    assert sentence in capsys.readouterr().err.splitlines()[-1]
    assert not (tmp_path / "test.npz").exists()


def test_a_truncated_image_stops_the_command_and_leaves_nothing(options, images, tmp_path, capsys):
    broken = tmp_path / "broken"
    save(broken, "0.png", picture(1))
    (broken / "0.png").write_bytes((broken / "0.png").read_bytes()[:60])
    write_text(broken / "list.tsv", ["name\tlabel", "0.png\t-1"])
    assert run_command(*options, "--set", broken / "list.tsv", broken, tmp_path / "broken.npz") == 2
    assert "0.png is damaged or cut short" in capsys.readouterr().err.splitlines()[-1]
    assert not (tmp_path / "broken.npz").exists()
    assert not (tmp_path / "head.npz").exists()


def test_weights_from_the_hub_that_cannot_be_had_say_what_to_do(monkeypatch):
    timm = pretrained.import_timm()

    def out_of_reach(*arguments, **options):
        raise OSError("no route to the hub\nmore lines")

    monkeypatch.setattr(timm, "create_model", out_of_reach)
    with pytest.raises(InputError, match=r"could not be had from the hub \(no route to the hub\); fetch them"):
        pretrained.build("resnet50", hub=True)
