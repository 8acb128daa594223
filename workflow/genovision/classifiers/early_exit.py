"""Early exit as it would be run: the next network sees only the images that go on to it. For measuring seconds, on a CPU."""

import time
from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from genovision.classifiers.networks import as_input

Policy = Callable[[npt.NDArray[np.float64]], npt.NDArray[np.bool_]]  # confidences (B,) -> which go on


def cascade(
    networks: Sequence[nn.Module], passes_on: Sequence[Policy], images: npt.NDArray[np.uint8], batch: int
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64]]:
    """(MSP of the averaged probabilities of the stages an image has seen (N,), stage it left at (N,), from 0).

    networks: in order of running;  passes_on: one less, which of a stage's confidences continue
    Images that go on are gathered over batches, so that the next stage runs on full batches of them.
    """
    waiting = np.arange(len(images))
    confidence, stage = np.empty(len(images)), np.zeros(len(images), dtype=np.int64)
    total = None  # sum of the probabilities of the stages so far, of the waiting images
    with torch.inference_mode():
        for place, network in enumerate(networks):
            parts = np.array_split(waiting, max(1, -(-len(waiting) // batch)))
            found = [network(as_input(images[rows])).double().softmax(dim=1).numpy() for rows in parts if len(rows)]
            if not found:
                break
            total = np.concatenate(found) + (0 if total is None else total)
            confidence[waiting] = total.max(axis=1) / (place + 1)
            stage[waiting] = place
            if place < len(passes_on):
                on = passes_on[place](confidence[waiting])
                waiting, total = waiting[on], total[on]
    return confidence, stage


def seconds(run: Callable[[], object]) -> float:
    """Wall-clock seconds of one call."""
    begin = time.perf_counter()
    run()
    return time.perf_counter() - begin
