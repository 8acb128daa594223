import numpy as np
import pytest
from diffusers import DDPMScheduler

from genovision.errors import InputError
from genovision.samplers.schedules import BETA_SCHEDULES, ContinuousVP, DiscreteVP, make_betas, schedule_from_config


@pytest.mark.parametrize("name", BETA_SCHEDULES)
def test_levels_at_training_steps_are_those_of_diffusers(name):
    theirs = DDPMScheduler(beta_schedule=name).alphas_cumprod.numpy()
    schedule = schedule_from_config({"beta_schedule": name, "unrelated": 1})
    np.testing.assert_allclose(schedule.alpha_bar(np.arange(1, 1001) / 1000), theirs, rtol=2e-4)


@pytest.mark.parametrize("betas", [*BETA_SCHEDULES, (0.1, 0.3), (0.2,), (0.001, 0.9, 0.001, 0.9)])
def test_level_falls_from_one_everywhere(betas):
    betas = make_betas(beta_schedule=betas) if isinstance(betas, str) else make_betas(trained_betas=betas)
    schedule = DiscreteVP(betas)
    tau = np.linspace(0, 1, 20_011)
    assert schedule.alpha_bar(0.0) == 1 and schedule.rho(0.0) == schedule.sigma(0.0) == 0
    assert np.all(np.diff(schedule.log_alpha_bar(tau)) < 0)
    assert np.all(np.diff(schedule.rho(tau)) > 0)
    np.testing.assert_allclose(schedule.alpha_bar(1.0), np.prod(1 - betas), rtol=1e-12)


@pytest.mark.parametrize("schedule", [ContinuousVP(), DiscreteVP(make_betas())], ids=["continuous", "discrete"])
def test_derivative_and_inverse(schedule):
    tau, h = np.linspace(0.01, 0.99, 50), 1e-6
    difference = (schedule.rho(tau + h) - schedule.rho(tau - h)) / (2 * h)
    np.testing.assert_allclose(schedule.rho_slope(tau), difference, rtol=1e-6)
    np.testing.assert_allclose(schedule.tau_of_rho(schedule.rho(tau)), tau, rtol=1e-12)
    assert schedule.tau_of_rho(1e9) == pytest.approx(1, abs=1e-12)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"beta_schedule": "laplace"}, "linear, scaled_linear"),
        ({"trained_betas": [0.1, 1.0]}, "between 0 and 1"),
        ({"trained_betas": []}, "between 0 and 1"),
        ({"num_train_timesteps": 0}, "at least 1"),
    ],
)
def test_bad_schedules(options, words):
    with pytest.raises(InputError, match=words):
        make_betas(**options)
