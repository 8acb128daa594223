"""What the measures of flatness say where the answer is known."""

import dataclasses

import numpy as np
import pytest
import torch

from genovision.samplers import DEISSNScheduler, beds
from genovision.samplers.flatness import COLUMNS, METHODS, flatness, recommendation
from genovision.samplers.sampling import sample
from genovision.samplers.statistics import collect_normalizer, plain_config, sample_noise


@pytest.fixture(scope="module")
def tables():
    made = {}

    def get(name):
        if name not in made:
            bed = beds.denoiser(name)
            trace = collect_normalizer(bed, bed.scheduler_config, bed.shape, 128, 128, 500).trace
            made[name] = trace, flatness(trace)
        return made[name]

    return get


def pick(table, quantity, method, degree=None):
    """(value, ratio) over the path."""
    rows = table[(table.quantity == quantity) & (table.method == method) & table.tau.isna()]
    row = rows[rows.degree == degree] if degree else rows
    return row[["value", "ratio"]].to_numpy(dtype=float)[0]


def test_the_table_is_complete(tables):
    trace, table = tables("anisotropic")
    assert list(table.columns) == COLUMNS
    inner, steps = len(trace.times) - 2, 10
    assert len(table) == len(METHODS) * (inner + 1 + 3 * (steps + 1))
    assert np.isfinite(table.value).all() and (table.value >= 0).all()
    plain = table[table.method == "deis"]
    assert (plain.ratio.dropna() == 1).all()
    assert not table.duplicated(["quantity", "method", "degree", "tau"]).any()


def test_on_an_isotropic_gaussian_normalised_eps_is_straight(tables):
    _, table = tables("isotropic")
    for method in ("deis-sn", "deis affine"):
        assert pick(table, "second difference", method)[1] < 1e-3
        for degree in (1, 2, 3):
            assert pick(table, "final error", method, degree)[1] < 1e-2
    assert recommendation(table).startswith("use score normalisation")


def test_on_an_anisotropic_gaussian_it_helps_and_more_so_per_pixel(tables):
    _, table = tables("anisotropic")
    for degree in (1, 2, 3):
        one, each, linear = (
            pick(table, "final error", m, degree)[1] for m in ("deis-sn", "deis-sn per pixel", "deis affine")
        )
        assert max(each, linear) < one < 0.9
    assert recommendation(table).startswith("use score normalisation, and linear terms do more (")


def test_on_the_mixture_it_helps_low_degrees_and_harms_the_highest(tables):
    """The scheduler itself, on 2000 noises in ten steps: x 0.45, 0.72 and 1.13 at degrees 1, 2 and 3."""
    _, table = tables("mixture")
    ratios = [pick(table, "final error", "deis-sn", degree)[1] for degree in (1, 2, 3)]
    assert ratios[0] < 0.6 < ratios[1] < 1 < ratios[2]
    assert recommendation(table).startswith("leave score normalisation off")
    assert recommendation(table, degree=1).startswith("use score normalisation")


@pytest.mark.parametrize("degree", [1, 2, 3])
def test_predicted_ratios_are_the_schedulers(tables, degree):
    trace, table = tables("anisotropic")
    bed = beds.denoiser("anisotropic")
    noise = torch.from_numpy(np.stack([sample_noise(1, i, bed.shape) for i in range(300)]))
    errors = []
    for exponent in (0.0, 1.0):
        curve = {"normalizer": trace.mean_abs_eps, "normalizer_times": trace.times, "normalizer_exponent": exponent}
        scheduler = DEISSNScheduler(**plain_config(bed.scheduler_config), solver_order=degree + 1, **curve)
        scheduler.set_timesteps(10)
        errors.append(float((sample(bed, scheduler, noise) - bed.solution(noise)).square().mean().sqrt()))
    assert pick(table, "final error", "deis-sn", degree)[1] == pytest.approx(errors[1] / errors[0], rel=0.2)


def test_a_constant_eps_is_flat_and_leaves_no_ratio():
    direction = torch.linspace(0.5, 1.5, 4, dtype=torch.float64).reshape(1, 1, 2, 2)
    bed = beds.denoiser("isotropic")
    trace = collect_normalizer(
        lambda x, t: direction.expand(len(x), -1, -1, -1), bed.scheduler_config, (1, 2, 2), 8, 8, 300
    ).trace
    table = flatness(trace)
    value, ratio = pick(table, "second difference", "deis")
    assert value < 1e-6
    assert ratio == 1 or np.isnan(ratio)


def test_a_change_within_two_per_cent_is_called_little(tables):
    _, table = tables("isotropic")
    table = table.copy()
    table.loc[(table.quantity == "final error"), "ratio"] = 1.01
    assert recommendation(table).startswith("score normalisation changes little (")
    table.loc[(table.quantity == "final error") & (table.method == "deis-sn per pixel"), "ratio"] = 0.5
    assert recommendation(table).startswith("use score normalisation per pixel; one r over time does not pay (")


def test_more_steps_make_every_measure_smaller(tables):
    trace, table = tables("anisotropic")
    finer = flatness(dataclasses.replace(trace), steps=20)
    for quantity, degree in (("second difference", None), ("final error", 2)):
        assert pick(finer, quantity, "deis", degree)[0] < pick(table, quantity, "deis", degree)[0]
