"""The figure of samples: the run that is made for it alone."""

import numpy as np
import pandas as pd
import pytest

from genovision.arrays import write_arrays
from genovision.tables import write_table


@pytest.fixture
def samples(tmp_path):
    write_table(pd.DataFrame({"step": [1, 2], "loss": [1.0, 0.5], "held_out": [1.1, 0.6]}), tmp_path / "curve.tsv")

    def write(pictured: int):
        images = np.zeros((2, 1, 1, 8, 6, 6), dtype=np.uint8)
        names = np.array(["ddim", "best-ours"])
        own = {"pictured": np.zeros(0, dtype=np.uint8), "pictured_present": np.zeros(2, dtype=bool)}
        if pictured:
            own = {"pictured": images[:, 0, 0], "pictured_present": np.array([True, False])}
        write_arrays(
            tmp_path / "samples.npz",
            images=images,
            present=np.ones((2, 1, 1), dtype=bool),
            reference=images[0, :, 0],
            samplers=names,
            nfe=np.array([5]),
            seeds=np.array([3]),
            pictured_nfe=np.array(pictured),
            **own,
        )
        return tmp_path

    return write


@pytest.mark.parametrize(("pictured", "pictures"), [(0, 3), (50, 5)])
def test_what_was_run_for_the_figure_is_in_it_and_what_was_not_stays_empty(samples, command, pictured, pictures):
    folder = samples(pictured)
    given = ("--samples", folder / "samples.npz", "--curve", folder / "curve.tsv", "--name", "clothes")
    assert command("samplers/plot_samples", *given, "--out", folder / "a.svg", folder / "b.svg")[0] == 0
    text = (folder / "a.svg").read_text()
    # the solution stands over each number, and of two rows one has no images at 50
    assert text.count("<image") == pictures
