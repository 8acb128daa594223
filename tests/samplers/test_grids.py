import numpy as np
import pytest
from diffusers import DEISMultistepScheduler
from hypothesis import given, settings
from hypothesis import strategies as st

from genovision.errors import InputError
from genovision.samplers.grids import SPACINGS, checked, make_grid
from genovision.samplers.schedules import DiscreteVP, make_betas

pytestmark = pytest.mark.filterwarnings("ignore:__array_:DeprecationWarning")
SCHEDULE = DiscreteVP(make_betas())
NAMED = [name for name in SPACINGS if name != "tabulated"]


@settings(deadline=None, max_examples=60)
@given(st.sampled_from(NAMED), st.integers(1, 1500), st.sampled_from([0.0, 1e-3]))
def test_every_grid_falls_strictly_to_its_end(name, steps, end):
    if name == "leading" and end and steps >= 999:
        return  # times one thousandth apart end where the grid should
    grid = make_grid(name, steps, SCHEDULE, end=end)
    assert grid.shape == (steps + 1,) and grid.dtype == np.float64
    assert grid[0] <= 1 and grid[-1] == pytest.approx(end, abs=1e-15)
    assert np.all(np.diff(grid) < 0)


def test_quadratic_times_of_the_paper():
    grid = make_grid("quadratic", 10, SCHEDULE)
    np.testing.assert_allclose(1000 * grid[:-1] - 1, [999, 809, 639, 489, 359, 249, 159, 89, 39, 9], atol=1e-9)


@pytest.mark.parametrize("name", ["linspace", "leading", "trailing"])
@pytest.mark.parametrize("steps", [1, 7, 10, 50])
def test_times_of_diffusers_before_rounding(name, steps):
    theirs = DEISMultistepScheduler(timestep_spacing=name, steps_offset=1)
    theirs.set_timesteps(steps)
    times = 1000 * make_grid(name, steps, SCHEDULE, steps_offset=1)[:-1] - 1
    np.testing.assert_allclose(times, theirs.timesteps.numpy(), atol=0.5 + 1e-9)


@pytest.mark.parametrize("name", ["logsnr", "karras"])
def test_spacing_in_rho(name):
    rho = SCHEDULE.rho(make_grid(name, 8, SCHEDULE)[:-1])
    even = np.log(rho) if name == "logsnr" else rho ** (1 / 7)
    np.testing.assert_allclose(np.diff(even), np.diff(even).mean(), rtol=1e-9)
    np.testing.assert_allclose(rho[[0, -1]], SCHEDULE.rho(np.array([1, 1e-3])), rtol=1e-9)


def test_bad_grids():
    with pytest.raises(InputError, match="quadratic, linspace, leading, trailing, logsnr, karras, tabulated"):
        make_grid("cubic", 5, SCHEDULE)
    with pytest.raises(InputError, match="at least 1"):
        make_grid("quadratic", 0, SCHEDULE)
    with pytest.raises(InputError, match="no grid for 5"):
        make_grid("tabulated", 5, SCHEDULE)
    for table, words in [
        ([1, 0.5], "2 times where 3"),
        ([1, 0.5, 0.5], "strictly"),
        ([1, 0.5, -0.1], "between 1 and 0"),
        ([1.5, 0.5, 0], "between 1 and 0"),
        ([1, np.nan, 0], "between 1 and 0"),
    ]:
        with pytest.raises(InputError, match=words):
            checked(table, "the table", 2)
