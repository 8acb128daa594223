"""Figures of generators: what is in them, in which order, the same bytes again; the closed forms of logos; the commands that draw them."""

import itertools
import json

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.collections import PathCollection

from genovision.dna import generator_figures as figures
from genovision.dna import logos
from genovision.dna.curves import CURVES, positions
from genovision.dna.fasta import write_set
from genovision.figures import BLACK, COLOURS, GREY, style
from genovision.tables import write_table

SPECIES = "A_one"


@pytest.fixture(autouse=True)
def _styled():
    with style():
        yield
    plt.close("all")


def written(figure) -> str:
    """All texts of a figure, of panels and legend too, a line each."""
    return "\n".join(text.get_text() for text in figure.findobj(plt.Text))


def dots(axes):
    """(x, y, colour, filled) of every dot of a panel, from the top row down."""
    found = [line for line in axes.lines if line.get_marker() == "o" and len(line.get_xdata()) == 1]
    found = [
        (line.get_xdata()[0], line.get_ydata()[0], line.get_color(), line.get_markerfacecolor() != "white")
        for line in found
    ]
    return sorted(found, key=lambda dot: dot[1])


# --- logos -------------------------------------------------------------------------------------------------------------------------


def test_information_in_closed_form():
    few = 3 / (2 * np.log(2))
    counts = [[8, 0, 0, 0], [4, 4, 0, 0], [2, 2, 2, 2], [4, 2, 2, 0], [0, 0, 0, 1]]
    plain = np.array([2, 1, 0, 0.5, 2])
    assert logos.information(counts, corrected=False) == pytest.approx(plain)
    assert logos.information(counts) == pytest.approx(plain - few / np.array([8, 8, 8, 8, 1]))
    # one sequence tells nothing of the others
    assert logos.information(counts)[-1] < 0


def test_nothing_counted_is_unknown_and_has_no_height():
    assert np.isnan(logos.information([[0, 0, 0, 0]])).all()
    assert logos.heights([[0, 0, 0, 0]]).tolist() == [[0, 0, 0, 0]]


@given(
    st.lists(st.lists(st.integers(0, 500), min_size=4, max_size=4), min_size=1, max_size=6), st.permutations(range(4))
)
def test_heights_add_up_to_the_information_and_know_no_base(counts, order):
    counts = np.array(counts)
    found = logos.heights(counts)
    bits = np.nan_to_num(logos.information(counts))
    assert found.sum(axis=1) == pytest.approx(np.maximum(bits, 0), abs=1e-12)
    assert ((found >= 0) & (found.sum(axis=1, keepdims=True) <= 2)).all()
    assert logos.heights(counts[:, list(order)]) == pytest.approx(found[:, list(order)], abs=1e-12)


def test_random_sequences_tell_nothing_on_average():
    counts = logos.base_counts(np.random.default_rng(0).integers(0, 4, (100, 4000)).astype(np.uint8))
    excess = 3 / (2 * np.log(2) * 100)
    assert logos.information(counts).mean() == pytest.approx(0, abs=0.03 * excess)
    assert logos.information(counts, corrected=False).mean() == pytest.approx(excess, rel=0.03)


def test_base_counts_leave_other_letters_out():
    assert logos.base_counts(["ACGT", "AcNT"]).tolist() == [[2, 0, 0, 0], [0, 2, 0, 0], [0, 0, 1, 0], [0, 0, 0, 2]]


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (lambda: logos.information([[1, 2, 3]]), "not (positions, 4)"),
        (lambda: logos.information([[1, 2, 3, -1]]), "not negative"),
        (lambda: logos.information([[1, 2, 3, np.nan]]), "must be finite"),
        (lambda: logos.base_counts(np.zeros((0, 4), np.uint8)), "one sequence or more"),
        (lambda: logos.base_counts(["ACG", "AC"]), "lengths must be equal"),
        (lambda: logos.logos({}, -2, 1, ""), "no set to draw"),
        (lambda: logos.logos({"one": np.zeros((2, 8), np.uint8)}, -5, 1, ""), "window of one does not have"),
        (lambda: logos.logos({"one": np.zeros((2, 8), np.uint8)}, 1, 0, ""), "window of one does not have"),
    ],
)
def test_logos_say_what_is_wrong(wrong, said):
    with pytest.raises(ValueError, match=said.replace("(", r"\(").replace(")", r"\)")):
        wrong()


def test_the_highest_letter_is_on_top_and_stacks_are_as_high_as_their_information():
    axes = plt.subplots()[1]
    letters = np.array([[0.2, 0.5, 0.0, 0.3], [0.0, 0.0, 0.0005, 0.0]])
    logos.stack_letters(axes, letters, np.array([-3, -2]))
    (drawn,) = (one for one in axes.collections if isinstance(one, PathCollection))
    boxes = [path.get_extents() for path in drawn.get_paths()]
    # A, T, C from below, and nothing at the second place: too low to be seen
    assert [(box.y0, box.y1) for box in boxes] == [pytest.approx(span) for span in ((0, 0.2), (0.2, 0.5), (0.5, 1.0))]
    assert {(round(box.x0, 6), round(box.x1, 6)) for box in boxes} == {(-3.46, -2.54)}
    colours = [plt.matplotlib.colors.to_hex(colour) for colour in drawn.get_facecolor()]
    assert colours == [COLOURS[2], COLOURS[0], COLOURS[1]]


def test_logos_have_a_panel_per_set_on_one_scale():
    codes = np.tile(np.array([0, 1, 2, 3], np.uint8), (400, 2))
    sets = {
        "test": codes,
        "discdiff_ddim_20": codes,
        "a_$b$": np.random.default_rng(0).integers(0, 4, (400, 8), np.uint8),
    }
    figure = logos.logos(sets, -1, 1, "one $ & <b>")
    first, second, third = figure.axes
    bits = 3 * (2 - 3 / (2 * np.log(2) * 400))
    assert first.get_title(loc="left") == f"real, test: {bits:.2f} bits, n = 400"
    assert second.get_title(loc="left").startswith("DiscDiff, ddim 20: ") and r"a \$b\$: " in third.get_title(
        loc="left"
    )
    assert first.get_ylim() == second.get_ylim() == third.get_ylim()
    # index 4 is the start site: 3, 4 and 5 are T, A, C
    drawn = [plt.matplotlib.colors.to_hex(c) for c in first.collections[0].get_facecolor()]
    assert drawn == [COLOURS[0], COLOURS[2], COLOURS[1]]
    assert r"one \$ & <b>" in written(figure)


# --- measures ----------------------------------------------------------------------------------------------------------------------

SETS = {  # set: generator, parents, sampler, nfe, threshold, value
    "test": ("", "", "", None, None, 0.0),
    "markov5": ("", "", "", None, None, 20.0),
    "train": ("", "", "", None, None, 1.0),
    "chance": ("", "", "", None, None, 5.0),
    "absorb_escape": ("absorb_escape", "discdiff autoregressive", "", None, 0.85, 3.0),
    "random_refill": ("random_refill", "discdiff autoregressive", "", None, 0.85, 9.0),
    "discdiff": ("discdiff", "", "ddpm", 250, None, 4.0),
    "discdiff_fast": ("discdiff", "", "deis_sn", 20, None, 6.0),
    "a$x$<b>": ("", "", "", None, None, 7.0),
}
ORDER = ["real, train", "DiscDiff, ddpm 250", "DiscDiff, deis-sn 20", r"a\$x\$<b>", "Absorb & Escape"]
ORDER += ["control: random refill", "Markov, order 5"]


def measured(**changes):
    rows = []
    for metric, motif in (("fred", ""), ("cor", "TATA-box"), ("js6", "")):
        for name, (generator, parents, sampler, nfe, threshold, value) in SETS.items():
            row = {"species": SPECIES, "set": name, "motif": motif, "metric": metric, "value": value}
            row |= {"low": value - 0.5, "high": value + 0.5, "floor": 1.0, "n": 9, "convention": "so", "length": 80}
            row |= {"generator": generator, "parents": parents, "sampler": sampler, "nfe": nfe, "threshold": threshold}
            rows.append(row)
    return pd.DataFrame(rows).assign(**changes)


def test_measures_have_a_dot_per_set_in_order_beside_the_floor():
    figure = figures.measures(measured(), "A", ["fred", "cor:TATA-box", "js6"])
    fred, cor, js6 = figure.axes
    assert [label.get_text() for label in fred.get_yticklabels()] == ORDER
    assert [axes.get_title(loc="left") for axes in figure.axes] == ["FReD", "CorM, TATA-box", "6-mers, JS above floor"]
    assert [axes.get_xscale() for axes in figure.axes] == ["log", "linear", "linear"]
    values = [1, 4, 6, 7, 3, 9, 20]
    assert [dot[0] for dot in dots(fred)] == values and [dot[1] for dot in dots(fred)] == list(range(7))
    assert [dot[0] for dot in dots(js6)] == [1000 * (value - 1) for value in values]
    assert [dot[2] for dot in dots(cor)] == [BLACK, COLOURS[1], COLOURS[1], COLOURS[0], COLOURS[2], COLOURS[2], GREY]
    assert [dot[3] for dot in dots(cor)] == [True] * 5 + [False, True]
    lines = {line.get_linestyle(): line.get_xdata()[0] for line in fred.lines if len(set(line.get_xdata())) == 1}
    assert lines[":"] == 1 and lines["--"] == 5
    assert all(text in written(figure) for text in ("floor: real train", "chance", "control", "no network"))
    top, bottom = fred.get_ylim()[::-1]
    assert top < 0 and bottom > 6  # the first row is above


def test_measures_that_are_missing_undefined_or_doubtful():
    table = measured()
    table.loc[(table["set"] == "discdiff") & (table["metric"] == "cor"), ["value", "low", "high"]] = np.nan
    table.loc[table["metric"] == "cor", "convention"] = "so; x, too few for a trustworthy interval"
    table = table[~((table["set"] == "markov5") & (table["metric"] == "cor"))]
    cor = figures.measures(table, "A", ["cor:TATA-box"]).axes[0]
    assert [text.get_text() for text in cor.texts] == ["undefined"]
    assert len(dots(cor)) == 5 and "too few hits" in cor.get_xlabel()


def test_sets_of_one_name_are_told_apart_by_what_differs():
    rows = [
        ("ae_1", "absorb_escape", "discdiff autoregressive", "", None, 0.85),
        ("ae_2", "absorb_escape", "masked_diffusion autoregressive", "", None, 0.85),
        ("same_1", "x", "", "", None, None),
        ("same_2", "x", "", "", None, None),
    ]
    table = pd.DataFrame(rows, columns=["set", "generator", "parents", "sampler", "nfe", "threshold"])
    found = figures.order_sets(table)
    assert found["label"].tolist() == [
        "same 1",
        "same 2",
        "Absorb & Escape, DiscDiff",
        "Absorb & Escape, masked diffusion",
    ]
    assert found["kind"].tolist() == ["generator"] * 2 + ["refinement"] * 2


def test_panels():
    assert figures.panel_of("cor:TATA-box") == ("CorM, TATA-box", "higher is better", 1.0, False, False)
    assert figures.panel_of("cor:MA0$1").title == "CorM, MA0$1" and figures.panel_of("my_own:x").title == "my own, x"
    assert figures.panel_of("mse:Initiator").ratio and not figures.panel_of("species_accuracy").ratio


def test_names():
    assert (
        figures.label_of("discdiff_ddim_20") == "DiscDiff, ddim 20" and figures.label_of("markov5") == "Markov, order 5"
    )
    assert figures.label_of("H_sapiens") == "H. sapiens" and figures.label_of("my_set") == "my set"
    assert figures.plain("a\x07 $b$\n") == r"a \$b\$"


# --- motif curves ------------------------------------------------------------------------------------------------------------------

CURVE_SETS = ("test", "train", "discdiff", "discdiff_ddim_20", "markov5")


def curves(name, motifs=("TATA-box", "Initiator"), percent=2.0):
    place = positions(80)
    rows = []
    for motif in motifs:
        row = {"species": SPECIES, "length": 80, "set": name, "motif": motif, "position": place, "percent": percent}
        row |= {"low": 1.0, "high": 3.0, "window": 20, "window_percent": 9.0, "window_low": 8.0, "window_high": 10.0}
        rows.append(pd.DataFrame(row))
    return pd.concat(rows)[CURVES]


def test_motif_curves_draw_chosen_sets_over_the_real_one():
    table = pd.concat([curves(name) for name in CURVE_SETS])
    figure = figures.motif_curves(table, "A", ["markov5", "discdiff", "discdiff_ddim_20"], ["Initiator", "TATA-box"])
    assert len(figure.axes) == 4
    names = [text.get_text() for text in figure.legends[0].get_texts()]
    assert names == ["real, test", "Markov, order 5", "DiscDiff", "DiscDiff, ddim 20"]
    for axes in figure.axes:
        lines = [line for line in axes.lines if len(line.get_xdata()) == 80]
        colours = [line.get_color() for line in lines]
        assert colours[:3] == [BLACK, GREY, COLOURS[1]] and colours[3] not in colours[:3]
    whole, near = figure.axes[2:]
    assert whole.get_title(loc="left") == "TATA-box" and whole.get_xlim() == (-40, 39)
    assert near.get_xlim() == (-40, -10)  # ten beyond the region, the window's end at the left


def test_motif_curves_of_a_rare_motif_are_counted_in_windows():
    table = pd.concat([curves("test", ["X$box"], 0.0), curves("discdiff", ["X$box"], 0.0)])
    figure = figures.motif_curves(table, "A", ["discdiff"], ["X$box"])
    (axes,) = figure.axes  # EPD expects nothing of it anywhere
    assert axes.get_title(loc="left") == r"X\$box, in windows of 20 bp"
    assert {len(line.get_xdata()) for line in axes.lines} == {60, 2} and axes.lines[0].get_ydata()[0] == 9


# --- Absorb & Escape ---------------------------------------------------------------------------------------------------------------


def swept():
    rows = [
        {"rule": name, "metric": "fred", "value": value} for name, value in (("diffusion", 6), ("autoregression", 4))
    ]
    for confidence, rule, control in itertools.product(
        ("decoder", "posterior"), ("natural", "my_rule"), figures.CONTROLS
    ):
        for threshold in (1.0, 0.0, 0.5):  # drawn in order all the same
            value = 5 + threshold + figures.CONTROLS.index(control)
            row = {"rule": rule, "confidence": confidence, "control": control, "threshold": threshold, "metric": "fred"}
            row |= {"edit_rate": threshold / 2, "changed_rate": threshold / 4, "share_below": threshold}
            rows.append(row | {"value": value, "low": value - 1, "high": value + 1, "mean_run_length": 3.0})
    return pd.DataFrame(rows)


def test_a_sweep_has_a_line_per_rule_and_control_between_its_parents():
    figure = figures.refinement_sweep(swept(), "A", ["fred"])
    assert len(figure.axes) == 4
    for axes in figure.axes[:2]:
        lines = [line for line in axes.lines if len(line.get_xdata()) == 3]
        assert [line.get_linestyle() for line in lines] == ["-", "--", ":"] * 2
        assert lines[0].get_xdata().tolist() == [0, 25, 50] and lines[1].get_ydata().tolist() == [6, 6.5, 7]
        levels = {line.get_color(): line.get_ydata()[0] for line in axes.lines if len(line.get_xdata()) == 2}
        assert levels == {COLOURS[1]: 6, COLOURS[0]: 4}
    below, edits, changed = figure.axes[2].lines[:3]
    assert below.get_ydata().tolist() == [0, 50, 100] and below.get_color() == GREY
    assert edits.get_ydata().tolist() == [0, 25, 50] and changed.get_ydata().tolist() == [0, 12.5, 25]
    assert figure.axes[0].get_title(loc="left") == "confidence: decoder"
    assert figure.axes[0].get_ylabel() == "FReD\nlower is better"
    for text in ("diffusion alone", "A&E, natural escape", "A&E, my rule escape", "control: refilled elsewhere"):
        assert text in written(figure)


# --- training ----------------------------------------------------------------------------------------------------------------------


def test_training_has_a_panel_per_model_with_its_facts():
    losses = pd.DataFrame({"step": [2, 1], "loss": [1.0, 300.0], "held_out": [2.0, 200.0]})
    accuracy = pd.DataFrame({"step": [1, 2], "loss": [1.2, 1.0], "accuracy_of_bases": [0.5, 0.9]})
    facts = {"parameters": 1_260_000, "bits_per_base": 1.9341, "species": ["A"]}
    figure = figures.training([("a $5 model", losses, facts), ("other", accuracy, {"bits_per_base": None})])
    first, second, right = figure.axes
    assert first.get_title(loc="left") == "a \\$5 model\n1.26 M parameters, 1.934 bits/base"
    assert first.lines[0].get_ydata().tolist() == [300, 1] and first.lines[1].get_ydata().tolist() == [200, 2]
    assert (first.get_yscale(), second.get_yscale()) == ("log", "linear")
    assert right.get_ylabel() == "accuracy of bases" and len(second.lines) == 1
    assert "axis at the right" in written(figure)


# --- uncertainty -------------------------------------------------------------------------------------------------------------------


def detected():
    rows = []
    for ood, (system, score) in itertools.product(
        ("shuffle", "B_two"), (("control", "gc"), ("single", "nll"), ("ensemble", "nll"))
    ):
        row = {"system": system, "ood": ood, "score": score, "value": 0.7, "low": 0.6, "high": 0.8}
        rows += [row | {"metric": metric, "n_id": 60, "n_ood": 40} for metric in ("auroc", "fpr95")]
    return pd.DataFrame(rows)


def test_uncertainty_has_controls_last_and_grey():
    figure = figures.uncertainty(detected(), "A")
    assert [axes.get_title(loc="left") for axes in figure.axes] == [
        "dinucleotide shuffle\n60 ID, 40 OOD",
        "B. two\n60 ID, 40 OOD",
    ]
    labels = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    assert labels == ["single: NLL", "ensemble: NLL", "G and C"]
    for axes in figure.axes:
        assert [dot[0] for dot in dots(axes)] == pytest.approx([70, 70, 70])
        assert [dot[2] for dot in dots(axes)] == [COLOURS[0], COLOURS[1], GREY]
    assert figure.axes[0].get_xlim() == figure.axes[1].get_xlim()


# --- the grid ----------------------------------------------------------------------------------------------------------------------

EFFECTS = {
    "autoencoder": {"patch": 1.0, "conv": -1.0},
    "betas": {"linear": 0.3, "cosine": -0.1, "scaled_linear": -0.2},
    "width": {64: 0.5, 128: -0.5},
}


def gridded():
    rows = []
    for (autoencoder, betas, width), seed in itertools.product(itertools.product(*EFFECTS.values()), (0, 1)):
        value = 5 + sum(EFFECTS[f][v] for f, v in (("autoencoder", autoencoder), ("betas", betas), ("width", width)))
        row = {"autoencoder": autoencoder, "prediction": "v", "betas": betas, "width": width, "seed": seed}
        rows.append(row | {"metric": "fred", "value": value, "low": value - 0.1, "high": value + 0.1})
        rows.append(row | {"metric": "cor:TATA-box", "value": value, "low": value, "high": value})
    return pd.DataFrame(rows)


def expected(factor, levels):
    return [5 + EFFECTS[factor][level] for level in levels]


def test_main_effects_of_a_whole_grid_are_the_means_of_levels():
    runs = gridded().query("metric == 'fred'").reset_index(drop=True)
    runs["value"] += np.random.default_rng(0).normal(size=len(runs))
    factors = figures.varied(runs)
    assert factors == {
        "autoencoder": ["patch", "conv"],
        "betas": ["linear", "cosine", "scaled_linear"],
        "width": [64, 128],
    }
    for factor, found in figures.main_effects(runs, factors).items():
        assert found == pytest.approx([runs.loc[runs[factor] == level, "value"].mean() for level in factors[factor]])


def test_main_effects_of_a_grid_with_holes_do_not_mix():
    runs = gridded().query("metric == 'fred' and not (autoencoder == 'patch' and width == 64 and betas != 'cosine')")
    factors = figures.varied(runs)
    for factor, found in figures.main_effects(runs, factors).items():
        assert found == pytest.approx(expected(factor, factors[factor]))
    assert runs.groupby("width")["value"].mean()[64] != pytest.approx(5.5)  # the plain mean mixes


def test_main_effects_that_cannot_be_told_apart():
    runs = gridded().query("(autoencoder == 'patch') == (width == 64)")
    with pytest.raises(ValueError, match="do not tell the effects of autoencoder, betas, width apart"):
        figures.main_effects(runs, figures.varied(runs))


def test_a_grid_is_sorted_by_the_first_metric_and_failures_are_last():
    table = gridded()
    failed = (table["autoencoder"] == "conv") & (table["betas"] == "scaled_linear") & (table["width"] == 128)
    table.loc[failed, ["value", "low", "high"]] = np.nan
    # equal values: of the one the lower is better, of the other the higher
    for metrics in (["fred", "cor:TATA-box"], ["cor:TATA-box", "fred"]):
        figure = figures.latent_grid(table, "A", metrics)
        names = [label.get_text() for label in figure.axes[0].get_yticklabels()]
        assert names[-1] == "conv, scaled linear, width 128"
        assert names[0] == ("conv, cosine, width 128" if metrics[0] == "fred" else "patch, linear, width 64")
        assert [text.get_text() for text in figure.axes[0].texts] == ["failed"]
        assert len(dots(figure.axes[0])) == 11 * 2
    lower = figure.axes[2]
    assert [label.get_text() for label in lower.get_yticklabels()][:2] == ["patch", "conv"]
    means = [line for line in lower.lines if line.get_linestyle() == "-"]
    assert [list(line.get_xdata()) for line in means] == [
        pytest.approx(expected(f, figures.varied(table)[f])) for f in EFFECTS
    ]


# --- the commands ------------------------------------------------------------------------------------------------------------------


@pytest.fixture
def inputs(tmp_path):
    """Options of every command, its figures left out."""
    for name, table in (("m", measured()), ("sweep", swept()), ("ood", detected()), ("grid", gridded())):
        write_table(table, tmp_path / f"{name}.tsv")
    for name in CURVE_SETS:
        write_table(curves(name), tmp_path / f"{name}.curves.tsv")
    rng = np.random.default_rng(0)
    for name in ("test", "discdiff"):
        write_set(name, ["".join(rng.choice(list("ACGT"), 80)) for _ in range(30)], tmp_path / f"{name}.fa")
    (tmp_path / "model").mkdir()
    write_table(
        pd.DataFrame({"step": [1, 2], "loss": [2.0, 1.0], "held_out": [2.0, 1.5]}), tmp_path / "model/curve.tsv"
    )
    (tmp_path / "model/dna.json").write_text(json.dumps({"parameters": 10}))
    paths = [tmp_path / f"{name}.curves.tsv" for name in CURVE_SETS]
    text = ("--title", "A & <b> $5 -- x")
    return {
        "plot_generators": [
            *("--measures", tmp_path / "m.tsv", "--curves", *paths, "--species", SPECIES, "--name", "A & <b> $5"),
            *("--sets", "discdiff", "markov5"),
        ],
        "plot_refinement": ["--sweep", tmp_path / "sweep.tsv", *text],
        "plot_logos": ["--sets", tmp_path / "test.fa", tmp_path / "discdiff.fa", "--name", "A & <b> $5"],
        "plot_dna_training": ["--model", "A & <b> $5", tmp_path / "model", "--model", "other", tmp_path / "model"],
        "plot_dna_uncertainty": ["--detection", tmp_path / "ood.tsv", *text],
        "plot_latent_grid": ["--grid", tmp_path / "grid.tsv", *text],
    }


def outputs(name, folder):
    if name == "plot_generators":
        return ["--measures-figure", folder / "a.svg", "--curves-figure", folder / "b.svg"]
    return ["--out", folder / "a.svg"]


COMMANDS = [
    "plot_generators",
    "plot_refinement",
    "plot_logos",
    "plot_dna_training",
    "plot_dna_uncertainty",
    "plot_latent_grid",
]


@pytest.mark.parametrize("name", COMMANDS)
def test_commands_write_the_same_bytes_again_and_escape_names(command, inputs, tmp_path, name):
    found = []
    for folder in (tmp_path / "one", tmp_path / "two"):
        code, err = command(f"dna/{name}", *inputs[name], *outputs(name, folder))
        assert code == 0, err
        found.append([path.read_bytes() for path in sorted(folder.glob("*.svg"))])
    assert found[0] == found[1]
    for svg in found[0]:
        assert b"<b>" not in svg and b"A &amp; &lt;b&gt;" in svg and b"<dc:date>" not in svg
        assert str(tmp_path).encode() not in svg


def refused(command, name, options, folder):
    code, err = command(f"dna/{name}", *options, *outputs(name, folder))
    assert code == 2, err
    assert not list(folder.glob("*.svg"))
    return err.splitlines()[-1]


@pytest.mark.parametrize(
    ("name", "more", "said"),
    [
        ("plot_generators", ["--species", "Z_nine"], "no row of Z_nine; there is A_one"),
        ("plot_generators", ["--metrics", "fred", "fid"], "--metrics: no fid; there is fred, cor:TATA-box, js6"),
        (
            "plot_generators",
            ["--sets", "gan"],
            "--sets: no gan; there is test, train, discdiff, discdiff_ddim_20, markov5",
        ),
        ("plot_generators", ["--motifs", "TATA"], "--motifs: no TATA; there is TATA-box, Initiator"),
        ("plot_refinement", ["--metrics", "js6"], "has no js6; it has fred"),
        ("plot_refinement", ["--species", "A_one"], "it has no species"),
        ("plot_logos", ["--first", "-50"], "sequences run from -40 to 39, --first -50 and --last -20"),
        ("plot_logos", ["--first", "0", "--last", "40"], "do not lie inside"),
        ("plot_logos", ["--first", "-10"], "--first -10 must not lie behind --last -20"),
        ("plot_latent_grid", ["--metrics", "p_fid"], "has no p_fid; it has fred, cor:TATA-box"),
    ],
)
def test_commands_refuse_what_is_not_there(command, inputs, tmp_path, name, more, said):
    assert said in refused(command, name, [*inputs[name], *more], tmp_path)


@pytest.mark.parametrize(
    ("name", "file", "column"),
    [
        ("plot_generators", "m.tsv", "parents"),
        ("plot_generators", "test.curves.tsv", "window_percent"),
        ("plot_refinement", "sweep.tsv", "share_below"),
        ("plot_dna_training", "model/curve.tsv", "loss"),
        ("plot_dna_uncertainty", "ood.tsv", "n_ood"),
        ("plot_latent_grid", "grid.tsv", "seed"),
    ],
)
def test_commands_name_the_missing_column_and_refuse_empty_tables(command, inputs, tmp_path, name, file, column):
    path = tmp_path / file
    table = pd.read_csv(path, sep="\t")
    write_table(table.drop(columns=column), path)
    assert f"{path} has no column {column}" in refused(command, name, inputs[name], tmp_path)
    write_table(table.iloc[:0], path)
    if file != "test.curves.tsv":
        said = {
            "plot_generators": "there is no row at all",
            "plot_refinement": "has no row of a refinement",
            "plot_dna_training": "has no row",
            "plot_dna_uncertainty": "there is no row at all",
            "plot_latent_grid": "it has no metric",
        }
        assert said[name] in refused(command, name, inputs[name], tmp_path)
    else:
        assert "--sets: no test" in refused(command, name, inputs[name], tmp_path)
    path.write_text("")
    assert f"{path} is empty or damaged" in refused(command, name, inputs[name], tmp_path)


def test_commands_refuse_tables_that_cannot_be(command, inputs, tmp_path):
    write_table(measured().query("set == 'test'"), tmp_path / "m.tsv")
    assert "no set of A_one but test" in refused(command, "plot_generators", inputs["plot_generators"], tmp_path)
    write_table(measured(), tmp_path / "m.tsv")
    write_table(curves("train").assign(length=256), tmp_path / "train.curves.tsv")
    assert "these tables have 80, 256" in refused(command, "plot_generators", inputs["plot_generators"], tmp_path)

    sweep = swept()
    for changed, said in (
        (sweep.assign(control="shuffled"), "control shuffled is none of none, random_refill"),
        (sweep.assign(edit_rate=np.nan), "a refinement has no edit_rate"),
        (pd.concat([sweep.assign(species=one) for one in "ab"]), "has a, b: choose one with --species"),
    ):
        write_table(changed, tmp_path / "sweep.tsv")
        assert said in refused(command, "plot_refinement", inputs["plot_refinement"], tmp_path)
    assert (
        command("dna/plot_refinement", *inputs["plot_refinement"], "--species", "a", "--out", tmp_path / "s.svg")[0]
        == 0
    )
    (tmp_path / "s.svg").unlink()

    twice = [*inputs["plot_logos"], "--sets", tmp_path / "test.fa", tmp_path / "test.fa"]
    assert "is the second set called test" in refused(command, "plot_logos", twice, tmp_path)

    training = inputs["plot_dna_training"]
    (tmp_path / "model/dna.json").write_text("[1]")
    assert "holds no facts by name" in refused(command, "plot_dna_training", training, tmp_path)
    (tmp_path / "model/dna.json").write_text("{")
    assert "dna.json is not JSON" in refused(command, "plot_dna_training", training, tmp_path)
    (tmp_path / "model/curve.tsv").write_text("step\tloss\n1\tnan\n")
    assert "a loss that is not finite" in refused(command, "plot_dna_training", training, tmp_path)
    (tmp_path / "model/curve.tsv").unlink()
    assert "curve.tsv: No such file" in refused(command, "plot_dna_training", training, tmp_path)

    write_table(pd.concat([detected()] * 2), tmp_path / "ood.tsv")
    said = refused(command, "plot_dna_uncertainty", inputs["plot_dna_uncertainty"], tmp_path)
    assert "gc of control against shuffle is there twice" in said

    for changed, said in (
        (gridded().query("(autoencoder == 'patch') == (width == 64)"), "do not tell the effects"),
        (gridded().query("autoencoder == 'patch' and width == 64 and betas == 'linear'"), "has two values"),
    ):
        write_table(changed, tmp_path / "grid.tsv")
        assert said in refused(command, "plot_latent_grid", inputs["plot_latent_grid"], tmp_path)
