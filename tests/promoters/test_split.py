import hashlib

import numpy as np
import pandas as pd
import pytest

from genovision.errors import InputError
from genovision.promoters import epd
from genovision.promoters.dataset import build_dataset
from genovision.promoters.genomes import read_lengths
from genovision.promoters.split import FOLDS, assign, split_windows, units
from genovision.promoters.tss import read_rows
from genovision.promoters.windows import bounds, extract

LENGTHS = {"c1": 400_000, "c2": 250_000, "c3": 90_000}


def promoters(number: int, seed: int, lengths=LENGTHS) -> pd.DataFrame:
    """Sites at random, dense enough that many windows of 2,048 bp overlap."""
    rng = np.random.default_rng(seed)
    names = rng.choice(list(lengths), number, p=np.array(list(lengths.values())) / sum(lengths.values()))
    position = [int(rng.integers(1, lengths[name] + 1)) for name in names]
    gene = [f"g{number}" for number in rng.integers(0, number // 2, number)]
    return pd.DataFrame(
        {
            "id": [f"p{row}_1" for row in range(number)],
            "accession": names,
            "position": position,
            "strand": rng.choice(["+", "-"], number),
            "tss_source": "epd",
            "gene": gene,
        }
    )


def shared_bases(tss: pd.DataFrame, fold: np.ndarray, lengths, length: int) -> int:
    """How many bases lie in windows of two folds or more: folds painted on the genome, base by base."""
    start, end = bounds(tss["position"], tss["strand"], length)
    shared = 0
    for name, size in lengths.items():
        paint = np.zeros((len(FOLDS), size), dtype=bool)
        for row in np.flatnonzero(tss["accession"].to_numpy() == name):
            paint[FOLDS.index(fold[row]), max(start[row], 0) : end[row]] = True
        shared += int((paint.sum(axis=0) > 1).sum())
    return shared


@pytest.mark.parametrize("unit", ["block", "cluster"])
def test_windows_of_different_folds_share_no_base(unit):
    tss = promoters(300, seed=1)
    split = split_windows({"s": tss}, {"s": LENGTHS}, 2048, unit=unit, block_length=20_000)
    fold = split["fold"].to_numpy()
    assert split["id"].tolist() == tss["id"].tolist()
    for length in (256, 2048):
        assert shared_bases(tss, fold, LENGTHS, length) == 0
    # the counter does count: a random split of the same rows leaks
    leaky = np.random.default_rng(0).permutation(fold)
    assert shared_bases(tss, leaky, LENGTHS, 2048) > 1000


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize(("unit", "tolerance"), [("block", 0.05), ("cluster", 0.01)])
def test_every_species_is_split_about_80_10_10(unit, tolerance, seed):
    tables = {"a": promoters(800, seed=2), "b": promoters(400, seed=3)}
    split = split_windows(tables, dict.fromkeys(tables, LENGTHS), 256, unit=unit, block_length=10_000, seed=seed)
    share = pd.crosstab(split["species"], split["fold"], normalize="index")[list(FOLDS)]
    assert np.abs(share.to_numpy() - [0.8, 0.1, 0.1]).max() <= tolerance


def test_the_split_depends_on_seed_species_and_units_only():
    tss = promoters(300, seed=4)
    split = split_windows({"s": tss}, {"s": LENGTHS}, 2048, block_length=20_000)
    shuffled = tss.sample(frac=1, random_state=0)
    other = split_windows({"s": shuffled}, {"s": LENGTHS}, 2048, block_length=20_000)
    pd.testing.assert_series_equal(
        split.set_index("id")["fold"].sort_index(), other.set_index("id")["fold"].sort_index()
    )
    alone = split_windows(
        {"t": promoters(50, seed=5), "s": tss}, {"s": LENGTHS, "t": LENGTHS}, 2048, block_length=20_000
    )
    pd.testing.assert_frame_equal(alone[alone["species"] == "s"].reset_index(drop=True), split)
    different = split_windows({"s": tss}, {"s": LENGTHS}, 2048, block_length=20_000, seed=1)
    assert (different["fold"] != split["fold"]).any()


def test_units_go_where_most_is_lacking_in_the_order_of_their_digests():
    """By hand: five chromosomes, each sent to the fold that lacks most of its promoters."""
    number = {"c1": 50, "c2": 20, "c3": 15, "c4": 10, "c5": 5}
    tss = promoters(100, seed=6).assign(accession=np.repeat(list(number), list(number.values())))
    split = split_windows({"s": tss}, {"s": dict.fromkeys(number, 400_000)}, 256, unit="chromosome", seed=10)
    lack = dict(zip(FOLDS, [80.0, 10.0, 10.0], strict=True))
    expected = {}
    for name in sorted(number, key=lambda name: hashlib.sha256(f"10\ts\t{name}".encode()).hexdigest()):
        expected[name] = max(FOLDS, key=lambda fold: lack[fold])
        lack[expected[name]] -= number[name]
    assert split.groupby("unit")["fold"].unique().map(list).to_dict() == {
        name: [fold] for name, fold in expected.items()
    }


def test_a_cluster_belongs_to_the_block_of_its_first_base():
    tss = promoters(3, seed=0).assign(accession="c1", position=[9_900, 10_500, 25_000], strand="+")
    named = units(tss, {"c1": 27_000}, 2048, block_length=10_000)
    # too few blocks for a split, so blocks are halved, though not below a window's length
    assert named.tolist() == ["c1:7500-10000", "c1:7500-10000", "c1:22500-25000"]
    assert units(tss, {"c1": 27_000}, 2048, unit="cluster").tolist() == ["c1:8875-11523"] * 2 + ["c1:23975-26023"]
    assert units(tss, {"c1": 27_000}, 2048, unit="chromosome").tolist() == ["c1"] * 3


def test_blocks_are_halved_only_where_there_are_fewer_than_20():
    tss = promoters(400, seed=8)
    lengths = units(tss, LENGTHS, 256, block_length=10_000).str.extract(r":(\d+)-(\d+)").astype(int)
    assert (lengths[1] - lengths[0]).max() == 10_000
    named = units(tss, LENGTHS, 256, block_length=500_000)
    lengths = named.str.extract(r":(\d+)-(\d+)").astype(int)
    assert (lengths[1] - lengths[0]).max() == 500_000 // 16
    assert 20 <= named.nunique() < 40


def test_genes_of_one_symbol_stay_together_among_orthologs():
    tables = {species: promoters(150, seed=seed) for species, seed in (("human", 9), ("macaque", 10), ("fly", 11))}
    tables["macaque"]["gene"] = tables["macaque"]["gene"].str.upper()
    lengths = dict.fromkeys(tables, LENGTHS)
    grouped = split_windows(tables, lengths, 256, unit="cluster", orthologs=[["human", "macaque"]])
    genes = pd.concat([table["gene"].str.upper() for table in tables.values()], ignore_index=True)
    primates = grouped["species"] != "fly"
    assert (grouped[primates].groupby(genes[primates])["fold"].nunique() == 1).all()
    apart = split_windows(tables, lengths, 256, unit="cluster")
    assert (apart[primates].groupby(genes[primates])["fold"].nunique() > 1).any()
    pd.testing.assert_frame_equal(grouped[~primates], apart[~primates])
    for species, table in tables.items():
        assert shared_bases(table, grouped[grouped["species"] == species]["fold"].to_numpy(), LENGTHS, 256) == 0


def test_assign_sums_what_the_species_of_a_component_lack():
    mass = np.array([[4, 0], [1, 3], [0, 2]])
    # targets: species 0 has 5 (3, 1, 1), species 1 has 5 (3, 1, 1)
    assert assign(mass, [0, 1, 2], (0.6, 0.2, 0.2)).tolist() == [0, 0, 1]
    # the first fold of equals, when train is full
    assert assign(mass, [2, 1, 0], (0.6, 0.2, 0.2)).tolist() == [0, 0, 0]


def test_rows_off_the_genome_have_no_fold():
    tss = promoters(100, seed=12)
    tss.loc[7, "accession"] = "mito"
    split = split_windows({"s": tss}, {"s": LENGTHS}, 256)
    assert set(tss["id"]) - set(split["id"]) == {"p7_1"}


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"unit": "gene"}, "unit of the split is one of chromosome, block, cluster"),
        ({"fractions": (0.8, 0.1, 0.2)}, "sum 1"),
        ({"fractions": (1.2, -0.1, -0.1)}, "sum 1"),
        ({"orthologs": [["s", "t"]]}, "orthologs stay in one fold only with the unit cluster, not block"),
        ({"orthologs": [["s", "u"]], "unit": "cluster"}, "names u, which is none of the species"),
        ({"orthologs": [["s", "t"], ["t"]], "unit": "cluster"}, "in two groups"),
        (
            {"unit": "chromosome"},
            "leaves test of s empty|leaves validation of s empty|leaves validation and test of s empty",
        ),
    ],
)
def test_a_split_that_cannot_be_is_refused(options, sentence):
    tables = {"s": promoters(50, seed=13).assign(accession="c1"), "t": promoters(50, seed=14)}
    tables["s"]["position"] %= 90_000
    tables["s"]["position"] += 1
    with pytest.raises(InputError, match=sentence):
        split_windows(tables, dict.fromkeys(tables, LENGTHS), 256, **options)


def test_a_species_without_a_site_on_its_genome_is_refused():
    with pytest.raises(InputError, match="no transcription start site of s lies on its genome"):
        split_windows({"s": promoters(5, seed=0)}, {"s": {"chr1": 500}}, 256)


def test_the_command_writes_what_the_function_returns(tmp_path, command):
    tables = {"a": promoters(200, seed=15), "b": promoters(200, seed=16)}
    for species, table in tables.items():
        table.to_csv(tmp_path / f"{species}.tsv", sep="\t", index=False)
    (tmp_path / "g.fai").write_text("".join(f"{name}\t{size}\t0\t60\t61\n" for name, size in LENGTHS.items()))
    files = ["--tss", tmp_path / "a.tsv", tmp_path / "b.tsv", "--fai", tmp_path / "g.fai", tmp_path / "g.fai"]
    options = [*files, "--species", "a", "b", "--length", 2048, "--unit", "cluster", "--orthologs", "a,b", "--seed", 3]
    assert command("promoters/split_windows", *options, "--out", tmp_path / "split.tsv") == 0
    expected = split_windows(tables, dict.fromkeys(tables, LENGTHS), 2048, "cluster", orthologs=[["a", "b"]], seed=3)
    pd.testing.assert_frame_equal(read_rows(tmp_path / "split.tsv", ["species"]), expected)
    options[options.index("--species") + 2] = "a"
    (tmp_path / "split.tsv").unlink()
    assert command("promoters/split_windows", *options, "--out", tmp_path / "split.tsv") == 2
    assert not (tmp_path / "split.tsv").exists()


@pytest.mark.data
def test_the_real_data_set_has_no_window_and_no_sequence_in_two_folds(
    epd_directory, yeast_genome, thaliana_genome, fly_genome
):
    genomes = {"S_cerevisiae": yeast_genome, "A_thaliana": thaliana_genome, "D_melanogaster": fly_genome}
    stems = {"S_cerevisiae": "Sc", "A_thaliana": "At", "D_melanogaster": "Dm"}
    tables = {
        species: epd.tss_table(epd.read_sga(next(epd_directory.glob(f"{stem}_*.sga*"))))
        for species, stem in stems.items()
    }
    lengths = {species: read_lengths(f"{genome}.fai") for species, genome in genomes.items()}
    split = split_windows(tables, lengths, 2048)
    share = pd.crosstab(split["species"], split["fold"], normalize="index")[list(FOLDS)]
    assert np.abs(share.to_numpy() - [0.8, 0.1, 0.1]).max() < 0.05
    for length in (256, 2048):
        cut = [extract(genomes[s], table.assign(species=s), length) for s, table in tables.items()]
        data, dropped, counts = build_dataset([kept for kept, _ in cut], [dropped for _, dropped in cut], split)
        assert len(data) + len(dropped) == sum(map(len, tables.values())) == counts["rows"].sum()
        digests = data["sequence"].map(lambda sequence: hashlib.sha256(sequence.encode()).hexdigest())
        assert digests.is_unique
        for species, rows in data.groupby("species"):
            assert shared_bases(rows, rows["fold"].to_numpy(), lengths[species], length) == 0
