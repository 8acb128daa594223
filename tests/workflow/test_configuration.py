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
    for section in ("sources", "promoters", "dna", "classifiers", "uncertainty", "translation", "text_to_image"):
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
        (
            {"translation__limit": 300},
            "config key translation.limit: 300 tokens, and networks read 256; raise translation.member.longest too",
        ),
        (
            {"translation__decoding": {"beam": 1, "hypotheses": 2}},
            "config key translation.decoding.hypotheses: a beam of 1",
        ),
        (
            {"translation__packages": {"home_assistant": None}},
            "config key translation.packages.home_assistant: without it translation.corpora needs",
        ),
        ({"translation__target": "de; rm"}, "config key translation.target: 'de; rm' is not allowed"),
        ({"translation__members": 1}, "config key translation.members: 1 is less than the minimum of 2"),
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


LATENT, MASKED = {"kind": "latent", "autoencoder": "patch"}, {"kind": "masked"}


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        (
            {"dna__generators__absorb_escape": MASKED},
            "dna.generators: a set called absorb_escape is there already; give it another name",
        ),
        ({"dna__generators__shuffle": MASKED}, "dna.generators: a set called shuffle is there already"),
        ({"dna__generators__test": MASKED}, "dna.generators: a set called test is there already"),
        ({"dna__species": ["A_thaliana", "H_sapiens"]}, "dna.species: H_sapiens is none of S_cerevisiae, A_thaliana"),
        ({"dna__strangers": ["H_sapiens"]}, "dna.strangers: H_sapiens is none of S_cerevisiae, A_thaliana"),
        ({"dna__strangers": ["A_thaliana"]}, "dna.strangers: A_thaliana is one of dna.species, which generators learn"),
        ({"dna__fred": "wide"}, "dna.autoencoders: there is no wide; it is used"),
        (
            {"dna__generators__other": {"kind": "latent", "autoencoder": "wide"}},
            "dna.autoencoders: there is no wide; it is used",
        ),
        (
            {"dna__generators__other": {"kind": "latent"}},
            "dna.autoencoders: there is no autoencoder named by a latent model; it is used",
        ),
        (
            {"dna__fred": "patch"},
            "dna.fred: patch is a generator's own autoencoder, which would judge its own latents; train another",
        ),
        (
            {"dna__sweep__pair__diffusion": "autoregressive"},
            "dna.sweep.pair.diffusion: autoregressive is no generator of this kind; there is discdiff, ",
        ),
        (
            {"dna__sweep__pair__autoregression": "absent"},
            "dna.sweep.pair.autoregression: absent is no generator of this kind; there is autoregressive, ",
        ),
        (
            {"dna__refinements__other": {"diffusion": "absent"}},
            "dna.refinements.other.diffusion: absent is no generator of this kind; there is discdiff, ",
        ),
        (
            {"dna__refinements__other": {"autoregression": "discdiff"}},
            "dna.refinements.other.autoregression: discdiff is no generator of this kind; there is autoregressive, ",
        ),
        (
            {"dna__refinements__other": {"control": "refill", "like": "absent"}},
            "dna.refinements.other.like: absent is no refinement to be compared with",
        ),
        (
            {"dna__refinements__other": {"control": "letters", "like": "random_refill"}},
            "dna.refinements.other.like: random_refill is no refinement to be compared with",
        ),
        (
            {"dna__refinements__other": {"control": "letters"}},
            "dna.refinements.other.like: None is no refinement to be compared with",
        ),
        (
            {"dna__ensemble": ["autoregressive", "discdiff"]},
            "dna.ensemble: discdiff is no autoregressive generator",
        ),
        ({"dna__ensemble": ["autoregressive", "absent"]}, "dna.ensemble: absent is no autoregressive generator"),
        ({"dna__detected": ["gan"]}, "dna.detected: there is no set gan; there is test, train, "),
        ({"dna__detected": ["annotation"]}, "dna.detected: there is no set annotation; there is test, train, shuffle"),
        ({"dna__pictured": ["gan"]}, "dna.pictured: there is no set gan; there is test, train, "),
        (
            {"samplers__latents": ["autoregressive"]},
            "samplers.latents: autoregressive is no latent generator under dna.generators",
        ),
        ({"samplers__latents": ["absent"]}, "samplers.latents: absent is no latent generator under dna.generators"),
        ({"dna__generators__x": {"kind": "gan"}}, "dna.generators.x.kind: 'gan' is not one of"),
        ({"dna__refinements__x": {"threshold": 1.5}}, "dna.refinements.x.threshold: 1.5 is greater than the maximum"),
        ({"dna__refinements__x": {"threshold": -0.1}}, "dna.refinements.x.threshold: -0.1 is less than the minimum"),
        ({"dna__sweep__thresholds": {"decoder": [2]}}, "dna.sweep.thresholds.decoder[0]: 2 is greater than"),
    ],
)
def test_generators_name_what_is_there(changes, sentence, capsys):
    with pytest.raises(SystemExit) as stop:
        check_config(merged(**changes), SCHEMA)
    assert stop.value.code == 2
    message = capsys.readouterr().err
    assert message.startswith(f"error: config key {sentence}"), message
    assert message.count("\n") == 1


def test_generators_are_only_asked_for_by_their_systems(capsys):
    others = [system for system in CONFIG["systems"] if system not in ("discdiff", "absorb_escape")]
    check_config(merged(dna__strangers=["A_thaliana"], systems=others), SCHEMA)
    check_config(merged(samplers__latents=["discdiff"]), SCHEMA)
    left_out = {
        name: None for name in CONFIG["dna"]["generators"] if name not in ("autoregressive", "autoregressive_1")
    }
    alone = {"generators": CONFIG["dna"]["generators"] | left_out | {"another": LATENT}, "refinements": {}}
    changes = {f"dna__{key}": value for key, value in alone.items()}
    pair = {"diffusion": "another", "autoregression": "autoregressive"}
    changes |= {"dna__sweep__pair": pair, "dna__detected": ["shuffle"], "dna__pictured": ["train"]}
    with pytest.raises(SystemExit):
        check_config(merged(**changes), SCHEMA)
    sentence = "dna.generators: the systems discdiff and absorb_escape need a generator called discdiff"
    assert sentence in capsys.readouterr().err
    changes["dna__sweep__pair"] = {"diffusion": "discdiff", "autoregression": "autoregressive"}
    with pytest.raises(SystemExit):
        check_config(merged(**changes), SCHEMA)
    assert (
        "dna.sweep.pair.diffusion: discdiff is no generator of this kind; there is another" in capsys.readouterr().err
    )
    check_config(merged(dna__refinements__absorb_masked=None, dna__generators__masked_diffusion=None), SCHEMA)


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
