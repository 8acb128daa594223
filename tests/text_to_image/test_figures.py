"""Figures: the same bytes again, everything in them that should be, and the command that draws them."""

import numpy as np
import pandas as pd
import pytest

from genovision.arrays import write_arrays
from genovision.figures import save, style
from genovision.tables import write_table
from genovision.text_to_image import evaluation, figures
from genovision.text_to_image.pairs import write_image
from genovision.uncertainty.resampled import Draws

SETS = {"normal": "normal", "ood_object": "ood", "vague": "vague"}
TEXTS = {
    "normal": "a red heart left of a blue dog",
    "ood_object": "a $5 note & <b>",
    "vague": "a dog \x07 of something" * 5,
}


def scores(prompts=6, seeds=2):
    rng, rows = np.random.default_rng(0), []
    for key, kind in SETS.items():
        for number in range(prompts):
            for seed in range(seeds):
                row = {"id": f"{key}-{number}", "set": key, "kind": kind, "seed": seed, "text": TEXTS[key]}
                row |= {"group": ("a", "b")[number % 2] if kind == "normal" else ""}
                names = (
                    *(f"bertscore_{side}" for side in ("epistemic", "aleatoric", "f1")),
                    "pixel_distance",
                    "nearest_training",
                )
                rows.append(row | {name: rng.random() for name in names})
    return pd.DataFrame(rows)


@pytest.fixture
def tables():
    return evaluation.evaluate({"scenes": scores()}, Draws(20, 0))


def drawn(figure_of, path):
    with style():
        save(figure_of(), path)
    return path.read_text()


def test_the_same_bytes_again(tables, tmp_path):
    both = pd.concat([scores().assign(world=name) for name in ("scenes", "glyphs")])
    for figure_of in (
        lambda: figures.disentanglement(both, "bertscore"),
        lambda: figures.detection(tables.detection, "scenes"),
        lambda: figures.groups(tables.groups),
        lambda: sheet(),
    ):
        first, second = (drawn(figure_of, tmp_path / f"{name}.svg") for name in "ab")
        assert first == second and "<svg" in first


def sheet():
    rows = figures.extremes(scores().query("seed == 0"), "bertscore_f1", 2)
    images = np.random.default_rng(0).integers(0, 256, (len(rows), 3, 8, 8, 3), dtype=np.uint8)
    captions = [["", "a very long caption " * 9, "$x_1$ dog"]] * len(rows)
    return figures.contact_sheet(rows, images, captions, "bertscore")


def test_a_contact_sheet_shows_all_of_it():
    with style():
        figure = sheet()
    written = "\n".join(text.get_text() for text in figure.texts)
    assert len(figure.axes) == 3 * 4 * 3
    assert written.count("(empty)") == 12 and written.count(r"\$x_1\$") == 12
    assert "OOD object" in written and "a red heart left of a blue dog" in written
    assert written.count("1 - R 0.") == 12 and "\x07" not in written


def test_extremes_are_the_best_and_the_worst_and_never_both():
    table = pd.DataFrame({"id": list("cabde"), "set": list("xxxyy"), "score": [1.0, 1.0, 3.0, 2.0, 1.0]})
    found = figures.extremes(table, "score", 2)
    assert found[["id", "place"]].to_numpy().tolist() == [
        ["a", "best"],
        ["c", "best"],
        ["b", "worst"],
        ["e", "best"],
        ["d", "worst"],
    ]


def test_ellipses_have_the_axes_of_the_points():
    rng = np.random.default_rng(0)
    table = scores(200, 1)
    x, y = rng.normal(size=(2, len(table)))
    table["bertscore_epistemic"], table["bertscore_aleatoric"] = 0.5 + 0.2 * x, 0.5 + 0.2 * x + 0.02 * y
    with style():
        ax = figures.disentanglement(table.assign(world="scenes"), "bertscore").axes[0]
    assert len(ax.patches) == 3
    for patch in ax.patches:
        assert patch.angle == pytest.approx(45, abs=2)
        assert patch.width == pytest.approx(2 * 0.2 * np.sqrt(2), rel=0.2) and patch.height < 0.1 * patch.width


def test_an_empty_table_of_groups_is_said_to_be_one(tables):
    with style():
        figure = figures.groups(tables.groups.iloc[:0])
    assert figure.axes[0].texts[0].get_text() == "no prompts with groups"


def test_names():
    assert (
        figures.name_of("rouge1_epistemic") == "ROUGE-1 1 - R" and figures.name_of("bertscore_f1") == "BERTScore 1 - F1"
    )
    assert figures.name_of("ood_object") == "OOD object" and figures.name_of("vague_unnamed") == "vague unnamed"


# --- the command -------------------------------------------------------------------------------------------------------------------


@pytest.fixture
def plotting(tables, tmp_path):
    """Options of the command for one world."""
    table = scores()
    write_table(table, tmp_path / "scores.parquet")
    rows = [(key, sample, "a dog") for key in dict.fromkeys(table["id"]) for sample in range(6)]
    write_table(pd.DataFrame(rows, columns=["id", "sample", "caption"]), tmp_path / "captions.tsv")
    write_arrays(tmp_path / "images.npz", images=np.zeros((len(rows), 4, 4, 3), np.uint8))
    write_table(tables.detection, tmp_path / "detection.tsv")
    write_table(tables.groups, tmp_path / "groups.tsv")
    inputs = [tmp_path / name for name in ("scores.parquet", "captions.tsv", "images.npz")]
    named = [text for name in ("detection", "groups") for text in (f"--{name}", tmp_path / f"{name}.tsv")]
    outputs = ("disentanglement-figure", "groups-figure", "auroc-figures", "contact-sheets")
    named += [text for name in outputs for text in (f"--{name}", tmp_path / f"{name}.svg")]
    return ["text_to_image/plot_punc", "--world", "scenes", *inputs, "--size", 3, *named]


def test_the_command_draws_them_all(command, plotting, tmp_path):
    code, err = command(*plotting)
    assert code == 0, err
    assert sorted(path.stem for path in tmp_path.glob("*.svg")) == [
        "auroc-figures",
        "contact-sheets",
        "disentanglement-figure",
        "groups-figure",
    ]


def test_large_images_in_a_folder_are_shown_small(command, plotting, tmp_path):
    captions = pd.read_csv(tmp_path / "captions.tsv", sep="\t")
    name = write_image(np.zeros((300, 300, 3), np.uint8), tmp_path / "png")
    write_table(captions.assign(image=name), tmp_path / "captions.tsv")
    changed = [tmp_path / "png" if value == tmp_path / "images.npz" else value for value in plotting]
    code, err = command(*changed)
    assert code == 0, err
    assert 'width="300"' not in (tmp_path / "contact-sheets.svg").read_text()


def test_what_the_command_refuses(command, plotting, tables, tmp_path):
    write_table(tables.detection.assign(world="glyphs"), tmp_path / "other.tsv")
    for more, said in (
        (["--detection", tmp_path / "other.tsv"], "has no world scenes"),
        (["--similarity", "rouge1"], "no column rouge1_epistemic"),
        (["--contact-sheets", tmp_path / "a.svg", tmp_path / "b.svg"], "one file per --world"),
        (["--examples", 0], "--examples 0"),
    ):
        code, err = command(*plotting, *more)
        assert (code, said in err) == (2, True), err
        assert not list(tmp_path.glob("*.svg"))
