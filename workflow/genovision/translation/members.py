"""Members of an ensemble: what one is trained on in a step, and how well it predicts held-out references.

They differ by seed alone: of their weights, of the batches' order and of dropout.
"""

import torch
from torch.nn import functional

from genovision.errors import InputError
from genovision.training import seeded
from genovision.translation.batches import Batches, Corpus, padded, token_batches
from genovision.translation.network import Translator
from genovision.translation.tokenizer import PAD


class Lessons:
    """`loss(network, step)`: cross entropy of the reference, given those before, averaged over the tokens of the step's batch.

    budget:    padded target tokens of a batch at most
    smoothing: share of the target that is spread over the vocabulary (Szegedy et al. 2016)
    """

    def __init__(self, corpus: Corpus, *, budget: int, smoothing: float, seed: int):
        if not 0 <= smoothing < 1:
            raise InputError(f"label smoothing {smoothing} must be in [0, 1).")
        if not corpus.sentences:
            raise InputError("the training set has no sentence.")
        self.batches, self.smoothing, self.seed = Batches(corpus, budget, seed), smoothing, seed

    def loss(self, network: Translator, step: int) -> torch.Tensor:
        source, target = padded(self.batches.corpus, self.batches.rows(step))
        with seeded(self.seed, step, network.device):
            logits = network(source, target).logits
        return functional.cross_entropy(logits, tokens_of(target, network.device), label_smoothing=self.smoothing)


def tokens_of(target: torch.Tensor, device: torch.device) -> torch.Tensor:
    """The tokens (T,) of targets (B, L), sentence by sentence, as a network's outputs are."""
    return target[target != PAD].to(device)


@torch.inference_mode()
def negative_log_likelihood(network: Translator, corpus: Corpus, budget: int = 2000) -> float:
    """Mean of -ln p over the reference tokens of a corpus, `END` counted, in nats; a network in training mode raises ValueError."""
    if network.training:
        raise ValueError("the network is in training mode: its dropout would change what is measured")
    total = tokens = 0
    for rows in token_batches(corpus, budget, 0, 0):
        source, target = padded(corpus, rows)
        wanted = tokens_of(target, network.device)
        logits = network(source, target).logits
        total += float(functional.cross_entropy(logits.double(), wanted, reduction="sum"))
        tokens += len(wanted)
    return total / tokens
