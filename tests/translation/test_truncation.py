"""A support and a bucket: distributions stay distributions, what is chosen is the most probable, and k = V loses nothing."""

import math

import pytest

torch = pytest.importorskip("torch")

from genovision.translation.sequence_measures import token_measures  # noqa: E402
from genovision.translation.truncation import place, top  # noqa: E402

V = 30


def logs(*shape, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return (3 * torch.randn(*shape, V, generator=generator, dtype=torch.float64)).log_softmax(dim=-1)


@pytest.mark.parametrize("k", [1, 5, V - 1, V])
def test_the_support_and_the_rest_are_a_distribution(k):
    members = logs(4, 6, 3)
    tokens, found = top(members, k)
    assert tokens.shape == (4, 6, k) and found.shape == (4, 6, 3, k + 1)
    assert found.logsumexp(dim=-1).abs().max() < 1e-12
    mean = members.exp().mean(dim=-2)
    chosen = mean.gather(-1, tokens)
    assert (chosen.diff(dim=-1) <= 0).all()
    assert torch.allclose(chosen.sum(dim=-1), mean.sort(descending=True).values[..., :k].sum(dim=-1))
    for b, t, m in ((0, 0, 0), (3, 5, 2)):
        inside = set(tokens[b, t].tolist())
        assert len(inside) == k
        assert found[b, t, m, :k].tolist() == [float(members[b, t, m, token]) for token in tokens[b, t]]
        rest = sum(math.exp(members[b, t, m, token]) for token in range(V) if token not in inside)
        assert math.exp(found[b, t, m, k]) == pytest.approx(rest, rel=1e-9)
    assert (found[..., k] == -math.inf).all() == (k == V)


def test_a_tiny_rest_keeps_its_digits():
    members = torch.full((1, 2, V), -60.0, dtype=torch.float64)
    members[..., 7] = math.log1p(-(V - 1) * math.exp(-60))
    tokens, found = top(members, 1)
    assert tokens.tolist() == [[7]]
    assert torch.allclose(found[0, :, 1], torch.tensor(math.log(V - 1) - 60, dtype=torch.float64))


def test_a_token_is_kept_whatever_its_probability():
    members = logs(50, 3)
    least = members.logsumexp(dim=-2).argmin(dim=-1)
    most = members.logsumexp(dim=-2).argmax(dim=-1)
    tokens, found = top(members, 4, keep=least)
    assert (tokens[:, 3] == least).all() and (tokens[:, 0] == most).all()
    assert torch.equal(tokens[:, :3], top(members, 4)[0][:, :3])
    assert found.logsumexp(dim=-1).abs().max() < 1e-12
    assert torch.equal(found[:, :, 3], members.gather(-1, least[:, None, None].expand(50, 3, 1))[..., 0])
    assert torch.equal(top(members, 4, keep=most)[0], top(members, 4)[0])


def test_places_in_the_support_or_the_bucket():
    tokens = torch.tensor([[4, 9, 2], [1, 0, 5]])
    assert place(tokens, torch.tensor([2, 1])).tolist() == [2, 0]
    assert place(tokens, torch.tensor([0, 9])).tolist() == [3, 3]
    members = logs(20, 3)
    wanted = torch.arange(20) % V
    tokens, found = top(members, 6, keep=wanted)
    columns = place(tokens, wanted)
    assert (columns < 6).all()
    own = found.gather(-1, columns[:, None, None].expand(20, 3, 1))[..., 0]
    assert torch.equal(own, members.gather(-1, wanted[:, None, None].expand(20, 3, 1))[..., 0])


def test_a_support_of_everything_loses_nothing_and_a_smaller_one_only_takes_away():
    members = logs(3, 5, 4, seed=1)
    wanted = torch.arange(15).reshape(3, 5) % V
    full = token_measures(members, wanted)
    before = None
    for k in (V, 20, 8, 2):
        tokens, found = top(members, k, keep=wanted)
        now = token_measures(found, place(tokens, wanted))
        for name in full:
            if k == V:
                assert torch.allclose(now[name], full[name], atol=1e-12), name
            else:
                # grouping tokens never adds information: every measure falls (data processing)
                assert (now[name] <= full[name] + 1e-12).all(), name
        if before is not None:
            assert now["total"].sum() < before["total"].sum()
        before = now


def test_supports_that_can_not_be():
    members = logs(2, 3)
    for k in (0, V + 1):
        with pytest.raises(ValueError, match=f"support of {k} tokens of a vocabulary of {V}"):
            top(members, k)
    with pytest.raises(ValueError, match=r"shape \(30,\)"):
        top(members[0, 0], 3)
    with pytest.raises(ValueError, match=r"keep has shape \(3,\), \(2,\) is needed"):
        top(members, 3, keep=torch.zeros(3, dtype=torch.long))
    with pytest.raises(ValueError, match="outside of the vocabulary"):
        top(members, 3, keep=torch.tensor([0, V]))
    with pytest.raises(ValueError, match=r"wanted has shape \(3,\), tokens \(2, 4\)"):
        place(torch.zeros(2, 4), torch.zeros(3))
