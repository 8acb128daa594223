"""CorM, MSE_M, peaks and backgrounds of curves whose values are known."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from genovision.dna.curves import background, cor_m, expected, fits, is_constant, mse_m, peak, peak_position, positions
from genovision.dna.motifs import EPD, Motif

TATA = EPD["TATA-box"]
RNG = np.random.default_rng(3)
curves = st.lists(st.integers(0, 100), min_size=2, max_size=30).filter(lambda curve: len(set(curve)) > 1)


@given(curves)
def test_a_curve_correlates_fully_with_itself_and_oppositely_with_its_mirror(curve):
    assert cor_m(curve, curve) == pytest.approx(1)
    assert cor_m(curve, [-value for value in curve]) == pytest.approx(-1)
    assert mse_m(curve, curve) == 0


@given(curves, st.floats(0.1, 10), st.floats(-5, 5))
def test_correlation_ignores_scale_and_level_and_mse_does_not(curve, scale, level):
    other = scale * np.array(curve) + level
    assert cor_m(curve, other) == pytest.approx(1)
    assert mse_m(curve, np.array(curve) + level) == pytest.approx(level**2)


def test_parity_with_numpy_on_many_replicates():
    a, b = RNG.random((20, 50)), RNG.random((20, 50))
    expected_values = [np.corrcoef(x, y)[0, 1] for x, y in zip(a, b, strict=True)]
    np.testing.assert_allclose(cor_m(a, b), expected_values, rtol=1e-12)
    np.testing.assert_allclose(mse_m(a, b), [np.mean((x - y) ** 2) for x, y in zip(a, b, strict=True)])


def test_a_constant_curve_has_no_correlation():
    assert np.isnan(cor_m(np.full(10, 0.1), RNG.random(10)))
    assert np.isnan(cor_m(RNG.random(10), np.zeros(10)))
    assert is_constant(np.full(10, 0.1))
    mixed = np.stack([np.zeros(10), RNG.random(10)])
    assert np.isnan(cor_m(mixed, RNG.random(10))).tolist() == [True, False]


def test_positions_count_from_the_start_site():
    assert positions(6).tolist() == [-3, -2, -1, 0, 1, 2]
    assert positions(5)[5 // 2] == 0


def test_regions_have_no_position_zero():
    # Initiator: -5 .. +5 are ten positions, five upstream, the start site and four behind it
    inside = positions(256)[expected(256, EPD["Initiator"])]
    assert inside.tolist() == list(range(-5, 5))
    assert positions(256)[expected(256, TATA)].tolist() == list(range(-36, -19))
    # clipped to the window
    assert positions(256)[expected(256, EPD["CCAAT-box"])].tolist() == list(range(-128, -56))
    assert positions(2048)[expected(2048, EPD["CCAAT-box"])].tolist() == list(range(-212, -56))
    assert positions(256)[expected(256, EPD["GC-box"])].tolist() == list(range(-128, 1))


def test_a_motif_fits_where_all_its_columns_lie_inside():
    inside = np.flatnonzero(fits(30, TATA))
    assert inside.tolist() == list(range(3, 30 - 15 + 3 + 1))
    assert not fits(10, TATA).any()


def test_peak_and_background_of_a_known_curve():
    curve = np.zeros(256)
    curve[3:245] = np.arange(242) % 2 + 1.0  # 1, 2, 1, 2, ...
    curve[128 - 31] = 12.5
    curve[128 + 50] = 40.0  # outside the region
    assert peak(curve, TATA) == 12.5
    assert peak_position(curve, TATA) == -31
    outside = [value for index, value in enumerate(curve) if 3 <= index <= 244 and not -36 <= index - 128 <= -20]
    assert background(curve, TATA) == np.median(outside)
    stack = np.stack([curve, 2 * curve])
    np.testing.assert_allclose(peak(stack, TATA), [12.5, 25.0])


def test_what_lies_outside_the_window_is_undefined():
    far = Motif("far", np.zeros((1, 4)), 0.0, 0, (-500, -400))
    everywhere = Motif("all", np.zeros((1, 4)), 0.0, 0, (-500, 400))
    assert np.isnan(peak(np.ones(50), far))
    assert np.isnan(background(np.ones(50), everywhere))
    assert np.isnan(peak_position(np.zeros(256), TATA))


def test_a_motif_without_a_region_peaks_anywhere():
    free = Motif("free", np.zeros((1, 4)), 0.0, 0)
    curve = np.arange(10.0)
    assert peak(curve, free) == 9
    assert peak_position(curve, free) == 4
    assert background(curve, free) == 4.5
