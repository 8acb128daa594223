"""Uncertainty of sequences: a slow second implementation, identities and bounds, members that agree, padding, and what is refused."""

import math

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import genovision.translation  # noqa: E402
from genovision.translation.sequence_measures import (  # noqa: E402
    KNOWLEDGE,
    SEQUENCE,
    TOKEN,
    combine,
    sequence_uncertainty,
    token_measures,
)
from genovision.uncertainty.ensembles import decompose  # noqa: E402

B, L, M, K = 5, 8, 3, 6


def case(members=M, seed=0, spread=2.0):
    """Log-probabilities (B, L, M, K), tokens and a mask whose sentences have 8, 5, 1, 7 and 3 tokens."""
    generator = torch.Generator().manual_seed(seed)
    shape = (B, L, members, K)
    logs = (spread * torch.randn(shape, generator=generator, dtype=torch.float64)).log_softmax(dim=-1)
    tokens = torch.randint(K, (B, L), generator=generator)
    mask = torch.arange(L) < torch.tensor([8, 5, 1, 7, 3])[:, None]
    return logs, tokens, mask


def slow(logs, tokens):
    """One sentence, (L, M, K) and (L,), number by number as the definitions read."""
    length, members, size = len(logs), len(logs[0]), len(logs[0][0])
    p = [[[math.exp(logs[t][m][k]) for k in range(size)] for m in range(members)] for t in range(length)]
    found = dict.fromkeys((*TOKEN, *SEQUENCE), 0.0)
    prefix = [1.0] * members

    def entropy(q):
        return -sum(a * math.log(a) for a in q)

    def divergence(q, r):
        return sum(a * math.log(a / b) for a, b in zip(q, r, strict=True))

    for t in range(length):
        mean = [sum(p[t][m][k] for m in range(members)) / members for k in range(size)]
        weighted = [sum(prefix[m] * p[t][m][k] for m in range(members)) / sum(prefix) for k in range(size)]
        token = {
            "total": entropy(mean),
            "data": sum(map(entropy, p[t])) / members,
            "mutual_information": sum(divergence(q, mean) for q in p[t]) / members,
            "epkl": sum(divergence(q, r) for q in p[t] for r in p[t]) / members**2,
            "rmi": sum(divergence(mean, q) for q in p[t]) / members,
            "total_ep": entropy(weighted),
            "rmi_ep": sum(divergence(weighted, q) for q in p[t]) / members,
        }
        for name, value in token.items():
            found[name] += value / length
        prefix = [prefix[m] * p[t][m][tokens[t]] for m in range(members)]
        found["sequence_total_pe"] -= math.log(mean[tokens[t]]) / length
    found["sequence_total_ep"] = -math.log(sum(prefix) / members) / length
    found["sequence_data"] = -sum(map(math.log, prefix)) / members / length
    found["sequence_rmi_pe"] = found["sequence_data"] - found["sequence_total_pe"]
    found["sequence_rmi_ep"] = found["sequence_data"] - found["sequence_total_ep"]
    return found


@pytest.mark.parametrize("members", [1, 2, 5])
def test_a_second_implementation_says_the_same(members):
    logs, tokens, mask = case(members)
    found = sequence_uncertainty(logs, tokens, mask)
    assert tuple(found) == (*TOKEN, *SEQUENCE)
    for b in range(B):
        length = int(mask[b].sum())
        for name, value in slow(logs[b, :length].tolist(), tokens[b, :length].tolist()).items():
            assert float(found[name][b]) == pytest.approx(value, abs=1e-12), name
    assert all(values.shape == (B,) and values.dtype == torch.float64 for values in found.values())
    assert genovision.translation.sequence_uncertainty is sequence_uncertainty
    assert genovision.translation.token_measures is token_measures


def test_tokens_are_scored_as_ensembles_of_classifiers_are():
    logs, tokens, _ = case(4)
    found = token_measures(logs, tokens)
    peer = decompose(logs.reshape(B * L, 4, K).numpy())
    names = {
        "total": "total",
        "average": "data",
        "mutual_information": "mutual_information",
        "epkl": "epkl",
        "mkl": "rmi",
    }
    for theirs, ours in names.items():
        assert np.allclose(peer[theirs], found[ours].flatten().numpy(), atol=1e-13), ours


def test_the_notes_golden_values():
    logs = torch.tensor([[[[0.7, 0.2, 0.1], [0.1, 0.8, 0.1]]]], dtype=torch.float64).log()
    found = token_measures(logs, torch.tensor([[0]]))
    golden = {"total": 0.943348, "data": 0.720425, "mutual_information": 0.222923, "epkl": 0.499831, "rmi": 0.276907}
    for name, value in golden.items():
        assert float(found[name]) == pytest.approx(value, abs=1e-6)


def test_two_members_that_are_each_sure_of_another_sentence():
    """Member 0 says 0 0, member 1 says 1 1. Given the first token the weighted mean knows which member it was, the plain mean does not."""
    sure = torch.tensor([1 - 1e-9, 1e-9], dtype=torch.float64).log()
    logs = torch.stack([sure, sure.flip(0)]).expand(1, 2, 2, 2)
    found = sequence_uncertainty(logs, torch.tensor([[0, 0]]))
    tokens = token_measures(logs, torch.tensor([[0, 0]]))
    assert tokens["total"][0].tolist() == pytest.approx([math.log(2)] * 2)
    assert tokens["total_ep"][0].tolist() == pytest.approx([math.log(2), 0], abs=1e-6)
    # the product of expectations gives the sentence 1/4, the expectation of products 1/2
    assert float(found["sequence_total_pe"]) == pytest.approx(math.log(2))
    assert float(found["sequence_total_ep"]) == pytest.approx(math.log(2) / 2)


@pytest.mark.parametrize("spread", [0.01, 1.0, 20.0])
def test_identities_and_bounds(spread):
    logs, tokens, mask = case(4, seed=3, spread=spread)
    for found in (token_measures(logs, tokens, mask), sequence_uncertainty(logs, tokens, mask)):
        assert all((values >= 0).all() for values in found.values())
        assert torch.allclose(found["total"] - found["data"], found["mutual_information"], atol=1e-12)
        assert torch.allclose(found["epkl"] - found["mutual_information"], found["rmi"], rtol=1e-9, atol=1e-12)
        assert (found["epkl"] >= found["rmi"]).all() and (found["total"] <= math.log(K) + 1e-12).all()
    # Jensen: what members say on average is below what their mean says
    assert (found["sequence_data"] >= found["sequence_total_pe"]).all()
    assert (found["sequence_data"] >= found["sequence_total_ep"]).all()
    for kind in ("pe", "ep"):
        difference = found["sequence_data"] - found[f"sequence_total_{kind}"]
        assert torch.allclose(difference, found[f"sequence_rmi_{kind}"], atol=1e-12)
    # a hypothesis of one token knows nothing of earlier ones
    assert torch.allclose(found["sequence_total_pe"][2], found["sequence_total_ep"][2])
    assert torch.allclose(found["total"][2], found["total_ep"][2])


@pytest.mark.parametrize("members", [1, 2, 3, 7])
def test_members_that_agree_know_all_there_is(members):
    logs, tokens, mask = case(1, seed=members)
    found = sequence_uncertainty(logs.expand(B, L, members, K), tokens, mask)
    for name in KNOWLEDGE:
        assert (found[name] == 0).all() if members == 1 else (found[name] < 1e-12).all(), name
    alone = sequence_uncertainty(logs, tokens, mask)
    for name in ("total", "data", "total_ep", "sequence_total_pe", "sequence_total_ep", "sequence_data"):
        assert torch.allclose(found[name], alone[name], atol=1e-12)


def test_padding_says_nothing_whatever_stands_there():
    logs, tokens, mask = case(seed=4)
    found, of_tokens = sequence_uncertainty(logs, tokens, mask), token_measures(logs, tokens, mask)
    for filling in (math.nan, math.inf, -math.inf, 7.0):
        odd_logs = torch.where(mask[..., None, None], logs, filling)
        odd_tokens = torch.where(mask, tokens, -100)
        again = sequence_uncertainty(odd_logs, odd_tokens, mask)
        wider = sequence_uncertainty(
            torch.cat([odd_logs, torch.full((B, 3, M, K), filling)], dim=1),
            torch.cat([odd_tokens, torch.full((B, 3), 99)], dim=1),
            torch.cat([mask, torch.zeros(B, 3, dtype=torch.bool)], dim=1),
        )
        for name in found:
            assert torch.equal(again[name], found[name]), name
            assert torch.allclose(wider[name], found[name], rtol=1e-14), name
    assert all((values[~mask] == 0).all() for values in of_tokens.values())
    # alone, as in a batch; padding before the sentence too
    alone = sequence_uncertainty(logs[1:2, :5], tokens[1:2, :5])
    before = sequence_uncertainty(
        *(torch.cat([one[1:2, 5:], one[1:2, :5]], dim=1) for one in (logs, tokens)),
        torch.cat([mask[1:2, 5:], mask[1:2, :5]], dim=1),
    )
    for name in found:
        assert torch.allclose(alone[name], found[name][1:2], rtol=1e-14)
        assert torch.allclose(before[name], found[name][1:2], rtol=1e-14)


def test_the_end_token_counts():
    """A sentence, its end one more token of which all are sure: sums stay, so means fall by L / (L + 1)."""
    logs, tokens, _ = case(seed=5)
    sure = torch.full((B, 1, M, K), -math.inf, dtype=torch.float64)
    sure[..., 2] = 0
    ended = torch.cat([logs, sure], dim=1), torch.cat([tokens, torch.full((B, 1), 2)], dim=1)
    found, longer = sequence_uncertainty(logs, tokens), sequence_uncertainty(*ended)
    for name in found:
        assert torch.allclose(longer[name], found[name] * L / (L + 1)), name


def test_scoring_twice_gives_the_same_and_changes_nothing():
    logs, tokens, mask = case(seed=6)
    given = logs.clone(), tokens.clone(), mask.clone()
    first, second = sequence_uncertainty(logs, tokens, mask), sequence_uncertainty(logs, tokens, mask)
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert all(torch.equal(a, b) for a, b in zip(given, (logs, tokens, mask), strict=True))


def test_the_order_of_members_and_a_shift_of_logits_say_nothing():
    logs, tokens, mask = case(seed=7)
    found = sequence_uncertainty(logs, tokens, mask)
    for other in (logs.flip(2), logs + 3.0, logs + torch.arange(M)[:, None], torch.cat([logs, logs], dim=2)):
        again = sequence_uncertainty(other, tokens, mask)
        assert all(torch.allclose(again[name], found[name], atol=1e-12) for name in found)
    single = sequence_uncertainty(logs.float(), tokens, mask)
    assert all(values.dtype == torch.float64 for values in single.values())
    assert all(torch.allclose(single[name], found[name], atol=1e-5) for name in found)


def test_tokens_known_from_elsewhere():
    logs, tokens, mask = case(seed=8)
    own = logs.gather(3, tokens[..., None, None].expand(B, L, M, 1))[..., 0]
    found, given = sequence_uncertainty(logs, tokens, mask), sequence_uncertainty(logs, tokens, mask, own)
    assert all(torch.allclose(given[name], found[name]) for name in found)
    less = sequence_uncertainty(logs, tokens, mask, own - 1)
    for name in found:
        rises = name in ("sequence_total_pe", "sequence_total_ep", "sequence_data")
        assert torch.allclose(less[name], found[name] + rises), name


def test_a_token_that_one_member_excludes():
    with_zero = torch.tensor([[[[1.0, 0.0], [0.5, 0.5]]]], dtype=torch.float64).log()
    for token in (0, 1):
        found = sequence_uncertainty(with_zero, torch.tensor([[token]]))
        assert all(values.isfinite().all() for values in found.values())
    mean = torch.tensor([0.75, 0.25], dtype=torch.float64)
    assert float(found["total"]) == pytest.approx(float(-(mean * mean.log()).sum()))
    assert float(found["data"]) == pytest.approx(math.log(2) / 2) and float(found["epkl"]) > 100
    # an empty column for all, as the bucket of a support that is the whole vocabulary
    logs, tokens, mask = case(seed=9)
    wider = torch.cat([logs, torch.full((B, L, M, 1), -math.inf)], dim=3)
    found, again = sequence_uncertainty(logs, tokens, mask), sequence_uncertainty(wider, tokens, mask)
    assert all(torch.allclose(again[name], found[name], atol=1e-14) for name in found)


def test_hypotheses_are_weighted_by_their_probability():
    values = torch.tensor([[1.0, 5.0], [3.0, math.nan]])
    log_probs = torch.tensor([[math.log(0.6), -700.0], [math.log(0.2), -math.inf]])
    assert combine(values, log_probs).tolist() == pytest.approx([0.75 * 1 + 0.25 * 3, 5])
    assert combine(values, log_probs, temperature=math.inf).tolist() == pytest.approx([2, 5])
    weights = [0.6**2, 0.2**2]
    assert float(combine(values, log_probs, temperature=0.5)[0]) == pytest.approx(
        (weights[0] + 3 * weights[1]) / sum(weights)
    )
    assert torch.equal(combine(values[:1], log_probs[:1]), values[0].double())
    assert torch.allclose(combine(values, log_probs - 50), combine(values, log_probs))
    with pytest.raises(ValueError, match="input 1 has no hypothesis"):
        combine(values[1:], log_probs[1:])
    with pytest.raises(ValueError, match=r"measures \(2, 2\) and log_probs \(1, 2\)"):
        combine(values, log_probs[:1])
    with pytest.raises(ValueError, match="temperature 0"):
        combine(values, log_probs, temperature=0)


def test_what_is_no_sentence_is_refused():
    logs, tokens, mask = case()
    for wrong in (
        (logs[0], tokens, mask),
        (logs, tokens[:, :7], mask),
        (logs, tokens, mask[:4]),
        (logs[:, :, :0], tokens, mask),
    ):
        with pytest.raises(ValueError, match=r"log_probs \(.*tokens \(.*mask \(.*disagree"):
            sequence_uncertainty(*wrong)
    empty = mask.clone()
    empty[3] = False
    with pytest.raises(ValueError, match="row 3 has no token"):
        sequence_uncertainty(logs, tokens, empty)
    assert token_measures(logs, tokens, empty)["total"][3].abs().max() == 0
    for odd in (K, -1):
        with pytest.raises(ValueError, match=f"token {odd} in sentence 0 at position 2 is none of the 6"):
            sequence_uncertainty(logs, torch.where(torch.arange(L) == 2, odd, tokens), mask)
    broken = logs.clone()
    broken[1, 4, 2, 0] = math.nan
    with pytest.raises(ValueError, match="member 2 gives no distribution in sentence 1 at position 4"):
        sequence_uncertainty(broken, tokens, mask)
    broken[1, 4, 2] = -math.inf
    with pytest.raises(ValueError, match="member 2 gives no distribution in sentence 1 at position 4"):
        token_measures(broken, tokens, mask)
    with pytest.raises(ValueError, match=r"member_token_logs have shape \(5, 8\), \(5, 8, 3\) is needed"):
        sequence_uncertainty(logs, tokens, mask, torch.zeros(B, L))
    with pytest.raises(ValueError, match="sentence 0, position 0, member 0 are NaN"):
        sequence_uncertainty(logs, tokens, mask, torch.full((B, L, M), math.nan))
