"""The nuclear chromosomes of S. cerevisiae R64: GenBank accession = RefSeq accession."""

# chromosome I to XVI; BK006934 is VIII, so the GenBank accessions do not count like the chromosomes
YEAST = [
    "BK006935.2=NC_001133.9",
    "BK006936.2=NC_001134.8",
    "BK006937.2=NC_001135.5",
    "BK006938.2=NC_001136.10",
    "BK006939.2=NC_001137.3",
    "BK006940.2=NC_001138.5",
    "BK006941.2=NC_001139.9",
    "BK006934.2=NC_001140.6",
    "BK006942.2=NC_001141.2",
    "BK006943.2=NC_001142.9",
    "BK006944.2=NC_001143.9",
    "BK006945.2=NC_001144.5",
    "BK006946.2=NC_001145.3",
    "BK006947.3=NC_001146.8",
    "BK006948.2=NC_001147.6",
    "BK006949.2=NC_001148.4",
]
