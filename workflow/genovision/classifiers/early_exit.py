"""Early exit as it would be run: the next network sees only the images that go on to it. For measuring seconds, on a CPU."""

import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from genovision.classifiers.networks import as_input

SCORES = {  # of a stage's logits (B, K), in float64: what is averaged over stages, and the confidence of the average
    "msp": (lambda logits: logits.softmax(dim=1).numpy(), lambda average: average.max(axis=1)),
    "energy": (lambda logits: logits.logsumexp(dim=1).numpy(), lambda average: average),
}
Policy = Callable[[npt.NDArray[np.float64]], npt.NDArray[np.bool_]]  # confidences (B,) -> which go on


def cascade(
    networks: Sequence[nn.Module],
    passes_on: Sequence[Policy],
    images: npt.NDArray[np.uint8],
    batch: int,
    score: str = "msp",
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64]]:
    """(confidence after the stages an image has seen (N,), stage it left at (N,), from 0).

    score: `msp`, that of the averaged probabilities, or `energy`, the average of the stages' energies

    networks: in order of running;  passes_on: one less, which of a stage's confidences continue
    Images that go on are gathered over batches, so that the next stage runs on full batches of them.
    """
    waiting = np.arange(len(images))
    confidence, stage = np.empty(len(images)), np.zeros(len(images), dtype=np.int64)
    of_stage, of_average = SCORES[score]
    total = None  # sum over the stages so far, of the waiting images
    with torch.inference_mode():
        for place, network in enumerate(networks):
            parts = np.array_split(waiting, max(1, -(-len(waiting) // batch)))
            found = [of_stage(network(as_input(images[rows])).double()) for rows in parts if len(rows)]
            if not found:
                break
            total = np.concatenate(found) + (0 if total is None else total)
            confidence[waiting] = of_average(total) / (place + 1)
            stage[waiting] = place
            if place < len(passes_on):
                on = passes_on[place](confidence[waiting])
                waiting, total = waiting[on], total[on]
    return confidence, stage


def seconds(run: Callable[[], Any]) -> tuple[float, Any]:
    """Wall-clock seconds of one call, and what it returned."""
    begin = time.perf_counter()
    answer = run()
    return time.perf_counter() - begin, answer
