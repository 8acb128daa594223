"""Every sampler by name: evaluations counted, convergence to the solution, parity with the libraries, settings as data."""

import itertools
import json

import numpy as np
import pytest
import torch

from genovision.errors import InputError
from genovision.samplers.beds import SCHEDULER_CONFIG, denoiser
from genovision.samplers.catalogue import ON_OUR_GRIDS, OURS, PEERS, Setting, run, schedule_of, settings, time_grid
from genovision.samplers.choice import from_trace
from genovision.samplers.statistics import collect_normalizer

FAMILIES = PEERS + OURS
PUBLISHED = ("deis-tab2", "deis-tab3", "deis-sn-tab2", "deis-sn-tab3")


@pytest.fixture(scope="module")
def bed():
    return denoiser("anisotropic")


@pytest.fixture(scope="module")
def statistics(bed):
    return from_trace(collect_normalizer(bed, bed.scheduler_config, bed.shape, 64, 64, 200).trace)


@pytest.fixture(scope="module")
def noise(bed):
    return torch.from_numpy(np.random.default_rng(1).standard_normal((24, *bed.shape)))


def error(setting, bed, noise, nfe, statistics) -> float:
    x, _ = run(setting, bed, noise, nfe, SCHEDULER_CONFIG, 0, statistics)
    solution = bed.solution(noise, 0.0 if setting.ends_at_zero else 1e-3)
    return float(((x - solution) ** 2).mean().sqrt())


def runnable(family: str, level: int) -> list[Setting]:
    return [s if s.options["grid"] != "searched" else s.changed(grid="quadratic") for s in settings(family, level)]


@pytest.mark.parametrize("family", FAMILIES)
def test_never_more_evaluations_than_asked_for(family, bed, noise, statistics):
    for setting in runnable(family, 2):
        for nfe in (1, 2, 7) if setting.options.get("grid") == "quadratic" else (6,):
            asked = []

            def counting(x, t, asked=asked):
                asked.append(float(t))
                return bed(x, t)

            x, calls = run(setting, counting, noise[:2], nfe, SCHEDULER_CONFIG, 0, statistics)
            assert calls == len(asked) <= nfe and x.shape == noise[:2].shape
            if not family.startswith("heun"):
                assert calls == nfe
            assert min(asked) >= 0 and max(asked) <= 999


@pytest.mark.parametrize("family", [family for family in FAMILIES if family != "ddpm"])
def test_converges_to_the_solution(family, bed, noise, statistics):
    """At many evaluations every sampler meets the solution at its own end, on the default and on the quadratic grid."""
    for setting in [s for s in runnable(family, 2) if s.options["grid"] == "quadratic"][:2]:
        few, many = (error(setting, bed, noise, nfe, statistics) for nfe in (10, 100))
        # a polynomial in log rho has no end at zero to go on to
        slow = family in ("ddim", "deis-1", "heun", "heun-karras", "rhoab") or "log_rho" in setting.name
        bound = 0.006 if slow else 0.002
        assert many < bound and many < few + 1e-4, (setting.name, few, many)


def test_our_degree_0_is_the_library_s_ddim(bed, noise):
    ours = Setting("deis-best", "x", {"grid": "quadratic", "solver_order": 1, "interpolation_variable": "t"})
    theirs = Setting("ddim", "x", {"grid": "quadratic"})
    found = [run(setting, bed, noise, 6, SCHEDULER_CONFIG)[0] for setting in (ours, theirs)]
    assert torch.allclose(*found, atol=1e-6)


def test_log_rho_on_a_common_grid_is_the_library_s_deis(bed, noise):
    """The grid that stands in for the library's is the same one: equal results as far as the library's own end, 1 / T."""
    grid = time_grid("quadratic", 8, schedule_of(SCHEDULER_CONFIG), 1e-3).tolist()
    options = {"grid": "x", "times": grid, "solver_order": 3, "interpolation_variable": "log_rho"}
    ours, _ = run(Setting("deis-best", "x", options), bed, noise, 8, SCHEDULER_CONFIG)
    theirs = Setting("deis-3", "x", {"grid": "quadratic", "lower_order_final": False})
    assert torch.allclose(ours, run(theirs, bed, noise, 8, SCHEDULER_CONFIG)[0], atol=2e-5)


def test_library_on_its_own_grid_is_the_library(bed, noise):
    """Replacing the grid by the library's own times changes nothing: only the grid is replaced."""
    from diffusers.schedulers.scheduling_dpmsolver_multistep import DPMSolverMultistepScheduler

    scheduler = DPMSolverMultistepScheduler(beta_schedule="linear", solver_order=2)
    scheduler.set_timesteps(6)
    tau = [*((scheduler.timesteps.numpy() + 1) / 1000).tolist(), 0.0]
    base = {"final_sigmas_type": "zero", "lower_order_final": True}
    found = [
        run(Setting("dpm++2m", "x", base | grid), bed, noise, 6, SCHEDULER_CONFIG)[0]
        for grid in ({"grid": "library", "timestep_spacing": "linspace"}, {"grid": "x", "times": tau})
    ]
    assert torch.allclose(*found, atol=1e-4)


def test_library_deis_3_grows_worse_with_more_evaluations_on_its_default():
    """Measured, diffusers 0.42.1: below 15 steps it lowers its order at the end, from 15 on it does not, and the mixture shows it."""
    bed = denoiser("mixture")
    noise = torch.from_numpy(np.random.default_rng(0).standard_normal((200, *bed.shape)))
    setting = settings("deis-3", 0)[0]
    assert setting.options["grid"] == "library" and setting.options["lower_order_final"]
    solution = bed.solution(noise, 1e-3, steps=500)
    errors = [
        float(((run(setting, bed, noise, nfe, SCHEDULER_CONFIG)[0] - solution) ** 2).mean().sqrt()) for nfe in (14, 20)
    ]
    assert errors[1] > 1.5 * errors[0]


@pytest.mark.parametrize("name", ["isotropic", "anisotropic", "mixture"])
def test_ours_never_grows_worse_with_more_evaluations(name):
    """The published setting and the scheduler's default, on every bed."""
    bed = denoiser(name)
    statistics = from_trace(collect_normalizer(bed, bed.scheduler_config, bed.shape, 64, 64, 200).trace)
    noise = torch.from_numpy(np.random.default_rng(0).standard_normal((50, *bed.shape)))
    solution = bed.solution(noise, steps=500)
    for family in PUBLISHED:
        (setting,) = settings(family, 2)
        found = [
            run(setting, bed, noise, n, SCHEDULER_CONFIG, 0, statistics)[0] for n in (4, 5, 6, 8, 10, 14, 16, 20, 30)
        ]
        errors = [float(((x - solution) ** 2).mean().sqrt()) for x in found]
        # where it is exact up to the interpolation of the normaliser, that is what remains
        assert all(b <= a + 2e-4 for a, b in itertools.pairwise(errors)), (family, errors)


@pytest.mark.parametrize("degree", [0, 1, 2, 3])
def test_normaliser_helps_on_a_diagonal_gaussian(degree, bed, noise, statistics):
    for nfe in (3, 5, 8, 10, 20):
        plain = {"grid": "quadratic", "solver_order": degree + 1, "interpolation_variable": "t"}
        normalised = plain | {"normalizer": "scalar", "gamma": 1.0}
        deis, sn = (error(Setting("deis-sn-best", "x", o), bed, noise, nfe, statistics) for o in (plain, normalised))
        assert sn <= deis


def test_stochastic_sampler_depends_on_its_seed_alone(bed, noise):
    setting = settings("ddpm", 0)[0]
    assert setting.stochastic
    first, again, other = (run(setting, bed, noise, 5, SCHEDULER_CONFIG, seed)[0] for seed in (1, 1, 2))
    assert torch.equal(first, again) and not torch.equal(first, other)


def test_settings_are_data():
    seen = set()
    for family in FAMILIES:
        assert len(settings(family, 0)) == 1
        for level in (1, 2):
            found = settings(family, level)
            assert len({s.to_json() for s in found}) == len(found)
            for setting in found:
                assert Setting.from_json(setting.to_json()) == setting
                seen.add(setting.to_json())
    assert all(json.loads(text)["family"] in FAMILIES for text in seen)
    assert not set(ON_OUR_GRIDS) & set(FAMILIES)


def test_every_peer_has_the_quadratic_grid_and_the_options_of_its_library():
    for family in ("ddim", "deis-3", "dpm++2m", "dpm++3m", "unipc-2", "unipc-3", "heun", "ipndm", "rhoab"):
        assert "quadratic" in {s.options["grid"] for s in settings(family, 2)}
    assert {False, True} == {s.options["lower_order_final"] for s in settings("deis-3", 2)}
    assert any(s.options.get("use_lu_lambdas") for s in settings("dpm++2m", 2))


def test_grids_run_from_one_to_their_end():
    schedule = schedule_of(SCHEDULER_CONFIG)
    for name in ("linear", "quadratic", "cubic", "karras", "logsnr"):
        for steps in (1, 2, 5, 50):
            for end in (0.0, 1e-3):
                tau = time_grid(name, steps, schedule, end)
                assert len(tau) == steps + 1 and tau[0] == 1 and tau[-1] == end and (np.diff(tau) < 0).all()
                assert tau[-2] >= 1e-3 - 1e-15  # the network is not asked below its first training time


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: settings("euler"), "there is no sampler 'euler'"),
        (lambda: settings("ddim", 5), "level 5"),
        (lambda: time_grid("even", 5, schedule_of(SCHEDULER_CONFIG)), "there is no grid 'even'"),
        (lambda: Setting.from_json("{}"), "family, name and options"),
        (lambda: Setting.from_json('{"family": "x", "name": "x", "options": {}}'), "there is no sampler 'x'"),
        (lambda: run(settings("ddim", 0)[0], None, torch.zeros(1, 1), 0, SCHEDULER_CONFIG), "0 evaluations"),
        (
            lambda: run(settings("deis-sn-tab3", 0)[0], None, torch.zeros(1, 1), 5, SCHEDULER_CONFIG),
            "collect them first",
        ),
    ],
)
def test_bad_input_is_told_in_a_sentence(call, words):
    with pytest.raises(InputError, match=words):
        call()
