"""Students: where they begin, their losses by hand, what they learn of one sentence, and their folders."""

import json
import math

import numpy as np
import pytest

torch = pytest.importorskip("torch")
from translation.tiny import DIGEST, SIZE, network, reversals, taught  # noqa: E402

from genovision.errors import InputError  # noqa: E402
from genovision.translation.batches import padded  # noqa: E402
from genovision.translation.families import DIRICHLETS, kl, loss, noise_of, typical_spread  # noqa: E402
from genovision.translation.logit_noise import NLL, fit_laplace  # noqa: E402
from genovision.translation.network import write_network  # noqa: E402
from genovision.translation.students import (  # noqa: E402
    FAMILIES,
    FULL,
    Lessons,
    Said,
    begin,
    held_out,
    read_student,
    said,
    supported,
    write_student,
)
from genovision.translation.teachers import TRAIN, VALID, build_cache, read_logs  # noqa: E402

FOLD = np.repeat(np.array([TRAIN, VALID], dtype=np.uint8), [30, 10])


@pytest.fixture(scope="module")
def members():
    return [taught(seed) for seed in range(3)]


@pytest.fixture(scope="module")
def caches(members):
    corpus = reversals(40, seed=7)
    return {k: build_cache(members, corpus, FOLD, DIGEST, k=k) for k in (None, 6)}


def cache_of(caches, family):
    return caches[None if family in FULL else 6]


def positions(student, cache, row):
    pair = [
        torch.from_numpy(one(row).astype(np.int64))[None] for one in (cache.corpus.source_row, cache.corpus.target_row)
    ]
    states = student.network.states(student.network.encode(pair[0]), pair[1])[0]
    places = cache.positions(np.array([row]))
    tokens = None if cache.tokens is None else torch.from_numpy(cache.tokens[places].astype(np.int64))
    return states, tokens, read_logs(cache.logs[places])


@pytest.mark.parametrize("family", FAMILIES)
def test_a_student_begins_as_the_member_with_the_typical_spread(members, caches, family):
    cache = cache_of(caches, family)
    student = begin(members[0], family, cache)
    source, target = padded(cache.corpus, range(5))
    torch.testing.assert_close(
        student.network(source, target).logits, members[0](source, target).logits, rtol=0, atol=0
    )
    states, tokens, _ = positions(student, cache, 3)
    found = said(student, states, tokens)
    assert found.log_probs.shape == (len(states), SIZE if tokens is None else 7)
    torch.testing.assert_close(found.log_probs.exp().sum(dim=1), torch.ones(len(states)))
    if family == "end":
        assert found.spread is None
    else:
        taught = cache.positions(cache.of(TRAIN))
        start = typical_spread(family, read_logs(cache.logs[taught]), student.bounds)
        assert found.spread.shape == (len(states), 1 if family in DIRICHLETS else found.log_probs.shape[1])
        torch.testing.assert_close(found.spread, torch.full_like(found.spread, start), rtol=1e-4, atol=0)


def test_the_typical_spread_is_that_of_the_members(caches):
    logs = read_logs(caches[6].logs[: caches[6].corpus.target_offsets[30]])
    scale = (logs - logs.median(dim=1, keepdim=True).values).abs().mean()
    assert math.isclose(typical_spread("laplace_top", logs, (1e-3, 10.0)), float(scale), rel_tol=1e-4)
    p = logs.double().exp()
    mean = p.mean(dim=1, keepdim=True)
    divergence = (mean * (mean.log() - logs.double())).sum(dim=2).mean()
    wanted = 6 / (2 * float(divergence))
    assert math.isclose(typical_spread("dirichlet", logs, (1.0, 1e6)), wanted, rel_tol=1e-4)
    assert typical_spread("laplace_top", logs, (1e-3, 0.1)) == 0.1 / 1.01


def test_the_losses_by_hand():
    rng = torch.Generator().manual_seed(0)
    logs = torch.randn(4, 3, 7, generator=rng).double().log_softmax(dim=-1)
    q = torch.randn(4, 7, generator=rng).double().log_softmax(dim=-1)
    scale = torch.rand(4, 7, generator=rng).double() + 0.1
    by_hand = torch.tensor(
        [np.mean([sum(math.exp(a) * (a - b) for a, b in zip(m, q[t], strict=True)) for m in logs[t]]) for t in range(4)]
    )
    torch.testing.assert_close(kl(q, logs), by_hand.double())
    torch.testing.assert_close(loss("end", *Said(q, None), logs), by_hand.double())
    for family in ("laplace", "gaussian", "laplace_top", "gaussian_top"):
        wanted = by_hand + 0.3 * NLL[noise_of(family)](q, scale, logs)
        torch.testing.assert_close(loss(family, *Said(q, scale), logs, 0.3), wanted)
    # centred on the members, the likelihood moves the scale alone
    location, moved = q.clone().requires_grad_(), scale.clone().requires_grad_()
    centred = loss("laplace_top", *Said(location, moved), logs, 0.3, "members")
    torch.testing.assert_close(centred, by_hand + 0.3 * NLL["laplace"](fit_laplace(logs)[0], scale, logs))
    centred.sum().backward()
    plain = q.clone().requires_grad_()
    kl(plain, logs).sum().backward()
    torch.testing.assert_close(location.grad, plain.grad)
    assert (moved.grad != 0).all()
    precision = torch.rand(4, 1, generator=rng).double() * 50 + 2
    alpha = q.exp() * precision
    density = torch.distributions.Dirichlet(alpha[:, None].expand(4, 3, 7)).log_prob(logs.exp())
    torch.testing.assert_close(loss("dirichlet", *Said(q, precision), logs), -density.mean(dim=1))
    found = loss("proxy_dirichlet", *Said(q, precision), logs)
    mean = logs.exp().mean(dim=1)
    beta = 6 / (2 * (mean * (mean.log() - logs.mean(dim=1))).sum(dim=1, keepdim=True))
    target = torch.distributions.Dirichlet(1 + beta * mean)
    torch.testing.assert_close(
        found, torch.distributions.kl_divergence(torch.distributions.Dirichlet(alpha + 1), target)
    )


def test_a_bucket_of_a_dirichlet_is_the_sum_of_its_parameters():
    # drawn on the whole vocabulary and then put in the bucket, or drawn with the bucket's sum: one distribution
    alpha = torch.tensor([4.0, 3.0, 0.5, 0.4, 0.3, 0.2]).double()
    logs = supported((alpha / alpha.sum()).log()[None], torch.tensor([[0, 1]]))
    bucketed = logs.exp()[0] * alpha.sum()
    torch.manual_seed(0)
    whole = torch.distributions.Dirichlet(alpha).sample((200_000,))
    draws = torch.cat([whole[:, :2], whole[:, 2:].sum(dim=1, keepdim=True)], dim=1)
    direct = torch.distributions.Dirichlet(bucketed)
    torch.testing.assert_close(draws.mean(dim=0), direct.mean, rtol=0, atol=3e-3)
    torch.testing.assert_close(draws.var(dim=0), direct.variance, rtol=0, atol=1e-3)
    entropy = -direct.log_prob(draws).mean()
    torch.testing.assert_close(entropy, direct.entropy(), rtol=0, atol=1e-2)


def test_lessons_are_the_mean_over_the_tokens_of_a_batch(members, caches):
    for family in ("laplace_top", "laplace", "proxy_dirichlet"):
        cache = cache_of(caches, family)
        student = begin(members[1], family, cache, dropout=0.0)
        lessons = Lessons(student, cache, budget=40, seed=5, weight=0.2)
        rows = lessons.rows[lessons.batches.rows(3)]
        assert (cache.fold[rows] == TRAIN).all() and len(rows) > 2
        found = [positions(student, cache, row) for row in rows]
        each = [loss(family, *said(student, states, tokens), logs, 0.2) for states, tokens, logs in found]
        assert math.isclose(
            float(lessons.loss(student.network, 3).detach()), float(torch.cat(each).mean().detach()), rel_tol=1e-4
        )


def test_dropout_of_a_student_is_its_own(members, caches):
    member = taught()
    student = begin(member, "end", caches[6], dropout=0.4)
    assert member.sizes.dropout == 0.1 and student.network.sizes.dropout == 0.4 and not student.network.training
    lessons = Lessons(student, caches[6], budget=40, seed=5)
    without = float(lessons.loss(student.network, 0).detach())
    assert float(lessons.loss(student.network.train(), 0).detach()) != without


@pytest.mark.parametrize("family", ["laplace_top", "laplace", "dirichlet"])
def test_of_one_sentence_it_learns_what_the_members_say(members, family):
    corpus = reversals(2, seed=7, longest=4)
    fold = np.array([TRAIN, VALID], dtype=np.uint8)
    cache = build_cache(members, corpus, fold, DIGEST, k=None if family == "laplace" else 6)
    student = begin(members[0], family, cache, dropout=0.0)
    network = student.network.train()
    lessons = Lessons(student, cache, budget=40, seed=0, weight=1.0)
    optimizer = torch.optim.Adam(network.parameters(), lr=3e-3)
    before = float(lessons.loss(network, 0))
    for step in range(300):
        for group in optimizer.param_groups:
            group["lr"] = 3e-3 * (1 - step / 300)
        optimizer.zero_grad()
        lessons.loss(network, step).backward()
        optimizer.step()
    network.eval()
    states, tokens, logs = positions(student, cache, 0)
    found = said(student, states, tokens)
    after = float(lessons.loss(network, 0).detach())
    if family == "dirichlet":
        mean = logs.double().exp().mean(dim=1)
        torch.testing.assert_close(found.log_probs.double().exp(), mean, rtol=0, atol=0.1)
        assert after < before - 1
    else:
        location, scale = fit_laplace(logs)
        best = float((kl(location.log_softmax(dim=-1), logs) + NLL["laplace"](location, scale, logs)).mean())
        assert after - best < 0.15 * (before - best)
        assert np.corrcoef(found.spread.detach().log().flatten(), scale.log().flatten())[0, 1] > 0.8


def test_held_out_numbers_are_means_over_validation_tokens(members, caches):
    for family in ("laplace_top", "gaussian", "end", "dirichlet"):
        cache = cache_of(caches, family)
        student = begin(members[2], family, cache, spread=None if family in ("end", *DIRICHLETS) else 1.5)
        numbers = held_out(student, cache, 0.1)
        sums, tokens = dict.fromkeys(numbers, 0.0), 0
        for row in cache.of(VALID):
            states, support, logs = positions(student, cache, row)
            found = said(student, states, support)
            own = student.network.outputs(states).logits.log_softmax(dim=1)
            gold = torch.from_numpy(cache.corpus.target_row(row).astype(np.int64))
            sums["loss"] += float(loss(family, *found, logs, 0.1).sum())
            sums["kl"] += float(kl(found.log_probs, logs).sum())
            sums["nll"] -= float(own.gather(1, gold[:, None]).sum())
            if family != "end":
                sums["mean_scale"] += float(found.spread.mean(dim=1).sum())
            if noise_of(family):
                sums["heavy"] += float((found.spread >= 1).double().mean(dim=1).sum())
            tokens += len(gold)
        for name, value in numbers.items():
            assert math.isclose(value, sums[name] / tokens, rel_tol=1e-3, abs_tol=1e-6), name
        assert numbers["heavy"] == (1.0 if noise_of(family) else 0.0)
    with pytest.raises(ValueError, match="training mode"):
        held_out(student._replace(network=taught().train()), caches[6])


def test_a_support_and_its_bucket_are_a_distribution():
    logs = torch.randn(5, 9, generator=torch.Generator().manual_seed(1)).mul(4).log_softmax(dim=1)
    tokens = torch.stack([torch.randperm(9, generator=torch.Generator().manual_seed(row))[:3] for row in range(5)])
    found = supported(logs, tokens)
    torch.testing.assert_close(found[:, :3], logs.gather(1, tokens))
    torch.testing.assert_close(found[:, 3].exp(), 1 - found[:, :3].exp().sum(dim=1))


def test_folders_of_students(members, caches, tmp_path):
    for family in FAMILIES:
        student = begin(members[0], family, cache_of(caches, family))
        write_student(tmp_path / family, student, DIGEST, {"weight": 0.5})
        read, facts = read_student(tmp_path / family, DIGEST)
        assert read[1:] == student[1:] and facts["weight"] == 0.5 and facts["family"] == family
        assert not read.network.training
        kept = student.network.state_dict()
        assert all(torch.equal(value, kept[name]) for name, value in read.network.state_dict().items())
    facts = json.loads((tmp_path / "end" / "student.json").read_text())
    for content, match in (
        ({**facts, "family": "laplace"}, "a student laplace has a second layer scale, this network None"),
        ({**facts, "family": "gumbel"}, "a student gumbel"),
        ({"family": "end"}, "does not describe a student"),
        ([], "does not describe a student"),
    ):
        (tmp_path / "end" / "student.json").write_text(json.dumps(content))
        with pytest.raises(InputError, match=match):
            read_student(tmp_path / "end")
    write_network(tmp_path / "member", members[0], DIGEST)
    with pytest.raises(InputError, match="is a member, not a student"):
        read_student(tmp_path / "member")
    with pytest.raises(InputError, match="reads the vocabulary"):
        read_student(tmp_path / "laplace", "cd" * 32)


def test_students_that_cannot_begin(members, caches):
    with pytest.raises(InputError, match="family 'gumbel' is none of end, "):
        begin(members[0], "gumbel", caches[6])
    with pytest.raises(InputError, match="laplace learns from a cache of the whole vocabulary"):
        begin(members[0], "laplace", caches[6])
    with pytest.raises(InputError, match="laplace_top learns from a cache of a support"):
        begin(members[0], "laplace_top", caches[None])
    with pytest.raises(InputError, match="weight of the noise's likelihood, 0, must be above 0"):
        Lessons(begin(members[0], "end", caches[6]), caches[6], budget=9, seed=0, weight=0)
    with pytest.raises(InputError, match="centre 'median' is none of student, members"):
        Lessons(begin(members[0], "end", caches[6]), caches[6], budget=9, seed=0, centre="median")
    assert network().head is None
