"""What diffusers asks of its own schedulers, asked of ours: the contract of its scheduler tests, in our words."""

import numpy as np
import pytest
import torch
from diffusers import (
    DDIMScheduler,
    DDPMScheduler,
    DEISMultistepScheduler,
    DPMSolverMultistepScheduler,
    DPMSolverSinglestepScheduler,
    EulerDiscreteScheduler,
    UniPCMultistepScheduler,
)

from genovision.samplers import DEISSNScheduler

pytestmark = pytest.mark.filterwarnings("ignore:__array_:DeprecationWarning")
OTHERS = [
    DDIMScheduler,
    DDPMScheduler,
    DEISMultistepScheduler,
    DPMSolverMultistepScheduler,
    DPMSolverSinglestepScheduler,
    EulerDiscreteScheduler,
    UniPCMultistepScheduler,
]
SHAPE = (4, 3, 8, 8)
TABLE = {"normalizer": [0.5, 0.7, 0.8, 0.8], "normalizer_times": [1e-3, 0.1, 0.5, 1.0]}


def start():
    return torch.linspace(-1, 1, int(np.prod(SHAPE))).reshape(SHAPE)


def model(x, t):
    return x * t / (t + 1)


def loop(scheduler, steps=10, x=None, begin=0, dtype=torch.float32):
    scheduler.set_timesteps(steps)
    x = (start() if x is None else x).to(dtype)
    if begin:
        scheduler.set_begin_index(begin)
    for t in scheduler.timesteps[begin:]:
        x = scheduler.step(model(scheduler.scale_model_input(x, t), t), t, x).prev_sample
    return x


def reloaded(scheduler, folder):
    scheduler.save_config(folder)
    return type(scheduler).from_pretrained(folder)


def settings(scheduler):
    return {key: value for key, value in scheduler.config.items() if not key.startswith("_")}


def pushed(scheduler, position):
    """One step from the middle of a run whose outputs so far were put in its history by hand."""
    scheduler.set_timesteps(10)
    scheduler.model_outputs = [start() * w for w in (0.2, 0.15, 0.1, 0.05)][: scheduler.config.solver_order]
    t = scheduler.timesteps[position]
    return scheduler.step(model(start(), t), t, start()).prev_sample


CONFIGS = [
    *({"num_train_timesteps": n} for n in (25, 50, 100, 999, 1000)),
    *({"beta_schedule": name} for name in ("linear", "scaled_linear", "squaredcos_cap_v2")),
    *({"beta_start": a, "beta_end": b} for a, b in ((0.0001, 0.002), (0.001, 0.02), (0.01, 0.2))),
    *({"prediction_type": kind} for kind in ("epsilon", "sample", "v_prediction")),
    *({"solver_order": order, "lower_order_final": low} for order in (1, 2, 3, 4) for low in (True, False)),
    *(
        {"thresholding": True, "sample_max_value": bound, "prediction_type": kind, "solver_order": order}
        for bound in (0.5, 1.0, 2.0)
        for kind in ("epsilon", "sample", "v_prediction")
        for order in (1, 3)
        if bound >= 1
    ),
    *({"timestep_spacing": name} for name in ("quadratic", "linspace", "leading", "trailing", "logsnr", "karras")),
    *({"interpolation_variable": name} for name in ("t", "rho", "log_rho")),
    TABLE,
    {"normalizer": np.linspace(0.5, 1, 12), "normalizer_times": [0.001, 0.1, 0.5, 1.0], "normalizer_shape": [3]},
    TABLE | {"normalizer_exponent": 0.5, "normalizer_clip": 0.005},
    {"affine_times": [0.01, 1.0], "affine_slope": [0.5, 0.9], "affine_intercept": [0.1, 0.0]},
    {"analytical_first_step": True},
    {"timestep_spacing": "tabulated", "time_grids": {10: np.linspace(1, 0, 11)}},
    {"trained_betas": np.linspace(1e-4, 0.02, 300)},
]


@pytest.mark.parametrize(
    "options", CONFIGS, ids=lambda options: ",".join(f"{k}={str(v)[:12]}" for k, v in options.items())
)
def test_saved_and_loaded_gives_the_same(options, tmp_path):
    scheduler = DEISSNScheduler(**options)
    twin = reloaded(scheduler, tmp_path)
    assert settings(twin) == settings(scheduler)
    result = loop(scheduler)
    assert torch.isfinite(result).all()
    assert torch.equal(result, loop(twin))
    for position in (0, 5, 9):
        assert torch.equal(pushed(scheduler, position), pushed(twin, position))


@pytest.mark.parametrize("steps", [1, 2, 3, 5, 10, 50, 100, 999, 1000])
def test_numbers_of_steps(steps):
    for order in (2, 3):
        assert torch.isfinite(loop(DEISSNScheduler(solver_order=order), steps)).all()


@pytest.mark.parametrize("other", OTHERS)
@pytest.mark.parametrize(
    "options", [{}, TABLE | {"solver_order": 2, "beta_end": 0.015, "timestep_spacing": "trailing"}]
)
def test_there_and_back_restores_the_settings(other, options):
    ours = DEISSNScheduler(**options)
    back = DEISSNScheduler.from_config(other.from_config(ours.config).config)
    names = DEISSNScheduler._get_init_keys(DEISSNScheduler) - {"self"}
    assert {name: back.config[name] for name in names} == {name: ours.config[name] for name in names}
    assert torch.equal(loop(back), loop(ours))
    theirs = other(beta_schedule="scaled_linear", beta_end=0.012, prediction_type="v_prediction")
    mine = DEISSNScheduler.from_config(theirs.config)
    assert (mine.config.beta_schedule, mine.config.beta_end) == ("scaled_linear", 0.012)
    assert (mine.config.prediction_type, mine.config.time_grid) == ("v_prediction", "quadratic")
    assert settings(theirs).items() <= settings(other.from_config(mine.config)).items()


@pytest.mark.parametrize("prediction", ["epsilon", "v_prediction"])
def test_switching_through_others_changes_no_sample(prediction):
    ours = DEISSNScheduler(prediction_type=prediction, solver_order=2, **TABLE)
    wanted = loop(ours)
    scheduler = ours
    for other in (
        DPMSolverSinglestepScheduler,
        DPMSolverMultistepScheduler,
        UniPCMultistepScheduler,
        DEISMultistepScheduler,
    ):
        scheduler = other.from_config(scheduler.config)
    assert torch.equal(loop(DEISSNScheduler.from_config(scheduler.config)), wanted)


def test_every_compatible_class_takes_our_configuration():
    ours = DEISSNScheduler(**TABLE)
    compatible = ours.compatibles
    assert {DDIMScheduler, DPMSolverMultistepScheduler, UniPCMultistepScheduler} <= set(compatible)
    for other in compatible:
        if other.__module__.startswith("diffusers.schedulers") and other.__name__ != "EDMEulerScheduler":
            back = DEISSNScheduler.from_config(other.from_config(ours.config).config)
            assert back.config.normalizer == ours.config.normalizer


def test_save_and_load_with_kwargs(tmp_path):
    scheduler = DEISSNScheduler(beta_end=0.015, **TABLE)
    scheduler.save_pretrained(tmp_path)
    changed = DEISSNScheduler.from_pretrained(tmp_path, solver_order=2)
    assert changed.config.solver_order == 2 and changed.config.beta_end == 0.015
    found, unused = DEISSNScheduler.from_pretrained(tmp_path, return_unused_kwargs=True, whatever=1)
    assert found.config.normalizer == TABLE["normalizer"] and unused["whatever"] == 1
    assert DDIMScheduler.from_pretrained(tmp_path).config.beta_end == 0.015


def test_shapes_of_a_step_and_both_kinds_of_answer():
    scheduler = DEISSNScheduler()
    scheduler.set_timesteps(10)
    one = scheduler.step(start(), scheduler.timesteps[0], start(), return_dict=True)
    scheduler.set_timesteps(10)
    other = scheduler.step(start(), scheduler.timesteps[0], start(), None, False)
    assert one.prev_sample.shape == SHAPE and isinstance(other, tuple)
    assert torch.equal(one.prev_sample, other[0]) and torch.equal(one[0], other[0])
    second = scheduler.step(start(), scheduler.timesteps[1], start()).prev_sample
    assert second.shape == SHAPE and not torch.equal(second, other[0])


def test_public_interface():
    scheduler = DEISSNScheduler()
    assert scheduler.init_noise_sigma == 1 and scheduler.order == 1 and len(scheduler) == 1000
    assert scheduler.step_index is None and scheduler.begin_index is None
    assert len(scheduler.timesteps) == 1000 and len(scheduler.sigmas) == len(scheduler.betas) == 1000
    x = start()
    assert scheduler.scale_model_input(x, 0) is x and scheduler.scale_model_input(x, timestep=3) is x
    scheduler.set_timesteps(5, device="cpu")
    assert (
        scheduler.num_inference_steps == 5 and scheduler.timesteps.device.type == "cpu" and len(scheduler.sigmas) == 6
    )


def test_trained_betas():
    scheduler = DEISSNScheduler(trained_betas=np.array([0.1, 0.3]))
    torch.testing.assert_close(scheduler.betas, torch.tensor([0.1, 0.3]))
    assert torch.isfinite(loop(scheduler, 5)).all()


def test_no_deprecated_options():
    assert DEISSNScheduler._deprecated_kwargs == []


# values of this scheduler at its first release: they change when the algorithm does
LOOPS = [
    ({"solver_order": 2}, 0.248321),
    ({"solver_order": 3}, 0.253297),
    ({"solver_order": 3, "prediction_type": "v_prediction"}, 0.104308),
    ({"solver_order": 3, **TABLE}, 0.253874),
]


@pytest.mark.parametrize(("options", "mean"), LOOPS)
def test_full_loop(options, mean):
    assert float(loop(DEISSNScheduler(**options)).abs().mean()) == pytest.approx(mean, rel=1e-4)


def test_full_loop_from_the_middle():
    scheduler = DEISSNScheduler(**TABLE)
    scheduler.set_timesteps(10)
    noisy = scheduler.add_noise(start(), start().flip(0) * 0.5, scheduler.timesteps[4:5])
    result = loop(scheduler, x=noisy, begin=4)
    assert torch.isfinite(result).all() and scheduler.step_index == 10
    by_time = DEISSNScheduler(**TABLE)
    by_time.set_timesteps(10)
    x = noisy
    for t in by_time.timesteps[4:]:
        x = by_time.step(model(x, t), t, x).prev_sample
    assert torch.equal(x, result)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision(dtype):
    scheduler = DEISSNScheduler(**TABLE)
    result = loop(scheduler, dtype=dtype)
    assert result.dtype == dtype
    assert (result.float() - loop(scheduler)).abs().mean() < (2e-3 if dtype == torch.float16 else 2e-2)


def test_two_schedulers_do_not_share_state():
    one, other = DEISSNScheduler(), DEISSNScheduler()
    wanted = loop(DEISSNScheduler())
    one.set_timesteps(10)
    other.set_timesteps(10)
    x, y = start(), start()
    for s, t in zip(one.timesteps, other.timesteps, strict=True):
        x = one.step(model(x, s), s, x).prev_sample
        y = other.step(model(y, t), t, y).prev_sample
    assert torch.equal(x, wanted) and torch.equal(y, wanted)


@pytest.mark.parametrize("spacing", ["quadratic", "logsnr", "karras", "trailing"])
def test_other_schedulers_take_a_saved_configuration_and_give_it_back(spacing, tmp_path):
    ours = DEISSNScheduler(timestep_spacing=spacing)
    ours.save_pretrained(tmp_path)
    for other in (
        DDIMScheduler,
        DDPMScheduler,
        DPMSolverMultistepScheduler,
        UniPCMultistepScheduler,
        DEISMultistepScheduler,
    ):
        theirs = other.from_pretrained(tmp_path)
        theirs.set_timesteps(5)
        back = DEISSNScheduler.from_config(theirs.config)
        back.set_timesteps(5)
        ours.set_timesteps(5)
        assert torch.equal(back.timesteps, ours.timesteps)
