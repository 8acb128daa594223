"""The other ways to run: all fifteen species' configuration in miniature, the authors' CSV, JASPAR matrices, no EPDnew at hand."""

import csv
import gzip
import hashlib
import re
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from checkouts import run_workflow
from promoters.miniature import write_epd_miniature

pytestmark = pytest.mark.run


def without_checksums(table: Path) -> None:
    """Forget the published checksums: the miniature files are not the published ones."""
    table.write_text(re.sub(r"\t[0-9a-f]{64}\t", "\t\t", table.read_text()))


def overlay(folder: Path, text: str) -> tuple[str, ...]:
    (folder / "mine.yaml").write_text(text)
    return ("--configfile", "config/epd.yaml", "mine.yaml")


@pytest.fixture
def miniature(checkout, tmp_path):
    """A checkout and a folder with two species of config/epd.yaml in miniature, under the published file names."""
    folder = checkout("miniature")
    without_checksums(folder / "resources" / "sources.tsv")
    genomes = yaml.safe_load((folder / "config" / "epd.yaml").read_text())["genomes"]
    at_hand = tmp_path / "at hand"
    at_hand.mkdir()
    for number, species in enumerate(["S_pombe", "P_falciparum"]):
        made = write_epd_miniature(tmp_path / species, species, f"NC_00{number + 1}", seed=number, promoters=120)
        shutil.copy(made["genome"], at_hand / genomes[species]["sequence"]["file"])
        for kind, key in (("sga", "epd"), ("dat", "dat")):
            shutil.copy(made[kind], at_hand / genomes[species][key]["file"])
    return folder, at_hand


MINE = "promoters: {species: [S_pombe, P_falciparum], split: {block_length: 20000}}\ndna: {replicates: 20}\n"


def test_the_epd_configuration_runs_on_files_in_the_real_formats(miniature):
    folder, at_hand = miniature
    run_workflow(folder, *overlay(folder, MINE), EPD_DIR=str(at_hand))
    for length, dropped in ((256, 2), (2048, 4)):
        counts = pd.read_csv(
            folder / f"results/promoters/dataset/epd_gendna_{length}.counts.tsv", sep="\t", index_col="species"
        )
        assert counts["kept"].to_dict() == {"S_pombe": 120 - dropped, "P_falciparum": 120 - dropped}
        assert set(counts["tss_source"]) == {"epd"}
    logs = [(folder / f"logs/read_epd/{species}.log").read_text() for species in ("S_pombe", "P_falciparum")]
    assert all(re.search(r"SE: 120 records agree with the genome", log) for log in logs), logs
    ledger = pd.read_csv(folder / "results/claims.tsv", sep="\t", index_col="id")
    assert set(ledger["scale"]) == {"epd"}
    assert ledger.loc[32, "verdict"] == "not run"


def test_a_wrong_assembly_stops_with_the_name_of_the_record(miniature):
    folder, at_hand = miniature
    genome = next(at_hand.glob("GCF_000002945*.fna.gz"))
    with gzip.open(genome, "rt") as handle:
        text = handle.read()
    header, _, sequence = text.partition("\n")
    with gzip.open(genome, "wt") as handle:
        handle.write(f"{header}\nA{sequence}")  # one base more: every position is off by one
    answer = run_workflow(
        folder, "results/promoters/tss/S_pombe/epd.tsv", *overlay(folder, MINE), EPD_DIR=str(at_hand), check=False
    )
    assert answer.returncode != 0
    assert re.search(r"^error: .*Sp_EPDnew_002_spo2\.dat.*", answer.stdout + answer.stderr, re.M)
    assert not (folder / "results/promoters/tss/S_pombe/epd.tsv").exists()


def test_without_the_files_the_epd_configuration_says_what_to_put_where(checkout, tmp_path):
    folder = checkout("offline")
    table = folder / "resources" / "sources.tsv"
    table.write_text(re.sub(r"https://[^\t]*/", "http://127.0.0.1:1/", table.read_text()))
    answer = run_workflow(
        folder, "results/promoters/tss/S_pombe/epd.tsv", *overlay(folder, MINE), EPD_DIR=str(tmp_path), check=False
    )
    said = answer.stdout + answer.stderr
    assert answer.returncode != 0
    assert re.search(
        r"error: \S*S\S+ could not be retrieved .*refused\); put it into a folder that sources\.folders", said
    )
    assert not list((folder / "results").rglob("*.sga"))


def test_orthologs_share_a_fold(miniature):
    folder, at_hand = miniature
    arguments = overlay(
        folder,
        MINE.replace("split: {block_length: 20000}", "split: {unit: cluster, orthologs: [[S_pombe, P_falciparum]]}"),
    )
    run_workflow(folder, "results/promoters/split.tsv", *arguments, EPD_DIR=str(at_hand))
    split = pd.read_csv(folder / "results/promoters/split.tsv", sep="\t")
    genes = split.assign(gene=split["id"].str.replace(r"_\d+$", "", regex=True).str.upper())
    shared = genes.groupby("gene")["species"].nunique()
    assert (shared == 2).sum() > 50, "the miniature species must share gene symbols for this to mean something"
    assert (genes.groupby("gene")["fold"].nunique() == 1).all()


def test_the_authors_csv_stands_in_for_windows_of_ours(checkout, tmp_path):
    folder = checkout("authors")
    rng = np.random.default_rng(0)
    rows = ["".join(rng.choice(list("ACGT"), 256)) for _ in range(400)]
    rows[5] = rows[4]
    rows[6] = "N" + rows[6][1:]
    path = tmp_path / "sequence.csv"
    with open(path, "w", newline="") as handle:
        writer = csv.writer(handle)
        writer.writerow(["Sequence", "species"])
        writer.writerows((row, "Saccharomyces cerevisiae (baking yeast).") for row in rows)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    (folder / "mine.yaml").write_text(
        f"systems: [epd_gendna]\npromoters:\n  species: [S_cerevisiae]\n  lengths: [256]\n"
        f"  author_csv: {{path: '{path}', sha256: {digest}, length: 256}}\n"
        "dna: {replicates: 20, sets: [train, shuffle, markov5]}\n"
    )
    run_workflow(folder, "--configfile", "mine.yaml")
    counts = pd.read_csv(folder / "results/promoters/dataset/epd_gendna_256.counts.tsv", sep="\t")
    assert counts["rows"].sum() == 400
    assert counts["kept"].sum() == 398
    assert "author" in (folder / "results/promoters/dataset/datasheet.md").read_text()
    assert not list((folder / "results").glob("promoters/genomes/*")), "the CSV needs no genome"


@pytest.mark.data
def test_a_jaspar_matrix_joins_the_motifs(checkout):
    folder = checkout("jaspar")
    run_workflow(
        folder,
        "results/dna/motifs/MA0108.3.json",
        "--configfile",
        "config/test.yaml",
        "--config",
        "dna={jaspar: [MA0108.3]}",
    )
    assert "TBP" in (folder / "results/dna/motifs/MA0108.3.json").read_text()


@pytest.mark.data
def test_without_epdnew_annotated_ends_stand_in_and_files_at_hand_later_are_taken_up(checkout, epd_directory, tmp_path):
    folder = checkout("fallback")
    table = folder / "resources" / "sources.tsv"
    table.write_text(table.read_text().replace("https://epd.expasy.org/", "http://127.0.0.1:1/"))
    arguments = ("epd_gendna", "report", "--configfile", "config/test.yaml")
    answer = run_workflow(folder, *arguments, EPD_DIR=str(tmp_path))
    assert (
        "warning: D_melanogaster: the start sites are annotated 5' ends, because EPDnew's could not be retrieved"
        in answer.stderr
    )
    ledger = pd.read_csv(folder / "results/claims.tsv", sep="\t", index_col="id")
    assert ledger.loc[32, "verdict"] == "not run"
    assert "D_melanogaster" in ledger.loc[32, "note"]
    run_workflow(folder, *arguments, EPD_DIR=str(epd_directory))
    dataset = pd.read_parquet(folder / "results/promoters/dataset/epd_gendna_256.parquet")
    assert set(dataset.loc[dataset["species"] == "D_melanogaster", "tss_source"]) == {"epd"}
    again = run_workflow(folder, "-n", *arguments, EPD_DIR=str(epd_directory))
    assert "Nothing to be done" in again.stdout + again.stderr
