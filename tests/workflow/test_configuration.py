"""A wrong configuration is refused before anything is planned, by the key's name."""

import copy
from pathlib import Path

import pytest
import yaml
from configuration import check_claims, check_config

ROOT = Path(__file__).resolve().parents[2]
SCHEMA = yaml.safe_load((ROOT / "workflow" / "schemas" / "config.schema.yaml").read_text())
CLAIMS = yaml.safe_load((ROOT / "workflow" / "schemas" / "claims.schema.yaml").read_text())
CONFIG = yaml.safe_load((ROOT / "config" / "config.yaml").read_text())


def merged(**changes):
    config = copy.deepcopy(CONFIG)
    for path, value in changes.items():
        *folders, key = path.split("__")
        place = config
        for folder in folders:
            place = place[folder]
        place[key] = value
    return config


def test_the_shipped_configuration_is_complete_and_passes():
    config = copy.deepcopy(CONFIG)
    check_config(config, SCHEMA)
    for section in ("sources", "promoters", "dna", "classifiers", "uncertainty", "text_to_image"):
        assert set(config[section]) == set(CONFIG[section]), (
            "a default of the schema filled in a key that config.yaml lacks"
        )


def test_defaults_fill_a_short_configuration():
    images = {key: CONFIG["classifiers"][key] for key in ("fashion_mnist", "openmoji", "imagenet")}
    config = {"promoters": {"species": ["A_thaliana"]}, "genomes": {"A_thaliana": CONFIG["genomes"]["A_thaliana"]}}
    config["classifiers"] = images
    config["systems"] = ["epd_gendna", "punc"]  # discdiff and absorb_escape need generators, which have no default
    check_config(config, SCHEMA)
    assert config["promoters"]["split"]["fractions"] == [0.8, 0.1, 0.1]
    assert config["dna"]["replicates"] == CONFIG["dna"]["replicates"]
    assert config["seed"] == 0


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"promoters__specis": ["A_thaliana"]}, "config key promoters.specis is unknown; promoters takes"),
        ({"speces": 1}, "config key speces is unknown; the top level takes"),
        ({"promoters__lengths": "256"}, "config key promoters.lengths: '256' is not of type 'array'"),
        ({"promoters__lengths": [256, -5]}, "config key promoters.lengths[1]: -5 is less than the minimum of 16"),
        ({"promoters__species": ["../x"]}, "config key promoters.species[0]: '../x' is not allowed"),
        ({"promoters__species": ["a; rm -rf b"]}, "config key promoters.species[0]: 'a; rm -rf b' is not allowed"),
        ({"promoters__species": ["H_sapiens"]}, "config key promoters.species: H_sapiens is not defined under genomes"),
        ({"promoters__species": []}, "config key promoters.species: [] should be non-empty"),
        (
            {"promoters__split__fractions": [0.8, 0.1, 0.2]},
            "config key promoters.split.fractions: [0.8, 0.1, 0.2] does not sum to 1",
        ),
        (
            {"promoters__split__orthologs": [["S_cerevisiae", "A_thaliana"]]},
            "config key promoters.split.orthologs needs",
        ),
        (
            {"promoters__tss": ["epd"], "promoters__species": ["A_arenosa"]},
            "config key genomes.A_arenosa: promoters.tss asks for epd",
        ),
        (
            {"promoters__author_csv": {"path": "x.csv", "sha256": "1", "length": 256}},
            "config key promoters.author_csv.sha256",
        ),
        ({"dna__length": 300}, "config key dna.length: 300 is not one of promoters.lengths"),
        ({"dna__sets": ["shuffle"]}, "config key dna.sets"),
        ({"dna__motifs": ["TATA"]}, "config key dna.motifs[0]: 'TATA' is not one of"),
        ({"dna__jaspar": ["../../etc/passwd"]}, "config key dna.jaspar[0]"),
        ({"dna__replicates": "many"}, "config key dna.replicates: 'many' is not of type 'integer'"),
        ({"seed": -1}, "config key seed: -1 is less than the minimum of 0"),
        (
            {"genomes__A_thaliana__sequence": {"source": "x;y", "file": "z"}},
            "config key genomes.A_thaliana.sequence.source: 'x;y'",
        ),
        ({"genomes__../x": {"name": "X"}}, "config key genomes: '../x' is not allowed"),
        (
            {"genomes__A_thaliana__contigs": {"a$(b)": {"name": "c", "length": 1}}},
            "config key genomes.A_thaliana.contigs: 'a$(b)'",
        ),
        ({"systems": ["epd"]}, "config key systems[0]: 'epd' is not one of"),
        ({"text_to_image__worlds": ["moon"]}, "config key text_to_image.worlds[0]: 'moon' is not one of"),
        ({"text_to_image__worlds": []}, "config key text_to_image.worlds: the system punc needs a world"),
        (
            {"text_to_image__hub__generators": {"sd15": {"model": "x"}}},
            "config key text_to_image.hub.captioner.model: the images of hub.generators need",
        ),
        (
            {"text_to_image__hub__generators": {"scenes": {"model": "x"}}},
            "config key text_to_image.hub.generators",
        ),
        (
            {"text_to_image__glyphs__sets__jitter": 1},
            "config key text_to_image.glyphs.sets.jitter: only the world scenes",
        ),
        (
            {"text_to_image__reconstruction__judged": 9},
            "config key text_to_image.reconstruction.judged: there are only 4",
        ),
        (
            {"text_to_image__sampling__scheduler": "os; rm"},
            "config key text_to_image.sampling.scheduler: 'os; rm' is not allowed",
        ),
    ],
)
def test_a_wrong_key_is_named(changes, sentence, capsys):
    with pytest.raises(SystemExit) as stop:
        check_config(merged(**changes), SCHEMA)
    assert stop.value.code == 2
    message = capsys.readouterr().err
    assert message.startswith(f"error: {sentence}"), message
    assert message.count("\n") == 1


def test_claims_are_checked(tmp_path, capsys):
    shipped = ROOT / "config" / "claims.yaml"
    check_claims(str(shipped), CLAIMS)
    entries = yaml.safe_load(shipped.read_text())
    assert {entry["id"] for entry in entries} >= set(range(1, 31))
    for change, sentence in [
        (lambda e: e[0].update(direction="more"), "entry [0].direction: 'more' is not one of"),
        (lambda e: e[0].update(verdict="supported"), "entry [0].verdict is unknown"),
        (lambda e: e[1].update(id=1), "id 1 stands there twice"),
    ]:
        changed = copy.deepcopy(entries)
        change(changed)
        path = tmp_path / "claims.yaml"
        path.write_text(yaml.safe_dump(changed))
        with pytest.raises(SystemExit):
            check_claims(str(path), CLAIMS)
        assert sentence in capsys.readouterr().err


SPLITS = {"train": "imagenet_train", "calibration": "imagenet_val", "test": "imagenet_val"}
ARRAYS = {"sirc": "one", "ensemble_diversity": "one", "early_exit": ["one", "two"]}
ARRAYS["label_smoothing"] = {"one": 0.0, "two": 0.1}


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"sirc": "absent"}, "sirc: absent is not defined under classifiers.imagenet.networks"),
        ({"sirc": "lite0"}, "sirc: lite0 is run on the benchmark photographs, which has no train and no test"),
        ({"sirc": "inside"}, "sirc: inside is run on the benchmark id_only, which has no OOD set"),
        ({"ensemble_diversity": "alone"}, "ensemble_diversity: alone needs 2 seeds at least"),
        ({"early_exit": ["one", "three"]}, "early_exit: its networks differ in benchmark or number of seeds"),
        ({"label_smoothing": {"one": 0.1, "two": 0.1}}, "label_smoothing: exactly one network"),
        ({"early_exit": ["one"]}, "early_exit: ['one'] is too short"),
    ],
)
def test_arrays_name_networks_that_are_run_on_what_the_systems_read(changes, sentence, capsys):
    def config(arrays):
        imagenet = copy.deepcopy(CONFIG["classifiers"]["imagenet"])
        imagenet["benchmarks"] |= {"mini": SPLITS | {"far": "textures"}, "id_only": SPLITS}
        network = {"architecture": "resnet50", "benchmark": "mini", "weights": {"hub": True}}
        seeds = {"one": 2, "two": 2, "three": 3, "alone": 1}
        imagenet["networks"] |= {name: network | {"seeds": number} for name, number in seeds.items()}
        imagenet["networks"]["inside"] = network | {"benchmark": "id_only"}
        return merged(classifiers__imagenet=imagenet, uncertainty__arrays=arrays)

    check_config(config(ARRAYS), SCHEMA)
    with pytest.raises(SystemExit) as stop:
        check_config(config(ARRAYS | changes), SCHEMA)
    assert stop.value.code == 2
    assert f"config key uncertainty.arrays.{sentence}" in capsys.readouterr().err


def test_a_denoiser_has_images_and_the_system_a_denoiser(capsys):
    network = {"images": "cifar10", "channels": [32], "steps": 10}
    check_config(merged(samplers={"networks": {"small": network}, "cifar10": "cifar.tar.gz"}), SCHEMA)
    check_config(merged(samplers={"networks": {"small": None}}), SCHEMA)
    for samplers, sentence in [
        ({"networks": {"small": network}}, "samplers.cifar10: samplers.networks.small is trained on these images"),
        ({"beds": [], "networks": {}}, "samplers: name at least one of beds and networks"),
        ({"networks": {"mixture": network}}, "samplers.networks"),
        ({"networks": {"small": network | {"images": "imagenet"}}}, "samplers.networks.small.images"),
        ({"nfe": [2]}, "samplers.nfe[0]"),
    ]:
        with pytest.raises(SystemExit) as stop:
            check_config(merged(samplers=samplers, systems=["deis_sn"]), SCHEMA)
        assert stop.value.code == 2
        assert sentence in capsys.readouterr().err
