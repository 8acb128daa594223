"""How far annotated 5' ends lie from the transcription start sites of EPDnew, species by species."""

import pandas as pd

from genovision.errors import InputError
from genovision.promoters.intervals import nearest

COLUMNS = ["species", "n", "exact", "within_50", "median_distance"]
NEAR = 50  # bp


def compare(epd: pd.DataFrame, annotation: pd.DataFrame, species: str) -> pd.DataFrame:
    """One row: what share of the EPDnew TSS the nearest annotated 5' end hits.

    epd, annotation: TSS tables
    n:               EPDnew TSS that have an annotated 5' end on their contig and strand; the shares are of these
    exact:           share with one at the same base
    within_50:       share with one at most 50 bp away, in either direction
    median_distance: of the nearest 5' end minus the TSS in bp on the gene's strand: negative is upstream; of two at the same
                     distance the upstream one counts
    Zero rows when one of the tables has none. Raises InputError when no TSS has an annotated 5' end on its contig and strand.
    """
    if epd.empty or annotation.empty:
        return pd.DataFrame(columns=COLUMNS)
    distance = nearest(epd, annotation).dropna()
    if distance.empty:
        raise InputError(f"no EPDnew site of {species} shares a contig with the annotation; do the contig names agree?")
    row = [species, len(distance), (distance == 0).mean(), (distance.abs() <= NEAR).mean(), distance.median()]
    return pd.DataFrame([row], columns=COLUMNS)
