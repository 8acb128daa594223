"""One split into train, validation and test for every later model: what overlaps stays together.

Random rows leak: in EPDnew many windows of 2,048 bp share bases with a neighbour's. Here a cluster of overlapping windows is the
atom, and a unit of one or more clusters goes to a fold as a whole: a chromosome, a block of one, or a cluster by itself.
"""

import hashlib
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from genovision.errors import InputError
from genovision.promoters.intervals import clusters

FOLDS = ("train", "validation", "test")
UNITS = ("chromosome", "block", "cluster")
FEWEST_BLOCKS = 20  # with fewer, a fold of a tenth is a matter of luck
COLUMNS = ["species", "id", "tss_source", "unit", "fold"]


def _blocks(start: np.ndarray, contig: np.ndarray, block_length: int, shortest: int) -> tuple[np.ndarray, int]:
    """(block number of each start, the length used): halved until the species has 20 blocks, not below `shortest`."""
    while True:
        block = start // block_length
        occupied = len(pd.MultiIndex.from_arrays([contig, block]).unique())
        if occupied >= FEWEST_BLOCKS or block_length // 2 < shortest:
            return block, block_length
        block_length //= 2


def units(
    tss: pd.DataFrame, lengths: Mapping[str, int], length: int, unit: str = "block", block_length: int = 500_000
) -> pd.Series:
    """The name of the unit of each TSS, index of `tss`: `contig`, or `contig:start-end` of its block or cluster.

    Clusters are those of windows of `length`. A block is `block_length` bases long, counted from the contig's start, and holds the
    clusters that begin in it. Where a species has fewer than 20 blocks with promoters, its blocks are halved until it has,
    though not below `length`: else a small genome would leave a fold empty.
    """
    contig = tss["accession"].to_numpy(dtype=object)
    if unit == "chromosome":
        return pd.Series(contig, index=tss.index, dtype="str")
    found = clusters(tss, lengths, length)
    start, end = found["start"].to_numpy(), found["end"].to_numpy()
    if unit == "block":
        block, used = _blocks(start, contig, block_length, length)
        size = np.array([lengths[name] for name in contig], dtype=np.int64)
        start, end = block * used, np.minimum((block + 1) * used, size)
    names = [f"{name}:{low}-{high}" for name, low, high in zip(contig, start, end, strict=True)]
    return pd.Series(names, index=tss.index, dtype="str")


def _digest(seed: int, species: str, unit: str) -> str:
    return hashlib.sha256(f"{seed}\t{species}\t{unit}".encode()).hexdigest()


def _linked(rows: pd.DataFrame, orthologs: Sequence[Sequence[str]]) -> np.ndarray:
    """Component of each row, shape (n,): rows of a unit, and rows of a group's species with one gene symbol, are joined."""
    unit = rows.groupby(["species", "unit"], sort=False).ngroup().to_numpy()
    group = {species: number for number, members in enumerate(orthologs) for species in members}
    number = [group.get(species, -1) for species in rows["species"]]
    linked = np.array(number) >= 0
    symbols = [f"{of}\t{gene.upper()}" for of, gene in zip(number, rows["gene"], strict=True) if of >= 0]
    gene = pd.factorize(np.array(symbols, dtype=object))[0] + unit.max() + 1
    size = max(unit.max(), gene.max(initial=0)) + 1
    graph = coo_array((np.ones(gene.size), (unit[linked], gene)), shape=(size, size))
    return np.unique(connected_components(graph, directed=False)[1][unit], return_inverse=True)[1]


def assign(mass: np.ndarray, order: Sequence[int], fractions: Sequence[float]) -> np.ndarray:
    """Fold of each component: in `order`, each goes where its species lack most; shape (n,), 0 train, 1 validation, 2 test.

    mass:      promoters by component and species, shape (n, S)
    fractions: of the promoters of each species, shape (3,)

    What a fold lacks is its share of the species' promoters less those it has, summed over the component's species; of two
    folds that lack as much the first is taken.
    """
    lack = np.asarray(fractions)[:, None] * mass.sum(axis=0)  # (3, S)
    fold = np.empty(len(mass), dtype=np.int64)
    for component in order:
        fold[component] = int(np.argmax(lack[:, mass[component] > 0].sum(axis=1)))
        lack[fold[component]] -= mass[component]
    return fold


def _check(tables: Mapping, unit: str, fractions: Sequence[float], orthologs: Sequence[Sequence[str]]) -> None:
    if unit not in UNITS:
        raise InputError(f"the unit of the split is one of {', '.join(UNITS)}, not {unit!r}.")
    if len(fractions) != 3 or min(fractions) < 0 or abs(sum(fractions) - 1) > 1e-9:
        raise InputError(f"the fractions of the split are three numbers with the sum 1, not {list(fractions)}.")
    if orthologs and unit != "cluster":
        raise InputError(f"orthologs stay in one fold only with the unit cluster, not {unit}; change one of the two.")
    named = [species for members in orthologs for species in members]
    if unknown := sorted(set(named) - set(tables)):
        raise InputError(f"a group of orthologs names {unknown[0]}, which is none of the species; correct the name.")
    if len(named) != len(set(named)):
        raise InputError("a species is in two groups of orthologs; join the groups.")


def split_windows(
    tables: Mapping[str, pd.DataFrame],
    lengths: Mapping[str, Mapping[str, int]],
    length: int,
    unit: str = "block",
    block_length: int = 500_000,
    fractions: Sequence[float] = (0.8, 0.1, 0.1),
    orthologs: Sequence[Sequence[str]] = (),
    seed: int = 0,
) -> pd.DataFrame:
    """The fold of every TSS on the genomes: `species, id, tss_source, unit, fold`, in the order of the tables.

    tables:    species -> TSS table. Rows on contigs that `lengths` lacks have no window and no fold: they are left out.
    lengths:   species -> contig -> length
    length:    the largest window that will be cut; shorter ones, centred on the same TSS, share even less
    unit, block_length: see `units`
    fractions: of train, validation and test, in promoters of each species
    orthologs: groups of species among which promoters of one gene symbol (upper-cased) stay in one fold, within and across
               species; needs the unit cluster

    No two windows of different folds share a base. The same seed gives the same folds: units come in the order of
    sha256("seed TAB species TAB unit") and each goes where its species lack most (`assign`).
    Raises InputError when a fold with a share ends up without promoters of a species, and for arguments out of range.
    """
    _check(tables, unit, fractions, orthologs)
    rows = []
    for species, table in tables.items():
        here = table[table["accession"].isin(list(lengths[species]))]
        if here.empty:
            raise InputError(f"no transcription start site of {species} lies on its genome; do the contig names agree?")
        name = units(here, lengths[species], length, unit, block_length)
        rows.append(here[["id", "tss_source", "gene"]].assign(species=species, unit=name))
    rows = pd.concat(rows, ignore_index=True)
    component = _linked(rows, orthologs)
    mass = pd.crosstab(component, rows["species"]).to_numpy()  # components are numbered from 0 without a gap
    digests = [_digest(seed, *key) for key in zip(rows["species"], rows["unit"], strict=True)]
    order = pd.Series(digests).groupby(component).min().sort_values().index
    rows["fold"] = pd.Series(np.array(FOLDS)[assign(mass, order, fractions)[component]], dtype="str")
    _check_folds(rows, fractions, unit)
    return rows[COLUMNS]


def _check_folds(rows: pd.DataFrame, fractions: Sequence[float], unit: str) -> None:
    wanted = [fold for fold, fraction in zip(FOLDS, fractions, strict=True) if fraction > 0]
    for species, of in rows.groupby("species", sort=False):
        if lacking := [fold for fold in wanted if fold not in set(of["fold"])]:
            raise InputError(
                f"the split leaves {' and '.join(lacking)} of {species} empty: it has only {of['unit'].nunique()} units of the "
                f"kind {unit}; choose a smaller unit or shorter blocks."
            )
