"""CIFAR-10 and LSUN in miniature, in the formats they are published in, and what is said of files that are not theirs."""

import io
import pickle
import subprocess
import sys
import tarfile
from pathlib import Path

import numpy as np
import pytest

from genovision.arrays import read_arrays
from genovision.errors import InputError
from genovision.samplers.image_sources import read_cifar10, read_images, read_lsun, square, write_images
from genovision.tables import read_table

lmdb = pytest.importorskip("lmdb")
Image = pytest.importorskip("PIL.Image")
ROOT = Path(__file__).resolve().parents[2]


def tar(path, files):
    """A tar.gz of name -> bytes."""
    with tarfile.open(path, "w:gz") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return path


def cifar(number: int = 4, folder: str = "cifar-10-batches-bin") -> dict[str, bytes]:
    """The files of the binary version with `number` images a batch; image i of batch b has red 10 b + i, green row, blue column."""
    rows, columns = np.mgrid[:32, :32].astype(np.uint8)
    files = {f"{folder}/batches.meta.txt": b"airplane\n", f"{folder}/readme.html": b"<html>"}
    for batch, name in enumerate([*(f"data_batch_{n}.bin" for n in range(1, 6)), "test_batch.bin"]):
        records = [
            bytes([image]) + np.stack([np.full((32, 32), 10 * batch + image, np.uint8), rows, columns]).tobytes()
            for image in range(number)
        ]
        files[f"{folder}/{name}"] = b"".join(records)
    return files


def encoded(array, kind="WEBP", **options) -> bytes:
    sink = io.BytesIO()
    Image.fromarray(array).save(sink, kind, **options)
    return sink.getvalue()


@pytest.fixture
def church(tmp_path):
    """A miniature church_outdoor_train_lmdb: 6 images of several sizes, lossless, whose red is their number."""
    folder = tmp_path / "church_outdoor_train_lmdb"
    with lmdb.open(str(folder), map_size=1 << 24) as base, base.begin(write=True) as transaction:
        for number, (height, width) in enumerate([(80, 64), (64, 90), (256, 300), (20, 30), (64, 64), (300, 257)]):
            image = np.zeros((height, width, 3), dtype=np.uint8)
            image[:, :, 0] = 40 * number
            transaction.put(f"{number:040x}".encode(), encoded(image, lossless=True))
    (folder / "lock.mdb").unlink()
    return folder


def test_cifar_comes_out_with_its_planes_and_labels_in_order(tmp_path):
    folds = read_cifar10(tar(tmp_path / "cifar-10-binary.tar.gz", cifar()))
    images, labels = folds["train"]
    assert images.shape == (20, 32, 32, 3) and images.dtype == np.uint8 and labels.dtype == np.int64
    assert labels.tolist() == [0, 1, 2, 3] * 5
    assert images[:, 0, 0, 0].tolist() == [10 * batch + image for batch in range(5) for image in range(4)]
    assert (images[7, 5, 9] == [13, 5, 9]).all()
    assert folds["test"][0][:, 0, 0, 0].tolist() == [50, 51, 52, 53]


def test_archives_that_are_not_cifar_are_refused(tmp_path):
    whole = cifar()
    with pytest.raises(InputError, match=r"is missing; fetch https://.*cifar-10-binary.tar.gz and put it there"):
        read_cifar10(tmp_path / "nothing.tar.gz")
    pickled = {f"cifar-10-batches-py/data_batch_{n}": pickle.dumps({}) for n in range(1, 6)}
    with pytest.raises(InputError, match="the Python version, whose batches are pickled"):
        read_cifar10(tar(tmp_path / "py.tar.gz", pickled))
    short = {name: content for name, content in whole.items() if "data_batch_3" not in name}
    with pytest.raises(InputError, match=r"has no data_batch_3\.bin"):
        read_cifar10(tar(tmp_path / "short.tar.gz", short))
    name = "cifar-10-batches-bin/test_batch.bin"
    with pytest.raises(InputError, match=r"test_batch\.bin has 100 bytes, which are no 3073"):
        read_cifar10(tar(tmp_path / "cut.tar.gz", whole | {name: whole[name][:100]}))
    with pytest.raises(InputError, match="label 77 of image 0 is none of"):
        read_cifar10(tar(tmp_path / "labels.tar.gz", whole | {name: b"\x4d" + whole[name][1:]}))
    torn = tar(tmp_path / "torn.tar.gz", whole)
    torn.write_bytes(torn.read_bytes()[:-60])
    with pytest.raises(InputError, match="no whole tar archive"):
        read_cifar10(torn)
    (tmp_path / "text.tar.gz").write_text("<html>not found</html>")
    with pytest.raises(InputError, match="no whole tar archive"):
        read_cifar10(tmp_path / "text.tar.gz")


def test_links_and_paths_that_leave_the_folder_are_not_followed(tmp_path):
    (tmp_path / "secret").write_bytes(cifar()["cifar-10-batches-bin/test_batch.bin"])
    path = tmp_path / "links.tar.gz"
    with tarfile.open(path, "w:gz") as archive:
        for name, content in cifar().items():
            member = tarfile.TarInfo(name)
            if name.endswith("test_batch.bin"):
                member.type, member.linkname = tarfile.SYMTYPE, str(tmp_path / "secret")
                archive.addfile(member)
            else:
                member.size = len(content)
                archive.addfile(member, io.BytesIO(content))
    with pytest.raises(InputError, match=r"has no test_batch\.bin"):
        read_cifar10(path)
    before = sorted(tmp_path.rglob("*"))
    read_cifar10(tar(tmp_path / "up.tar.gz", cifar(folder="../../outside")))
    assert sorted(tmp_path.rglob("*")) == sorted([*before, tmp_path / "up.tar.gz"])


def test_churches_come_in_the_order_of_their_keys_and_nothing_is_written_beside_them(church):
    seen = []
    images = read_lsun(church, 16, progress=lambda done, of: seen.append((done, of)))
    assert images.shape == (6, 16, 16, 3) and seen == [(n, 6) for n in range(1, 7)]
    assert images[:, 8, 8, 0].tolist() == [0, 40, 80, 120, 160, 200] and not images[..., 1:].any()
    np.testing.assert_array_equal(read_lsun(church, 16, 2), images[:2])
    assert [path.name for path in church.iterdir()] == ["data.mdb"]


def test_data_bases_that_are_not_whole_are_refused(church, tmp_path):
    with pytest.raises(
        InputError, match=r"data.mdb is missing; fetch http.*church_outdoor_train_lmdb.zip and unzip it"
    ):
        read_lsun(tmp_path / "nothing")
    with lmdb.open(str(church), map_size=1 << 24) as base, base.begin(write=True) as transaction:
        transaction.put(b"\xff" * 40, b"no image")
    with pytest.raises(InputError, match="the value is no image that Pillow can read"):
        read_lsun(church)
    (church / "data.mdb").write_bytes(b"<html>" * 2000)
    with pytest.raises(InputError, match="no whole LMDB data base"):
        read_lsun(church)
    with lmdb.open(str(tmp_path / "empty"), map_size=1 << 20):
        pass
    with pytest.raises(InputError, match="has no image"):
        read_lsun(tmp_path / "empty")


def test_the_square_is_central_and_resized_without_aliases():
    image = np.zeros((64, 128, 3), dtype=np.uint8)
    image[:, 32:96] = 200  # the central square of 64
    np.testing.assert_array_equal(square(encoded(image, "PNG"), 64, "x"), 200)
    tall = square(encoded(image.transpose(1, 0, 2).copy(), "PNG"), 32, "x")
    assert tall.shape == (32, 32, 3) and (tall == 200).all()
    stripes = np.zeros((128, 128), dtype=np.uint8)
    stripes[:, ::2] = 255  # finer than the new pixels: grey, not black or white
    assert np.abs(square(encoded(stripes, "PNG"), 32, "x")[:, 1:-1].astype(int) - 127).max() < 6


def test_sets_go_round_and_others_are_refused(tmp_path):
    images = np.random.default_rng(0).integers(0, 256, (3, 4, 5, 3), dtype=np.uint8)
    write_images(tmp_path / "a.npz", images, np.zeros(3, dtype=np.int64))
    np.testing.assert_array_equal(read_images(tmp_path / "a.npz"), images)
    for bad, message in (
        (images.astype(np.float32), "images are float32"),
        (images[..., :2], r"of shape \(3, 4, 5, 2\)"),
        (images[0, 0], r"of shape \(5, 3\)"),
        (images[:0], "has no image"),
    ):
        write_images(tmp_path / "b.npz", bad, np.zeros(len(bad), dtype=np.int64))
        with pytest.raises(InputError, match=message):
            read_images(tmp_path / "b.npz")


def test_the_command_writes_both_sets_the_same_every_time(command, church, tmp_path):
    archive = tar(tmp_path / "c.tar.gz", cifar())
    for source, numbers, shape in (
        (("--cifar10", archive), [20, 2], (32, 32, 3)),
        (("--lsun-church", church, "--size", 16), [4, 2], (16, 16, 3)),
    ):
        out = [tmp_path / source[0].strip("-") / name for name in "ab"]
        for folder in out:
            code, err = command(
                "samplers/prepare_denoising_images",
                *source,
                "--held-out",
                2,
                "--out",
                folder,
                "--table",
                folder / "sets.tsv",
            )
            assert code == 0, err
        assert read_table(out[0] / "sets.tsv")["images"].tolist() == numbers
        for name, number in zip(("train", "held_out"), numbers, strict=True):
            assert read_images(out[0] / f"{name}.npz").shape == (number, *shape)
            assert read_arrays(out[0] / f"{name}.npz")["labels"].shape == (number,)
            assert (out[0] / f"{name}.npz").read_bytes() == (out[1] / f"{name}.npz").read_bytes()
    apart = [set(read_images(out[0] / f"{name}.npz")[:, 8, 8, 0].tolist()) for name in ("train", "held_out")]
    assert not apart[0] & apart[1] and len(apart[0] | apart[1]) == 6


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--held-out", 9), "--held-out 9 leaves nothing to train on"),
        (("--held-out", 0), "must be 1 or more"),
        (("--held-out", 6, "--images", 5), "leaves nothing"),
    ],
)
def test_the_command_says_what_is_wrong(command, church, tmp_path, options, message):
    code, err = command(
        "samplers/prepare_denoising_images",
        "--lsun-church",
        church,
        *options,
        "--out",
        tmp_path / "o",
        "--table",
        tmp_path / "o" / "t.tsv",
    )
    assert code == 2 and message in err and not (tmp_path / "o").exists()


def test_preparing_images_does_without_torch():
    command = "import sys; sys.modules['torch'] = None; sys.path.insert(0, 'workflow'); import runpy; "
    command += "runpy.run_path('workflow/scripts/samplers/prepare_denoising_images.py')['parser']()"
    assert subprocess.run([sys.executable, "-c", command], cwd=ROOT).returncode == 0
