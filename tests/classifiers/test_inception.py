"""FID's network out of a file: what it gives, and what is refused."""

import numpy as np
import pytest
import torch
from peers import mend_torchvision

from genovision.classifiers.inception import describe, read_inception
from genovision.errors import InputError


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    mend_torchvision()
    from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

    class Untrained(FeatureExtractorInceptionV3):
        def load_state_dict(self, *_, **__):
            return None

    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("inception")
    torch.save({}, folder / "empty.pth")
    state = Untrained("x", ["2048"], feature_extractor_weights_path=folder / "empty.pth").state_dict()
    torch.save(state, folder / "weights.pth")
    return folder / "weights.pth"


def test_features_are_torch_fidelitys_and_grey_is_repeated(weights):
    network = read_inception(weights)
    grey = np.random.default_rng(0).integers(0, 256, (3, 28, 28), dtype=np.uint8)
    found = describe(network, grey, batch=2)
    assert found.shape == (3, 2048) and np.isfinite(found).all()
    colour = np.repeat(grey[..., None], 3, axis=-1)
    assert np.allclose(describe(network, colour), found, rtol=1e-4, atol=1e-6)


class _Bomb:
    def __reduce__(self):
        return (exec, ("raise SystemExit('code in the file ran')",))


def test_other_files_are_refused_without_running_their_code(weights, tmp_path):
    with pytest.raises(InputError, match="is missing: fetch"):
        read_inception(tmp_path / "absent.pth")
    torch.save({"fc.weight": torch.zeros(3)}, tmp_path / "other.pth")
    torch.save(_Bomb(), tmp_path / "bomb.pth")
    for name in ("other.pth", "bomb.pth"):
        with pytest.raises(InputError, match="no weights of FID's Inception"):
            read_inception(tmp_path / name)
