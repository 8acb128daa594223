"""FID's network out of a file: what it gives, and what is refused."""

import numpy as np
import pytest
import torch
from peers import mend_torchvision

from genovision.arrays import read_arrays, write_arrays
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
    (tmp_path / "short.pth").write_bytes(weights.read_bytes()[:1000])
    (tmp_path / "empty.pth").write_bytes(b"")
    told = {
        "other.pth": "weights of another network than FID's Inception; fetch",
        "bomb.pth": "holds pickled objects",
        "short.pth": "damaged or no checkpoint",
        "empty.pth": "damaged or no checkpoint",
    }
    for name, sentence in told.items():
        with pytest.raises(InputError, match=sentence):
            read_inception(tmp_path / name)


@pytest.mark.parametrize("colours", [(), (3,)])
def test_the_command_describes_samples_by_it(command, weights, tmp_path, colours):
    rng = np.random.default_rng(1)
    shape = (12, 12, *colours)
    write_arrays(tmp_path / "real.npz", images=rng.integers(0, 256, (4, *shape), dtype=np.uint8))
    images = rng.integers(0, 256, (2, 1, 1, 3, *shape), dtype=np.uint8)
    present = np.array([True, False]).reshape(2, 1, 1)
    axes = {"samplers": np.array(["ddim", "heun"]), "nfe": np.array([5]), "seeds": np.array([3])}
    write_arrays(tmp_path / "s.npz", images=images, present=present, reference=images[0, :, 0], **axes)
    given = ("--samples", tmp_path / "s.npz", "--real", tmp_path / "real.npz", "--out", tmp_path / "out.npz")
    code, told = command("samplers/describe_samples", *given, "--inception", tmp_path / "absent.pth")
    assert (
        code == 2 and told.count("error:") == 1 and "is missing: fetch" in told and not (tmp_path / "out.npz").exists()
    )
    assert command("samplers/describe_samples", *given, "--inception", weights)[0] == 0
    found = read_arrays(tmp_path / "out.npz")
    assert found["features"].shape == (2, 1, 1, 3, 2048) and found["real"].shape == (4, 2048)
    assert np.allclose(found["features"][0, 0, 0], describe(read_inception(weights), images[0, 0, 0]), atol=1e-6)
    assert not found["features"][1].any()
