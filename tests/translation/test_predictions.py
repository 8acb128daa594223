"""What students say of given translations: samples that no other sentence touches, supports that hold the token, the same twice."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")
from translation.tiny import DIGEST, SIZE, network, reversals  # noqa: E402

from genovision.translation.batches import padded  # noqa: E402
from genovision.translation.dirichlet import sample_dirichlet  # noqa: E402
from genovision.translation.families import DIRICHLETS, noise_of  # noqa: E402
from genovision.translation.logit_noise import noise  # noqa: E402
from genovision.translation.predictions import Prediction, predict, support_of  # noqa: E402
from genovision.translation.sequence_measures import token_measures  # noqa: E402
from genovision.translation.students import FAMILIES, FULL, Student, write_student  # noqa: E402
from genovision.translation.tokenizer import PAD  # noqa: E402


def student(family, seed=0, support=6, **changes):
    """A network of random weights with second outputs that vary from place to place."""
    head = "precision" if family in DIRICHLETS else "scale" if noise_of(family) else None
    translator = network(seed, head=head, sharp=3.0)
    given = {
        "support": SIZE if family in FULL else support,
        "bounds": (1.0, 1e4) if family in DIRICHLETS else (0.01, 3.0),
    }
    return Student(translator, family, **(given | changes))


@pytest.fixture(scope="module")
def pairs():
    return padded(reversals(8), range(8))


def measures(found: Prediction):
    return token_measures(found.log_probs[:, None], found.own[:, None])


def split(target, values):
    return values.split((target != PAD).sum(dim=1).tolist())


@pytest.mark.parametrize("family", FAMILIES)
def test_a_sentence_is_scored_alike_in_any_company_and_twice(pairs, family):
    one, (source, target) = student(family), pairs
    together, again = (predict(one, source, target) for _ in range(2))
    order = torch.tensor([5, 2, 7])
    some = predict(one, source[order], target[order])
    for name in Prediction._fields:
        found = getattr(together, name)
        if found is None:
            assert getattr(some, name) is None
            continue
        assert torch.equal(found, getattr(again, name))
        parts = split(target, found)
        for ours, row in zip(split(target[order], getattr(some, name)), order.tolist(), strict=True):
            torch.testing.assert_close(ours, parts[row], rtol=1e-4, atol=1e-4)
        alone = predict(one, source[4:5, : int((source[4] != PAD).sum())], target[4:5, : int((target[4] != PAD).sum())])
        torch.testing.assert_close(getattr(alone, name), parts[4], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("family", ["laplace_top", "gaussian_top", "laplace"])
def test_samples_lie_around_the_location_of_a_support_with_the_token(pairs, family):
    one, (source, target) = student(family), pairs
    gold = target[target != PAD]
    still = predict(one, source, target, support=4, spread=0.0)
    assert still.log_probs.shape == (len(gold), 25, 5) and still.scale.shape == (len(gold), 5)
    assert (still.own < 4).all()
    location = still.log_probs[:, 0]
    torch.testing.assert_close(location.exp().sum(dim=1), torch.ones(len(gold)))
    wanted = still.location.gather(1, gold[:, None])[:, 0]
    torch.testing.assert_close(location.gather(1, still.own[:, None])[:, 0], wanted)
    assert measures(still)["mutual_information"].max() < 1e-9
    moved = predict(one, source, target, support=4)
    away = (moved.log_probs - location[:, None]).abs().mean(dim=1)
    expected = moved.scale * (1.0 if noise_of(family) == "laplace" else np.sqrt(2 / np.pi))
    many = predict(one, source, target, support=4, samples=4000)
    spread = (many.log_probs - location[:, None]).abs().mean(dim=1)
    torch.testing.assert_close(spread, expected, rtol=0.12, atol=1e-6)
    assert 0.5 < float(away.sum() / expected.sum()) < 1.5
    assert (moved.scale[:, -1] == 0).all() == (family in FULL)
    assert measures(moved)["mutual_information"].min() > 1e-6


def test_the_whole_vocabulary_can_be_drawn(pairs):
    one, (source, target) = student("laplace"), pairs
    found = predict(one, source, target, support=SIZE, samples=7)
    assert found.log_probs.shape[1:] == (7, SIZE) and torch.equal(found.own, target[target != PAD])
    scale = found.scale
    torch.testing.assert_close(
        predict(one, source, target, support=SIZE, samples=7, spread=0.0).log_probs[:, 3], found.location
    )
    assert scale.shape == found.location.shape
    # with all but one token in the support, the bucket is a token
    most = predict(one, source, target, support=SIZE - 1, samples=7)
    assert most.log_probs.shape[1:] == (7, SIZE)


def test_samples_are_a_matter_of_seed_position_and_place(pairs):
    one, (source, target) = student("laplace_top"), pairs
    first, other = (predict(one, source, target, seed=seed).log_probs for seed in (0, 1))
    assert not torch.allclose(first, other)
    noise.cache_clear()
    short, long = noise("laplace", 3, 5, 7, 0), noise("laplace", 9, 5, 7, 0)
    assert torch.equal(short, long[:3]) and not torch.equal(long[0], long[1])
    assert abs(float(noise("laplace", 50, 200, 7, 3).abs().mean()) - 1) < 0.02
    assert abs(float(noise("gaussian", 50, 200, 7, 3).std()) - 1) < 0.02


def test_a_dirichlet_is_its_mean_and_its_precision(pairs):
    one, (source, target) = student("dirichlet"), pairs
    one = one._replace(support=SIZE)
    found = predict(one, source, target)
    assert found.log_probs is None and found.alpha.dtype == torch.float64
    precision = found.alpha.sum(dim=1)
    assert ((precision > 1) & (precision < 1e4)).all()
    torch.testing.assert_close((found.alpha / precision[:, None]).log().float(), found.location, rtol=1e-4, atol=1e-4)
    drawn = sample_dirichlet(found.alpha[:3], 4000, torch.Generator().manual_seed(0)).exp().mean(dim=1)
    torch.testing.assert_close(drawn, found.location[:3].double().exp(), rtol=0, atol=0.03)


def test_a_student_of_the_mean_knows_no_disagreement(pairs):
    found = predict(student("end"), *pairs)
    assert found.log_probs.shape[1:] == (1, SIZE) and found.scale is None and found.alpha is None
    assert measures(found)["mutual_information"].max() == 0


def test_a_students_own_factor_multiplies_its_scales(pairs):
    plain, half = student("laplace_top"), student("laplace_top", spread=0.5)
    found, wanted = predict(half, *pairs), predict(plain, *pairs, spread=0.5)
    assert torch.equal(found.log_probs, wanted.log_probs) and torch.equal(found.scale, wanted.scale)
    torch.testing.assert_close(found.scale, predict(plain, *pairs).scale / 2)


def test_the_temperature_is_that_of_training(pairs):
    warm, cold = student("laplace_top", temperature=2.0), student("laplace_top")
    found, plain = predict(warm, *pairs).location, predict(cold, *pairs).location
    torch.testing.assert_close(found, (plain / 2).log_softmax(dim=1))


def test_networks_in_training_are_refused(pairs, tmp_path):
    one = student("laplace_top")
    one.network.train()
    with pytest.raises(ValueError, match="training mode"):
        predict(one, *pairs)
    write_student(tmp_path, one, DIGEST, {})


@pytest.mark.parametrize("family", ["dirichlet", "proxy_dirichlet"])
def test_a_dirichlet_taught_on_a_support_is_aggregated_to_it(pairs, family):
    # a Dirichlet's marginal over groups of components is the Dirichlet of their sums
    few, every = (student(family, support=support) for support in (6, SIZE))
    found, whole = (predict(one, *pairs, support=SIZE) for one in (few, every))
    assert found.alpha.shape[1] == 7 and whole.alpha.shape[1] == SIZE
    np.testing.assert_allclose(found.alpha.sum(dim=1), whole.alpha.sum(dim=1), rtol=1e-6)
    gold = whole.own
    rows = np.arange(len(gold))
    np.testing.assert_allclose(found.alpha[rows, found.own], whole.alpha[rows, gold], rtol=1e-4)
    for alpha, parts in zip(found.alpha, whole.alpha, strict=True):
        # the support are the likeliest tokens, or all but one of them and the token that is there
        assert set(np.round(alpha[:-1].numpy(), 4)) <= set(np.round(parts.numpy(), 4))


def test_no_student_is_asked_about_more_than_it_was_taught(pairs):
    top, full = student("laplace_top"), student("laplace")
    assert [support_of(top, asked) for asked in (None, 5, SIZE)] == [6, 5, 6]
    assert [support_of(full, asked) for asked in (None, 5, 10 * SIZE)] == [SIZE, 5, SIZE]  # less than 64
    assert predict(top, *pairs).log_probs.shape[2] == 7
