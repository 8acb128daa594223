"""The scheduler beside diffusers' own and beside the bare arithmetic, without a network, at 64 x 3 x 32 x 32 on one thread.

Ratios are printed beside what the issue asks for, no time is asserted. Bases are processor seconds; one peer runs in the same test.
"""

import time

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("diffusers")

STEPS = 10
SHAPE = (64, 3, 32, 32)
TABLE = {"normalizer": [0.5, 0.7, 0.8, 0.8], "normalizer_times": [1e-3, 0.1, 0.5, 1.0]}

pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture(autouse=True)
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def timed(benchmark, function, rounds=15, before=None):
    """The smallest processor time under the benchmark."""
    times = []

    def once():
        start = time.process_time()
        function()
        times.append(time.process_time() - start)

    benchmark.pedantic(once, setup=before, rounds=rounds, warmup_rounds=0 if before else 2)
    return min(times)


def fastest(function, rounds=15):
    times = []
    for _ in range(rounds):
        start = time.process_time()
        function()
        times.append(time.process_time() - start)
    return min(times)


@pytest.mark.benchmark(group="set_timesteps(10)")
@pytest.mark.parametrize("kept", [False, True], ids=["cold", "cached"])
@pytest.mark.parametrize("options", [{"solver_order": 4}, {"solver_order": 4, **TABLE}], ids=["plain", "normalised"])
def test_set_timesteps(benchmark, kept, options):
    from diffusers import DPMSolverMultistepScheduler

    from genovision.samplers import DEISSNScheduler, deis_sn

    scheduler, peer = DEISSNScheduler(**options), DPMSolverMultistepScheduler()

    def forget():
        deis_sn._PLANS.clear()
        scheduler._grids.clear()

    ours = timed(benchmark, lambda: scheduler.set_timesteps(STEPS), before=None if kept else forget)
    theirs = fastest(lambda: peer.set_timesteps(STEPS))
    aim = "0.5" if kept else "5"
    benchmark.extra_info["milliseconds"] = round(1e3 * ours, 4)
    print(
        f"\nset_timesteps(10), {'cached' if kept else 'cold'}: {1e3 * ours:.3f} ms (aim: {aim}); DPM++ 2M: {1e3 * theirs:.3f} ms"
    )


@pytest.mark.benchmark(group="10 steps without a network")
@pytest.mark.parametrize(
    "options",
    [{"solver_order": 2}, {"solver_order": 3}, {"solver_order": 4}, {"solver_order": 3, **TABLE}],
    ids=["order 2", "order 3", "order 4", "order 3, normalised"],
)
def test_steps(benchmark, options):
    from diffusers import DPMSolverMultistepScheduler

    from genovision.samplers import DEISSNScheduler

    generator = torch.Generator().manual_seed(0)
    noise, output = (torch.randn(SHAPE, generator=generator) for _ in range(2))

    def run(scheduler):
        scheduler.set_timesteps(STEPS)
        x = noise
        for t in scheduler.timesteps:
            x = scheduler.step(output, t, x).prev_sample

    def bare():
        """As many terms, warm-up included, in the fewest passes over memory."""
        x = noise
        for i in range(STEPS):
            x = x * 0.9
            for _ in range(min(i + 1, options["solver_order"])):
                x.add_(output, alpha=0.1)

    scheduler, peer = DEISSNScheduler(**options), DPMSolverMultistepScheduler()
    run(scheduler)
    ours = timed(benchmark, lambda: run(scheduler))
    floor, theirs = fastest(bare), fastest(lambda: run(peer))
    benchmark.extra_info |= {"times the bare update": round(ours / floor, 2), "of DPM++ 2M": round(ours / theirs, 2)}
    print(
        f"\na step: {1e5 * ours:.1f} us, {ours / floor:.2f} times the bare update (aim: 1.5), "
        f"{ours / theirs:.2f} of DPM++ 2M's (aim: 0.5)"
    )
