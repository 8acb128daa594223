"""ROUGE by hand, and BERTScore against the package bert-score."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from text_to_image import tiny_encoder

from genovision.errors import InputError
from genovision.text_to_image.similarity import BERTScore, Rouge, Tokens, unrelated


def test_rouge_has_the_prompt_as_reference():
    precision, recall = Rouge("rouge1")(["a red heart", "the dog"], ["a red heart and a tree", "dogs"])
    assert precision.tolist() == [0.5, 1] and recall.tolist() == [1, 0.5]
    assert precision.dtype == recall.dtype == np.float64


def test_rouge_counts_a_word_as_often_as_both_have_it():
    precision, recall = Rouge("rouge1")(["dog dog tree"], ["dog dog dog"])
    assert (precision[0], recall[0]) == (pytest.approx(2 / 3), pytest.approx(2 / 3))


def test_rouge_l_minds_the_order():
    precision, recall = Rouge("rougeL")(["heart left dog"], ["dog left heart"])
    assert (precision[0], recall[0]) == (pytest.approx(1 / 3), pytest.approx(1 / 3))


def test_rouge_stems_when_asked():
    assert Rouge("rouge1", stem=False)(["running dogs"], ["run dog"])[1][0] == 0
    assert Rouge("rouge1", stem=True)(["running dogs"], ["run dog"])[1][0] == 1


def test_nothing_and_what_cannot_be_read():
    for similarity in (Rouge(), BERTScore(letters)):
        assert [len(one) for one in similarity([], [])] == [0, 0]
        precision, recall = similarity(["dog"], [""])
        assert (precision[0], recall[0]) == (0, 0)
        with pytest.raises(InputError, match="reference 1 is empty"):
            similarity(["dog", " "], ["dog", "dog"])
        with pytest.raises(ValueError, match="1 references and 2 candidates"):
            similarity(["dog"], ["dog", "dog"])
    with pytest.raises(InputError, match="no word for ROUGE"):
        Rouge()(["犬"], ["dog"])
    with pytest.raises(ValueError, match="rouge2"):
        Rouge("rouge2")


def letters(texts, dimensions=8, marks=True):
    """Tokens are characters with fixed random directions, between two marks of begin and end."""
    directions = np.random.default_rng(0).normal(size=(300, dimensions))
    ids = [np.array([256, *(ord(c) % 256 for c in text), 257]) for text in texts]
    special = [np.isin(one, (256, 257)) for one in ids]
    if not marks:
        ids = [one[1:-1] for one in ids]
        special = [np.zeros(len(one), dtype=bool) for one in ids]
    # a little of the neighbours, as in a contextual embedding
    found = [directions[one] + 0.3 * directions[np.roll(one, 1)] + 0.2 * len(one) for one in ids]
    return Tokens(found, special, ids)


def peer(references, candidates, idf, length=False):
    """bert-score's greedy matching on the same embeddings: precision, recall (N,)."""
    torch = pytest.importorskip("torch")
    utils = pytest.importorskip("bert_score.utils")
    found = {"precision": [], "recall": []}
    docs = letters(references).ids
    weights = lambda ids: [  # noqa: E731
        0.0 if i > 255 else np.log((len(docs) + 1) / (1 + sum(i in set(doc) for doc in docs))) if idf else 1.0
        for i in ids
    ]
    for reference, candidate in zip(references, candidates, strict=True):  # one by one: no padding
        args = []
        for text in (reference, candidate):
            tokens = letters([text])
            ids = tokens.ids[0]
            args += [
                torch.tensor(tokens.embeddings[0])[None].double(),
                torch.ones(1, len(ids)),
                torch.tensor([weights(ids)], dtype=torch.float64),
            ]
        args[0], args[3] = args[0].float(), args[3].float()
        precision, recall, _ = utils.greedy_cos_idf(*args)
        found["precision"].append(precision.item())
        found["recall"].append(recall.item())
    return np.array(found["precision"]), np.array(found["recall"])


REFERENCES = ["a red heart", "left of", "blue dog and tree", "x", "some moon", "bell"]
CANDIDATES = ["a heart", "right of it", "dog", "a long text of many letters", "some moon", "tree bell bell"]


@pytest.mark.parametrize("idf", [False, True])
def test_bertscore_equals_the_package_on_the_same_embeddings(idf):
    ours = BERTScore(letters, "references" if idf else None)(REFERENCES, CANDIDATES)
    for one, other in zip(ours, peer(REFERENCES, CANDIDATES, idf), strict=True):
        np.testing.assert_allclose(one, other, atol=2e-6)


@pytest.fixture(scope="module")
def bert(tmp_path_factory):
    """(model, tokeniser) of a tiny random BERT, as they come back from a folder."""
    folder = tiny_encoder.write(tmp_path_factory.mktemp("bert"), 32, 0.5)
    transformers = pytest.importorskip("transformers")
    return transformers.AutoModel.from_pretrained(folder).eval(), transformers.AutoTokenizer.from_pretrained(folder)


@pytest.mark.parametrize("idf", [False, True])
def test_bertscore_equals_the_package_from_text_to_score(bert, idf):
    torch = pytest.importorskip("torch")
    utils = pytest.importorskip("bert_score.utils")
    model, tokenizer = bert
    references = [
        "a red heart left of a blue dog",
        "the moon above some trees",
        "a dog",
        "some hearts and a tree and a dog",
    ]
    candidates = ["a red heart and a dog", "a moon", "a blue dog left of the red tree", "some hearts and a tree"]

    def encode(texts):
        found, special, ids = [], [], []
        for text in texts:
            row = tokenizer(text, return_special_tokens_mask=True)
            with torch.no_grad():
                found.append(model(torch.tensor([row["input_ids"]])).last_hidden_state[0].numpy())
            special.append(np.array(row["special_tokens_mask"], dtype=bool))
            ids.append(np.array(row["input_ids"]))
        return Tokens(found, special, ids)

    if idf:
        weights = utils.get_idf_dict(references, _Plain(tokenizer), nthreads=0)
    else:
        weights = dict.fromkeys(range(26), 1.0) | {tokenizer.cls_token_id: 0.0, tokenizer.sep_token_id: 0.0}
    theirs = utils.bert_cos_score_idf(
        model, references, candidates, _Plain(tokenizer), weights, device="cpu", batch_size=1
    )
    precision, recall = BERTScore(encode, "references" if idf else None)(references, candidates)
    np.testing.assert_allclose(precision, theirs[:, 0], atol=1e-5)
    np.testing.assert_allclose(recall, theirs[:, 1], atol=1e-5)
    assert precision.std() > 0.01


class _Plain:
    """The tokeniser as the package of 2020 calls it: today's transformers has other names for the same."""

    def __init__(self, tokenizer):
        self._inner = tokenizer
        self.pad_token_id, self.model_max_length = tokenizer.pad_token_id, 512

    def encode(self, text, **_):
        return self._inner(text)["input_ids"]


@pytest.fixture(autouse=True)
def plain_encoding(monkeypatch):
    utils = pytest.importorskip("bert_score.utils")
    monkeypatch.setattr(utils, "sent_encode", lambda tokenizer, text: tokenizer.encode(text.strip()))


@given(st.lists(st.tuples(st.text("abc ", min_size=1), st.text("abc ")).filter(lambda p: p[0].strip()), max_size=6))
def test_bertscore_is_a_matter_of_the_pair_alone(pairs):
    """Not of what else is scored, nor of the order."""
    similarity = BERTScore(letters)
    together = np.array(similarity([a for a, _ in pairs], [b for _, b in pairs])).T
    for pair, found in zip(pairs, together, strict=True):
        assert np.array_equal(np.array(BERTScore(letters)([pair[0]], [pair[1]]))[:, 0], found)
    assert (together <= 1 + 1e-6).all()


def test_a_text_is_embedded_once():
    seen = []

    def encode(texts):
        seen.extend(texts)
        return letters(texts)

    similarity = BERTScore(encode, "references")
    for _ in range(2):
        similarity(["dog", "dog", "tree"], ["tree", "cat", "dog"])
    assert sorted(seen) == ["cat", "dog", "tree"]


def test_blocks_and_forgetting_change_nothing(monkeypatch):
    pairs = [(a, b) for a in REFERENCES for b in CANDIDATES]
    whole = BERTScore(letters, "references")(*map(list, zip(*pairs, strict=True)))
    monkeypatch.setattr("genovision.text_to_image.similarity._BLOCK", 3)
    monkeypatch.setattr("genovision.text_to_image.similarity._KEPT", 10)
    parts = BERTScore(letters, "references")(*map(list, zip(*pairs, strict=True)))
    assert np.array_equal(whole, parts)


def test_idf_among_given_texts_and_where_all_weigh_nothing():
    score = BERTScore(letters, ["ab", "ac"])
    precision, _ = score(["b"], ["ab"])
    plain = BERTScore(letters)(["b"], ["b"])[0]
    assert 0 < precision[0] <= plain[0]
    # every token of "aa" is in all texts: they count equally, as without idf
    assert score(["b"], ["aa"])[0] == BERTScore(letters)(["b"], ["aa"])[0]
    with pytest.raises(ValueError, match="numbers of the tokens"):
        BERTScore(lambda texts: letters(texts)[:2], "references")(["a"], ["a"])


def test_rescaling_takes_unrelated_texts_to_0_and_equal_ones_to_1():
    raw = BERTScore(letters)
    baseline = unrelated(raw, REFERENCES, 500)
    rescaled = BERTScore(letters, baseline=baseline)
    precision, recall = rescaled(["dog", "tree"], ["dog", "heart"])
    assert precision[0] == recall[0] == 1
    raw_precision, _ = raw(["tree"], ["heart"])
    assert precision[1] == pytest.approx((raw_precision[0] - baseline[0]) / (1 - baseline[0]))
    assert np.mean(unrelated(rescaled, REFERENCES, 500)) == pytest.approx(0, abs=1e-5)
    with pytest.raises(ValueError, match="below 1"):
        BERTScore(letters, baseline=(1.0, 0.5))
    with pytest.raises(ValueError, match="two different texts"):
        unrelated(raw, ["a", "a"])


def test_cuts_are_kept():
    def encode(texts):
        return Tokens(*letters([text[:4] for text in texts])[:3], {text: "cut" for text in texts if len(text) > 4})

    similarity = BERTScore(encode)
    similarity(["a long one"], ["abc"])
    assert similarity.cuts == {"a long one": "cut"}


def test_a_text_without_a_token_and_marks_of_another_length_are_refused():
    with pytest.raises(InputError, match="no token for the text"):
        BERTScore(lambda texts: Tokens([np.ones((2, 3))] * len(texts), [np.ones(2, dtype=bool)] * len(texts)))(
            ["a"], ["b"]
        )
    with pytest.raises(ValueError, match="marks"):
        BERTScore(lambda texts: Tokens([np.ones((2, 3))] * len(texts), [np.ones(3, dtype=bool)] * len(texts)))(
            ["a"], ["b"]
        )


def test_a_direction_of_length_zero_is_like_nothing():
    zero = lambda texts: Tokens([np.zeros((1, 3))] * len(texts), [np.zeros(1, dtype=bool)] * len(texts))  # noqa: E731
    assert BERTScore(zero)(["a"], ["b"])[0].tolist() == [0]
