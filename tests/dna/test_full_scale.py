"""config/paper.yaml's networks of promoters: the authors' sizes, and a step of training of each at 2048 bases."""

import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from checkouts import ROOT
from peers import mend_torchvision

mend_torchvision()  # diffusers imports transformers where it is installed, and that imports torchvision

from diffusers import UNet2DModel  # noqa: E402

from genovision.dna import autoencoders, autoregression, latent_diffusion  # noqa: E402

LENGTH, SPECIES = 2048, 15


@pytest.fixture(scope="module")
def dna():
    """The part of the configuration, merged as Snakemake merges overlays."""
    from snakemake.utils import update_config

    config = yaml.safe_load((ROOT / "config" / "config.yaml").read_text())
    update_config(config, yaml.safe_load((ROOT / "config" / "paper.yaml").read_text()))
    return config["dna"]


@pytest.fixture
def given(launcher):
    """`given(command, entry)` -> the module of a command, and its options as the rule writes them for an entry."""

    def parsed(command, entry):
        module, options = launcher.load(f"dna/{command}"), []
        left_out = {"sampling", "autoencoder", "gpu", "seed", *(["kind"] if entry.get("kind") == "latent" else [])}
        for key, value in entry.items():
            if key not in left_out:
                values = [] if value is True else value if isinstance(value, list) else [value]
                options += [f"--{key.replace('_', '-')}", *map(str, values)]
        needed = [action for action in module.parser()._actions if action.required]
        paths = [part for action in needed if action.dest != "kind" for part in (action.option_strings[0], "x")]
        return module, module.parser().parse_args([*options, *paths])

    return parsed


def codes(number=4):
    return np.random.default_rng(0).integers(0, 4, (number, LENGTH), dtype=np.uint8)


def step(network, loss, rate=1e-4) -> list[float]:
    """Losses of one batch before and after a step of plain descent."""
    before = loss(network, 0)
    before.backward()
    with torch.no_grad():
        for weights in network.parameters():
            if weights.grad is not None:
                weights -= rate * weights.grad
                weights.grad = None
        return [float(before.detach()), float(loss(network, 0))]


def autoencoder(dna, given):
    entry = dna["autoencoders"][dna["generators"]["discdiff"]["autoencoder"]]
    module, args = given("train_autoencoder", entry)
    return autoencoders.build(args.architecture, 0, **module.options_of(args, dna["length"])), args


def test_the_data_are_the_papers_and_the_genomes_those_of_epd(dna):
    paper, epd = (yaml.safe_load((ROOT / "config" / f"{name}.yaml").read_text()) for name in ("paper", "epd"))
    assert dna["length"] == LENGTH and len(dna["species"]) == SPECIES
    assert dna["species"] == paper["promoters"]["species"] == epd["promoters"]["species"]
    assert paper["genomes"] == epd["genomes"] and paper["promoters"]["tss"] == epd["promoters"]["tss"]
    used = [
        *dna["generators"].values(),
        *(dna["autoencoders"][name] for name in ("published", "fred")),
        dna["embedding"],
    ]
    assert all(entry["gpu"] == 1 for entry in used)


def test_the_configuration_passes_the_schema(dna, capsys):
    sys.path.insert(0, str(Path(ROOT, "workflow")))
    from configuration import check_config, read_yaml
    from snakemake.utils import update_config

    config = yaml.safe_load((ROOT / "config" / "config.yaml").read_text())
    update_config(config, yaml.safe_load((ROOT / "config" / "paper.yaml").read_text()))
    schema = read_yaml(str(ROOT / "workflow" / "schemas" / "config.schema.yaml"))
    check_config(config, schema)
    config["dna"]["generators"]["discdiff"]["gpu"] = 2  # a training takes one
    with pytest.raises(SystemExit):
        check_config(config, schema)
    assert "config key dna.generators.discdiff.gpu: 2 is greater than the maximum of 1" in capsys.readouterr().err


def test_the_autoencoder_is_the_authors_and_learns(dna, given):
    network, args = autoencoder(dna, given)
    assert network.shape == (16, 16, 16) and not network.config.strided
    assert sum(p.numel() for p in network.parameters()) == 454_785
    examples = autoencoders.Examples(codes(), batch=2, seed=0, kl_weight=args.kl_weight)
    before, after = step(network, examples.loss, 1e-6)  # of sums over 2048 bases
    assert after < before


def test_the_denoiser_is_the_authors_but_for_the_species(dna, given):
    module, args = given("train_latent_diffusion", dna["generators"]["discdiff"])
    latents, _ = autoencoder(dna, given)
    with torch.device("meta"):  # sizes without weights
        network = latent_diffusion.network_for(latents, SPECIES, kind=args.denoiser, **module.options_of(args))
        theirs = UNet2DModel(
            sample_size=16,
            in_channels=16,
            out_channels=16,
            layers_per_block=8,
            block_out_channels=(256, 256, 512, 512),
            down_block_types=("DownBlock2D", "DownBlock2D", "AttnDownBlock2D", "DownBlock2D"),
            up_block_types=("UpBlock2D", "AttnUpBlock2D", "UpBlock2D", "UpBlock2D"),
        )
    mine, wanted = ({name: tuple(p.shape) for name, p in one.named_parameters()} for one in (network, theirs))
    assert mine.pop("class_embedding.weight") == (SPECIES + 1, 1024) and mine == wanted
    assert all(a.heads == b.heads for a, b in zip(_attention(network), _attention(theirs), strict=True))
    assert sum(p.numel() for p in network.parameters()) == 330_355_728
    assert (args.prediction, args.betas, args.unscaled, args.average) == ("epsilon", "linear", True, 0)
    assert latent_diffusion.noise_config(args.betas, args.prediction)["beta_end"] == 0.02


def _attention(network):
    return [module for module in network.modules() if type(module).__name__ == "Attention"]


def test_the_denoiser_learns(dna, given):
    if _available() < 8e9:
        pytest.skip("8 GB of free memory are needed")
    module, args = given("train_latent_diffusion", dna["generators"]["discdiff"])
    latents, _ = autoencoder(dna, given)
    latents.eval().requires_grad_(False)
    network = latent_diffusion.network_for(latents, SPECIES, kind=args.denoiser, **module.options_of(args)).train()
    examples = latent_diffusion.Examples(
        codes(),
        np.arange(4),
        latents,
        latent_diffusion.no_scale(16),
        latent_diffusion.noise_config(args.betas, args.prediction),
        species=SPECIES,
        batch=2,
        seed=0,
    )
    before, after = step(network, examples.loss, 1e-3)
    assert after < before


def test_the_autoregressive_model_learns(dna, given):
    entry = dna["generators"]["autoregressive"]
    _, args = given("train_autoregression", entry)
    sizes = {name: getattr(args, name) for name in ("width", "layers", "heads", "context", "dropout")}
    network = autoregression.build(args.kind, 0, species=dna["species"], length=LENGTH, **sizes).train()
    assert sum(p.numel() for p in network.parameters()) == 20_715_460
    batches = autoregression.Batches(codes(), np.arange(4), batch=2, seed=0)
    before, after = step(network, batches.loss, 0.01)
    assert before == pytest.approx(2, abs=1e-3) and after < before


def _available() -> float:
    found = [
        line.split()[1] for line in Path("/proc/meminfo").read_text().splitlines() if line.startswith("MemAvailable")
    ]
    return 1024 * float(found[0])
