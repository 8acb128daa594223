"""The coefficients against golden numbers, exact integrals and identities: papers, no scheduler, no network."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import quad

from genovision.errors import InputError
from genovision.samplers.coefficients import VARIABLES, weights
from genovision.samplers.schedules import ContinuousVP, DiscreteVP, make_betas

DISCRETE, CONTINUOUS = DiscreteVP(make_betas()), ContinuousVP()
SCHEDULES = pytest.mark.parametrize("schedule", [DISCRETE, CONTINUOUS], ids=["discrete", "continuous"])


def history(taus, degree):
    """Nodes (N, degree + 1) of a run that warms up, padded with NaN."""
    steps, back = np.arange(len(taus) - 1)[:, None], np.arange(degree + 1)
    return np.where(back <= steps, taus[np.maximum(steps - back, 0)], np.nan)


def quadratic(steps):
    return (np.arange(steps, -1, -1) / steps) ** 2


def ratio(schedule, spread):
    """r of Gaussian data with this standard deviation, up to a constant."""
    return lambda tau: schedule.sigma(tau) / np.sqrt(spread**2 * schedule.alpha_bar(tau) + schedule.sigma(tau) ** 2)


GOLDEN_PSI = [19.714090, 4.113619, 1.696185, 1.133224, 1.009820]
GOLDEN = [
    [-18.721566],
    [-4.104019, 0.879866],
    [-1.459723, 0.640491, -0.148346],
    [-0.647702, 0.343740, -0.127266, 0.019392],
    [-0.184168, 0.057495, -0.015753, 0.001942],
]
GOLDEN_HALF = [
    [-18.719786],
    [-4.068538, 0.866061],
    [-1.341356, 0.547391, -0.126047],
    [-0.450785, 0.164686, -0.057721, 0.008733],
    [-0.086360, 0.007021, -0.001455, 0.000171],
]


@pytest.mark.parametrize(("spread", "golden"), [(None, GOLDEN), (0.5, GOLDEN_HALF)])
def test_golden_numbers(spread, golden):
    """Computed elsewhere with A straight between training steps, ours is smooth: that moves the fifth decimal."""
    taus = quadratic(5)
    normalizer = ratio(DISCRETE, spread) if spread else None
    psi, c = weights(DISCRETE, taus[1:], history(taus, 3), normalizer)
    np.testing.assert_allclose(psi, GOLDEN_PSI, atol=1e-6)
    for row, wanted in zip(c, golden, strict=True):
        np.testing.assert_allclose(row[: len(wanted)], wanted, atol=2e-5)
        assert not row[len(wanted) :].any()


@SCHEDULES
def test_without_normaliser_rows_add_up_to_ddim(schedule):
    taus = quadratic(6)
    for variable in VARIABLES:
        for degree in range(4):
            _, c = weights(schedule, taus[1:], history(taus, degree), variable=variable)
            exact = np.sqrt(schedule.alpha_bar(taus[1:])) * np.diff(schedule.rho(taus))
            np.testing.assert_allclose(c.sum(1), exact, rtol=1e-12)


@SCHEDULES
def test_with_normaliser_rows_add_up_to_its_integral(schedule):
    taus, r = quadratic(4), ratio(schedule, 0.7)
    _, c = weights(schedule, taus[1:], history(taus, 3), r)
    spread = 0.7  # the integral of rho / sqrt(s^2 + rho^2) is sqrt(s^2 + rho^2)
    exact = np.sqrt(schedule.alpha_bar(taus[1:])) * np.diff(np.hypot(spread, schedule.rho(taus)))
    total = np.nansum(c * np.nan_to_num(r(history(taus, 3))), axis=1)
    np.testing.assert_allclose(total, exact, rtol=1e-10)


@SCHEDULES
@pytest.mark.parametrize("variable", VARIABLES)
@pytest.mark.parametrize("degree", range(4))
def test_polynomials_are_integrated_exactly(schedule, variable, degree):
    """eps = r p with p of the degree, whatever x is: the step is the integral, also of a step down to 0."""
    rng = np.random.default_rng(degree)
    power = rng.standard_normal(degree + 1)
    at = {"t": lambda u: u, "rho": schedule.rho, "log_rho": lambda u: np.log(schedule.rho(u))}[variable]
    r = ratio(schedule, 0.5)
    for target in (0.09, 0.0):
        nodes = np.array([0.25, 0.36, 0.5, 0.8])[: degree + 1]
        psi, c = weights(schedule, [target], nodes[None], r, variable)

        def eps(u):
            return r(u) * np.polynomial.polynomial.polyval(at(u), power)

        def integrand(z):
            return eps(z**4) * schedule.rho_slope(z**4) * 4 * z**3

        exact, _ = quad(integrand, 0.25**0.25, target**0.25, epsabs=0, epsrel=1e-12, limit=500)
        assert (c[0] * eps(nodes)).sum() == pytest.approx(np.sqrt(schedule.alpha_bar(target)) * exact, rel=1e-10)
        assert psi[0] == pytest.approx(np.sqrt(schedule.alpha_bar(target) / schedule.alpha_bar(0.25)), rel=1e-13)


def test_a_constant_factor_of_r_changes_nothing():
    taus = quadratic(7)
    for r in (ratio(DISCRETE, 0.3), lambda tau: np.stack([1 + tau, 2 - np.sqrt(tau)], 1)):
        one = weights(DISCRETE, taus[1:], history(taus, 3), r)[1]
        seven = weights(DISCRETE, taus[1:], history(taus, 3), lambda tau, r=r: 7 * r(tau))[1]
        np.testing.assert_allclose(seven, one, rtol=1e-12)


def run(schedule, taus, x, eps, degree, **options):
    psi, c = weights(schedule, taus[1:], history(taus, degree), **options)
    outputs = []
    for i in range(len(taus) - 1):
        outputs.insert(0, eps(x, taus[i]))
        x = psi[i] * x + sum(c[i, j] * output for j, output in enumerate(outputs[: degree + 1]))
    return x


@SCHEDULES
@pytest.mark.parametrize("variable", VARIABLES)
@pytest.mark.parametrize("degree", range(4))
@pytest.mark.parametrize("spread", [0.05, 0.5, 2.0])
def test_isotropic_gaussian_is_exact_with_its_r_and_not_without(schedule, variable, degree, spread):
    x = np.random.default_rng(0).standard_normal(100)

    def eps(x, tau):
        return schedule.sigma(tau) * x / (spread**2 * schedule.alpha_bar(tau) + schedule.sigma(tau) ** 2)

    exact = spread * x / np.sqrt(spread**2 * schedule.alpha_bar(1.0) + schedule.sigma(1.0) ** 2)
    for steps in (1, 2, 5):
        options = {"degree": degree, "variable": variable}
        ours = run(schedule, quadratic(steps), x, eps, normalizer=ratio(schedule, spread), **options)
        assert np.abs(ours - exact).max() < 1e-9
        plain = run(schedule, quadratic(steps), x, eps, **options)
        if not (variable == "log_rho" and steps == 5):  # whose polynomial is close to this one by nature
            assert np.sqrt(np.mean((plain - exact) ** 2)) > 1e-3


@SCHEDULES
def test_linear_terms_are_exact_on_diagonal_gaussians(schedule):
    spread, mean = np.array([0.05, 0.3, 1.0, 2.5]), np.array([0.5, -1.0, 0.0, 3.0])

    def affine(tau):
        alpha_bar, sigma = schedule.alpha_bar(tau)[:, None], schedule.sigma(tau)[:, None]
        slope = sigma / (alpha_bar * spread**2 + sigma**2)
        return slope, -slope * np.sqrt(alpha_bar) * mean

    noise = np.random.default_rng(1).standard_normal((50, 4))
    alpha_bar = schedule.alpha_bar(1.0)
    exact = mean + spread * (noise - np.sqrt(alpha_bar) * mean) / np.sqrt(alpha_bar * spread**2 + 1 - alpha_bar)
    for steps in (1, 2, 5):
        taus, x = quadratic(steps), noise
        psi, c, bias = weights(schedule, taus[1:], history(taus, 2), affine=affine)
        assert psi.shape == bias.shape == (steps, 4) and c.shape == (steps, 3, 4)
        for i in range(steps):
            x = psi[i] * x + bias[i]  # eps is l x + b, so that nothing is left for C
        assert np.abs(x - exact).max() < 1e-9


class Linear:
    """l and b of a Gaussian whose variance and mean drift, told as such."""

    def gaussian(self, tau):
        return np.stack([0.2 + tau, 1 - tau / 2], 1), np.stack([np.sin(tau), 0.4 * tau**2], 1)

    def __call__(self, tau):
        variance, mean = self.gaussian(tau)
        alpha_bar, sigma = CONTINUOUS.alpha_bar(tau)[:, None], CONTINUOUS.sigma(tau)[:, None]
        slope = sigma / (alpha_bar * variance + sigma**2)
        return slope, -slope * np.sqrt(alpha_bar) * mean


def scalar_terms(tau):
    return np.cos(tau), 0.3 * np.cos(tau) - 0.1


def pixel_terms(tau):
    slope = np.stack([np.cos(tau), np.sin(3 * tau)], 1)
    return slope, 0.3 * slope - 0.1


def test_linear_terms_beside_what_they_leave():
    """dv/drho = l sqrt(A) v + b + F against a fine integration, with r per pixel, F = r (1 + tau), and a scalar l, and one per pixel."""
    start, target, x = 0.5, 0.1, np.array([0.3, -0.2])

    def r(tau):
        return np.stack([1 + tau, 2 - tau], 1)

    for affine in (scalar_terms, pixel_terms, Linear(), lambda tau: Linear()(tau)):
        nodes = np.array([[start, 0.8]])
        psi, c, bias = weights(CONTINUOUS, [target], nodes, r, affine=affine)
        ours = psi[0] * x + bias[0] + sum(c[0, j] * r(nodes[0, j : j + 1])[0] * (1 + nodes[0, j]) for j in range(2))
        rho = np.linspace(CONTINUOUS.rho(start), CONTINUOUS.rho(target), 4001)

        def slope_of(v, rho, affine=affine):
            tau = CONTINUOUS.tau_of_rho(np.array([rho]))
            slope, intercept = affine(tau)
            return slope[0] * np.sqrt(CONTINUOUS.alpha_bar(tau)) * v + intercept[0] + r(tau)[0] * (1 + tau)

        v = x / np.sqrt(CONTINUOUS.alpha_bar(start))
        for a, b in zip(rho[:-1:20], rho[20::20], strict=True):  # Runge-Kutta in 200 steps
            h = b - a
            k1 = slope_of(v, a)
            k2 = slope_of(v + h / 2 * k1, a + h / 2)
            k3 = slope_of(v + h / 2 * k2, a + h / 2)
            v = v + h / 6 * (k1 + 2 * k2 + 2 * k3 + slope_of(v + h * k3, b))
        np.testing.assert_allclose(ours, v * np.sqrt(CONTINUOUS.alpha_bar(target)), rtol=1e-9)


def test_values_per_channel_and_pixel_are_those_of_their_curves():
    taus = quadratic(5)
    curves = [ratio(DISCRETE, spread) for spread in (0.1, 0.4, 0.9, 1.6)]
    alone = [weights(DISCRETE, taus[1:], history(taus, 2), r)[1] for r in curves]
    shaped = weights(
        DISCRETE, taus[1:], history(taus, 2), lambda tau: np.stack([r(tau) for r in curves], 1).reshape(-1, 2, 1, 2)
    )[1]
    assert shaped.shape == (5, 3, 2, 1, 2)
    np.testing.assert_allclose(shaped.reshape(5, 3, 4), np.stack(alone, 2), rtol=1e-13)


def test_many_steps_in_chunks_are_the_steps_one_by_one():
    nodes = np.sort(np.random.default_rng(2).random((3000, 3)), axis=1)
    psi, c = weights(DISCRETE, nodes[:, 0], nodes[:, 1:], ratio(DISCRETE, 0.5))
    for i in (0, 1023, 1024, 2999):
        one = weights(DISCRETE, nodes[i : i + 1, 0], nodes[i : i + 1, 1:], ratio(DISCRETE, 0.5))
        np.testing.assert_allclose(psi[i], one[0][0], rtol=1e-13)
        np.testing.assert_allclose(c[i], one[1][0], rtol=1e-10, atol=1e-12)


@settings(deadline=None, max_examples=80)
@given(st.integers(0, 2**32 - 1), st.sampled_from(VARIABLES), st.integers(0, 3), st.booleans())
def test_random_grids_and_curves_give_finite_coefficients(seed, variable, degree, discrete):
    schedule = DISCRETE if discrete else CONTINUOUS
    rng = np.random.default_rng(seed)
    taus = np.concatenate([[1.0], np.sort(rng.uniform(1e-4, 0.999, rng.integers(1, 12)))[::-1], [0.0]])
    wave = rng.uniform(-0.4, 0.4, 3)

    def r(tau):
        return 0.1 + (1 + wave @ np.stack([np.sin(k * 3 * tau) for k in (1, 2, 3)])) ** 2

    _, c = weights(schedule, taus[1:], history(taus, degree), r, variable)
    assert np.all(np.isfinite(c))
    plain = weights(schedule, taus[1:], history(taus, degree), None, variable)[1]
    np.testing.assert_allclose(
        plain.sum(1), np.sqrt(schedule.alpha_bar(taus[1:])) * np.diff(schedule.rho(taus)), rtol=1e-6
    )


def test_there_and_back():
    """Many small steps down and up again on a linear model return to the start."""
    x, taus = np.array([1.3]), np.linspace(0.6, 0.3, 400)

    def eps(x, tau):
        return 0.4 * x

    there = run(CONTINUOUS, taus, x, eps, 3)
    assert abs(there - x) > 0.1
    assert run(CONTINUOUS, taus[::-1], there, eps, 3) == pytest.approx(x, abs=1e-5)


def test_unknown_variable():
    with pytest.raises(InputError, match="t, rho, log_rho"):
        weights(DISCRETE, [0.0], [[1.0]], variable="lambda")
