"""A tiny language pair and networks for it: sentences of few tokens whose translation is their reverse."""

import copy
from functools import lru_cache

import numpy as np
from peers import mend_torchvision

mend_torchvision()  # transformers imports torchvision wherever it is installed

import torch  # noqa: E402

from genovision.translation.batches import Corpus, make_corpus  # noqa: E402
from genovision.translation.members import Lessons  # noqa: E402
from genovision.translation.network import Sizes, Translator, build  # noqa: E402
from genovision.translation.tokenizer import END  # noqa: E402

torch.set_num_threads(1)  # more of them cost more than they bring at this size

SIZE = 23  # of the vocabulary
DIGEST = "ab" * 32


def reversals(sentences: int, seed: int = 0, size: int = SIZE, longest: int = 7) -> Corpus:
    rng = np.random.default_rng(seed)
    rows = [rng.integers(3, size, size=rng.integers(2, longest + 1)) for _ in range(sentences)]
    return make_corpus([np.append(row, END) for row in rows], [np.append(row[::-1], END) for row in rows], size)


def network(seed: int = 0, head: str | None = None, sharp: float = 1.0, **changes) -> Translator:
    """Random weights in evaluation mode; `sharp` multiplies the embeddings, so that what is likeliest depends on what is before."""
    given = {"vocabulary": SIZE, "width": 16, "layers": 2, "heads": 2, "inner": 32, "longest": 64}
    found = build(Sizes(**(given | changes)), seed, head).eval()
    with torch.no_grad():
        found.network.model.shared.weight.mul_(sharp)
    return found


@lru_cache
def _taught(seed: int, steps: int) -> Translator:
    found = network(seed, width=32, inner=64, dropout=0.1).train()
    lessons = Lessons(reversals(500, seed=1), budget=200, smoothing=0.0, seed=seed)
    optimizer = torch.optim.Adam(found.parameters(), lr=5e-3)
    for step in range(steps):
        optimizer.zero_grad()
        lessons.loss(found, step).backward()
        optimizer.step()
    return found.eval()


def taught(seed: int = 0, steps: int = 120) -> Translator:
    """Trained for some seconds: it ends its sentences about where it should, and members of several seeds disagree."""
    return copy.deepcopy(_taught(seed, steps))
