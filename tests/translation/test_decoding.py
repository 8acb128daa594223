"""Decoding: beam search against all sequences there are, greedy search, ensembles, limits, and transformers' own search."""

import itertools
import math

import numpy as np
import pytest

torch = pytest.importorskip("torch")
from translation.tiny import DIGEST, network, reversals, taught  # noqa: E402

from genovision.errors import InputError  # noqa: E402
from genovision.translation import decoding  # noqa: E402
from genovision.translation.batches import padded_source  # noqa: E402
from genovision.translation.decoding import (  # noqa: E402
    Counter,
    force,
    force_members,
    limit_of,
    translate,
    translate_corpus,
)
from genovision.translation.network import write_network  # noqa: E402
from genovision.translation.tokenizer import END, PAD, START  # noqa: E402


def same(found, wanted, atol=1e-4):
    assert len(found) == len(wanted)
    for ours, theirs in zip(found, wanted, strict=True):
        assert [one.tokens.tolist() for one in ours] == [one.tokens.tolist() for one in theirs]
        np.testing.assert_allclose([h.log_probability for h in ours], [h.log_probability for h in theirs], atol=atol)


def every_sequence(members, source, limit, penalty):
    """All sequences that end within the limit with their scores, from the best down; the token at the limit is END."""
    tokens = [token for token in range(members[0].sizes.vocabulary) if token not in (PAD, START, END)]
    found = []
    for length in range(limit):
        for head in itertools.product(tokens, repeat=length):
            target = torch.tensor([[*head, END]])
            logs = force_members(members, source, target).double().logsumexp(dim=1) - math.log(len(members))
            total = float(logs.gather(1, target[0][:, None]).sum())
            found.append((total / (length + 1) ** penalty, [*head, END], total))
    return sorted(found, key=lambda one: -one[0])


@pytest.mark.parametrize("penalty", [0.0, 1.0])
@pytest.mark.parametrize("members", [1, 2])
def test_a_wide_beam_finds_the_best_of_all_sequences(members, penalty):
    ensemble = [network(seed, vocabulary=6, sharp=1.5) for seed in range(members)]
    source = torch.tensor([[3, 4, 5, 2]])
    wanted = every_sequence(ensemble, source, 4, penalty)
    (found,) = translate(ensemble, source, beam=100, hypotheses=12, limit=4, length_penalty=penalty)
    assert [one.tokens.tolist() for one in found] == [tokens for _, tokens, _ in wanted[:12]]
    np.testing.assert_allclose([one.log_probability for one in found], [total for *_, total in wanted[:12]], atol=1e-4)


def test_all_sequences_share_the_probability_of_one():
    # with END forced at the limit at its own probability, what is missing is what the longer sequences would have had
    logs = [score for score, *_ in every_sequence([network(vocabulary=6)], torch.tensor([[3, 2]]), 3, 0.0)]
    assert 0 < math.fsum(map(math.exp, logs)) < 1


def test_a_beam_of_width_1_is_greedy(monkeypatch):
    source = padded_source(reversals(30), range(30))
    greedy = translate([taught()], source)
    assert len({len(one[0].tokens) for one in greedy}) > 3
    monkeypatch.setattr(decoding, "_greedy", decoding._beam)
    same(translate([taught()], source), greedy)


@pytest.mark.parametrize("beam", [1, 4])
def test_a_batch_is_one_sentence_after_another(beam):
    corpus = reversals(25)
    options = {"beam": beam, "hypotheses": beam}
    together = translate([taught()], padded_source(corpus, range(25)), **options)
    same([translate([taught()], padded_source(corpus, [row]), **options)[0] for row in range(25)], together)
    same(translate_corpus([taught()], corpus, budget=20, **options), together)
    backwards = translate([taught()], padded_source(corpus, range(24, -1, -1)), **options)
    same(backwards[::-1], together)


@pytest.mark.parametrize("beam", [1, 3])
def test_identical_members_are_the_single_one(beam):
    source = padded_source(reversals(20), range(20))
    same(translate([taught()] * 3, source, beam=beam), translate([taught()], source, beam=beam))


def test_an_ensemble_averages_probabilities():
    members = [taught(seed) for seed in range(3)]
    source = padded_source(reversals(4), range(4))
    for row, (best,) in enumerate(translate(members, source)):
        target = torch.from_numpy(best.tokens)[None]
        alone = source[row][source[row] != PAD][None]
        mean = force_members(members, alone, target).double().exp().mean(dim=1).log()
        assert math.isclose(float(mean.gather(1, target[0][:, None]).sum()), best.log_probability, abs_tol=1e-4)
        mean[:, [PAD, START]] = -math.inf
        last = len(best.tokens) - 1  # the one at the limit is END whatever its probability
        assert mean.argmax(dim=1)[:last].tolist() == best.tokens[:-1].tolist()


def test_a_state_kept_gives_what_is_computed_anew():
    translator = taught()
    source = padded_source(reversals(12), range(12))
    for beam in (1, 4):
        for row, found in enumerate(translate([translator], source, beam=beam, hypotheses=beam)):
            for one in found:
                target = torch.from_numpy(one.tokens)[None]
                logs = force(translator, source[row][source[row] != PAD][None], target)
                assert math.isclose(float(logs.gather(1, target[0][:, None]).sum()), one.log_probability, abs_tol=1e-4)


@pytest.mark.parametrize("beam", [1, 4])
def test_every_hypothesis_ends_within_the_limit(beam):
    source = padded_source(reversals(20), range(20))
    for limit in (1, 2, 5):
        for found in translate([taught()], source, beam=beam, hypotheses=beam, limit=limit):
            assert found
            for one in found:
                assert 1 <= len(one.tokens) <= limit and one.tokens[-1] == END and (one.tokens[:-1] != END).all()
                assert not np.isin(one.tokens, [PAD, START]).any()
    assert [limit_of(tokens) for tokens in (1, 8, 9, 20)] == [16, 16, 18, 40]
    longest = max(len(one.tokens) for (one,) in translate([network(sharp=2.5, longest=20)], source, limit=50))
    assert longest <= 20


def test_nothing_but_the_end_is_a_hypothesis_of_one_token():
    translator = taught()
    with torch.no_grad():
        translator.network.model.decoder.layer_norm.weight.zero_()
        translator.network.model.decoder.layer_norm.bias.fill_(1.0)
        translator.network.model.shared.weight[END] = 5.0
    for beam in (1, 3):
        for found in translate([translator], padded_source(reversals(5), range(5)), beam=beam):
            assert found[0].tokens.tolist() == [END]


@pytest.mark.parametrize("beam", [1, 4])
def test_it_is_the_search_of_transformers(tmp_path, beam):
    transformers = pytest.importorskip("transformers")
    translator = taught()
    write_network(tmp_path, translator, DIGEST)
    theirs = transformers.AutoModelForSeq2SeqLM.from_pretrained(tmp_path).eval()
    source = padded_source(reversals(16, seed=5), range(16))
    said = theirs.generate(
        input_ids=source,
        attention_mask=source != PAD,
        num_beams=beam,
        do_sample=False,
        max_new_tokens=40,
        suppress_tokens=[PAD, START],
        early_stopping="never",
        length_penalty=1.0,
    )
    ours = translate([translator], source, beam=beam, limit=40)
    agree = 0
    for row, (best,) in zip(said.tolist(), ours, strict=True):
        tokens = row[1:]
        ended = tokens[: tokens.index(END) + 1] if END in tokens else None
        agree += ended == best.tokens.tolist()
    # greedy search is one procedure; beams differ in what an ended hypothesis does to the width
    assert agree == 16 if beam == 1 else agree >= 10


def test_passes_are_counted():
    counter = Counter()
    found = translate([taught(), taught(1)], padded_source(reversals(5), range(5)), counter=counter)
    assert counter.passes == 2 * (1 + max(len(one.tokens) for (one,) in found))


def test_rows_that_had_ended_are_counted_until_a_fifth_of_a_batch_has():
    rows = [0, 3, 7, 11, 12, 15, 19, 22, 25, 28, 31]
    counter, corpus = Counter(), reversals(32)
    found = translate([taught()], padded_source(corpus, rows), counter=counter)
    there, idle = [len(best.tokens) for (best,) in found], 0  # lengths of sentences in the batch
    for step in range(max(there)):
        ended = sum(length <= step for length in there)
        idle += ended
        if sum(length <= step + 1 for length in there) >= 0.2 * len(there):
            there = [length for length in there if length > step + 1]
    assert len({len(best.tokens) for (best,) in found}) > 2
    assert counter.idle == idle <= 0.2 * sum(len(best.tokens) for (best,) in found)


def test_forced_log_probabilities_are_those_of_each_token():
    translator = taught()
    source, target = torch.tensor([[4, 5, 2], [6, 2, 0]]), torch.tensor([[5, 2, 0], [7, 8, 2]])
    found = force_members([translator, taught(1)], source, target)
    assert found.shape == (5, 2, 23)
    torch.testing.assert_close(found.exp().sum(dim=-1), torch.ones(5, 2))
    torch.testing.assert_close(found[:2, 0], force(translator, source[:1], target[:1, :2]), rtol=0, atol=1e-5)


def test_dropout_is_refused_and_asking_twice_gives_the_same():
    source = padded_source(reversals(8), range(8))
    translator = taught()
    same(translate([translator], source), translate([translator], source), atol=0)
    with pytest.raises(ValueError, match="training mode"):
        translate([taught(), translator.train()], source)
    with pytest.raises(ValueError, match="training mode"):
        force(translator, source, source)
    with pytest.raises(ValueError, match="no network"):
        translate([], source)
    with pytest.raises(InputError, match="vocabularies of 23 and 30"):
        translate([taught(), network(vocabulary=30)], source)
    with pytest.raises(ValueError, match="hypotheses 2 <= beam 1"):
        translate([taught()], source, hypotheses=2)
    with pytest.raises(ValueError, match="limit 0 >= 1"):
        translate([taught()], source, limit=0)
    with pytest.raises(ValueError, match="row 0 of the source has no token"):
        translate([taught()], torch.full((1, 3), PAD))
