"""Run by test_training.py: the same training on two processes of a CPU; each writes its weights."""

import sys
from pathlib import Path

import numpy as np
import torch
from accelerate import debug_launcher
from classifiers.miniature import striped

from genovision.checkpoints import write_tensors
from genovision.classifiers.networks import ResNet, Shape
from genovision.classifiers.training import InMemory, Recipe, train


def work(folder: str) -> None:
    torch.set_num_threads(1)
    images = striped(150, np.random.default_rng(0))
    recipe = Recipe(steps=24, batch=32, learning_rate=0.1, seed=4)
    network, batches = ResNet(Shape(4, 3, 0.3, 0.2), 4), InMemory(images.images, images.labels, recipe)
    train(network, batches, recipe, (images.images, images.labels), Path(folder) / "checkpoints", "mark", cpu=True)
    write_tensors(network.state_dict(), Path(folder) / f"{torch.distributed.get_rank()}.safetensors")


if __name__ == "__main__":
    debug_launcher(work, (sys.argv[1],), num_processes=2)
