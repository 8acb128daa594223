"""The tiny run, end to end: what it leaves behind, and that it leaves the same again."""

import hashlib
import json
import re
import subprocess
from pathlib import Path

import pandas as pd
import pytest
import yaml
from checkouts import CACHE, TINY, run_workflow

pytestmark = [pytest.mark.run, pytest.mark.data]


def results(folder: Path) -> dict[str, str]:
    """Path -> sha256 of every result but what was retrieved and the genomes' indices' neighbours."""
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted((folder / "results").rglob("*"))
        if path.is_file()
    }


def test_every_log_names_an_interpreter_and_no_two_kinds_of_step_share_one(finished):
    used = {}
    for path in (finished / "logs").rglob("*.log"):
        found = re.search(r"^interpreter: (\S.*) \(Python 3\.", path.read_text(), re.M)
        assert found, f"{path} names no interpreter"
        used.setdefault(found[1], set()).add(path.relative_to(finished / "logs").parts[0].removesuffix(".log"))
    assert all(Path(interpreter).is_relative_to(CACHE / "conda") for interpreter in used)
    assert len(used) == 4  # retrieve, genomes, evaluate, report
    assert not any(
        {"retrieve", "cut_windows"} <= rules or {"measure_set", "report"} <= rules for rules in used.values()
    )


def test_metadata_holds_a_software_hash_for_every_output(finished):
    records = [
        json.loads(path.read_text()) for path in (finished / ".snakemake" / "metadata").rglob("*") if path.is_file()
    ]
    hashes = {record["rule"]: record["software_stack_hash"] for record in records}
    assert len(hashes) >= 15
    assert all(value and value != hashlib.md5(b"").hexdigest() for value in hashes.values())


def test_every_row_is_accounted_for(finished, epd_directory):
    for length in (256, 2048):
        counts = pd.read_csv(
            finished / f"results/promoters/dataset/epd_gendna_{length}.counts.tsv", sep="\t", index_col="species"
        )
        dataset = pd.read_parquet(finished / f"results/promoters/dataset/epd_gendna_{length}.parquet")
        dropped = pd.read_csv(finished / f"results/promoters/dataset/epd_gendna_{length}.dropped.tsv", sep="\t")
        assert counts.loc["D_melanogaster", "rows"] == 16972
        for species, row in counts.iterrows():
            assert row["rows"] == row["kept"] + (dropped["species"] == species).sum()
            assert row["kept"] == (dataset["species"] == species).sum() == row[["train", "validation", "test"]].sum()


def test_kinds_of_start_site_are_kept_apart_and_the_report_says_so(finished, epd_directory):
    dataset = pd.read_parquet(finished / "results/promoters/dataset/epd_gendna_256.parquet")
    assert dataset.groupby("species")["tss_source"].unique().map(list).to_dict() == {
        "D_melanogaster": ["epd"],
        "S_mikatae": ["annotation"],
    }
    report = (finished / "results/report.html").read_text()
    assert "S_mikatae" in re.search(r'<p class="warning">([^<]*)', report)[1]
    ledger = pd.read_csv(finished / "results/claims.tsv", sep="\t", index_col="id")
    assert "S_mikatae" in ledger.loc[31, "note"]
    assert "warning: S_mikatae" in (finished / "run.stderr").read_text()


def test_the_run_says_where_table_and_report_are(finished):
    stderr = (finished / "run.stderr").read_text()
    assert f"table: {finished}/results/claims.tsv" in stderr
    assert f"report: {finished}/results/report.html" in stderr


def test_the_ledger_has_every_claim(finished):
    ledger = pd.read_csv(finished / "results/claims.tsv", sep="\t")
    claims = yaml.safe_load((finished / "config/claims.yaml").read_text())
    assert list(ledger["id"]) == [claim["id"] for claim in claims]
    assert set(ledger["verdict"]) <= {"supported", "contradicted", "inconclusive", "not run"}
    ran = ledger[ledger["verdict"] != "not run"]
    assert ((ran["low"] <= ran["estimate"]) & (ran["estimate"] <= ran["high"])).any()
    assert set(ran["system"]) == {"epd_gendna"}


def test_results_tell_nothing_of_the_place_or_time(finished):
    for path in (finished / "results").rglob("*"):
        if path.is_file() and path.suffix in {".tsv", ".json", ".md", ".html", ".svg"}:
            text = path.read_text(errors="replace")
            assert str(finished) not in text, path
            assert not re.search(r"(?<!\d)20\d\d-\d\d-\d\dT\d\d:", text), path


def test_the_same_configuration_gives_the_same_bytes_elsewhere(finished, checkout, tmp_path):
    elsewhere = tmp_path / "another directory"
    elsewhere.mkdir()
    folder = checkout("again")
    run_workflow(folder, "--configfile", str(folder / "config/test.yaml"), "--directory", str(elsewhere))
    assert results(elsewhere) == results(finished)


def test_a_failing_job_shows_its_sentence_and_leaves_no_output(finished, checkout, tmp_path):
    folder = checkout("broken")
    sga = tmp_path / "Dm_EPDnew_005_dm6.sga"
    sga.write_text("NC_004353.4\tTSS\t0\t+\t1\tX_1\n")
    table = folder / "resources" / "sources.tsv"
    digest = hashlib.sha256(sga.read_bytes()).hexdigest()
    table.write_text(re.sub(r"(Dm_EPDnew_005_dm6\.sga\turl\t\S+\t)\w+", rf"\g<1>{digest}", table.read_text()))
    answer = run_workflow(
        folder, "results/promoters/tss/D_melanogaster/epd.tsv", *TINY, check=False, EPD_DIR=str(tmp_path)
    )
    assert answer.returncode != 0
    assert re.search(r"error: .*Dm_EPDnew_005_dm6\.sga, line 1 .*position", answer.stdout + answer.stderr)
    assert not (folder / "results/promoters/tss/D_melanogaster/epd.tsv").exists()


def test_lint_and_format_are_silent(checkout):
    folder = checkout("lint")
    assert "good condition" in run_workflow(folder, "--lint").stdout + run_workflow(folder, "--lint").stderr


def test_a_bad_configuration_leaves_with_2_and_one_sentence(checkout):
    folder = checkout("typo")
    (folder / "typo.yaml").write_text("promoters: {specis: [A_thaliana]}\n")
    answer = run_workflow(folder, "-n", "--configfile", "typo.yaml", check=False)
    assert answer.returncode == 2
    assert "error: config key promoters.specis is unknown" in answer.stderr
    assert not (folder / "results").exists()


def test_the_epd_configuration_resolves(checkout):
    folder = checkout("epd")
    answer = run_workflow(folder, "-n", "--quiet", "rules", "--configfile", "config/epd.yaml")
    found = dict(re.findall(r"^(\w+)\s+(\d+)$", answer.stdout + answer.stderr, re.M))
    assert found["read_epd"] == "15"
    assert found["cut_windows"] == "30"


def test_the_rule_graph_in_the_readme_is_current(checkout):
    folder = checkout("graph")
    answer = subprocess.run(
        [folder / ".venv/bin/python", "workflow/rulegraph.py", "--check"], cwd=folder, capture_output=True, text=True
    )
    assert answer.returncode == 0, answer.stdout + answer.stderr


def test_no_base_and_no_sequence_is_in_two_folds(finished):
    for length in (256, 2048):
        data = pd.read_parquet(finished / f"results/promoters/dataset/epd_gendna_{length}.parquet")
        assert data["sequence"].is_unique
        before = length // 2
        covered: dict[tuple[str, str, int], str] = {}
        for row in data.itertuples():
            first = row.position - 1 - before if row.strand == "+" else row.position - length + before
            for base in range(first, first + length):
                fold = covered.setdefault((row.species, row.accession, base), row.fold)
                assert fold == row.fold, f"base {base} of {row.accession} is in {fold} and in {row.fold}"
        assert set(data["fold"]) == {"train", "validation", "test"}
