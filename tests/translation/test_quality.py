"""BLEU and chrF by matrix products are sacrebleu's own, on the sentences and on resampled rows."""

import numpy as np
import pytest
from sacrebleu.metrics import BLEU, CHRF

from genovision.resampling import Draws
from genovision.translation import quality

WORDS = ["die", "Datei", "wurde", "nicht", "gefunden", ",", "bitte", "später", "erneut", "versuchen", ".", "42"]


def corpus(sentences=40, seed=0):
    rng = np.random.default_rng(seed)
    references = [" ".join(rng.choice(WORDS, rng.integers(1, 9))) for _ in range(sentences)]
    hypotheses = []
    for text in references:
        words = [word if rng.random() < 0.6 else str(rng.choice(WORDS)) for word in text.split()]
        hypotheses.append(" ".join(words[: rng.integers(0, len(words) + 1)] if rng.random() < 0.4 else words))
    return hypotheses, references


def test_the_values_and_signatures_are_sacrebleus():
    hypotheses, references = corpus()
    found = quality.statistics(hypotheses, references)
    for name, metric, ours in (("bleu", BLEU(), quality.corpus_bleu), ("chrf", CHRF(), quality.corpus_chrf)):
        theirs = metric.corpus_score(hypotheses, [references])
        assert 5 < theirs.score < 95
        assert ours(found)[0] == pytest.approx(theirs.score, rel=1e-12)
        assert found.signatures[name] == str(metric.get_signature())
    assert "tok:13a" in found.signatures["bleu"] and "nc:6" in found.signatures["chrf"]


def test_samples_by_counts_are_the_repeated_sentences():
    hypotheses, references = corpus()
    found = quality.statistics(hypotheses, references)
    counts = Draws(6, 0)("sentences", len(hypotheses))
    bleu, chrf = quality.corpus_bleu(found, counts), quality.corpus_chrf(found, counts)
    for r, row in enumerate(counts):
        drawn = np.repeat(np.arange(len(row)), row)
        again = [hypotheses[i] for i in drawn], [[references[i] for i in drawn]]
        assert bleu[r] == pytest.approx(BLEU().corpus_score(*again).score, rel=1e-12)
        assert chrf[r] == pytest.approx(CHRF().corpus_score(*again).score, rel=1e-12)
    assert len(set(bleu)) == len(bleu)


@pytest.mark.parametrize(
    ("hypothesis", "reference"),
    [
        ("", "Datei"),
        ("Datei", ""),
        ("", ""),
        ("a", "a"),
        ("a b", "a c"),  # no bigram matches, no trigram exists
        ("a b c d e", "a x b y c"),  # orders without a match are halved one after the other
        ("a b x c d e y", "a b c d e"),
        ("a b c d", "a b c d e f g h"),  # too short
        ("Datei nicht gefunden .", "Datei nicht gefunden ."),
    ],
)
def test_odd_corpora(hypothesis, reference):
    found = quality.statistics([hypothesis], [reference])
    assert quality.corpus_bleu(found)[0] == pytest.approx(BLEU().corpus_score([hypothesis], [[reference]]).score)
    assert quality.corpus_chrf(found)[0] == pytest.approx(CHRF().corpus_score([hypothesis], [[reference]]).score)


def test_chrf_of_sentences():
    hypotheses, references = corpus()
    ours = quality.sentence_chrf(quality.statistics(hypotheses, references))
    theirs = [CHRF().sentence_score(h, [r]).score for h, r in zip(hypotheses, references, strict=True)]
    np.testing.assert_allclose(ours, theirs, rtol=1e-12)


def test_unequal_numbers_are_named():
    with pytest.raises(ValueError, match="2 hypotheses and 1 references"):
        quality.statistics(["a", "b"], ["a"])
    with pytest.raises(ValueError, match="0 hypotheses"):
        quality.statistics([], [])
