"""Real early exit gives what the cascade computed from cached outputs gives, and runs the second model only on what goes on."""

import numpy as np
import torch
from classifiers.miniature import striped

from genovision.classifiers.early_exit import cascade
from genovision.classifiers.image_sets import ImageSet
from genovision.classifiers.networks import ResNet, Shape, as_input
from genovision.classifiers.outputs import outputs
from genovision.uncertainty.cascade import Window, run

NETWORKS = [ResNet(Shape(4, 3, 0.3, 0.2), seed).eval() for seed in (0, 1)]


def test_early_exit_is_the_cascade_of_the_cached_outputs():
    images = striped(230, np.random.default_rng(0))
    stages = [outputs(network, images)["logits"] for network in NETWORKS]
    confidence = torch.from_numpy(stages[0]).double().softmax(dim=1).max(dim=1).values.numpy()
    window = Window("sc", level=0.5).fit(confidence, stages[0].argmax(axis=1) == images.labels)
    ordered = np.sort(confidence)  # ends between two confidences, so that the last bit of none of them decides
    window.low, window.high = (ordered[place : place + 2].mean() for place in (60, 120))
    expected = run(stages, [window])
    found, stage = cascade(NETWORKS, [window.passes_on], images.images, batch=64)
    assert 0 < (stage == 1).mean() < 1
    assert np.array_equal(stage, expected.stage)
    assert np.allclose(found, expected.confidence, atol=1e-6)


def test_the_second_network_sees_only_what_goes_on():
    seen = []

    class Counting(torch.nn.Module):
        def forward(self, x):
            seen.append(len(x))
            return NETWORKS[1](x)

    images = striped(100, np.random.default_rng(1)).images
    first = cascade(NETWORKS[:1], [], images, batch=40)[0]
    median = np.median(first)
    _, stage = cascade([NETWORKS[0], Counting()], [lambda confidence: confidence < median], images, batch=40)
    assert sum(seen) == (stage == 1).sum() == 50
    seen.clear()
    cascade([NETWORKS[0], Counting()], [lambda confidence: confidence > 2], images, batch=40)
    assert seen == []


def test_outputs_do_not_depend_on_the_batch():
    images = ImageSet(striped(70, np.random.default_rng(2)).images, np.full(70, -1))
    a, b = (outputs(NETWORKS[0], images, batch) for batch in (7, 70))
    assert np.allclose(a["logits"], b["logits"], atol=1e-5)


def test_a_cascade_by_energy_averages_the_energies_of_the_stages():
    images = striped(30, np.random.default_rng(0)).images
    both = NETWORKS
    confidence, stage = cascade(both, [lambda energy: np.ones(len(energy), dtype=bool)], images, 7, "energy")
    with torch.inference_mode():
        each = [network(as_input(images)).double().logsumexp(dim=1).numpy() for network in both]
    assert np.allclose(confidence, (each[0] + each[1]) / 2, atol=1e-5)
    assert (stage == 1).all()
