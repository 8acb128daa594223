"""A small data set with a planted TATA-box, and the commands run in this process."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from genovision.alphabet import decode
from genovision.tables import write_table

ROOT = Path(__file__).resolve().parents[2]


def promoters(number: int, rng: np.random.Generator, share: float = 0.4) -> list[str]:
    """Random sequences of 80 bp, of which a share has TATAAAAG with the reference column 31 bp upstream of the start site (index 40)."""
    codes = rng.choice(4, p=[0.3, 0.2, 0.2, 0.3], size=(number, 80)).astype(np.uint8)
    sequences = decode(codes)
    return [s[:7] + "TATAAAAG" + s[15:] if k < share * number else s for k, s in enumerate(sequences)]


@pytest.fixture(scope="session")
def dataset(tmp_path_factory):
    """Parquet with 300 training, 40 validation and 60 test sequences of one species and a few of another."""
    rng = np.random.default_rng(5)
    frames = []
    for species, sizes in (("A_one", (300, 40, 60)), ("B_two", (30, 0, 0))):
        for fold, size in zip(("train", "validation", "test"), sizes, strict=True):
            frames.append(pd.DataFrame({"species": species, "fold": fold, "sequence": promoters(size, rng)}))
    path = tmp_path_factory.mktemp("dna") / "data.parquet"
    write_table(pd.concat([frame for frame in frames if len(frame)], ignore_index=True), path)
    return path


NAMES = ("A_one", "B_two")
TRAINING = {
    "recurrent": ("train_autoregression", "--width", 16, "--inside", 8, "--context", 3),
    "transformer": ("train_autoregression", "--kind", "transformer", "--width", 16, "--heads", 2, "--context", 3),
    "latent": ("train_latent_diffusion", "--width", 16, "--blocks", 2),
    "onehot": ("train_base_diffusion", "--kind", "onehot", "--width", 16, "--dilations", 1, 2),
    "masked": ("train_base_diffusion", "--kind", "masked", "--width", 16, "--dilations", 1, 2, "--context", 2),
}
JUDGES = {
    "patch": ("train_autoencoder", "--patch", 4, "--channels", 6, "--width", 16),
    "embedding": ("train_embedding", "--width", 6, "--features", 6, "--copies", 1),
}


@pytest.fixture(scope="session")
def tiny(tmp_path_factory, launcher):
    """A folder with `s.npz`, 80 bases of two species with a TATA-box in 40 % (300 training, 40 validation and 20 test sequences of each,
    A_one of more A and T, B_two of more C and G), and models of every kind trained on it in a few steps, by kind."""
    torch = pytest.importorskip("torch")
    from peers import mend_torchvision

    from genovision.dna.examples import Examples, write_examples

    mend_torchvision()  # diffusers imports transformers where it is installed, and that imports torchvision
    folder, rng = tmp_path_factory.mktemp("tiny"), np.random.default_rng(2)
    sizes = (300, 40, 20)
    parts = []
    for rich in (0.35, 0.2):
        found = rng.choice(4, p=[rich, 0.5 - rich, 0.5 - rich, rich], size=(sum(sizes), 80)).astype(np.uint8)
        found[rng.random(len(found)) < 0.4, 7:15] = [3, 0, 3, 0, 0, 0, 0, 2]
        parts.append(found)
    species, fold = np.repeat([0, 1], sum(sizes)), np.tile(np.repeat(np.arange(3, dtype=np.uint8), sizes), 2)
    write_examples(folder / "s.npz", Examples(np.concatenate(parts), species, fold, NAMES))
    for name, (script, *options) in (JUDGES | TRAINING).items():
        more = ("--data", folder / "s.npz", "--steps", 40, "--batch", 32, "--out", folder / name)
        if name == "latent":
            more += ("--autoencoder", folder / "patch")
        assert launcher.run([f"dna/{script}", *map(str, (*options, *more))]) == 0, name
    torch.use_deterministic_algorithms(False)
    return folder
