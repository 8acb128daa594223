"""Choosing on validation noise, and the two commands from a bed to errors on test noise."""

import json

import numpy as np
import pandas as pd
import pytest
import torch

from genovision.arrays import read_arrays
from genovision.errors import InputError
from genovision.samplers.beds import SCHEDULER_CONFIG, denoiser
from genovision.samplers.catalogue import OURS, PEERS, Setting, settings
from genovision.samplers.choice import (
    Searched,
    as_table,
    choose,
    chosen_settings,
    coordinate_search,
    polished,
    search_family,
)
from genovision.samplers.references import mean_square, noises, open_denoiser, reference, solve
from genovision.samplers.statistics import collect_normalizer
from genovision.tables import read_table


def table() -> pd.DataFrame:
    rows = []
    for nfe in (5, 10):
        for family in ("ddim", "unipc-2", "deis-sn-tab3", "deis-sn+all"):
            rows += [(nfe, setting, 1 / (nfe + k), nfe) for k, setting in enumerate(settings(family, 2)[:4])]
    rows.append((5, settings("ddpm", 2)[0], float("nan"), 5))
    return as_table(rows)


def test_best_setting_of_every_family_and_of_both_sides():
    found = choose(table())
    assert list(found) == ["5", "10"] and set(found["5"]) - set(found["10"]) == {"ddpm"}
    assert found["5"]["ddim"] == json.loads(settings("ddim", 2)[3].to_json())
    assert found["5"]["best-peer"]["family"] in PEERS and found["5"]["best-ours"]["family"] in OURS
    settings_again = chosen_settings(json.loads(json.dumps(found)))
    assert settings_again[10]["unipc-2"] == settings("unipc-2", 2)[3]


def test_choice_does_not_depend_on_the_order_of_rows():
    rows = table()
    rows.loc[rows.family == "unipc-2", "rmse"] = 0.5  # ties
    found = choose(rows)
    for seed in range(5):
        assert choose(rows.sample(frac=1, random_state=seed)) == found


def test_what_failed_is_never_chosen():
    rows = table()
    rows.loc[rows.family == "ddim", "rmse"] = float("inf")
    rows.loc[rows.family == "unipc-2", "rmse"] = float("nan")
    found = choose(rows)["5"]
    assert "ddim" not in found and "unipc-2" not in found and "best-peer" not in found


def test_coordinate_search_finds_a_separable_minimum_and_runs_nothing_twice():
    begin = Setting("deis-sn-best", "x", {"a": 0, "b": 0})
    options = {name: [{name: k} for k in range(5)] for name in ("a", "b")}
    asked = []

    def error(setting):
        asked.append(setting.to_json())
        a, b = setting.options["a"], setting.options["b"]
        return float("nan") if a == 1 else (a - 3) ** 2 + (b - 2) ** 2

    tried = coordinate_search([begin], options, error)
    best = min(tried, key=lambda pair: pair[1])
    assert dict(best[0].options) == {"a": 3, "b": 2} and best[1] == 0
    assert len(asked) == len(set(asked)) == len(tried)


@pytest.fixture(scope="module")
def trace():
    bed = denoiser("mixture")
    return collect_normalizer(bed, SCHEDULER_CONFIG, bed.shape, 32, 32, 60, times=24).trace


def test_searched_grid_is_written_out_and_stays(trace):
    searched = Searched(trace, [4, 6])
    setting = Setting(
        "deis-sn+grid",
        "x",
        {"grid": "searched", "solver_order": 3, "interpolation_variable": "t", "normalizer": "none"},
    )
    found = searched(setting, 6)
    times = found.options["times"]
    assert len(times) == 7 and times[0] == 1 and times[-1] == 0 and searched(found, 6) == found
    assert len(searched(setting.changed(first_step=True), 6).options["times"]) == 8
    assert "times" not in found.changed(grid="quadratic").options  # they were another grid's
    plain = Setting("ddim", "x", {"grid": "quadratic"})
    assert searched(plain, 6) == plain


def test_polishing_never_makes_worse():
    def error(setting):
        return float(np.sum((np.array(setting.options["times"][1:-1]) - 0.3) ** 2))

    begin = Setting("ipndm", "x", {"grid": "quadratic", "order": 2})
    setting, value = polished(begin, 5, error, 5, SCHEDULER_CONFIG)
    first = error(begin.changed(times=(np.linspace(1, 0, 6) ** 2).tolist()))
    assert value == error(setting) < first and setting.options["grid"] == "polished"


def test_family_with_a_failing_setting_is_still_tried():
    tried = search_family("ipndm", 2, lambda s: float("nan") if s.options["order"] == 4 else 1.0)
    assert len(tried) == len(settings("ipndm", 2)) and {value for _, value in tried} == {1.0, float("inf")}


def test_streams_of_noise_are_disjoint_and_do_not_depend_on_their_length():
    first = noises("test", 0, 4, (2, 3))
    assert torch.equal(first, noises("test", 0, 9, (2, 3))[:4])
    for other in (noises("validation", 0, 4, (2, 3)), noises("test", 1, 4, (2, 3))):
        assert not np.isin(first.numpy(), other.numpy()).any()
    with pytest.raises(InputError, match="validation, test"):
        noises("training", 0, 4, (2, 3))


def test_reference_by_many_steps_meets_the_closed_form():
    source = open_denoiser("bed:isotropic")
    noise = noises("test", 0, 6, source.shape)
    known = reference(source, noise, 1, 6)
    errors = [[mean_square(a, b).mean() for a, b in zip(solve(source, noise, n), known, strict=True)] for n in (40, 80)]
    assert np.sqrt(errors[1][1]) < 1e-5 and errors[1][1] < errors[0][1]
    # below the first training time it asks about that time, as every sampler does; the bed knows better
    assert np.sqrt(errors[1][0]) < 3e-4


def test_mean_square_is_of_each_sample():
    found = mean_square(np.array([[1.0, 2.0], [0.0, 0.0]]), np.zeros((2, 2)))
    assert found.tolist() == [2.5, 0.0]


# --- the commands -------------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def work(tmp_path_factory, trace):
    folder = tmp_path_factory.mktemp("choice")
    trace.save(folder / "trace.npz")
    return folder


def choosing(work, name="", **changes):
    options = {
        "denoiser": "bed:mixture",
        "trace": work / "trace.npz",
        "nfe": [4],
        "noises": 12,
        "level": 1,
        "polish": 1,
    }
    options |= changes
    words = [
        word
        for key, value in options.items()
        for word in [f"--{key}", *(value if isinstance(value, list) else [value])]
    ]
    return ["samplers/choose_settings", *words, "--out", work / f"settings{name}.tsv", work / f"chosen{name}.json"]


def sampling(work, name="", **changes):
    options = {"denoiser": "bed:mixture", "trace": work / "trace.npz", "chosen": work / "chosen.json"}
    options |= {"seeds": [0, 3], "images": 5, "batch": 3, "reference-steps": 40}
    options |= {"errors": work / f"errors{name}.npz", "seconds": work / f"seconds{name}.tsv"} | changes
    words = [
        word
        for key, value in options.items()
        for word in [f"--{key}", *(value if isinstance(value, list) else [value])]
    ]
    return ["samplers/sample_denoiser", *words]


def test_commands_end_to_end(work, command):
    assert command(*choosing(work))[0] == 0
    tried = read_table(work / "settings.tsv", ["nfe", "family", "name", "rmse", "evaluations", "setting"])
    assert set(PEERS + OURS) <= set(tried.family) and (tried.evaluations <= 4).all()
    assert set(tried[tried.rmse.isna()].family) == {"ddpm"}
    assert command(*choosing(work, "2"))[0] == 0
    for name in ("settings.tsv", "chosen.json"):
        first, second = (work / n for n in (name, name.replace(".", "2.")))
        assert first.read_bytes() == second.read_bytes()

    assert command(*sampling(work, samples=work / "samples.npz"))[0] == 0
    assert read_arrays(work / "samples.npz")["images"].size == 0  # a bed makes no images
    found = read_arrays(work / "errors.npz")
    assert found["errors"].shape == (len(found["samplers"]), 1, 2, 5) and found["nfe"].tolist() == [4]
    by_name = dict(zip(found["samplers"].tolist(), found["errors"], strict=True))
    assert np.isnan(by_name["ddpm"]).all() and np.isfinite(by_name["deis-sn+all"]).all()
    assert (
        np.sqrt(found["reference_errors"].max()) < 1e-6
        and np.sqrt(found["reference_errors"].mean()) < np.sqrt(by_name["best-ours"].mean()) / 3
    )
    seconds = read_table(work / "seconds.tsv", ["sampler", "nfe", "seed", "evaluations", "seconds"])
    assert (seconds.evaluations <= seconds.nfe).all() and len(seconds) == 2 * len(found["samplers"])

    # batches and other seeds change nothing
    assert command(*sampling(work, "2", seeds=[3], batch=5))[0] == 0
    alone = read_arrays(work / "errors2.npz")
    assert np.allclose(alone["errors"][:, :, 0], found["errors"][:, :, 1], rtol=1e-6, atol=1e-14, equal_nan=True)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"denoiser": "bed:cauchy"}, "there is no bed 'cauchy'"),
        ({"denoiser": "nowhere"}, "there is no denoiser nowhere"),
        ({"denoiser": "bed:anisotropic"}, "collect its own"),
        ({"nfe": [5, 5]}, "give different numbers"),
        ({"nfe": [0]}, "of 1 or more"),
        ({"noises": 0}, "--noises 0"),
        ({"level": 4}, "--level 4"),
        ({"trace": "nothing.npz"}, "nothing.npz"),
    ],
)
def test_choosing_refuses(changes, words, work, command):
    code, told = command(*choosing(work, "x", **changes))
    assert code == 2 and words in told and "Traceback" not in told
    assert not list(work.glob("*x.tsv"))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"images": 0}, "--images 0"),
        ({"seeds": [1, 1]}, "give different numbers"),
        ({"chosen": "nothing.json"}, "nothing.json"),
        ({"chosen": "damaged"}, "is no JSON"),
        ({"chosen": "empty"}, "holds no settings"),
        ({"chosen": "odd"}, "no sampler setting"),
    ],
)
def test_sampling_refuses(changes, words, work, command):
    for name, text in (("damaged", "{"), ("empty", "{}"), ("odd", '{"5": {"ddim": {}}}')):
        (work / name).write_text(text)
    changes = {key: work / value if value in ("damaged", "empty", "odd") else value for key, value in changes.items()}
    code, told = command(*sampling(work, "x", **changes))
    assert code == 2 and words in told and "Traceback" not in told
    assert not list(work.glob("errorsx*"))


def test_chosen_settings_must_have_their_form():
    for bad in ([], {"a": {}}, {"5": 3}):
        with pytest.raises(InputError):
            chosen_settings(bad)
