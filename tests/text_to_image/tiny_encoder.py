"""A tiny BERT that nobody trained, in a folder: what an `Encoder` reads, without a download."""

from pathlib import Path

import pytest
from peers import mend_torchvision

SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
WORDS = (
    *("a", "an", "the", "red", "blue", "of", "left", "above", "and", "some", "it", "##s"),
    *("heart", "dog", "tree", "moon", "bell", "shirt", "car", "pear", "cloud"),
)


def write(folder: Path, width: int = 16, spread: float = 0.02, positions: int = 16) -> Path:
    """`spread` of the weights: with 0.02, as a fresh BERT has it, all tokens point nearly the same way."""
    torch = pytest.importorskip("torch")
    mend_torchvision()
    transformers = pytest.importorskip("transformers")
    (folder / "vocab.txt").write_text("\n".join((*SPECIAL, *WORDS)) + "\n")
    transformers.BertTokenizerFast(vocab=str(folder / "vocab.txt")).save_pretrained(folder)
    shape = {"hidden_size": width, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 2 * width}
    config = transformers.BertConfig(
        vocab_size=len(SPECIAL) + len(WORDS), max_position_embeddings=positions, initializer_range=spread, **shape
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        transformers.BertModel(config).save_pretrained(folder)
    return folder
