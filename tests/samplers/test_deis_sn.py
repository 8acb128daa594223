"""The scheduler's own promises: exactness, parity with diffusers, options, speed of its cache, and what it refuses."""

import json
import subprocess
import sys

import numpy as np
import pytest
import torch
from checkouts import ROOT
from diffusers import DDIMScheduler, DEISMultistepScheduler
from diffusers.utils import logging

import genovision.samplers
from genovision.errors import InputError
from genovision.samplers import DEISSNScheduler, deis_sn
from genovision.samplers.grids import SPACINGS
from genovision.samplers.sampling import Step, sample, trajectory

pytestmark = pytest.mark.filterwarnings("ignore:__array_:DeprecationWarning")
TAUS = np.linspace(1e-3, 1, 1000) ** 2


class Gaussian:
    """The network of diagonal Gaussian data N(mean, spread^2), both (D,), under the scheduler's own schedule."""

    def __init__(self, scheduler, spread, mean=0.0):
        self.schedule, self.last = scheduler.schedule, len(scheduler.betas)
        self.spread, self.mean = (
            torch.as_tensor(spread, dtype=torch.float64),
            torch.as_tensor(mean, dtype=torch.float64),
        )

    def level(self, tau):
        return float(self.schedule.alpha_bar(tau)), float(self.schedule.sigma(tau))

    def __call__(self, x, t):
        alpha_bar, sigma = self.level((float(t.double()) + 1) / self.last)
        return sigma * (x - alpha_bar**0.5 * self.mean) / (alpha_bar * self.spread**2 + sigma**2)

    def exact(self, noise):
        alpha_bar, sigma = self.level(1.0)
        return (
            self.mean
            + self.spread * (noise - alpha_bar**0.5 * self.mean) / (alpha_bar * self.spread**2 + sigma**2) ** 0.5
        )

    def normalizer(self):
        """r at TAUS, (n, D)."""
        alpha_bar, sigma = (f(TAUS)[:, None] for f in (self.schedule.alpha_bar, self.schedule.sigma))
        return sigma / np.sqrt(alpha_bar * np.atleast_1d(self.spread.numpy()) ** 2 + sigma**2)

    def affine(self, times):
        """The scheduler's options for the linear terms, at these times."""
        alpha_bar, sigma = (f(times)[:, None] for f in (self.schedule.alpha_bar, self.schedule.sigma))
        slope = sigma / (alpha_bar * self.spread.numpy() ** 2 + sigma**2)
        intercept = -slope * np.sqrt(alpha_bar) * self.mean.numpy()
        return {
            "affine_times": times,
            "affine_slope": slope,
            "affine_intercept": intercept,
            "affine_shape": slope.shape[1:],
        }


def noise(*shape, dtype=torch.float64):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0), dtype=dtype)


def solved(network, x, steps, **options):
    scheduler = DEISSNScheduler(**options)
    scheduler.set_timesteps(steps)
    return sample(network, scheduler, x)


def rmse(one, other):
    return float((one - other).pow(2).mean().sqrt())


def worst(one, other):
    return float((one.double() - other.double()).abs().max())


# --- exactness


@pytest.mark.parametrize("order", [1, 2, 3, 4])
@pytest.mark.parametrize("variable", ["t", "rho", "log_rho"])
def test_isotropic_gaussian_from_a_table(order, variable):
    network = Gaussian(DEISSNScheduler(), 0.5)
    x = noise(64, 3)
    options = {"solver_order": order, "interpolation_variable": variable}
    table = {"normalizer": network.normalizer().ravel() * 3, "normalizer_times": TAUS}
    for steps in (1, 2, 5):
        assert worst(solved(network, x, steps, **options, **table), network.exact(x)) < 1e-9
        if variable == "t":
            assert rmse(solved(network, x, steps, **options), network.exact(x)) > 1e-3


def test_diagonal_gaussian_from_a_table_per_pixel_and_not_from_one_curve():
    spread = 1 / np.arange(1, 9.0)
    network = Gaussian(DEISSNScheduler(), spread)
    x = noise(64, 8)
    pixel = {"normalizer": network.normalizer(), "normalizer_times": TAUS, "normalizer_shape": [8]}
    one = {"normalizer": network.normalizer().mean(1), "normalizer_times": TAUS}
    for steps in (1, 2, 5):
        assert worst(solved(network, x, steps, **pixel), network.exact(x)) < 1e-8
        assert rmse(solved(network, x, steps, **one), network.exact(x)) > 1e-3
        for order in (1, 2, 3, 4):
            plain = rmse(solved(network, x, steps, solver_order=order), network.exact(x))
            assert rmse(solved(network, x, steps, solver_order=order, **one), network.exact(x)) < plain


@pytest.mark.parametrize("first", [False, True], ids=["", "analytical first step"])
def test_linear_terms_are_exact_on_diagonal_gaussians(first):
    network = Gaussian(DEISSNScheduler(), [0.05, 0.3, 1.0, 2.5], [0.5, -1.0, 0.0, 3.0])
    times = np.linspace(0.03, 1, 12) ** 2
    x = noise(64, 4)
    for steps in (1, 2, 5):
        ours = solved(network, x, steps, **network.affine(times), analytical_first_step=first)
        assert worst(ours, network.exact(x)) < 1e-9


def test_linear_terms_leave_pixels_without_variance_alone():
    """Black borders: l = 1 / sigma has no bound at tau = 0. Plain DEIS is exact there, and so must this be."""
    network = Gaussian(DEISSNScheduler(), [1e-6, 1e-3, 0.01, 0.5], [-1.0, -1.0, 0.5, 0.3])
    x = noise(64, 4)
    for steps in (1, 2, 5):
        assert (
            worst(solved(network, x, steps, **network.affine(np.linspace(0.03, 1, 12) ** 2)), network.exact(x)) < 1e-6
        )


def test_exponent():
    network = Gaussian(DEISSNScheduler(), 0.5)
    x = noise(8, 3)
    table = {"normalizer": network.normalizer().ravel(), "normalizer_times": TAUS}
    plain = solved(network, x, 5)
    assert torch.equal(solved(network, x, 5, **table, normalizer_exponent=0.0), plain)
    half = solved(network, x, 5, **table, normalizer_exponent=0.5)
    root = solved(network, x, 5, normalizer=network.normalizer().ravel() ** 0.5, normalizer_times=TAUS)
    assert rmse(half, root) < 1e-3 < rmse(half, plain)


def test_clip_holds_the_curve():
    times = np.arange(1, 1001) / 1000
    r = 0.8 - 0.5 * np.exp(-times * 300)
    held = np.where(times < 0.005, r[4], r)
    x, network = noise(8, 3), Gaussian(DEISSNScheduler(), 0.5)
    clipped = solved(network, x, 10, normalizer=r, normalizer_times=times, normalizer_clip=0.005)
    by_hand = solved(network, x, 10, normalizer=held, normalizer_times=times, normalizer_clip=0.001)
    assert rmse(clipped, by_hand) < 1e-4
    assert rmse(clipped, solved(network, x, 10, normalizer=r, normalizer_times=times)) > 1e-4


@pytest.mark.parametrize("order", [1, 2, 3])
def test_log_rho_steps_are_those_of_diffusers(order):
    """Step by step from common states, at the same sigmas; theirs are in float32, and end at a sigma of 0.01."""
    theirs = DEISMultistepScheduler(solver_order=order, timestep_spacing="trailing", lower_order_final=False)
    theirs.set_timesteps(10)
    ours = DEISSNScheduler(solver_order=order, interpolation_variable="log_rho")
    ours.set_timesteps(timesteps=theirs.timesteps)
    network, x = Gaussian(ours, 0.5), noise(16, 3, 8, 8, dtype=torch.float32)
    for t in theirs.timesteps[:-1]:
        output = network(x, t).float()
        one, other = (scheduler.step(output, t, x).prev_sample for scheduler in (theirs, ours))
        assert worst(one, other) < 2e-4
        x = one


@pytest.mark.parametrize("steps", [5, 10, 50])
def test_order_one_is_ddim(steps):
    theirs = DDIMScheduler(timestep_spacing="trailing", clip_sample=False)
    theirs.set_timesteps(steps)
    ours = DEISSNScheduler(solver_order=1)
    ours.set_timesteps(timesteps=theirs.timesteps)
    network, x = Gaussian(ours, 0.5), noise(16, 3, 8, 8)
    assert worst(sample(network, ours, x), sample(network, theirs, x)) < 2e-4


def test_warms_up_again_from_any_begin_index():
    scheduler, x = DEISSNScheduler(solver_order=4), noise(2, 3)
    scheduler.set_timesteps(8)
    for begin in (0, 3, 7):
        plan = scheduler._plan(begin)
        assert [len(step[1]) for step in plan.steps] == [min(4, i + 1) for i in range(8 - begin)]
    scheduler.set_begin_index(3)
    rest = [scheduler.step(x, t, x).prev_sample for t in scheduler.timesteps[3:]]
    assert scheduler.begin_index == 3 and scheduler.step_index == 8
    fresh = DEISSNScheduler(solver_order=4)
    fresh.set_timesteps(timesteps=scheduler.timesteps[3:])
    for ours, t in zip(rest, fresh.timesteps, strict=True):
        torch.testing.assert_close(ours, fresh.step(x, t, x).prev_sample, rtol=1e-12, atol=1e-12)


def test_lower_order_final():
    scheduler = DEISSNScheduler(solver_order=4, lower_order_final=True)
    scheduler.set_timesteps(20)
    assert [len(step[1]) for step in scheduler._plan(0).steps] == [1, 2, 3] + 14 * [4] + [3, 2, 1]


# --- options


def test_analytical_first_step_saves_a_call():
    """As good as one more call, where the data has mean 0."""
    x = noise(32, 3)
    for order in (1, 3):
        network = Gaussian(DEISSNScheduler(), 0.5)
        saved = solved(network, x, 5, solver_order=order, analytical_first_step=True)
        six = solved(network, x, 6, solver_order=order)
        assert rmse(saved, six) < 1e-3 < 0.01 < rmse(six, network.exact(x))
    scheduler = DEISSNScheduler(analytical_first_step=True)
    scheduler.set_timesteps(5)
    assert len(scheduler.timesteps) == 5 and len(scheduler.taus) == 7 and 0 < scheduler.init_noise_sigma < 1
    scheduler.set_begin_index(2)  # image to image: the history starts empty
    assert len(scheduler._plan(2).steps[0][1]) == 1
    assert scheduler.step(x, scheduler.timesteps[2], x).prev_sample.shape == x.shape


def test_tabulated_grids():
    grid = [1, 0.5, 0.2, 0.0]
    for grids in ({3: grid}, {"3": np.array(grid)}):
        scheduler = DEISSNScheduler(timestep_spacing="tabulated", time_grids=grids)
        scheduler.set_timesteps(3)
        np.testing.assert_allclose(scheduler.taus, grid, atol=1e-9)
        np.testing.assert_allclose(scheduler.timesteps, [999, 499, 199])
    with pytest.raises(InputError, match="no grid for 4 steps; it has some for 3"):
        scheduler.set_timesteps(4)
    scheduler = DEISSNScheduler(timestep_spacing="tabulated", time_grids={2: grid}, analytical_first_step=True)
    scheduler.set_timesteps(2)
    np.testing.assert_allclose(scheduler.timesteps, [499, 199])


@pytest.mark.parametrize("spacing", [name for name in SPACINGS if name != "tabulated"])
@pytest.mark.parametrize("end", ["zero", "sigma_min"])
def test_spacings_run_at_every_length(spacing, end):
    for steps in (1, 2, 10, 400, 1000):
        if end == "sigma_min" and spacing == "leading" and steps == 1000:
            continue
        scheduler = DEISSNScheduler(timestep_spacing=spacing, final_sigmas_type=end, solver_order=4)
        scheduler.set_timesteps(steps)
        assert len(scheduler.timesteps) == steps and scheduler.timesteps.min() >= 0
        assert scheduler.taus[-1] == pytest.approx(0 if end == "zero" else 1e-3)
        if steps <= 10:
            assert torch.isfinite(
                solved(Gaussian(scheduler, 0.5), noise(4, 3), steps, **scheduler_options(scheduler))
            ).all()


def scheduler_options(scheduler):
    names = ("timestep_spacing", "final_sigmas_type", "solver_order")
    return {name: scheduler.config[name] for name in names}


def test_a_thousand_steps_of_a_thousand():
    network, x = Gaussian(DEISSNScheduler(), 0.5), noise(4, 3)
    for options in (
        {"timestep_spacing": "trailing"},
        {},
        {"timestep_spacing": "linspace", "interpolation_variable": "rho"},
    ):
        assert rmse(solved(network, x, 1000, solver_order=3, **options), network.exact(x)) < 1e-3


def test_error_does_not_grow_with_the_number_of_steps():
    network, x = Gaussian(DEISSNScheduler(), 0.3), noise(64, 3)
    for order in (1, 2, 3, 4):
        for variable in ("t", "rho"):
            options = {"solver_order": order, "interpolation_variable": variable}
            errors = [
                rmse(solved(network, x, steps, **options), network.exact(x)) for steps in (5, 8, 10, 14, 15, 20, 50)
            ]
            assert errors == sorted(errors, reverse=True), (order, variable, errors)


def test_times_keep_their_fraction_unless_rounded():
    scheduler = DEISSNScheduler()
    scheduler.set_timesteps(7)
    assert scheduler.timesteps.dtype == torch.float32 and (scheduler.timesteps % 1 != 0).any()
    np.testing.assert_array_equal((scheduler.timesteps.double().numpy() + 1) / 1000, scheduler.taus[:-1])
    rounded = DEISSNScheduler(round_timesteps=True)
    for steps in (7, 50, 333, 1000):
        rounded.set_timesteps(steps)
        assert rounded.timesteps.dtype == torch.int64 and len(rounded.timesteps.unique()) == steps
        np.testing.assert_allclose((rounded.timesteps.numpy() + 1) / 1000, rounded.taus[:-1])
    with pytest.raises(InputError, match="round_timesteps"):
        rounded.set_timesteps(1001)


def test_sigmas_in_place_of_times():
    scheduler = DEISSNScheduler()
    scheduler.set_timesteps(6)
    taus = scheduler.taus
    for sigmas in (scheduler.sigmas, scheduler.sigmas[:-1]):
        scheduler.set_timesteps(sigmas=sigmas)
        np.testing.assert_allclose(scheduler.taus, taus, atol=1e-6)


@pytest.mark.parametrize("kind", ["sample", "v_prediction"])
@pytest.mark.parametrize("thresholding", [False, True])
def test_prediction_types_agree(kind, thresholding):
    scheduler = DEISSNScheduler()
    network, x = Gaussian(scheduler, 0.2), noise(16, 3)

    def other(x, t):
        alpha_bar, sigma = network.level((float(t.double()) + 1) / 1000)
        eps = network(x, t)
        if kind == "sample":
            return (x - sigma * eps) / alpha_bar**0.5
        return (eps - sigma * x) / alpha_bar**0.5

    plain = solved(network, x, 6, thresholding=thresholding)
    assert worst(solved(other, x, 6, prediction_type=kind, thresholding=thresholding), plain) < 1e-9


def test_per_channel_is_per_pixel_of_equal_pixels():
    times = np.linspace(0.01, 1, 20)
    curves = np.stack([1 + times, 2 - times, np.sqrt(times)], 1)
    pixels = np.broadcast_to(curves[:, :, None, None], (20, 3, 4, 4))
    x, results = noise(2, 3, 4, 4), []
    for values, shape in ((curves, [3]), (curves, [3, 1, 1]), (pixels, [3, 4, 4])):
        options = {"normalizer": values, "normalizer_times": times, "normalizer_shape": shape}
        results.append(solved(Gaussian(DEISSNScheduler(), 0.5), x, 5, **options))
    for other in results[1:]:
        torch.testing.assert_close(other, results[0], rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
@pytest.mark.parametrize("shape", [(2,), (1, 3, 8, 8), (5, 17, 4), (2, 3, 2, 4, 4)])
def test_types_and_shapes(dtype, shape):
    table = {"normalizer": [0.5, 0.7, 0.8, 0.8], "normalizer_times": [1e-3, 0.1, 0.5, 1.0]}
    for kind in ("epsilon", "sample", "v_prediction"):
        options = table | {"prediction_type": kind}
        results = [solved(lambda x, t: 0.5 * x, noise(*shape).to(to), 4, **options) for to in (dtype, torch.float64)]
        assert results[0].dtype == dtype
        bound = 0.05 if dtype.itemsize == 2 else 1e-4
        assert worst(*results) < bound * float(results[1].abs().max())


def test_the_sample_given_is_left_alone():
    scheduler, x = DEISSNScheduler(), noise(2, 3, dtype=torch.float32)
    scheduler.set_timesteps(3)
    for t in scheduler.timesteps:
        before, output = x.clone(), x * 0.3
        kept = output.clone()
        after = scheduler.step(output, t, x).prev_sample
        assert torch.equal(x, before) and torch.equal(output, kept) and after.data_ptr() != x.data_ptr()


def test_trajectory_and_sample():
    scheduler, x = DEISSNScheduler(), noise(2, 3)
    network = Gaussian(scheduler, 0.5)
    scheduler.set_timesteps(4)
    steps = list(trajectory(network, scheduler, x))
    assert [step.index for step in steps] == [0, 1, 2, 3] and all(isinstance(step, Step) for step in steps)
    assert torch.equal(steps[0].sample, x)
    scheduler.set_timesteps(4)
    end = sample(network, scheduler, x)
    assert torch.isfinite(end).all()
    theirs = DDIMScheduler(clip_sample=False)
    theirs.set_timesteps(4)
    assert sample(network, theirs, x, generator=torch.Generator().manual_seed(1)).shape == x.shape


def test_noise_and_velocity():
    scheduler, x = DEISSNScheduler(), noise(3, 2, 4, 4, dtype=torch.float32)
    theirs, times, fresh = DDIMScheduler(), torch.tensor([0, 500, 999]), noise(3, 2, 4, 4, dtype=torch.float32)
    for prepare in (False, True):
        if prepare:
            scheduler.set_timesteps(10)
        torch.testing.assert_close(
            scheduler.add_noise(x, fresh, times), theirs.add_noise(x, fresh, times), atol=1e-5, rtol=1e-4
        )
        torch.testing.assert_close(
            scheduler.get_velocity(x, fresh, times), theirs.get_velocity(x, fresh, times), atol=1e-5, rtol=1e-4
        )
    t = scheduler.timesteps[3:4].repeat(3)
    tau = scheduler.taus[3]
    wanted = scheduler.schedule.alpha_bar(tau) ** 0.5 * x.double() + scheduler.schedule.sigma(tau) * fresh.double()
    torch.testing.assert_close(scheduler.add_noise(x, fresh, t), wanted.float())


def test_steps_are_found_without_reading_times(monkeypatch):
    scheduler, x = DEISSNScheduler(), noise(2, 3)
    scheduler.set_timesteps(6)
    element = scheduler.timesteps[4]

    def refuse(self, *args):
        raise AssertionError("a tensor was read")

    for name in ("item", "__bool__", "__float__", "__int__", "tolist", "cpu"):
        monkeypatch.setattr(torch.Tensor, name, refuse)
    scheduler.step(x, element, x)
    assert scheduler.step_index == 5
    scheduler.step(x, element, x)
    monkeypatch.undo()
    for given in (element.clone(), float(element)):
        scheduler.set_timesteps(6)
        scheduler.step(x, given, x)
        assert scheduler.step_index == 5


def test_coefficients_are_kept_by_all_that_determines_them():
    table = {"normalizer": [0.5, 0.7, 0.8, 0.8], "normalizer_times": [1e-3, 0.1, 0.5, 1.0]}
    deis_sn._PLANS.clear()
    variants = [
        {},
        {"solver_order": 2},
        {"interpolation_variable": "rho"},
        {"beta_end": 0.03},
        {"lower_order_final": True},
        {"analytical_first_step": True},
        {"final_sigmas_type": "sigma_min"},
        table,
        table | {"normalizer_exponent": 0.5},
        table | {"normalizer_clip": 0.01},
        table | {"normalizer": [0.5, 0.7, 0.8, 0.81]},
        {"affine_times": [0.1, 1.0], "affine_slope": [0.5, 0.9], "affine_intercept": [0.0, 0.0]},
        {"affine_times": [0.1, 1.0], "affine_slope": [0.5, 0.9], "affine_intercept": [0.0, 0.1]},
    ]
    plans = []
    for options in variants * 2:
        scheduler = DEISSNScheduler(**options)
        scheduler.set_timesteps(5)
        plans.append(scheduler._plan(0))
    count = len(variants)
    assert all(one is two for one, two in zip(plans[:count], plans[count:], strict=True))
    assert len(deis_sn._PLANS) == count
    assert len({json.dumps(plan, default=list) for plan in plans[:count]}) == count
    for steps in range(1, 100):
        scheduler.set_timesteps(steps)
    assert len(deis_sn._PLANS) <= deis_sn._PLANS_KEPT


def test_import_brings_no_models():
    words = """
import sys
from genovision.samplers import DEISSNScheduler
DEISSNScheduler().set_timesteps(5)
found = [name for name in sys.modules if name.startswith(("diffusers.models.unets", "diffusers.pipelines.", "transformers."))]
assert not found, found
"""
    subprocess.run([sys.executable, "-c", words], check=True, cwd=ROOT / "workflow")


def test_numpy_parts_import_without_torch():
    words = "import sys, genovision.samplers.grids, genovision.samplers.coefficients; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", words], check=True, cwd=ROOT / "workflow")
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        genovision.samplers.nothing  # noqa: B018


# --- bad input

GOOD = {"normalizer": [0.5, 0.8], "normalizer_times": [0.001, 1.0]}


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"prediction_type": "flow_prediction"}, "epsilon, sample, v_prediction"),
        ({"timestep_spacing": "cubic"}, "quadratic, linspace, leading, trailing, logsnr, karras, tabulated"),
        ({"interpolation_variable": "lambda"}, "t, rho, log_rho"),
        ({"final_sigmas_type": "none"}, "zero, sigma_min"),
        ({"beta_schedule": "laplace"}, "linear, scaled_linear"),
        ({"solver_order": 5}, "1, 2, 3 or 4"),
        ({"solver_order": 0}, "1, 2, 3 or 4"),
        ({"timestep_spacing": "tabulated"}, "needs time_grids"),
        (GOOD | {"normalizer": [0.5, 0.0]}, "positive and finite"),
        (GOOD | {"normalizer": [0.5, -0.1]}, "positive and finite"),
        (GOOD | {"normalizer": [0.5, float("nan")]}, "positive and finite"),
        (GOOD | {"normalizer": [0.5, float("inf")]}, "positive and finite"),
        (GOOD | {"normalizer": [0.5, 0.6, 0.7]}, "3 values where 2 times"),
        (GOOD | {"normalizer_shape": [2]}, "need 4"),
        (GOOD | {"normalizer_times": [1.0, 0.001]}, "rising"),
        (GOOD | {"normalizer_times": [0.5, 0.5]}, "rising"),
        (GOOD | {"normalizer_times": [0.5, 999.0]}, "lie in"),
        (GOOD | {"normalizer_times": [0.0, 1.0]}, "lie in"),
        (GOOD | {"normalizer_clip": 5}, "between 0 and 1"),
        (GOOD | {"normalizer_exponent": float("nan")}, "finite"),
        ({"normalizer": []}, "rising"),
        ({"affine_slope": [1.0]}, "both or neither"),
        ({"affine_slope": [1.0], "affine_intercept": [1.0]}, "needs affine_times"),
        ({"affine_slope": [float("nan")], "affine_intercept": [1.0], "affine_times": [1.0]}, "finite"),
        ({"affine_slope": [1.0, 2.0], "affine_intercept": [1.0], "affine_times": [1.0]}, "2 values where 1 times"),
    ],
)
def test_refused_options(options, words):
    with pytest.raises(ValueError, match=words) as error:
        DEISSNScheduler(**options)
    assert isinstance(error.value, InputError)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({}, "needs num_inference_steps"),
        ({"num_inference_steps": 0}, "at least 1"),
        ({"num_inference_steps": -3}, "at least 1"),
        ({"num_inference_steps": 2.5}, "whole number"),
        ({"timesteps": [900, 500, 500, 10]}, "repeated"),
        ({"timesteps": [10, 900]}, "fall strictly"),
        ({"timesteps": []}, "at least one"),
        ({"timesteps": [1000, 10]}, "between 0 and 999"),
        ({"timesteps": [900, -1]}, "between 0 and 999"),
        ({"timesteps": [900, 10], "num_inference_steps": 3}, "leave one out"),
        ({"timesteps": [900, 10], "sigmas": [1.0]}, "not both"),
        ({"sigmas": [1.0, 1.0]}, "repeated"),
        ({"sigmas": [1.0, -1.0]}, "positive"),
    ],
)
def test_refused_grids(given, words):
    with pytest.raises(InputError, match=words):
        DEISSNScheduler().set_timesteps(**given)


def test_normaliser_that_does_not_cover_the_grid():
    for times, words in (([0.001, 0.9], "from 0.001 to 0.9"), ([0.3, 1.0], "needs 0.04 to 1")):
        scheduler = DEISSNScheduler(normalizer=[0.5, 0.8], normalizer_times=times)
        with pytest.raises(InputError, match=words):
            scheduler.set_timesteps(5)
    short = DEISSNScheduler(normalizer=[0.5, 0.8], normalizer_times=[0.001, 1.0])
    short.set_timesteps(100)  # its lowest node is below the first training step, where no network was trained


def test_refused_steps():
    scheduler, x = DEISSNScheduler(), noise(1, 3, 4, 4)
    with pytest.raises(InputError, match="set_timesteps before step"):
        scheduler.step(x, 1, x)
    with pytest.raises(InputError, match="set_timesteps first"):
        _ = scheduler.taus
    scheduler.set_timesteps(2)
    with pytest.raises(InputError, match="also predicts variances"):
        scheduler.step(torch.cat([x, x], 1), scheduler.timesteps[0], x)
    for t in scheduler.timesteps:
        scheduler.step(x, t, x)
    with pytest.raises(InputError, match="run is over"):
        scheduler.step(x, t, x)
    scheduler.set_timesteps(2)
    scheduler.set_begin_index(2)
    with pytest.raises(InputError, match="begin index 2"):
        scheduler.step(x, t, x)


def test_foreign_options_are_named_in_a_warning(caplog):
    logging.enable_propagation()
    try:
        theirs = DEISMultistepScheduler(use_karras_sigmas=True, solver_order=2)
        ours = DEISSNScheduler.from_config(theirs.config)
        assert "use_karras_sigmas" in caplog.text and "ignored" in caplog.text
        assert "solver_type" not in caplog.text  # a default of theirs
        caplog.clear()
        DEISSNScheduler.from_config(dict(DEISSNScheduler().config) | {"made_up": 1})
        assert "made_up" in caplog.text
    finally:
        logging.disable_propagation()
    assert ours.config.solver_order == 2 and ours.config.time_grid == "quadratic"
