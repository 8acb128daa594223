"""Tiny models saved to disk: an encoder, and pipelines in the layouts of the hub."""

from pathlib import Path

import numpy as np
from peers import mend_torchvision

mend_torchvision()  # transformers imports torchvision wherever it is installed

import torch  # noqa: E402

WORDS = ["a", "red", "blue", "dot", "bar", "of", "left", "above", "something"]
COLOURS = {"red": (220, 40, 40), "blue": (40, 90, 220)}


def tiny_encoder(folder: Path, positions: int = 32) -> Path:
    """A random BERT of 2 layers that knows WORDS and letters."""
    from transformers import BertConfig, BertModel, BertTokenizerFast

    folder.mkdir(parents=True, exist_ok=True)
    letters = [chr(c) for c in range(97, 123)]
    tokens = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS, *letters[1:], *(f"##{c}" for c in letters)]
    (folder / "vocab.txt").write_text("\n".join(tokens) + "\n")
    BertTokenizerFast(str(folder / "vocab.txt"), model_max_length=positions).save_pretrained(folder)
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(tokens),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=positions,
        initializer_range=0.5,
    )
    BertModel(config).save_pretrained(folder)
    return folder


def dots(number: int, seed: int = 0) -> tuple[np.ndarray, list[str]]:
    """Images (N, 16, 16, 3) of a dot or a bar, red or blue, left or right, and their captions."""
    rng, images, texts = np.random.default_rng(seed), [], []
    for _ in range(number):
        image = np.full((16, 16, 3), 255, dtype=np.uint8)
        colour, shape, left = rng.choice(list(COLOURS)), rng.choice(["dot", "bar"]), rng.integers(2)
        column = 2 if left else 10
        rows = slice(6, 10) if shape == "dot" else slice(1, 15)
        image[rows, column : column + 4] = COLOURS[colour]
        images.append(image)
        texts.append(f"a {colour} {shape}" + (" left" if left else ""))
    return np.stack(images), texts
