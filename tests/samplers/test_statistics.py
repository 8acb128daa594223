"""Statistics of paths against closed forms; the normaliser's way into the scheduler and back."""

import dataclasses
import json

import numpy as np
import pytest
import torch

from genovision.errors import InputError
from genovision.samplers import DEISSNScheduler, beds, collect_normalizer
from genovision.samplers.sampling import sample
from genovision.samplers.statistics import (
    Normalizer,
    Trace,
    affine_config,
    model_hash,
    plain_config,
    sample_noise,
)

CONFIG = beds.SCHEDULER_CONFIG


@pytest.fixture(scope="module")
def diagonal():
    """A Gaussian with a mean and a spread of its own in each of 2 x 2 x 2 coordinates."""
    scales = np.linspace(0.1, 1.5, 8).reshape(1, 2, 2, 2)
    means = np.linspace(-1, 1, 8).reshape(1, 2, 2, 2)
    return dataclasses.replace(beds.denoiser("isotropic"), name="diagonal", means=means, scales=scales)


@pytest.fixture(scope="module")
def normalizer(diagonal):
    return collect_normalizer(diagonal, CONFIG, diagonal.shape, num_samples=40, batch_size=40, num_steps=200)


def levels(bed, times):
    a = bed.alpha_bar(times).reshape(-1, 1, 1, 1)
    return a, np.sqrt(1 - a)


def test_r_follows_the_closed_form_of_an_isotropic_gaussian():
    bed = beds.denoiser("isotropic")
    found = collect_normalizer(bed, CONFIG, bed.shape, num_samples=300, batch_size=100, num_steps=300)
    a = bed.alpha_bar(found.times)
    exact = np.sqrt((1 - a) / (a * 0.25 + 1 - a))
    # |eps| / its spread is constant along a path, so the ratio over time has no sampling error
    np.testing.assert_allclose(found.values / found.values[-1], exact / exact[-1], rtol=2e-6)
    np.testing.assert_allclose(found.values, np.sqrt(2 / np.pi) * exact, rtol=0.03)
    np.testing.assert_allclose(found.trace.mean_abs_score, found.values / np.sqrt(1 - a), rtol=1e-12)
    np.testing.assert_allclose(found.trace.spread, np.sqrt(0.25 + (1 - a) / a), rtol=0.05)


def test_times_start_at_the_first_training_time_and_are_even_in_their_roots(normalizer):
    assert normalizer.times[0] == pytest.approx(1e-3, rel=1e-6)
    assert normalizer.times[-1] == 1
    steps = np.diff(np.sqrt(normalizer.times))
    assert steps.max() < 1.5 * steps.min()


def test_regression_finds_the_linear_terms_and_the_sampler_is_then_exact(diagonal, normalizer):
    trace = normalizer.trace
    a, sigma = levels(diagonal, trace.times)
    slope = sigma / (a * diagonal.scales**2 + sigma**2)
    np.testing.assert_allclose(trace.slope, slope, rtol=1e-6)
    np.testing.assert_allclose(trace.intercept, -slope * np.sqrt(a) * diagonal.means, rtol=1e-5, atol=1e-8)
    assert trace.residual.max() < 1e-8
    noise = torch.from_numpy(np.stack([sample_noise(9, i, diagonal.shape) for i in range(20)]))
    for steps in (1, 3):
        for first in (False, True):
            options = plain_config(CONFIG, analytical_first_step=first) | affine_config(trace)
            scheduler = DEISSNScheduler.from_config(options)
            scheduler.set_timesteps(steps)
            found = sample(diagonal, scheduler, noise)
            assert float((found - diagonal.solution(noise)).abs().max()) < 1e-6


@pytest.mark.parametrize("batch", [7, 16, 64])
def test_batches_do_not_matter_beyond_rounding(diagonal, normalizer, batch):
    found = collect_normalizer(diagonal, CONFIG, diagonal.shape, 40, batch, num_steps=200)
    for name in ("mean_abs_eps", "r", "slope", "intercept", "spread", "gram"):
        one, other = getattr(found.trace, name), getattr(normalizer.trace, name)
        np.testing.assert_allclose(one, other, rtol=1e-9, atol=1e-12 * np.abs(other).max())


@pytest.mark.parametrize(("per", "shape"), [("all", ()), ("channel", (2, 1, 1)), ("pixel", (2, 2, 2))])
def test_values_per_channel_and_pixel_go_into_the_scheduler_and_back(diagonal, normalizer, tmp_path, per, shape):
    found = collect_normalizer(diagonal, CONFIG, diagonal.shape, 40, 40, num_steps=200, per=per)
    assert found.values.shape == (len(found.times), *shape)
    axes = tuple(range(1, found.trace.r.ndim))
    np.testing.assert_allclose(found.values.reshape(len(found.times), -1).mean(axis=1), found.trace.r.mean(axis=axes))
    fragment = json.loads(json.dumps(found.to_config(affine=True)))
    assert fragment == found.to_config(affine=True)
    scheduler = DEISSNScheduler(**plain_config(CONFIG), **fragment)
    scheduler.save_pretrained(tmp_path)
    again = DEISSNScheduler.from_pretrained(tmp_path)
    noise = torch.from_numpy(sample_noise(1, 0, diagonal.shape))[None]
    results = []
    for one in (scheduler, again):
        one.set_timesteps(4)
        results.append(sample(diagonal, one, noise))
    assert torch.equal(*results)


def test_score_normalisation_from_a_collected_curve_is_nearly_exact_on_an_isotropic_gaussian():
    bed = beds.denoiser("isotropic")
    found = collect_normalizer(bed, CONFIG, bed.shape, 16, 16, num_steps=1000)
    noise = torch.from_numpy(sample_noise(3, 0, bed.shape))[None]
    errors = []
    for fragment in (found.to_config(), {}):
        scheduler = DEISSNScheduler(**plain_config(CONFIG), **fragment)
        scheduler.set_timesteps(5)
        errors.append(float((sample(bed, scheduler, noise) - bed.solution(noise)).abs().max()))
    assert errors[0] < 1e-4 < 1e-2 < errors[1]


@pytest.mark.parametrize("kind", ["v_prediction", "sample"])
def test_other_predictions_give_the_same_statistics(diagonal, normalizer, kind):
    def model(x, t):
        a = float(diagonal.alpha_bar((float(t) + 1) / 1000))
        eps = diagonal(x, t)
        clean = (x - (1 - a) ** 0.5 * eps) / a**0.5
        return clean if kind == "sample" else a**0.5 * eps - (1 - a) ** 0.5 * clean

    found = collect_normalizer(
        model, CONFIG | {"prediction_type": kind}, diagonal.shape, 40, 40, num_steps=200, dtype=torch.float64
    )
    np.testing.assert_allclose(found.trace.r, normalizer.trace.r, rtol=1e-6)


def test_a_network_runs_in_its_own_precision_and_is_named_by_its_weights(diagonal):
    class Network(torch.nn.Module):
        def __init__(self, gain):
            super().__init__()
            self.gain = torch.nn.Parameter(torch.tensor(gain))

        def forward(self, x, t):
            assert x.dtype == torch.float32 and not torch.is_grad_enabled()
            return type("Output", (), {"sample": self.gain * diagonal(x, t)})()

    facts = [
        collect_normalizer(Network(g), CONFIG, diagonal.shape, 4, 2, num_steps=20).metadata for g in (1.0, 1.0, 0.9)
    ]
    assert facts[0] == facts[1] and facts[0]["model"] != facts[2]["model"]
    assert len(facts[0]["model"]) == 64 and model_hash(lambda x, t: x) == ""
    assert facts[0] | {"model": ""} == {
        "samples": 4, "kept": 4, "steps": 20, "batch": 2, "seed": 0, "model": "", "per": "all",
    }  # fmt: skip


def test_a_generator_lends_its_seed_and_progress_counts_samples(diagonal):
    counts = []
    one = collect_normalizer(diagonal, CONFIG, diagonal.shape, 5, 2, 20, seed=11, progress=counts.append)
    other = collect_normalizer(diagonal, CONFIG, diagonal.shape, 5, 2, 20, generator=torch.Generator().manual_seed(11))
    assert counts == [2, 2, 1]
    np.testing.assert_array_equal(one.values, other.values)


def test_another_schedulers_configuration_serves_and_its_own_options_do_not_matter(diagonal, normalizer):
    foreign = CONFIG | {"_class_name": "DDIMScheduler", "timestep_spacing": "trailing", "set_alpha_to_one": False}
    foreign |= normalizer.to_config() | {"normalizer": [1.0] * len(normalizer.times)}
    found = collect_normalizer(diagonal, foreign, diagonal.shape, 40, 40, num_steps=200)
    np.testing.assert_array_equal(found.values, normalizer.values)


def test_a_trace_is_read_as_it_was_written(normalizer, tmp_path):
    normalizer.trace.save(tmp_path / "a.npz")
    again = Trace.read(tmp_path / "a.npz")
    again.save(tmp_path / "b.npz")
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()
    assert again.config == normalizer.trace.config and again.facts == normalizer.trace.facts
    np.testing.assert_array_equal(again.gram, normalizer.trace.gram)
    np.savez(tmp_path / "c.npz", times=np.ones(3))
    with pytest.raises(InputError, match=r"c\.npz has no array"):
        Trace.read(tmp_path / "c.npz")


def test_gram_matrices_are_symmetric_and_hold_the_mean_square_of_eps(normalizer):
    trace = normalizer.trace
    n = len(trace.times)
    for gram in (trace.gram, trace.gram_affine):
        np.testing.assert_allclose(gram, gram.transpose(0, 2, 1))
    assert trace.gram.shape[1:] == (2 * n + 1, 2 * n + 1)
    total = trace.gram.sum(axis=0)
    # sizes of eps against r: for a Gaussian the mean square is pi / 2 times the square of the mean
    size = np.diagonal(total)[:n] / trace.group.size
    np.testing.assert_allclose(size, np.pi / 2 * (trace.r**2).reshape(n, -1).mean(axis=1), rtol=0.4)
    assert np.abs(trace.gram_affine[:, :n, :n]).max() < 1e-12


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"num_samples": 1}, "num_samples 1: give 2 or more"),
        ({"batch_size": 0}, "batch_size 0: give 1 or more"),
        ({"num_steps": 1}, "num_steps 1: give 2 or more"),
        ({"per": "row"}, "'row' is not known: give one of all, channel, pixel"),
    ],
)
def test_bad_numbers_are_named(diagonal, change, message):
    options = {"num_samples": 4, "batch_size": 2, "num_steps": 10} | change
    with pytest.raises(InputError, match=message):
        collect_normalizer(diagonal, CONFIG, diagonal.shape, **options)


@pytest.mark.parametrize("value", [0.0, float("nan")])
def test_a_model_that_predicts_nothing_or_diverges_is_refused(value):
    with pytest.raises(InputError, match="not positive and finite at tau"):
        collect_normalizer(lambda x, t: x * value, CONFIG, (1, 2, 2), 2, 2, num_steps=10)


@pytest.mark.parametrize(
    ("times", "values", "message"),
    [
        ([0.1, 0.5], [1.0], "one time for every value"),
        ([0.5, 0.1], [1.0, 1.0], "must rise"),
        ([0.1, 1.5], [1.0, 1.0], "within 0..1"),
        ([0.1, 0.5], [1.0, -1.0], "not positive and finite at tau = 0.5"),
    ],
)
def test_bad_curves_are_named(times, values, message):
    with pytest.raises(InputError, match=message):
        Normalizer(times, values, {})
