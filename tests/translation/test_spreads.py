"""The factor on a student's scales: its draws disagree as the teachers do, and what cannot be matched."""

import math

import numpy as np
import pytest

torch = pytest.importorskip("torch")
from translation.tiny import DIGEST, reversals, taught  # noqa: E402

from genovision.translation.batches import padded  # noqa: E402
from genovision.translation.predictions import predict  # noqa: E402
from genovision.translation.sequence_measures import token_measures  # noqa: E402
from genovision.translation.spreads import HIGH, LOW, matched_spread, mutual_information  # noqa: E402
from genovision.translation.students import begin  # noqa: E402
from genovision.translation.teachers import TRAIN, VALID, build_cache, read_logs, select  # noqa: E402


@pytest.fixture(scope="module")
def members():
    return [taught(seed) for seed in range(3)]


@pytest.fixture(scope="module")
def cache(members):
    fold = np.repeat(np.array([TRAIN, VALID], dtype=np.uint8), [20, 20])
    return build_cache(members, reversals(40, seed=7), fold, DIGEST, k=6)


def measured(logs):
    return token_measures(logs[:, None], torch.zeros(len(logs), 1, dtype=torch.long))["mutual_information"][:, 0]


def test_the_number_to_match_is_mutual_information(cache):
    logs = read_logs(cache.logs)
    torch.testing.assert_close(mutual_information(logs).double(), measured(logs), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("family", ["laplace_top", "gaussian_top"])
def test_draws_disagree_as_the_teachers_do(members, cache, family):
    student = begin(members[0], family, cache, spread=2.0)
    student = student._replace(spread=matched_spread(student, cache))
    assert LOW < student.spread < 1
    rows = cache.of(VALID)
    wanted = float(measured(read_logs(cache.logs[cache.positions(rows)])).mean())
    found = predict(student, *padded(select(cache.corpus, rows), range(len(rows))))
    # the student asks its own likeliest tokens, the match was on the teachers'
    assert math.isclose(float(measured(found.log_probs).mean()), wanted, rel_tol=0.15)
    doubled = begin(members[0], family, cache, spread=4.0)
    assert math.isclose(matched_spread(doubled, cache), student.spread / 2, rel_tol=1e-3)


def test_what_cannot_be_matched(members, cache):
    still = begin(members[0], "laplace_top", cache, bounds=(1e-3, 10.0), spread=0.0011)
    assert math.isclose(matched_spread(still, cache), HIGH, rel_tol=1e-3)
    same = cache._replace(logs=np.repeat(cache.logs[:, :1], 3, axis=1))
    assert math.isclose(matched_spread(begin(members[0], "laplace_top", cache), same), LOW, rel_tol=1e-3)
    with pytest.raises(ValueError, match="a student end has no noise"):
        matched_spread(begin(members[0], "end", cache), cache)
    student = begin(members[0], "laplace_top", cache)
    student.network.train()
    with pytest.raises(ValueError, match="training mode"):
        matched_spread(student, cache)
