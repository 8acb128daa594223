"""EPDnew and NCBI in miniature: a genome and its promoters in the real file formats, for tests that run the whole way."""

import gzip
from pathlib import Path

import numpy as np

COMPLEMENT = str.maketrans("ACGTRYNacgtryn", "TGCAYRNtgcayrn")
SPACING = 5_000  # bp between promoters: windows of 2,048 bp of neighbours do not meet
TATA = "TATAAAAG"


def _reverse_complement(sequence: str) -> str:
    return sequence.translate(COMPLEMENT)[::-1]


def _put(contig: list[str], position: int, strand: str, offset: int, motif: str) -> None:
    """Write `motif` so that it begins `offset` bases from the TSS (negative: upstream) on the strand of the gene."""
    if strand == "+":
        start = position - 1 + offset
        contig[start : start + len(motif)] = motif
    else:
        end = position - offset
        contig[end - len(motif) : end] = _reverse_complement(motif)


def _promoters(number: int, contig: int, rng: np.random.Generator) -> list[tuple[int, str]]:
    """(position, strand) along a contig; every tenth is the divergent partner of the one before, 300 bp away."""
    places: list[tuple[int, str]] = []
    for slot in range(number):
        if slot % 10 == 9:
            position, strand = places[-1]
            places.append((position + 300, "-" if strand == "+" else "+"))
        else:
            position = 3_000 + SPACING * slot + int(rng.integers(-800, 801))
            places.append((position, str(rng.choice(["+", "-"]))))
    if contig == 0:
        places[1:5] = [(position, "+") for position, _ in places[1:5]]
    else:
        places[0] = (40, "+")
    return places


def _sequence(places: list[tuple[int, str]], contig: int, rng: np.random.Generator) -> str:
    """A contig around the promoters: TATA boxes, soft-masked repeats and, on the first, what makes rows drop."""
    letters = rng.choice(list("ACGT"), SPACING * (len(places) + 1), p=[0.3, 0.2, 0.2, 0.3]).tolist()
    for number, (position, strand) in enumerate(places):
        if number % 3 == 0 and position > 100:
            _put(letters, position, strand, -31, TATA)
    if contig == 0:
        (first, _), (second, _), (third, _), (fourth, _) = places[1:5]
        letters[second - 1501 : second + 1499] = letters[first - 1501 : first + 1499]
        _put(letters, third, "+", 600, "N" * 20)
        _put(letters, fourth, "+", 700, "R")
    for start in range(0, len(letters), 1_000):
        if rng.random() < 0.3:
            letters[start : start + 200] = [letter.lower() for letter in letters[start : start + 200]]
    return "".join(letters)


def _se(sequence: str, position: int, strand: str) -> str:
    """The 60 bases from -49 to +10, or what the contig has of them, upper case from the TSS on."""
    before, after = (50, 10) if strand == "+" else (11, 49)
    start = max(position - before, 0)
    bases, tss = sequence[start : position + after], position - 1 - start
    if strand == "-":
        bases, tss = _reverse_complement(bases), len(bases) - 1 - tss
    return bases[:tss].lower() + bases[tss:].upper()


def _dat_record(species: str, row: tuple[str, int, str, str], sequence: str, chromosome: str, number: int) -> str:
    accession, position, strand, name = row
    left, right = (1 - position, len(sequence) - position) if strand == "+" else (position, position - len(sequence))
    lines = [
        f"ID   {name}   preliminary; single; MIN.",
        "XX",
        f"GN   Name={name.rsplit('_', 1)[0]};",
        "DE   A gene that was made up",
        f"OS   {species.replace('_', '. ')} (miniature).",
        "XX",
        "DT   1-JAN-2024 (Rel. 001)",
        "XX",
        f"DR   GENOME; {accession}; {accession.split('.')[0]}; [{left}, {right}].",
        f"DR   UCSC; mini1 {chromosome} {strand} {position if strand == '-' else position - 1}",
        "XX",
        f"SE   {_se(sequence, position, strand)}",
        "XX",
        f"FP   {name:<20}: S  EU:{accession:<18}1{strand}{position:>10};{number:>6}.",
        "XX",
        "//",
    ]
    return "".join(f"{line}\n" for line in lines)


def _bed_line(row: tuple[str, int, str, str], chromosome: str, length: int) -> str:
    _, position, strand, name = row
    start, end = (position - 50, position + 10) if strand == "+" else (position - 11, position + 49)
    thick = (position - 1, end) if strand == "+" else (start, position)
    return f"{chromosome} {max(start, 0)} {min(end, length)} {name} 900 {strand} {thick[0]} {thick[1]}\n"


def write_epd_miniature(
    folder: Path, species_code: str, accession_prefix: str, seed: int, promoters: int = 60
) -> dict[str, Path]:
    """Write genome (NCBI style, gzip), SGA, DAT and BED of a made-up species; returns their paths by these keys.

    species_code: such as S_cerevisiae, which gives the file names
    accession_prefix: the two contigs are <prefix>1.1 and <prefix>2.1, three fifths of the promoters are on the first
    promoters: at least 20, one every 5 kb

    Built in: promoter 2 of the first contig repeats the sequence of promoter 1 (duplicate at 256 and 2,048 bp); promoter 3
    has N at +600 and promoter 4 an R at +700 (dropped at 2,048, kept at 256); promoter 0 of the second contig has its TSS at
    base 40 (off the contig, SE cut short). So of n promoters n - 2 are kept at 256 and n - 4 at 2,048. A third have a TATA box
    at -31. Every tenth is a divergent partner of its neighbour; the gene of promoter 6 also has promoter 7.
    """
    if promoters < 20:
        raise ValueError("a miniature has at least 20 promoters")
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    stem = f"{species_code[0]}{species_code[2]}_EPDnew_001_mini1"
    paths = {kind: folder / f"{stem}.{kind}" for kind in ("sga", "dat", "bed")}
    paths["genome"] = folder / f"GCF_00{seed:07d}.1_{species_code}_mini1_genomic.fna.gz"
    on_first = promoters * 3 // 5
    fasta, sga, dat, bed = [], [], [], []
    for contig, number in enumerate((on_first, promoters - on_first)):
        accession, chromosome = f"{accession_prefix}{contig + 1}.1", f"chr{contig + 1}"
        places = _promoters(number, contig, rng)
        sequence = _sequence(places, contig, rng)
        wrapped = "\n".join(sequence[start : start + 80] for start in range(0, len(sequence), 80))
        fasta.append(f">{accession} {species_code} chromosome {contig + 1}, mini1, whole genome\n{wrapped}\n")
        for slot, (position, strand) in enumerate(places):
            name = f"GENE{contig}{6:02d}_2" if slot == 7 else f"GENE{contig}{slot:02d}_1"
            row = (accession, position, strand, name)
            sga.append(f"{accession}\tTSS\t{position}\t{strand}\t1\t{name}\n")
            dat.append(_dat_record(species_code, row, sequence, chromosome, len(sga)))
            bed.append(_bed_line(row, chromosome, len(sequence)))
    paths["genome"].write_bytes(gzip.compress("".join(fasta).encode(), mtime=0))
    for kind, lines in (("sga", sga), ("dat", dat), ("bed", bed)):
        paths[kind].write_text("".join(lines))
    return paths
