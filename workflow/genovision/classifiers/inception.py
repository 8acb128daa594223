"""The Inception network of FID out of torch-fidelity, which keeps the original's resizing and weights, from a file that the user has."""

import io
import os
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from genovision.classifiers.pretrained import import_timm, read_state
from genovision.errors import InputError

WEIGHTS = "https://github.com/toshas/torch-fidelity/releases/download/v0.2.0/weights-inception-2015-12-05-6726825d.pth"


def read_inception(path: str | os.PathLike) -> nn.Module:
    """Network: uint8 (N, 3, H, W) -> (features (N, 2048) float32,), in evaluation mode, on the GPU if there is one.

    InputError for a missing file, for one that is damaged or holds anything but tensors, and for weights of another network.
    """
    if not os.path.isfile(path):
        raise InputError(f"{path} is missing: fetch {WEIGHTS}, or set samplers.inception to null.")
    # torch-fidelity would unpickle whatever stands in the file: it is given the tensors that were read safely
    safe = io.BytesIO()
    torch.save(read_state(Path(path)), safe)
    safe.seek(0)
    import_timm()  # torch-fidelity needs torchvision too
    from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

    try:
        network = FeatureExtractorInceptionV3("inception-v3-compat", ["2048"], feature_extractor_weights_path=safe)
    except RuntimeError as error:  # of load_state_dict, which lists all names that differ
        raise InputError(f"{path} holds weights of another network than FID's Inception; fetch {WEIGHTS}.") from error
    return network.to("cuda" if torch.cuda.is_available() else "cpu")


def describe(network: nn.Module, images: npt.NDArray[np.uint8], batch: int = 100) -> npt.NDArray[np.float32]:
    """Features (N, 2048) of images (N, H, W), whose grey is repeated, or (N, H, W, 3), uint8."""
    planes = np.moveaxis(images, -1, 1) if images.ndim == 4 else np.repeat(images[:, None], 3, axis=1)
    device = next(network.parameters()).device
    with torch.inference_mode():
        return np.concatenate(
            [
                network(torch.from_numpy(np.ascontiguousarray(planes[start : start + batch])).to(device))[0]
                .cpu()
                .numpy()
                for start in range(0, len(planes), batch)
            ]
        )
