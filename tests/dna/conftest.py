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
