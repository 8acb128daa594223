"""Coefficients of exponential multistep integrators (DEIS, DEIS-SN and what goes beyond them) in float64.

With v = x / sqrt(A) the probability-flow equation is dv/drho = eps, so a step from tau_i to tau_{i-1} that takes eps / r for a polynomial
through the last k + 1 nodes is

    x_{i-1} = sqrt(A_{i-1} / A_i) x_i + sum_j C_j eps_j,
    C_j = sqrt(A_{i-1}) / r(tau_{i+j}) * integral over rho from rho_i to rho_{i-1} of r l_j,

l_j the Lagrange basis in the chosen variable. r = 1 is DEIS (Zhang and Chen 2023), r = mean |eps| is DEIS-SN (Xia et al. 2023); a constant
factor in r changes nothing.
"""

from collections.abc import Callable
from functools import lru_cache

import numpy as np

from genovision.errors import InputError

VARIABLES = ("t", "rho", "log_rho")
_LARGEST = 2**16  # values of the integrand held at a time: they stay in the processor's cache


def weights(
    schedule,
    targets,
    nodes,
    normalizer: Callable | None = None,
    variable: str = "t",
    affine: Callable | None = None,
    points: int = 64,
):
    """Coefficients of S steps at once: `(psi, C)`, or `(psi, C, bias)` where `affine` is given.

    schedule: a `schedules.Schedule`; targets: (S,) times tau reached; nodes: (S, k + 1) times of the outputs, newest first, the first being
    where the step starts (> 0). A row with fewer nodes is padded with NaN at its end and gets zeros there. normalizer: tau (n,) -> r
    (n, *shape), positive at nodes; variable: what the polynomial is in, `t`, `rho` or `log_rho`; points: of the quadrature, per step.

    psi: (S,) and C: (S, k + 1, *shape), float64, with x_target = psi x + sum_j C_j eps_j on RAW network outputs eps.

    affine: tau (n,) -> (l, b), each (n, *shape), for eps = l x + b + F. Then C multiplies F_j = eps_j - l_j x_j - b_j, the polynomial is
    F / r, and the part linear in x is integrated as it stands: psi (S, *shape of l) holds exp of the integral of l sqrt(A) drho and
    x_target = psi x + bias + sum_j C_j F_j, bias like psi. Shapes of r and l broadcast. The l and b of a diagonal Gaussian make F = 0 and
    the step exact.

    affine may have a method `gaussian`, tau -> (s^2, m), for l = sigma / (A s^2 + sigma^2) and b = -l sqrt(A) m. With s^2 and m of a step's
    target the integral is then in closed form, and quadrature adds what they change over the step: a pixel of hardly any variance, in
    which l all but diverges at tau = 0, comes out right.

    Gauss-Legendre in sqrt(tau), in which rho is smooth down to 0; for `log_rho` in tau^(1/8), which tames the logarithm there. The
    quadrature is scaled so that its total is rho_{i-1} - rho_i exactly: with r = 1 the C of a step add up to DDIM's coefficient.
    """
    if variable not in VARIABLES:
        raise InputError(f"interpolation variable {variable!r} is unknown: choose one of {', '.join(VARIABLES)}.")
    targets = np.asarray(targets, dtype=np.float64)
    nodes = np.asarray(nodes, dtype=np.float64).reshape(len(targets), -1)
    size = 1
    if normalizer is not None or affine is not None:
        probe = np.ones(1)
        if normalizer is not None:
            size = max(size, np.asarray(normalizer(probe)).size)
        if affine is not None:
            size = max(size, np.asarray(affine(probe)[0]).size)
    rows = max(1, _LARGEST // (points * size))
    parts = [
        _weights(schedule, targets[i : i + rows], nodes[i : i + rows], normalizer, variable, affine, points)
        for i in range(0, max(1, len(targets)), rows)
    ]
    return parts[0] if len(parts) == 1 else tuple(np.concatenate(arrays) for arrays in zip(*parts, strict=True))


def _weights(schedule, targets, nodes, normalizer, variable, affine, points):
    start, present = nodes[:, 0], ~np.isnan(nodes)
    nodes = np.where(present, nodes, start[:, None])
    count, depth = nodes.shape
    abscissas, gauss = _gauss(points)

    power = 8 if variable == "log_rho" else 2
    first, last = start ** (1 / power), targets ** (1 / power)
    half = (last - first) / 2
    root = (first + last)[:, None] / 2 + half[:, None] * abscissas
    tau = root**power
    density = schedule.rho_slope(tau) * (power * root ** (power - 1)) * half[:, None]
    measure = density * gauss
    exact = schedule.rho(targets) - schedule.rho(start)
    correction = (exact / measure.sum(1))[:, None]
    measure = measure * correction

    if variable == "t":
        at, known = tau, nodes
    else:
        at, known = schedule.rho(tau), schedule.rho(nodes)
        if variable == "log_rho":
            at, known = np.log(at), np.log(known)
    basis = np.empty((count, depth, points))
    for j in range(depth):
        row = measure * present[:, j : j + 1]
        for m in range(depth):
            if m != j:
                gap = np.where(present[:, j] & present[:, m], known[:, j] - known[:, m], np.nan)
                factor = (at - known[:, m : m + 1]) / gap[:, None]
                row = row * np.where(np.isnan(gap)[:, None], 1.0, factor)
        basis[:, j] = row

    log_start, log_target = schedule.log_alpha_bar(start), schedule.log_alpha_bar(targets)
    psi = np.exp((log_target - log_start) / 2)
    scale = np.exp(log_target / 2)

    values = at_nodes = slope = intercept = None
    if normalizer is not None:
        values = np.asarray(normalizer(tau.ravel()), dtype=np.float64)
        at_nodes = np.asarray(normalizer(nodes.ravel()), dtype=np.float64)
    if affine is not None:
        slope, intercept = (np.asarray(part, dtype=np.float64) for part in affine(tau.ravel()))
    shape = np.broadcast_shapes(*(part.shape[1:] for part in (values, slope) if part is not None))

    def flat(part, length):
        """(count * length, *own shape) -> (count, length, 1 or the size of `shape`)."""
        if part.size > len(part):
            part = np.broadcast_to(part, (len(part), *shape))
        return part.reshape(count, length, -1)

    integrand, bias = None, None
    if affine is not None:
        slope, intercept = flat(slope, points), flat(intercept, points)
        level = np.sqrt(schedule.alpha_bar(tau))[:, :, None]
        rate = slope * level * (density * correction)[:, :, None]
        known_part, centre = np.ones((count, points + 1, 1)), 0.0
        if hasattr(affine, "gaussian"):
            variance, centre = (flat(np.asarray(part, dtype=np.float64), 1) for part in affine.gaussian(targets))
            rho = schedule.rho(np.column_stack([tau, start]))[:, :, None]
            known_part = np.sqrt((variance + (schedule.rho(targets) ** 2)[:, None, None]) / (variance + rho**2))
            rate = rate - (density * correction)[:, :, None] * rho[:, :-1] / (variance + rho[:, :-1] ** 2)
            intercept = intercept + slope * level * centre
        total = np.einsum("n,snp->sp", gauss, rate)
        integrand = known_part[:, :-1] * np.exp(total[:, None] - _antiderivative(points) @ rate)
        grown = known_part[:, -1] * np.exp(total)
        bias = np.einsum("sn,snp->sp", measure, integrand * intercept)
        if hasattr(affine, "gaussian"):
            bias = bias + centre[:, 0] * (1 - grown)
        bias, psi = scale[:, None] * bias, psi[:, None] * grown
        own = shape if psi.shape[1] == np.prod(shape, dtype=int) else ()
        psi, bias = psi.reshape(count, *own), bias.reshape(count, *own)
    if normalizer is not None:
        values = flat(values, points)
        integrand = values if integrand is None else integrand * values

    if integrand is None:
        coefficients = scale[:, None] * basis.sum(2)
    else:
        coefficients = scale[:, None, None] * (basis @ integrand)
        if at_nodes is not None:
            coefficients = coefficients / flat(at_nodes, depth)
        coefficients = coefficients.reshape(count, depth, *shape)
    return (psi, coefficients) if affine is None else (psi, coefficients, bias)


@lru_cache(maxsize=8)
def _gauss(points: int):
    return np.polynomial.legendre.leggauss(points)


@lru_cache(maxsize=8)
def _antiderivative(points: int) -> np.ndarray:
    """(n, n): values at the Gauss points -> integral from -1 to each Gauss point, exact for polynomials of degree n - 1."""
    abscissas, gauss = _gauss(points)
    legendre = np.polynomial.legendre.legvander(abscissas, points)
    degrees = np.arange(points)
    integrals = np.empty((points, points))
    integrals[:, 0] = abscissas + 1
    integrals[:, 1:] = (legendre[:, 2:] - legendre[:, :-2]) / (2 * degrees[1:] + 1)
    return integrals @ ((degrees[:, None] + 0.5) * legendre[:, :-1].T * gauss)
