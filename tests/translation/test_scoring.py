"""Scores of hypotheses against loops over positions and samples, the same again, whatever stands in the batch."""

import numpy as np
import pytest
import torch
from translation.tiny import SIZE, network, reversals

from genovision.translation import scoring
from genovision.translation.batches import make_corpus, padded, padded_source
from genovision.translation.decoding import Counter, translate
from genovision.translation.dirichlet import sample_dirichlet
from genovision.translation.families import PRECISIONS
from genovision.translation.predictions import predict
from genovision.translation.sequence_measures import KNOWLEDGE, SEQUENCE, TOKEN
from genovision.translation.students import Student
from genovision.translation.tokenizer import PAD

NAMES = {*TOKEN, *SEQUENCE}


def members(number=3, **changes):
    return [network(seed, sharp=3.0, **changes) for seed in range(number)]


def score(networks, corpus, **options):
    return scoring.score_corpus(networks, scoring.of_members(networks), corpus, **options)


def entropy(p):
    return -(p * np.log(p)).sum(axis=-1)


def test_measures_are_those_of_a_loop_over_positions():
    three, corpus = members(), reversals(9)
    scored, _ = score(three, corpus)
    assert set(scored.measures) == NAMES
    for row, said in enumerate(scored.best):
        source = torch.tensor(corpus.source_row(row).astype(np.int64))[None]
        target = torch.tensor(said.tokens)[None]
        with torch.inference_mode():
            logs = np.stack([one(source, target).logits.double().log_softmax(-1).numpy() for one in three])  # (M, L, V)
        p, came = np.exp(logs), np.take_along_axis(logs, said.tokens[None, :, None], axis=2)[..., 0]
        assert scored.measures["total"][row] == pytest.approx(entropy(p.mean(axis=0)).mean(), abs=1e-6)
        disagreement = (entropy(p.mean(axis=0)) - entropy(p).mean(axis=0)).mean()
        assert scored.measures["mutual_information"][row] == pytest.approx(disagreement, abs=1e-6)
        product = -np.log(np.exp(came).mean(axis=0)).mean()
        assert scored.measures["sequence_total_pe"][row] == pytest.approx(product, abs=1e-6)
        assert said.log_probability == pytest.approx(-product * len(said.tokens), abs=1e-4)
        expectation = -np.log(np.exp(came.sum(axis=1)).mean()) / len(said.tokens)
        assert scored.measures["sequence_total_ep"][row] == pytest.approx(expectation, abs=1e-6)


def test_the_same_again_in_any_company():
    three, corpus = members(), reversals(12)
    first, again = (score(three, corpus)[0].measures for _ in range(2))
    other = score(three, corpus, budget=9)[0].measures
    alone = score(three, make_corpus([corpus.source_row(5)], [corpus.target_row(5)]))[0].measures
    for name in NAMES:
        np.testing.assert_array_equal(first[name], again[name])
        np.testing.assert_allclose(other[name], first[name], atol=2e-5)
        assert alone[name][0] == pytest.approx(first[name][5], abs=2e-5)


def test_a_network_with_dropout_is_refused():
    one = network(dropout=0.3).train()
    with pytest.raises(ValueError, match="training mode"):
        score([one], reversals(3))
    judge = scoring.of_members([one])
    with pytest.raises(ValueError, match="training mode"):
        judge.measures(*padded(reversals(3), range(3)))


def test_one_model_and_equal_members_know_nothing_of_disagreement():
    one, corpus = members(1), reversals(6)
    single, equal = score(one, corpus)[0].measures, score(one * 3, corpus)[0].measures
    for name in NAMES:
        np.testing.assert_allclose(single[name], equal[name], atol=1e-6)
    assert all((single[name] == 0).all() for name in KNOWLEDGE)
    assert (single["total"] > 0.01).all()


def test_several_hypotheses_are_weighed_by_their_probability():
    three, corpus = members(), reversals(5)
    scored, _ = score(three, corpus, beam=4, hypotheses=3)
    for row in range(5):
        said = translate(three, padded_source(corpus, [row]), beam=4, hypotheses=3)[0]
        assert len(said) > 1 and (scored.best[row].tokens == said[0].tokens).all()
        pairs = make_corpus([corpus.source_row(row)] * len(said), [one.tokens for one in said])
        each = [scoring.of_members(three).measures(*padded(pairs, [n]))["total"].item() for n in range(len(said))]
        weights = np.exp([one.log_probability for one in said])
        expected = np.average(each, weights=weights)
        assert scored.measures["total"][row] == pytest.approx(expected, abs=1e-4)
    flat, _ = score(three, corpus, beam=4, hypotheses=3, temperature=float("inf"))
    assert not np.allclose(flat.measures["total"], scored.measures["total"])


def test_a_dirichlet_in_closed_form_is_what_its_samples_say():
    rng = np.random.default_rng(0)
    target = torch.tensor([[4, 2, PAD], [3, 5, 2], [2, PAD, PAD]])
    alpha = torch.tensor(rng.gamma(2.0, 1.5, size=(6, 7)) + 0.3)
    closed = scoring.dirichlet_measures(alpha, target)
    draws = sample_dirichlet(alpha, 40_000, torch.Generator().manual_seed(0))  # (T, S, V)
    sampled = scoring.member_measures(draws, target)
    assert set(closed) == NAMES
    for name in NAMES - {"total_ep", "rmi_ep", "sequence_total_ep", "sequence_rmi_ep"}:
        torch.testing.assert_close(closed[name], sampled[name], atol=0.02, rtol=0.02)
    # weights by the tokens before leave few of the samples that count
    for name in ("total_ep", "rmi_ep", "sequence_total_ep", "sequence_rmi_ep"):
        torch.testing.assert_close(closed[name], sampled[name], atol=0.06, rtol=0.05)


def test_support_and_vocabulary_say_the_same_where_the_support_is_all():
    three, corpus = members(), reversals(4)
    source, target = padded(corpus, range(4))
    logs = scoring.force_members(three, source, target)
    order = torch.randperm(logs.shape[2], generator=torch.Generator().manual_seed(0))
    places = order.argsort()[target[target != PAD]]
    whole, turned = scoring.member_measures(logs, target), scoring.member_measures(logs[..., order], target, places)
    for name in NAMES:
        torch.testing.assert_close(whole[name], turned[name])


def test_means_are_over_tokens_alone():
    mask = torch.tensor([[True, True, False], [True, False, False]])
    found = scoring.averaged(torch.tensor([1.0, 2.0, 5.0]), mask)
    assert found.tolist() == [1.5, 5.0]


def test_cost_counts_passes_and_padding():
    three, corpus = members(), reversals(8)
    _, cost = score(three, corpus, budget=16)
    counter = Counter()
    scored, whole = score(three, corpus)
    said = translate(three, padded_source(corpus, range(8)), counter=counter)
    assert cost.sentences == 8 and cost.tokens == sum(len(one[0].tokens) for one in said)
    assert whole.passes >= counter.passes + 2 * 3 and cost.passes > whole.passes
    assert 0 <= cost.padding_waste <= 0.15
    both = cost.plus(whole)
    assert both.passes == cost.passes + whole.passes and both.sentences == 16
    assert both.padding_waste == pytest.approx((cost.padding_waste + whole.padding_waste) / 2)
    assert len(scored.best) == 8


# --- students --------------------------------------------------------------------------------------------------------------------------


def student(family, support=6, bounds=(1e-3, 10.0), seed=3):
    head = {"end": None, "dirichlet": "precision", "proxy_dirichlet": "precision"}.get(family, "scale")
    support = SIZE if family in ("laplace", "gaussian") else support
    bounds = PRECISIONS if head == "precision" else bounds
    return Student(network(seed, head, sharp=3.0), family, support, 1.0, bounds)


@pytest.mark.parametrize("family", ["end", "dirichlet", "laplace", "laplace_top", "gaussian", "gaussian_top"])
def test_students_are_scored_the_same_again_in_any_company(family):
    one, corpus = student(family), reversals(12)
    judge = scoring.of_student(one, samples=5, seed=1)
    first, _ = scoring.score_corpus([one.network], judge, corpus)
    again, _ = scoring.score_corpus([one.network], scoring.of_student(one, samples=5, seed=1), corpus)
    alone = make_corpus([corpus.source_row(7)], [corpus.target_row(7)])
    other, cost = scoring.score_corpus([one.network], judge, alone)
    noise = {"location_entropy", "mean_scale", "heavy_share"} if family not in ("end", "dirichlet") else set()
    assert set(first.measures) == NAMES | noise
    for name, values in first.measures.items():
        np.testing.assert_array_equal(values, again.measures[name])
        assert other.measures[name][0] == pytest.approx(values[7], abs=2e-5)
    single, same = score([one.network], alone)
    assert cost.passes == same.passes and (single.best[0].tokens == other.best[0].tokens).all()
    if family == "end":
        for name in NAMES:
            assert single.measures[name][0] == pytest.approx(other.measures[name][0], abs=1e-6)
    else:
        assert (first.measures["mutual_information"] > 0).all()


def test_samples_go_through_the_formulas_of_members():
    one, corpus = student("laplace_top"), reversals(4)
    source, target = padded(corpus, range(4))
    found = scoring.of_student(one, samples=7, seed=2).measures(source, target)
    said = predict(one, source, target, samples=7, support=6, seed=2)
    assert said.log_probs.shape[1:] == (7, 7)
    p = said.log_probs.double().softmax(-1).numpy()
    knowledge = entropy(p.mean(axis=1)) - entropy(p).mean(axis=1)
    lengths = corpus.target_lengths
    each = [part.mean() for part in np.split(knowledge, np.cumsum(lengths)[:-1])]
    np.testing.assert_allclose(found["mutual_information"], each, atol=1e-9)
    scales = [part.mean() for part in np.split(said.scale.numpy().mean(axis=1), np.cumsum(lengths)[:-1])]
    np.testing.assert_allclose(found["mean_scale"], scales, rtol=1e-5)
    heavy = [part.mean() for part in np.split((said.scale.numpy() >= 1).mean(axis=1), np.cumsum(lengths)[:-1])]
    np.testing.assert_allclose(found["heavy_share"], heavy, rtol=1e-5)


def test_noise_without_scale_is_the_location():
    corpus = reversals(5)
    source, target = padded(corpus, range(5))
    calm = student("gaussian", bounds=(1e-7, 2e-7))
    found = scoring.of_student(calm, samples=4).measures(source, target)
    end = scoring.of_student(Student(calm.network, "end", SIZE)._replace(network=network(3, sharp=3.0))).measures
    other = end(source, target)
    for name in NAMES:
        torch.testing.assert_close(found[name], other[name], atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(found["location_entropy"], other["total"], atol=1e-5, rtol=1e-5)


def test_dirichlets_are_read_off_their_precision():
    one, corpus = student("proxy_dirichlet"), reversals(5)
    source, target = padded(corpus, range(5))
    found = scoring.of_student(one).measures(source, target)
    alpha = predict(one, source, target).alpha
    total = [part.mean() for part in np.split(6 / alpha.sum(1).numpy(), np.cumsum(corpus.target_lengths)[:-1])]
    np.testing.assert_allclose(found["epkl"], total)
    np.testing.assert_allclose(found["rmi"], found["epkl"] - found["mutual_information"], atol=1e-9)


def test_a_student_of_the_vocabulary_may_be_asked_about_a_few_tokens():
    one, corpus = student("laplace"), reversals(6)
    few, _ = scoring.score_corpus([one.network], scoring.of_student(one, samples=5, support=4), corpus)
    all_, _ = scoring.score_corpus([one.network], scoring.of_student(one, samples=5), corpus)
    assert (few.measures["total"] < all_.measures["total"]).any()
    np.testing.assert_allclose(few.measures["location_entropy"], all_.measures["location_entropy"], atol=1e-6)
