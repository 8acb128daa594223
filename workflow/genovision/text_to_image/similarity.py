"""How much of a prompt a caption holds (recall), and how much of the caption the prompt (precision): ROUGE, and BERTScore over any encoder.

A similarity takes two lists of M texts, references (prompts) and candidates (captions), and gives precision and recall, two arrays (M,)
float64. Equal pairs are scored once, and each text is read once. An empty reference is an InputError, an empty candidate has 0 and 0, as in
rouge-score and bert-score.
"""

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from genovision.errors import InputError
from genovision.text_to_image.encoder import Encoder

Array = npt.NDArray[np.float64]
_KEPT = 1 << 27  # numbers of token embeddings kept between calls: 0.5 GB of float32
_BLOCK = 4096  # pairs


class Tokens(NamedTuple):
    """What an encoder says of a list of texts, one entry per text.

    embeddings: (T_i, D);  special: (T_i,) bool, the marks of begin and end;  ids: (T_i,) numbers in the vocabulary, needed for idf
    cuts:       text -> sentence, for those that the encoder did not read to the end
    """

    embeddings: Sequence[npt.NDArray]
    special: Sequence[npt.NDArray[np.bool_]]
    ids: Sequence[npt.NDArray[np.int64]] | None = None
    cuts: Mapping[str, str] = {}


Encode = Callable[[list[str]], Tokens]


class _Pairwise:
    """Checks, and the scoring of each different pair once."""

    def __call__(self, references: Sequence[str], candidates: Sequence[str]) -> tuple[Array, Array]:
        references, candidates = list(references), list(candidates)
        if len(references) != len(candidates):
            raise ValueError(f"there are {len(references)} references and {len(candidates)} candidates")
        for place, text in enumerate(references):
            if not text.strip():
                raise InputError(f"reference {place} is empty; give the prompt a text or remove it.")
        place: dict[tuple[str, str], int] = {}
        index = [place.setdefault(pair, len(place)) for pair in zip(references, candidates, strict=True)]
        scores = self._scores(list(place)) if place else np.empty((0, 2))
        precision, recall = scores[index].T if index else scores.T
        return precision, recall

    def _scores(self, pairs: list[tuple[str, str]]) -> Array:
        """(M, 2): precision and recall of different pairs (reference, candidate)."""
        raise NotImplementedError


class Rouge(_Pairwise):
    """ROUGE-1 (clipped counts of common words) or ROUGE-L (their longest common subsequence) by the package rouge-score (Lin 2004).

    kind: rouge1 or rougeL;  stem: cut the endings of words of four letters or more (Porter)
    Words are of a-z and 0-9, lower case; a prompt without one is an InputError.
    """

    def __init__(self, kind: Literal["rouge1", "rougeL"] = "rouge1", stem: bool = True):
        if kind not in ("rouge1", "rougeL"):
            raise ValueError(f"kind must be rouge1 or rougeL, not {kind!r}")
        from rouge_score import rouge_scorer, tokenizers

        self.kind = kind
        self._scorer = rouge_scorer.RougeScorer([kind], tokenizer=_Remembering(tokenizers.DefaultTokenizer(stem)))
        self._tokenize = self._scorer._tokenizer.tokenize

    def _scores(self, pairs: list[tuple[str, str]]) -> Array:
        for reference in dict.fromkeys(reference for reference, _ in pairs):
            if not self._tokenize(reference):
                raise InputError(
                    f"the prompt {reference!r} has no word for ROUGE, which knows the letters a-z and digits; use BERTScore, or remove it."
                )
        found = [self._scorer.score(reference, candidate)[self.kind] for reference, candidate in pairs]
        return np.array([(score.precision, score.recall) for score in found], dtype=np.float64)


class _Remembering:
    """A tokeniser that stems each text once."""

    def __init__(self, tokenizer):
        self._inner, self._known = tokenizer, {}

    def tokenize(self, text: str) -> list[str]:
        if text not in self._known:
            self._known[text] = self._inner.tokenize(text)
        return self._known[text]


class BERTScore(_Pairwise):
    """Greedy matching of token embeddings by cosine (Zhang et al. 2020), equal to the package bert-score on the same embeddings.

    Recall is the mean over the tokens of the reference of the best cosine with any token of the candidate, precision the other way round.
    Marks of begin and end can be matched but do not count. (bert-score pads batches with cosines of 0, which can win where all others are
    negative; nothing is padded here.) Scores are rounded to 6 decimals.

    encode:   texts -> `Tokens` (or a tuple of its first two), such as `encode_with` makes from an encoder in a folder
    idf:      "references": tokens count by their inverse document frequency among the different references of a call; or the texts to
              count among. Needs `Tokens.ids`. A text all of whose tokens weigh nothing counts them equally
    baseline: (precision, recall) of unrelated texts, see `unrelated`: x becomes (x - baseline) / (1 - baseline)
    `cuts` holds, for every text that the encoder did not read to the end, a sentence that says how it was cut.
    """

    def __init__(
        self,
        encode: Encode,
        idf: Literal["references"] | Sequence[str] | None = None,
        baseline: tuple[float, float] | None = None,
    ):
        if isinstance(idf, str) and idf != "references":
            raise ValueError(f'idf must be "references", a list of texts or None, not {idf!r}')
        if baseline is not None and not all(value < 1 for value in baseline):
            raise ValueError(f"baseline {baseline}: both values must be below 1")
        self._encode, self._idf, self.baseline = encode, idf, baseline
        self._known: dict[str, _Text] = {}
        self._counted: dict[tuple[str, ...], tuple[int, Counter]] = {}
        self.cuts: dict[str, str] = {}

    def _scores(self, pairs: list[tuple[str, str]]) -> Array:
        counted = None if self._idf is None else self._frequencies(pairs)
        scores = np.zeros((len(pairs), 2))
        # by reference, so that the captions of a prompt are looked up together
        for start in range(0, len(pairs), _BLOCK):
            block = pairs[start : start + _BLOCK]
            self._read(dict.fromkeys(text for pair in block for text in pair if text.strip()))
            for place, (reference, candidate) in enumerate(block, start):
                if candidate.strip():
                    scores[place] = _match(self._known[reference], self._known[candidate], counted)
        scores = np.round(scores, 6)  # float32 embeddings carry no more, and equal texts must tie at exactly 1
        if self.baseline is not None:
            floor = np.array(self.baseline)
            scores = (scores - floor) / (1 - floor)
        return scores

    def _frequencies(self, pairs: list[tuple[str, str]]) -> tuple[int, Counter]:
        """(number of texts, token -> in how many of them it occurs)."""
        texts = [reference for reference, _ in pairs] if isinstance(self._idf, str) else self._idf
        texts = tuple(dict.fromkeys(texts))
        if texts not in self._counted:
            counts: Counter = Counter()
            for start in range(0, len(texts), _BLOCK):
                block = dict.fromkeys(texts[start : start + _BLOCK])
                self._read(block)
                for text in block:
                    ids = self._known[text].ids
                    if ids is None:
                        raise ValueError("idf needs an encoder that gives the numbers of the tokens")
                    counts.update(set(ids.tolist()))
            self._counted = {texts: (len(texts), counts)}
        return self._counted[texts]

    def _read(self, wanted: Mapping[str, None]) -> None:
        """Make `_known` hold these texts; what is not among them goes when it becomes too much."""
        missing = [text for text in wanted if text not in self._known]
        if not missing:
            return
        if sum(text.unit.size for text in self._known.values()) > _KEPT:
            self._known = {text: self._known[text] for text in wanted if text in self._known}
        tokens = Tokens(*self._encode(missing))
        self.cuts |= dict(tokens.cuts)
        ids = tokens.ids if tokens.ids is not None else [None] * len(missing)
        for text, embeddings, special, numbers in zip(missing, tokens.embeddings, tokens.special, ids, strict=True):
            embeddings, special = np.asarray(embeddings, dtype=np.float64), np.asarray(special, dtype=bool)
            if embeddings.ndim != 2 or special.shape != embeddings.shape[:1]:
                raise ValueError(f"the encoder gave embeddings {embeddings.shape} and marks {special.shape} of a text")
            if special.all():
                raise InputError(f"the encoder has no token for the text {text!r}; remove it.")
            norm = np.linalg.norm(embeddings, axis=1, keepdims=True)
            unit = np.divide(embeddings, norm, out=np.zeros_like(embeddings), where=norm > 0)
            self._known[text] = _Text(
                unit.astype(np.float32), special, None if numbers is None else np.asarray(numbers)
            )


class _Text(NamedTuple):
    unit: npt.NDArray[np.float32]  # (T, D), of length 1
    special: npt.NDArray[np.bool_]
    ids: npt.NDArray[np.int64] | None

    def weights(self, counted: tuple[int, Counter] | None) -> Array:
        """(T,), adding up to 1."""
        plain = (~self.special).astype(np.float64)
        weights = plain
        if counted is not None:
            number, counts = counted
            idf = [math.log((number + 1) / (counts[token] + 1)) for token in self.ids.tolist()]
            weights = plain * np.array(idf)
            if weights.sum() <= 0:
                weights = plain
        return weights / weights.sum()


def _match(reference: _Text, candidate: _Text, counted: tuple[int, Counter] | None) -> tuple[float, float]:
    cosines = candidate.unit.astype(np.float64) @ reference.unit.astype(np.float64).T
    precision = cosines.max(axis=1) @ candidate.weights(counted)
    recall = cosines.max(axis=0) @ reference.weights(counted)
    return precision, recall


def unrelated(similarity: _Pairwise, texts: Sequence[str], pairs: int = 1000, seed: int = 0) -> tuple[float, float]:
    """Mean precision and recall of `pairs` random pairs of different texts: the baseline that BERTScore is rescaled by.

    The bert-score package takes a million pairs of sentences from Common Crawl; here they are the caller's. ValueError for fewer than two
    different texts.
    """
    texts = list(dict.fromkeys(texts))
    if len(texts) < 2:
        raise ValueError("unrelated pairs need two different texts at least")
    rng = np.random.default_rng(seed)
    first = rng.integers(len(texts), size=pairs)
    second = (first + rng.integers(1, len(texts), size=pairs)) % len(texts)
    precision, recall = similarity([texts[n] for n in first], [texts[n] for n in second])
    return float(precision.mean()), float(recall.mean())


def encode_with(encoder: Encoder, layer: int = -1, batch: int = 64) -> Encode:
    """The tokens of an `Encoder` (genovision.text_to_image.encoder), which leaves out the marks of begin and end.

    Without the marks a token cannot be matched with one; where bert-score's marks win no match, the values are the same.
    """

    def encode(texts: list[str]) -> Tokens:
        embedded, cuts = encoder.embed(texts, layer=layer, batch=batch)
        own = [slice(start, end) for start, end in zip(embedded.starts, embedded.starts[1:], strict=False)]
        return Tokens(
            [embedded.tokens[one] for one in own],
            [np.zeros(one.stop - one.start, dtype=bool) for one in own],
            [embedded.ids[one] for one in own],
            {texts[cut.place]: cut.sentence(f"the text {texts[cut.place][:40]!r}") for cut in cuts},
        )

    return encode
