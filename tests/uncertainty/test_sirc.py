"""SIRC: golden values, its two limits, and the product form."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.stats import rankdata

from genovision.uncertainty.scores import msp
from genovision.uncertainty.sirc import SIRC

RNG = np.random.default_rng(5)
PAIRS = arrays(np.float64, st.tuples(st.integers(1, 20), st.just(2)), elements=st.floats(0, 0.999))


def test_golden_values():
    score = SIRC(s1_max=1.0, a=3.5, b=1 / 1.5).score(msp([[2, 1, 0], [0.5, 0.4, 0.3], [5, -1, -2]]), [10, 2, 6])
    np.testing.assert_allclose(score, [1.081306, -0.855715, 5.517115], atol=6e-7)


def test_parameters_are_three_population_deviations_below_the_mean():
    s2 = RNG.normal(8, 1.5, 1000)
    sirc = SIRC().fit(s2)
    assert isinstance(sirc.a, float)
    assert sirc.a == pytest.approx(s2.mean() - 3 * s2.std()) and sirc.b == pytest.approx(1 / s2.std())
    several = SIRC().fit(np.column_stack([s2, -2 * s2]))
    assert several.a.shape == several.b.shape == (2,)
    assert several.a[0] == pytest.approx(sirc.a) and several.b[1] == pytest.approx(sirc.b / 2)


def test_one_secondary_score_as_a_column_is_the_same():
    s1, s2 = RNG.random(50), RNG.standard_normal(50)
    for train in (s2, s2[:, None]):
        for second in (s2, s2[:, None]):
            np.testing.assert_array_equal(SIRC().fit(train).score(s1, second), SIRC().fit(s2).score(s1, s2))


def test_where_s2_is_high_s1_decides():
    s1 = RNG.random(200)
    score = SIRC(a=0.0, b=1.0).score(s1, RNG.uniform(1e3, 1e6, 200))
    np.testing.assert_array_equal(rankdata(score), rankdata(s1))
    np.testing.assert_allclose(score, -np.log(1 - s1))


def test_where_s2_is_low_the_score_falls_with_it():
    score = SIRC(a=0.0, b=2.0).score([0.3, 0.3], [-1e4, -2e4])
    np.testing.assert_allclose(np.diff(score), -2e4)


@given(PAIRS, st.floats(0, 0.5), st.floats(0, 5))
def test_monotone_in_both(pairs, more1, more2):
    sirc = SIRC(a=0.2, b=3.0)
    s1, s2 = pairs.T
    assert (sirc.score(np.minimum(s1 + more1, 1), s2) >= sirc.score(s1, s2)).all()
    assert (sirc.score(s1, s2 + more2) >= sirc.score(s1, s2)).all()


@given(PAIRS)
def test_product_and_log_form_agree(pairs):
    s1, s2 = pairs.T
    for sirc, second in ((SIRC(a=0.5, b=4.0), s2), (SIRC(a=[0.5, 0.1], b=[4.0, 1.0]), np.column_stack([s2, -s2]))):
        np.testing.assert_allclose(
            -np.log(-sirc.score(s1, second, form="product")), sirc.score(s1, second), rtol=1e-9, atol=1e-9
        )


def test_top_rank_is_ordered_by_s2():
    score = SIRC(a=0.0, b=1.0).score([1.0, 1.0, 1 - 1e-15], [-1.0, 2.0, 5.0])
    assert np.isfinite(score).all() and score[1] > score[0] > score[2]
    entropy = SIRC(s1_max=0.0, a=0.0, b=1.0).score([0.0, -0.1], [0.0, 0.0])
    assert entropy[0] > entropy[1]


def test_far_below_a_nothing_overflows():
    assert np.isfinite(SIRC(a=0.0, b=1.0).score([0.5], [-1e300])).all()


def test_saved_and_loaded_exactly(tmp_path):
    s1, s2 = RNG.random(50), RNG.standard_normal((50, 3))
    for sirc, second in ((SIRC(0.0).fit(s2), s2), (SIRC(0.0).fit(s2[:, 0]), s2[:, 0])):
        sirc.save(tmp_path / "sirc.json")
        again = SIRC.load(tmp_path / "sirc.json")
        np.testing.assert_array_equal(again.score(s1 - 1, second), sirc.score(s1 - 1, second))
        first = (tmp_path / "sirc.json").read_bytes()
        again.save(tmp_path / "sirc.json")
        assert (tmp_path / "sirc.json").read_bytes() == first


def test_bad_input():
    s2 = RNG.standard_normal(5)
    sirc = SIRC().fit(s2)
    with pytest.raises(ValueError, match="s2_train is not finite in row 2"):
        SIRC().fit([1.0, 2.0, np.nan])
    with pytest.raises(ValueError, match="s1 is not finite in row 1"):
        sirc.score([0.1, np.inf], [1, 2])
    with pytest.raises(ValueError, match="constant"):
        SIRC().fit([0.1] * 7)
    with pytest.raises(ValueError, match="no rows"):
        SIRC().fit([])
    with pytest.raises(ValueError, match=r"s2 has shape \(3,\), but to s1 of shape \(2,\) belongs \(2,\) or \(2, 1\)"):
        sirc.score([0.1, 0.2], [1, 2, 3])
    with pytest.raises(ValueError, match=r"belongs \(2, 3\): fitted for 3"):
        SIRC().fit(RNG.standard_normal((5, 3))).score([0.1, 0.2], [1, 2])
    with pytest.raises(ValueError, match=r"s2 has shape \(2, 2\).*fitted for 1"):
        sirc.score([0.1, 0.2], np.zeros((2, 2)))
    with pytest.raises(ValueError, match="above its maximum"):
        sirc.score([0.1, 1.2], [1, 2])
    with pytest.raises(ValueError, match="not fitted"):
        SIRC().score([0.1], [1])
    with pytest.raises(ValueError, match="nothing to save"):
        SIRC().save("never.json")
    with pytest.raises(ValueError, match="both a and b"):
        SIRC(a=1.0)
    with pytest.raises(ValueError, match="b positive"):
        SIRC(a=1.0, b=0.0)
    with pytest.raises(ValueError, match="form must be"):
        sirc.score([0.1], [1], form="sum")
