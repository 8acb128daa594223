"""What a member is trained on: the loss by hand, dropout that is a matter of the step, and a run that was cut short."""

import math

import numpy as np
import pytest

torch = pytest.importorskip("torch")
from translation.tiny import SIZE, network, reversals, taught  # noqa: E402

from genovision.errors import InputError  # noqa: E402
from genovision.training import Recipe, train  # noqa: E402
from genovision.translation.batches import make_corpus  # noqa: E402
from genovision.translation.members import Lessons, negative_log_likelihood  # noqa: E402


def log_probs(translator, corpus, row):
    """(L, V) by one sentence alone."""
    source, target = (
        torch.from_numpy(one(row).astype(np.int64))[None] for one in (corpus.source_row, corpus.target_row)
    )
    with torch.no_grad():
        return translator(source, target).logits.double().log_softmax(dim=1), target[0]


@pytest.mark.parametrize("smoothing", [0.0, 0.3])
def test_the_loss_is_the_cross_entropy_of_the_batch(smoothing):
    corpus, translator = reversals(40), network(sharp=2.0, dropout=0.0)
    lessons = Lessons(corpus, budget=50, smoothing=smoothing, seed=3)
    for step in (0, 5, 17):
        total, tokens = 0.0, 0
        for row in lessons.batches.rows(step):
            logs, target = log_probs(translator, corpus, row)
            own = logs.gather(1, target[:, None]).sum()
            total -= float((1 - smoothing) * own + smoothing * logs.sum() / SIZE)
            tokens += len(target)
        assert math.isclose(float(lessons.loss(translator, step).detach()), total / tokens, rel_tol=1e-5)


def test_dropout_is_a_matter_of_seed_and_step():
    lessons = Lessons(reversals(40), budget=50, smoothing=0.1, seed=3)
    translator = network(dropout=0.3).train()
    state = torch.get_rng_state()
    first = float(lessons.loss(translator, 7).detach())
    assert torch.equal(torch.get_rng_state(), state)
    torch.rand(5)
    assert float(lessons.loss(translator, 7).detach()) == first
    other = Lessons(lessons.batches.corpus, budget=50, smoothing=0.1, seed=4)
    other.batches = lessons.batches
    assert float(other.loss(translator, 7).detach()) != first
    translator.eval()
    with torch.no_grad():
        assert float(lessons.loss(translator, 7)) == float(other.loss(translator, 7)) != first


def test_held_out_likelihood_is_a_mean_over_tokens():
    corpus, translator = reversals(30, seed=2), taught()
    logs = [log_probs(translator, corpus, row) for row in range(30)]
    total = sum(float(one.gather(1, target[:, None]).sum()) for one, target in logs)
    wanted = -total / len(corpus.target)
    for budget in (20, 2000):
        assert math.isclose(negative_log_likelihood(translator, corpus, budget), wanted, rel_tol=1e-5)
    assert wanted < 0.8 * math.log(SIZE)
    with pytest.raises(ValueError, match="training mode"):
        negative_log_likelihood(translator.train(), corpus)


def test_a_run_that_was_cut_short_ends_with_the_same_weights(tmp_path):
    recipe = Recipe(12, 60, 2e-3, average=0.9)
    lessons = Lessons(reversals(60), budget=60, smoothing=0.1, seed=0)

    def run(folder, stop=None):
        def loss(translator, step):
            if step == stop:
                raise KeyboardInterrupt
            return lessons.loss(translator, step)

        translator = network(dropout=0.2)
        measure = lambda one: negative_log_likelihood(one, lessons.batches.corpus)  # noqa: E731
        return train(translator, loss, recipe, measure, folder, "mark", save_every=4, tell=lambda _: None)

    whole = run(tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "cut", stop=10)
    again = run(tmp_path / "cut")
    assert again.curve == whole.curve
    wanted = whole.network.state_dict()
    assert all(torch.equal(value, wanted[name]) for name, value in again.network.state_dict().items())
    # the average runs over the one matrix that is both embedding and output layer, and keeps it one
    assert whole.network.network.lm_head.weight is whole.network.network.model.shared.weight


def test_training_sets_and_options_that_are_none():
    with pytest.raises(InputError, match="the training set has no sentence"):
        Lessons(make_corpus([], []), budget=50, smoothing=0.1, seed=0)
    with pytest.raises(InputError, match=r"label smoothing 1.0 must be in \[0, 1\)"):
        Lessons(reversals(3), budget=50, smoothing=1.0, seed=0)
