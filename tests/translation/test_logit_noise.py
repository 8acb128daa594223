"""Noise around logits: closed forms, fits that no neighbour betters, moments of samples, bounds, and shapes that are refused."""

import math
import re

import pytest

torch = pytest.importorskip("torch")
from torch.distributions import Laplace, Normal  # noqa: E402

import genovision.translation  # noqa: E402
from genovision.translation.logit_noise import (  # noqa: E402
    NLL,
    bounded_scale,
    fit_gaussian,
    fit_laplace,
    gaussian_nll,
    heavy,
    laplace_nll,
    raw_scale,
    sample,
)

FIT = {"laplace": fit_laplace, "gaussian": fit_gaussian}


def case(*shape, seed=0):
    """Location and scale (..., K) and members' logits (..., M, K) of shape (..., M, K)."""
    generator = torch.Generator().manual_seed(seed)
    members = torch.randn(shape, generator=generator, dtype=torch.float64)
    location = torch.randn((*shape[:-2], shape[-1]), generator=generator, dtype=torch.float64)
    return location, location.abs() + 0.1, members


def test_the_value_of_the_paper_s_definition():
    found = laplace_nll(torch.zeros(1), torch.ones(1), torch.tensor([[-1.0], [0.0], [2.0]]))
    assert found.shape == () and float(found) == pytest.approx(1.693147, abs=1e-6)
    assert float(laplace_nll(0.0, 1.0, torch.tensor([-1.0, 0.0, 2.0]))) == pytest.approx(1 + math.log(2))
    assert float(gaussian_nll(0.0, 2.0, torch.tensor([-1.0, 0.0, 2.0]))) == pytest.approx(
        5 / 3 / 8 + math.log(2) + math.log(math.sqrt(2 * math.pi))
    )
    assert genovision.translation.laplace_nll is laplace_nll
    assert genovision.translation.gaussian_nll is gaussian_nll
    with pytest.raises(AttributeError, match="no attribute 'cauchy_nll'"):
        genovision.translation.cauchy_nll  # noqa: B018


@pytest.mark.parametrize(("family", "distribution"), [("laplace", Laplace), ("gaussian", Normal)])
def test_it_is_the_likelihood_of_torch_s_distribution(family, distribution):
    location, scale, members = case(2, 5, 3, 7)
    peer = distribution(location.unsqueeze(-2), scale.unsqueeze(-2)).log_prob(members).mean(dim=-2)
    assert torch.allclose(NLL[family](location, scale, members), -peer.sum(dim=-1))
    weight = torch.ones_like(location)
    weight[..., -1] = 0
    found = NLL[family](location, scale, members, weight)
    assert torch.allclose(found, -peer[..., :-1].sum(dim=-1))
    # the order of members, and how often the whole ensemble is named, say nothing
    assert torch.allclose(NLL[family](location, scale, members.flip(-2)), NLL[family](location, scale, members))
    assert torch.allclose(
        NLL[family](location, scale, torch.cat([members] * 2, dim=-2)), NLL[family](location, scale, members)
    )


@pytest.mark.parametrize("members", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("family", FIT)
def test_no_neighbour_of_the_fit_is_likelier(family, members):
    _, _, logits = case(20, members, 6, seed=members)
    location, scale = FIT[family](logits)
    if members == 1:
        assert torch.equal(location, logits[:, 0]) and (scale == 0).all()
        return
    least = NLL[family](location, scale, logits)
    for step in (1e-3, 0.3):
        for moved in (location - step, location + step):
            assert (NLL[family](moved, scale, logits) >= least - 1e-12).all()
        for stretched in (scale * (1 - step), scale * (1 + step)):
            assert (NLL[family](location, stretched, logits) > least).all()


def test_fits_are_the_textbook_s():
    logits = torch.tensor([[-1.0], [0.0], [2.0], [9.0]])
    location, scale = fit_laplace(logits)
    assert location.tolist() == [1.0] and scale.tolist() == [(2 + 1 + 1 + 8) / 4]
    location, scale = fit_gaussian(logits)
    assert location.tolist() == [2.5] and float(scale) == pytest.approx(
        math.sqrt((3.5**2 + 2.5**2 + 0.5**2 + 6.5**2) / 4)
    )


def test_gradients_are_those_of_finite_differences():
    location, scale, members = case(3, 4, 5)
    for nll in NLL.values():
        given = [tensor.clone().requires_grad_() for tensor in (location, scale)]
        assert torch.autograd.gradcheck(lambda mu, s, nll=nll: nll(mu, s, members), given)


@pytest.mark.parametrize(("family", "deviation"), [("laplace", math.sqrt(2)), ("gaussian", 1.0)])
def test_samples_have_the_moments_of_their_distribution(family, deviation):
    location = torch.tensor([[0.0, 3.0], [-1.0, 0.5]], dtype=torch.float64)
    scale = torch.tensor([[1.0, 0.1], [2.0, 0.0]], dtype=torch.float64)
    number = 200_000
    drawn = sample(location, scale, number, family=family, generator=torch.Generator().manual_seed(1))
    assert drawn.shape == (2, number, 2)
    assert ((drawn.mean(dim=1) - location).abs() <= 5 * deviation * scale / number**0.5).all()
    assert torch.allclose(drawn.std(dim=1), deviation * scale, rtol=0.02)
    absolute = (drawn - location.unsqueeze(1)).abs().mean(dim=1)
    assert torch.allclose(absolute, scale * (1 if family == "laplace" else math.sqrt(2 / math.pi)), rtol=0.02)
    assert (drawn[1, :, 1] == 0.5).all()
    again = sample(location, scale, number, family=family, generator=torch.Generator().manual_seed(1))
    assert torch.equal(drawn, again)


def test_no_sample_is_infinite():
    zero = torch.zeros(4, dtype=torch.float32)
    original = torch.rand
    try:
        for end in (0.0, 1 - 2**-24, 0.5):
            torch.rand = lambda shape, generator, dtype, end=end: torch.full(shape, end, dtype=dtype)
            drawn = sample(zero, zero + 1, 3, family="laplace", generator=torch.Generator())
            assert drawn.isfinite().all() and (drawn.abs() < 20).all()
    finally:
        torch.rand = original


def test_samples_of_a_fit_are_fitted_back():
    location, scale = torch.tensor([0.5, -2.0], dtype=torch.float64), torch.tensor([0.3, 1.5], dtype=torch.float64)
    for family, fit in FIT.items():
        found = fit(sample(location, scale, 100_000, family=family, generator=torch.Generator().manual_seed(2)))
        assert torch.allclose(found[0], location, atol=0.03) and torch.allclose(found[1], scale, rtol=0.02)


def test_a_scale_grows_between_its_bounds_and_back():
    raw = torch.linspace(-12, 12, 401, dtype=torch.float64, requires_grad=True)
    for low, high in ((1e-3, 10.0), (0.5, 0.9)):
        scale = bounded_scale(raw, low, high)
        assert (scale >= low).all() and (scale <= high).all() and (scale.diff() >= 0).all()
        assert float(bounded_scale(torch.tensor(0.0), low, high)) == pytest.approx(math.sqrt(low * high))
        (slope,) = torch.autograd.grad(scale.log().sum(), raw)
        assert float(slope.max()) == pytest.approx(1) and slope.isfinite().all()
        inside = torch.linspace(low * 1.001, high * 0.999, 50, dtype=torch.float64)
        assert torch.allclose(bounded_scale(raw_scale(inside, low, high), low, high), inside)
    assert bounded_scale(torch.tensor([-1e30, 1e30])).tolist() == pytest.approx([1e-3, 10])
    for odd in (1e-3, 10.0, -1.0):
        with pytest.raises(ValueError, match=r"between 0\.001 and 10\.0"):
            raw_scale(odd)
    with pytest.raises(ValueError, match="0 < low < high"):
        bounded_scale(raw, 1.0, 1.0)


def test_the_alarm_counts_scales_from_one_on():
    assert heavy(torch.tensor([[0.2, 0.99], [1.0, 0.5], [3.0, 1.5]])).tolist() == [0, 0.5, 1]


def test_at_a_scale_of_one_the_softmax_loses_its_mean():
    """Why there is an alarm: E exp(Laplace noise) is 1 / (1 - s^2) below 1, and the sample mean never settles above."""
    generator = torch.Generator().manual_seed(3)
    number, zero = 400_000, torch.zeros(1, dtype=torch.float64)
    light = sample(zero, zero + 0.3, number, family="laplace", generator=generator).exp()
    assert float(light.mean()) == pytest.approx(1 / (1 - 0.3**2), rel=0.01)
    heavy_tailed = sample(zero, zero + 1.2, number, family="laplace", generator=generator).exp()
    # a handful of draws make up most of the sum
    assert float(heavy_tailed.flatten().topk(number // 1000).values.sum() / heavy_tailed.sum()) > 0.5


@pytest.mark.parametrize("nll", NLL.values())
def test_shapes_that_disagree_are_named(nll):
    location, scale, members = case(4, 3, 5)
    for wrong in (
        (location[:, :4], scale, members),
        (location, scale[:3], members),
        (location, scale, members[:, 0]),
        (location, scale, members.swapaxes(1, 2)),
        (location, scale, members[:, :0]),
        (location[0], scale[0], members),
    ):
        names = zip(("location", "scale", "member_logits"), wrong, strict=True)
        shapes = [re.escape(f"{name} {tuple(tensor.shape)}") for name, tensor in names]
        with pytest.raises(ValueError, match="{}, {} and {} disagree".format(*shapes)):
            nll(*wrong)
    with pytest.raises(ValueError, match=r"weight has shape \(5,\), location and scale \(4, 5\)"):
        nll(location, scale, members, torch.ones(5))
    with pytest.raises(ValueError, match=r"a scale is -0\.5"):
        nll(location, scale * 0 - 0.5, members)
    # a run that diverged must be told by its loss, not by an exception
    assert nll(location, scale * math.nan, members).isnan().all()


def test_samples_that_can_not_be_drawn():
    generator, zero = torch.Generator(), torch.zeros(2, 3)
    with pytest.raises(ValueError, match=r"location \(2, 3\) and scale \(3,\)"):
        sample(zero, zero[0], 2, family="laplace", generator=generator)
    with pytest.raises(ValueError, match="samples 0"):
        sample(zero, zero, 0, family="laplace", generator=generator)
    with pytest.raises(ValueError, match="'cauchy' is none of laplace, gaussian"):
        sample(zero, zero, 1, family="cauchy", generator=generator)
    for fit in FIT.values():
        with pytest.raises(ValueError, match=r"shape \(3,\)"):
            fit(torch.zeros(3))
