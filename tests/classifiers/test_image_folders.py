"""Every set of resources/imagenet.tsv, from a miniature in its owner's layout; and what is said when one is missing."""

import pytest
from classifiers.imagenet_miniature import TABLE, WNIDS, picture, run_command, save, small, write_miniatures, write_text

from genovision.classifiers.image_folders import find_images, read_class_folders, read_images_below, read_labelled_names
from genovision.classifiers.imagenet_sets import count_warning, read_image_sets
from genovision.classifiers.preprocessing import read_image
from genovision.errors import InputError

SETS = read_image_sets(TABLE)
# images in the miniature
COUNTS = {
    "imagenet_train": 6, "imagenet_val": 9, "vim_imagenet_val": 6, "imagenet200_train": 6, "imagenet200_test": 6,
    "near_imagenet200": 2, "caltech45": 2, "openimage_o": 2, "inaturalist": 3, "imagenet_o": 3, "textures": 2,
    "colorectal": 3, "colonoscopy": 3, "spacenet": 3, "noise": 3,
    "openood_imagenet_train": 1, "openood_imagenet_val": 1, "openood_imagenet_test": 2,
    "openood_imagenet200_val": 1, "openood_imagenet200_test": 2, "openood_openimage_o_val": 1,
    "ssb_hard": 1, "ninco": 1, "openood_inaturalist": 1, "openood_textures": 1, "openood_openimage_o": 1,
}  # fmt: skip


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return write_miniatures(tmp_path_factory.mktemp("sets"))


def test_the_table_has_the_papers_sets_with_count_source_place_and_terms():
    assert set(COUNTS) == set(SETS) - {"photographs"}
    assert {name: SETS[name].count for name in ("openimage_o", "textures", "inaturalist", "imagenet_o", "caltech45")} == {
        "openimage_o": 17_632, "textures": 5_160, "inaturalist": 10_000, "imagenet_o": 2_000, "caltech45": 4_792
    }  # fmt: skip
    assert all(row.fetch and row.place and row.licence and row.title for row in SETS.values())
    assert {row.role for row in SETS.values()} == {"train", "val", "id", "near", "far"}


@pytest.mark.parametrize("name", COUNTS)
def test_every_set_is_read_from_its_own_layout(root, name):
    row = small(name)
    images = find_images(row, root)
    assert len(images) == COUNTS[name]
    assert all(read_image(images.root, file).mode == "RGB" for file in images.names)
    if row.role in ("near", "far"):
        assert set(images.labels.tolist()) == {-1}
    else:
        assert images.labels.min() >= 0


def test_labels_of_imagenet_are_ranks_of_the_wordnet_ids(root):
    images = find_images(small("imagenet_val"), root)
    assert {
        name.split("/")[0]: label for name, label in zip(images.names, images.labels.tolist(), strict=True)
    } == dict(zip(WNIDS, range(3), strict=True))
    assert list(images.names) == sorted(images.names)


def test_lists_keep_their_own_order_and_labels(root):
    assert find_images(small("openimage_o"), root).names == (f"{2:016x}.jpg", f"{0:016x}.jpg")
    assert find_images(small("openood_imagenet_test"), root).labels.tolist() == [65, 66]
    assert find_images(small("vim_imagenet_val"), root).labels.tolist() == [0, 0, 1, 1, 2, 2]


def test_a_subset_of_the_classes_takes_the_labels_of_the_whole(root):
    images = find_images(small("imagenet_val"), root, classes=["n00000001", *WNIDS])
    assert sorted(set(images.labels.tolist())) == [1, 2, 3]
    with pytest.raises(InputError, match="is none of the 2 classes"):
        find_images(small("imagenet_val"), root, classes=WNIDS[:2])


def test_a_missing_class_folder_would_shift_the_labels_and_is_refused(root):
    with pytest.raises(InputError, match="has 3 class folders, 1000 are needed"):
        find_images(SETS["imagenet_val"], root)


def test_a_folder_that_is_no_folder_of_imagenet_is_refused(tmp_path):
    save(tmp_path, "ILSVRC2012/val/cat/1.jpg", picture(1))
    with pytest.raises(InputError, match=r"cat is no WordNet id"):
        find_images(small("imagenet_val", classes=1), tmp_path)
    (tmp_path / "ILSVRC2012/val/n00000000").mkdir()
    with pytest.raises(InputError, match="n00000000 holds no image"):
        read_class_folders(tmp_path / "ILSVRC2012/val")
    save(tmp_path, "flat/ILSVRC2012_val_00000001.JPEG", picture(1), format="JPEG")
    with pytest.raises(InputError, match="must be sorted into classes"):
        read_class_folders(tmp_path / "flat")


def test_hidden_files_are_no_images_and_suffixes_may_be_large(tmp_path):
    save(tmp_path, "b/IMG.JPG", picture(1), format="JPEG")
    save(tmp_path, "a.png", picture(2))
    (tmp_path / "b" / "._IMG.JPG").write_bytes(b"\0\5\26\7")
    (tmp_path / ".cache").mkdir()
    save(tmp_path, ".cache/c.png", picture(3))
    (tmp_path / "readme.txt").write_text("text")
    assert read_images_below(tmp_path).names == ("a.png", "b/IMG.JPG")
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="holds no image"):
        read_images_below(tmp_path / "empty")


def test_labels_can_stand_in_the_names(tmp_path):
    for name in ("imagenet_01_559.jpg", "imagenet_00_99.jpg", "mnist_00_7.png"):
        save(tmp_path, f"data/{name}", picture(1))
    images = read_labelled_names(tmp_path, r"data/imagenet_\d+_(\d+)\.jpg")
    assert (images.names, images.labels.tolist()) == (
        ("data/imagenet_00_99.jpg", "data/imagenet_01_559.jpg"),
        [99, 559],
    )
    with pytest.raises(InputError, match="no image named like"):
        read_labelled_names(tmp_path, r"cifar_\d+_(\d+)\.png")
    (tmp_path / "x.whl").write_bytes(b"PK\3\4 no archive")
    with pytest.raises(InputError, match="no zip archive"):
        read_labelled_names(tmp_path / "x.whl", r"(\d)")


@pytest.mark.parametrize("name", sorted(set(SETS) - {"photographs"}))
def test_a_missing_set_says_what_to_fetch_and_where_to_put_it(tmp_path, name):
    with pytest.raises(InputError) as caught:
        find_images(SETS[name], tmp_path)
    sentence = str(caught.value)
    assert SETS[name].fetch in sentence
    assert SETS[name].place in sentence
    assert SETS[name].licence in sentence
    assert str(tmp_path) in sentence
    assert "\n" not in sentence


def test_a_missing_list_says_so_too(root, tmp_path):
    save(tmp_path, "openimages/test/a.jpg", picture(1))
    with pytest.raises(InputError, match=r"openimages/openimage_o\.txt is not there: Openimage-O must be fetched"):
        find_images(SETS["openimage_o"], tmp_path)


def test_a_count_that_differs_from_the_owners_is_a_warning():
    assert count_warning(SETS["imagenet_o"], 2000) is None
    assert count_warning(SETS["spacenet"], 7) is None
    assert count_warning(SETS["imagenet_o"], 1999) == "ImageNet-O has 1,999 images here; its owner says 2,000."


BAD_TABLES = {
    "columns": ("set\ttitle\n", "line 1: the columns must be"),
    "role": ("{head}\nx\tX\todd\t1\t\tfolder\tx\t\t\tl\tf\tp\n", "line 2: role is 'odd'"),
    "layout": ("{head}\nx\tX\tnear\t1\t\tzip\tx\t\t\tl\tf\tp\n", "line 2: layout is 'zip'"),
    "count": ("{head}\nx\tX\tnear\tmany\t\tfolder\tx\t\t\tl\tf\tp\n", "line 2: count is 'many'"),
    "short": ("{head}\nx\tX\n", "line 2: 2 columns"),
    "twice": ("{head}\n{row}{row}", "line 3: x stands there twice"),
}


@pytest.mark.parametrize("name", BAD_TABLES)
def test_a_row_that_does_not_fit_is_named(tmp_path, name):
    text, sentence = BAD_TABLES[name]
    head, row = TABLE.read_text().splitlines()[0], "x\tX\tnear\t1\t\tfolder\tx\t\t\tl\tf\tp\n"
    (tmp_path / "t.tsv").write_text(text.format(head=head, row=row))
    with pytest.raises(InputError) as caught:
        read_image_sets(tmp_path / "t.tsv")
    assert sentence in str(caught.value)


def test_the_command_writes_the_list_and_draws_from_it(root, tmp_path, capsys):
    common = ("classifiers/prepare_image_list", "--table", TABLE, "--root", root, "--out", tmp_path / "l.tsv")
    assert run_command(*common, "--set", "spacenet") == 0
    whole = (tmp_path / "l.tsv").read_text()
    assert whole.splitlines()[:2] == ["name\tlabel", "3band_AOI_1_RIO_img0.tif\t-1"]
    assert run_command(*common, "--set", "colonoscopy", "--limit", 2) == 0
    assert len((tmp_path / "l.tsv").read_text().splitlines()) == 3
    assert "warning: Colonoscopy" in capsys.readouterr().err
    write_text(tmp_path / "classes.txt", WNIDS)
    assert run_command(*common, "--set", "imagenet_val", "--classes", tmp_path / "classes.txt") == 0


def test_a_training_set_can_be_divided_for_choosing_by(root, tmp_path):
    common = (
        "classifiers/prepare_image_list",
        "--table",
        TABLE,
        "--root",
        root,
        "--set",
        "colonoscopy",
        "--hold-out",
        1,
    )
    lists = {}
    for part in ("kept", "held_out"):
        assert run_command(*common, "--part", part, "--out", tmp_path / f"{part}.tsv") == 0
        lists[part] = (tmp_path / f"{part}.tsv").read_text().splitlines()[1:]
    assert [len(lists[part]) for part in ("kept", "held_out")] == [2, 1]
    assert len({*lists["kept"], *lists["held_out"]}) == 3
    assert run_command(*common[:-1], 3, "--part", "kept", "--out", tmp_path / "x.tsv") == 2
    assert run_command(*common[:-2], "--part", "kept", "--out", tmp_path / "x.tsv") == 2


def test_the_command_ends_with_one_sentence_and_2(root, tmp_path, capsys):
    common = ("classifiers/prepare_image_list", "--table", TABLE, "--root", tmp_path, "--out", tmp_path / "l.tsv")
    for options, sentence in (
        (("--set", "ninco"), "NINCO must be fetched by you from"),
        (("--set", "nothing"), "--set nothing is none of"),
        (("--set", "ninco", "--limit", "0"), "--limit 0 must be positive"),
    ):
        assert run_command(*common, *options) == 2
        error = capsys.readouterr().err.splitlines()[-1]
        assert error.startswith("error: ")
        assert sentence in error
    assert not (tmp_path / "l.tsv").exists()
