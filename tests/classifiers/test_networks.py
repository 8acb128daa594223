"""The family of networks: sizes, features, seeds; MACs by hand; checkpoints that are whole, and those that are not."""

import pytest
import torch
from torch import nn

from genovision import checkpoints
from genovision.classifiers.macs import macs, parameters
from genovision.classifiers.networks import ResNet, Shape
from genovision.errors import InputError

SMALL = Shape(4, 3, 0.3, 0.2)


def test_macs_of_one_convolution_are_those_counted_by_hand():
    # 3 channels to 8, kernel 3 x 3, 10 x 12 outputs; then 8 * 10 * 12 inputs to 7 outputs
    convolution = nn.Conv2d(3, 8, 3, padding=1)
    assert macs(convolution, (3, 10, 12)) == 10 * 12 * 8 * 3 * 3 * 3
    with_head = nn.Sequential(convolution, nn.BatchNorm2d(8), nn.ReLU(), nn.Flatten(), nn.Linear(8 * 10 * 12, 7))
    assert macs(with_head, (3, 10, 12)) == 10 * 12 * 8 * 27 + 8 * 10 * 12 * 7
    assert parameters(convolution) == 8 * 27 + 8


def test_macs_of_the_family_by_hand():
    w = 4
    stem = 14 * 14 * 9 * w
    first = 2 * 14 * 14 * 9 * w * w
    second = 7 * 7 * (9 * w * 2 * w + 9 * 2 * w * 2 * w + w * 2 * w)
    third = 4 * 4 * (9 * 2 * w * 4 * w + 9 * 4 * w * 4 * w + 2 * w * 4 * w)
    network = ResNet(SMALL).train()
    assert macs(network, (1, 28, 28)) == stem + first + second + third + 4 * w * 3
    assert network.training  # counting leaves the mode as it was


def test_logits_are_the_head_on_features_that_are_averages_after_relu():
    network = ResNet(SMALL).eval()
    images = torch.rand(5, 1, 28, 28)
    with torch.inference_mode():
        z = network.features(images)
        assert z.shape == (5, SMALL.features) == (5, 16) and (z >= 0).all()
        assert torch.allclose(network(images), z @ network.head.weight.T + network.head.bias, atol=1e-6)


def test_weights_depend_on_the_seed_alone_and_drawing_them_disturbs_nothing():
    torch.manual_seed(5)
    after = torch.rand(3)
    torch.manual_seed(5)
    first = ResNet(SMALL, seed=1)
    assert torch.equal(torch.rand(3), after)
    again, other = ResNet(SMALL, seed=1), ResNet(SMALL, seed=2)
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), again.parameters(), strict=True))
    assert not torch.equal(first.head.weight, other.head.weight)


def test_a_checkpoint_of_another_architecture_is_refused_with_the_first_difference():
    for other, message in (
        (Shape(8, 3, 0.3, 0.2), r"head.weight is \(3, 32\), \(3, 16\) is needed"),
        (Shape(4, 5, 0.3, 0.2), r"head.bias is \(5,\), \(3,\) is needed"),
        (Shape(4, 3, 0.3, 0.2, blocks=2), "it has a further tensor stages.1.conv1|is a checkpoint of another"),
        (Shape(4, 3, 0.3, 0.2, stages=2), "another architecture"),
    ):
        with pytest.raises(InputError, match=message):
            checkpoints.load_into(ResNet(SMALL), ResNet(other).state_dict(), "a.safetensors")
