"""The idx format and Debian packages: what is read, and what is said of a damaged or foreign file."""

import gzip
import tarfile

import numpy as np
import pytest
from classifiers.miniature import debian, fashion, idx

from genovision.classifiers.debian import read_package
from genovision.classifiers.idx import read_idx
from genovision.classifiers.image_sets import read_fashion_mnist
from genovision.errors import InputError


def test_idx_gives_back_the_array_plain_or_gzip():
    array = np.random.default_rng(0).integers(0, 256, (5, 4, 3), dtype=np.uint8)
    for data in (idx(array), gzip.decompress(idx(array))):
        assert np.array_equal(read_idx(data, "a"), array)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "begins with nothing"),
        (b"\x89PNG\r\n", "no idx file of unsigned bytes"),
        (b"\0\0\x0d\x01\0\0\0\x01\0\0\0\0", "no idx file of unsigned bytes"),
        (b"\0\0\x08\x03\0\0", "cut short inside its header"),
        (b"\0\0\x08\x01\0\0\0\x05abc", r"announces 5 bytes \(5\) and holds 3"),
        (b"\0\0\x08\x01\0\0\0\x02abc", "holds more"),
        (b"\0\0\x08\x02\xff\xff\xff\xff\xff\xff\xff\xff", "are allowed"),
        (idx(np.zeros((50, 4)))[:-12], "cut short or damaged"),
    ],
)
def test_idx_refuses_what_is_not_whole(data, message):
    with pytest.raises(InputError, match=f"^x.gz.*{message}"):
        read_idx(data, "x.gz")


@pytest.mark.parametrize("member", ["data.tar.xz", "data.tar.gz", "data.tar.bz2", "data.tar"])
def test_files_come_out_of_a_package_however_it_is_packed(tmp_path, member):
    path = tmp_path / "a.deb"
    path.write_bytes(debian({"usr/a": b"one", "usr/b": b"two" * 5000, "usr/c": b""}, member))
    assert read_package(path, ["usr/b", "usr/a"]) == {"usr/a": b"one", "usr/b": b"two" * 5000}


def test_packages_that_are_damaged_or_of_another_kind_are_refused(tmp_path):
    path, whole = tmp_path / "a.deb", debian({"usr/a": np.random.default_rng(0).bytes(9000)})

    def refusal(data: bytes, name: str = "usr/a", **limits) -> str:
        path.write_bytes(data)
        with pytest.raises(InputError) as error:
            read_package(path, [name], **limits)
        return str(error.value)

    assert "no Debian package" in refusal(b"PK\3\4")
    assert "has no member data.tar" in refusal(whole[:100])
    assert "cut short" in refusal(whole[:-2000])
    assert "damaged" in refusal(whole[:300].replace(b"`\n", b"``") + whole[300:])
    assert "packs its files as data.tar.zst" in refusal(whole.replace(b"data.tar.xz ", b"data.tar.zst"))
    assert "has no file usr/b" in refusal(whole, "usr/b")
    assert "9000 bytes, 100 are allowed" in refusal(whole, limit=100)


def test_a_link_in_a_package_is_not_followed(tmp_path, monkeypatch):
    def link(self, info, data=None):
        info.type, info.linkname, info.size = tarfile.SYMTYPE, "/etc/passwd", 0
        add(self, info)

    add = tarfile.TarFile.addfile
    monkeypatch.setattr(tarfile.TarFile, "addfile", link)
    (tmp_path / "a.deb").write_bytes(debian({"usr/a": b"x"}))
    with pytest.raises(InputError, match="is a link"):
        read_package(tmp_path / "a.deb", ["usr/a"])


def test_fashion_mnist_comes_out_of_its_package_and_its_labels_are_checked(tmp_path):
    path, files = tmp_path / "f.deb", fashion()
    path.write_bytes(debian(files))
    found = read_fashion_mnist(path)
    assert (found["train"].images.shape, found["test"].images.shape) == ((200, 28, 28), (100, 28, 28))
    assert np.array_equal(found["test"].labels, np.arange(100) % 10)
    labels = "usr/share/datasets/fashion-mnist/t10k-labels-idx1-ubyte.gz"
    for wrong, message in ((np.full(100, 10), r"label 10 of image 0 is none of 0\.\.9"), (np.zeros(99), "100 images")):
        path.write_bytes(debian(files | {labels: idx(wrong)}))
        with pytest.raises(InputError, match=message):
            read_fashion_mnist(path)
