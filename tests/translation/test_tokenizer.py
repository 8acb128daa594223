"""Tokenizers: exact round trips, fixed special ids, one word one token sequence, and files that are no tokenizer."""

import hashlib
import io
import json
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from genovision.errors import InputError
from genovision.translation.tokenizer import (
    END,
    SMALLEST,
    SPECIAL,
    SentencePieceTokenizer,
    Tokenizer,
    read_tokenizer,
    train_tokenizer,
    write_tokenizer,
)

TEXTS = ["Open the window", "Das Fenster öffnen", "Close the window", "Das Fenster schließen", "the end of the day"] * 4


@pytest.fixture(scope="module")
def tokenizer():
    return train_tokenizer(TEXTS, 320)


@pytest.fixture(scope="module")
def model():
    """The bytes of a SentencePiece model."""
    import sentencepiece

    sink = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(TEXTS * 4), model_writer=sink, vocab_size=60, hard_vocab_limit=False, minloglevel=2
    )
    return sink.getvalue()


@settings(max_examples=200)
@given(text=st.text(st.characters(exclude_categories=["Cs"]), max_size=60))
def test_any_text_comes_back_from_its_tokens(tokenizer, text):
    (ids,) = tokenizer.encode([text])
    assert ids[-1] == END and (ids[:-1] >= len(SPECIAL)).all() and (ids < tokenizer.size).all()
    # a text that begins with a space has no other one put before it
    assert tokenizer.decode(ids) == (text[1:] if text.startswith(" ") else text)


def test_a_word_is_the_same_tokens_wherever_it_stands(tokenizer):
    first, last = tokenizer.encode(["window the", "the window"])
    assert sorted(first) == sorted(last)
    assert list(first) != list(last)


def test_frequent_words_are_one_token_and_merges_are_those_of_a_slow_count(tokenizer):
    assert len(tokenizer.encode([" the"])[0]) == 2
    # the first merge is the most frequent pair of symbols inside of words
    pairs: dict = {}
    for text in TEXTS:
        for word in text.split(" "):
            symbols = list(f"Ġ{word}".replace("ö", "Ã¶").replace("ß", "ÃŁ"))
            for pair in pairwise(symbols):
                pairs[pair] = pairs.get(pair, 0) + 1
    merges = json.loads(tokenizer.data)["model"]["merges"]
    assert pairs[tuple(merges[0])] == max(pairs.values())


def test_special_tokens_in_a_text_are_text(tokenizer):
    (ids,) = tokenizer.encode(["a </s> b <pad>"])
    assert (ids[:-1] > END).all()
    assert tokenizer.decode(ids) == "a </s> b <pad>"


def test_decoding_stops_at_the_end_and_refuses_ids_of_another_vocabulary(tokenizer):
    (ids,) = tokenizer.encode(["the window"])
    assert tokenizer.decode([1, *ids, *ids, 0, 0]) == "the window"
    assert tokenizer.decode([END]) == ""
    with pytest.raises(ValueError, match=f"id {tokenizer.size} is outside"):
        tokenizer.decode([tokenizer.size])


def test_the_same_texts_give_the_same_bytes_in_any_order(tokenizer):
    assert train_tokenizer(TEXTS, 320).data == tokenizer.data
    assert train_tokenizer(TEXTS[::-1], 320).digest == tokenizer.digest
    assert train_tokenizer(TEXTS, 300).digest != tokenizer.digest


def test_sizes(tokenizer):
    assert train_tokenizer(TEXTS, 300).size == 300
    assert train_tokenizer(["ab"], 5000).size < 300  # nothing more to merge
    assert train_tokenizer(TEXTS, SMALLEST).size == SMALLEST == 259
    with pytest.raises(InputError, match="a vocabulary of 258 cannot hold"):
        train_tokenizer(TEXTS, 258)


def test_a_tokenizer_is_its_file(tokenizer, tmp_path):
    write_tokenizer(tokenizer, tmp_path / "tokenizer.json")
    found = read_tokenizer(tmp_path / "tokenizer.json")
    assert found.digest == tokenizer.digest == hashlib.sha256((tmp_path / "tokenizer.json").read_bytes()).hexdigest()
    assert [list(row) for row in found.encode(TEXTS)] == [list(row) for row in tokenizer.encode(TEXTS)]
    with pytest.raises(InputError, match=r"must end in \.json"):
        write_tokenizer(tokenizer, tmp_path / "tokenizer.model")


def test_sentencepiece_is_behind_the_same_interface(model, tmp_path):
    import sentencepiece

    (tmp_path / "spm.model").write_bytes(model)
    found = read_tokenizer(tmp_path / "spm.model")
    peer = sentencepiece.SentencePieceProcessor(model_proto=model)
    texts = ["Open the window", "Das Fenster öffnen"]
    for ids, text in zip(found.encode(texts), texts, strict=True):
        assert ids.tolist() == [number + 3 for number in peer.encode(text)] + [END]
        assert found.decode(ids) == text
    assert found.size == peer.get_piece_size() + 3
    assert found.encode([""])[0].tolist() == [END]
    assert found.digest == hashlib.sha256(model).hexdigest()
    write_tokenizer(found, tmp_path / "copy.model")
    assert (tmp_path / "copy.model").read_bytes() == model


@pytest.mark.parametrize("data", [b"", b"{}", b"\xff\xfe", b'{"version": "1.0"}'])
def test_a_file_that_is_no_tokenizer_is_refused(data, tmp_path):
    path = tmp_path / "tokenizer.json"
    path.write_bytes(data)
    with pytest.raises(InputError, match=r"tokenizer\.json is no tokenizer\.json"):
        read_tokenizer(path)


def test_a_tokenizer_with_other_special_ids_is_refused(tokenizer):
    import tokenizers

    other = tokenizers.Tokenizer(tokenizers.models.BPE())
    other.add_special_tokens(["[PAD]", "[CLS]", "[SEP]"])
    with pytest.raises(InputError, match=r"begins with the tokens \[PAD\], \[CLS\], \[SEP\]; ids 0, 1, 2 must be"):
        Tokenizer(other.to_str().encode(), "bert.json")


def test_a_cut_model_and_an_unknown_suffix_are_refused(model, tmp_path):
    for data in (b"", b"text", model[:100], model[:-20]):
        with pytest.raises(InputError, match=r"spm\.model is no whole SentencePiece model"):
            SentencePieceTokenizer(data, "spm.model")
    with pytest.raises(InputError, match=r"vocab\.txt is no tokenizer"):
        read_tokenizer(tmp_path / "vocab.txt")


def test_ids_fit_an_array_of_16_bits(tokenizer):
    (ids,) = tokenizer.encode(["Fenster"])
    assert ids.dtype == np.int32 and ids.max() < 1 << 16
