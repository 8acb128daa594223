"""Image lists of OpenOOD and ViM as published, our own table, and what is said of lines and files that do not fit."""

import zipfile

import numpy as np
import pytest
from classifiers.imagenet_miniature import picture, save, write_text

from genovision.classifiers.image_lists import (
    check_files,
    chosen,
    read_bytes,
    read_image_table,
    read_openood_list,
    read_vim_list,
    subset,
    without_labels,
)
from genovision.errors import InputError


@pytest.fixture
def listed(tmp_path):
    """`listed(reader, *lines)`: what the reader makes of a list of these lines."""

    def read(reader, *lines):
        write_text(tmp_path / "list.txt", lines)
        return reader(tmp_path / "list.txt", tmp_path)

    return read


def test_openood_splits_at_the_first_space_and_keeps_the_order(listed):
    images = listed(
        read_openood_list,
        "imagenet_1k/val/b.JPEG 65",
        "ninco/a_b/c.jpeg -1",
        "x.png {'label': 3, 'fine': 7}",
        "y.png  4",
    )
    assert images.names == ("imagenet_1k/val/b.JPEG", "ninco/a_b/c.jpeg", "x.png", "y.png")
    assert images.labels.tolist() == [65, -1, 3, 4]
    assert images.labels.dtype == np.int64
    assert images.lines == (1, 2, 3, 4)


def test_vim_takes_a_name_alone_or_with_a_label_behind_the_last_blank(listed):
    images = listed(read_vim_list, "00a1.jpg", "val/n01440764/x y.JPEG 0", "", "two words.jpg", "b.jpg\t12")
    assert images.names == ("00a1.jpg", "val/n01440764/x y.JPEG", "two words.jpg", "b.jpg")
    assert images.labels.tolist() == [-1, 0, -1, 12]
    assert images.lines == (1, 2, 4, 5)


def test_windows_line_ends_and_a_missing_last_one_change_nothing(tmp_path):
    (tmp_path / "list.txt").write_bytes(b"a.jpg 1\r\nb.jpg -1")
    for reader in (read_openood_list, read_vim_list):
        images = reader(tmp_path / "list.txt", tmp_path)
        assert (images.names, images.labels.tolist()) == (("a.jpg", "b.jpg"), [1, -1])


BAD = {
    "no label": (["a.jpg 1", "b.jpg"], "line 2: no label behind 'b.jpg'"),
    "a word": (["a.jpg one"], "line 1: the label 'one' is no whole number"),
    "a fraction": (["a.jpg 1.5"], "line 1: the label '1.5' is no whole number"),
    "a dictionary without label": (["a.jpg {'class': 1}"], "line 1: the label"),
    "code": (["a.jpg __import__('os').getcwd()"], "line 1: the label"),
    "an absolute path": (["a.jpg 1", "/etc/passwd 1"], "line 2: '/etc/passwd' must be a path below"),
    "a way out": (["../a.jpg 1"], "line 1: '../a.jpg' must be a path below"),
    "below -1": (["a.jpg 1", "b.jpg -2"], "line 2: the label -2 is below -1"),
    "empty": ([""], "names no image"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_line_that_does_not_fit_is_named(listed, name):
    lines, sentence = BAD[name]
    with pytest.raises(InputError, match=r"list\.txt") as caught:
        listed(read_openood_list, *lines)
    assert sentence in str(caught.value)


def test_a_list_that_is_no_text_is_refused(tmp_path):
    save(tmp_path, "list.txt", picture(1), format="JPEG")
    with pytest.raises(InputError, match="not text in UTF-8"):
        read_vim_list(tmp_path / "list.txt", tmp_path)


def test_a_missing_file_is_named_with_list_and_line(listed, tmp_path):
    save(tmp_path, "a.jpg", picture(1))
    images = listed(read_openood_list, "a.jpg 0", "", "gone/b.jpg 1", "c.jpg 1")
    with pytest.raises(InputError) as caught:
        check_files(images)
    assert "list.txt, line 3: gone/b.jpg is not below" in str(caught.value)
    assert "2 of 3 are missing" in str(caught.value)


def test_images_may_lie_in_a_zip_archive(tmp_path):
    save(tmp_path, "a.jpg", picture(1))
    with zipfile.ZipFile(tmp_path / "images.zip", "w") as archive:
        archive.write(tmp_path / "a.jpg", "inside/a.jpg")
    write_text(tmp_path / "list.txt", ["inside/a.jpg 0", "inside/b.jpg 1"])
    images = read_openood_list(tmp_path / "list.txt", tmp_path / "images.zip")
    assert read_bytes(images.root, images.names[0]) == (tmp_path / "a.jpg").read_bytes()
    with pytest.raises(InputError, match=r"line 2: inside/b\.jpg is not below"):
        check_files(images)
    with pytest.raises(InputError, match="is not there"):
        read_bytes(images.root, "inside/b.jpg")


def test_our_table_is_read_back_with_its_line_numbers(tmp_path):
    (tmp_path / "t.tsv").write_text("name\tlabel\nNA\t3\n7/x y.jpg\t-1\n")
    images = read_image_table(tmp_path / "t.tsv", tmp_path)
    assert (images.names, images.labels.tolist()) == (("NA", "7/x y.jpg"), [3, -1])
    assert images.place(1).endswith("t.tsv, line 3")
    (tmp_path / "t.tsv").write_text("name\tlabel\na.jpg\tx\n")
    with pytest.raises(InputError, match="whole numbers"):
        read_image_table(tmp_path / "t.tsv", tmp_path)


def test_a_subset_is_drawn_without_replacement_in_the_lists_order(listed):
    images = listed(read_openood_list, *(f"{k}.jpg {k}" for k in range(50)))
    drawn = subset(images, 20, np.random.default_rng(0))
    assert len(set(drawn.names)) == 20
    assert (np.diff(drawn.labels) > 0).all()
    assert drawn.names == subset(images, 20, np.random.default_rng(0)).names
    assert subset(images, 50, np.random.default_rng(0)) is images
    assert chosen(images, [3, 1]).lines == (4, 2)
    assert set(without_labels(images).labels.tolist()) == {-1}
