# Sequences against real promoters: motifs by position, composition, k-mers, diversity, copying. A set of sequences is a FASTA file,
# whatever made it; the real test fold is what every set is measured against, and the set `train` (real against real) is the floor.
#
#   data set -> sets/<species>/<set>.fa -> measures, curves, composition, evidence -> one table, figures, ledger
EVIDENCE["epd_gendna"] = ["results/dna/evidence.tsv"]

for species in SPECIES:
    show(
        "epd_gendna",
        f"Motifs by position: {genome(species, 'name')}",
        f"results/dna/figures/motif_curves_{species}.svg",
        "dna_motif_curves",
    )
    show(
        "epd_gendna",
        f"Composition around the start site: {genome(species, 'name')}",
        f"results/dna/figures/composition_{species}.svg",
        "dna_composition",
    )
show("epd_gendna", "Measures of every set against the real test fold", "results/dna/summary.tsv", "dna_measures")
show("epd_gendna", "Data sheet", "results/promoters/dataset/datasheet.md", "promoters_datasheet")


rule draw_reference:
    input:
        dataset=f"results/promoters/dataset/epd_gendna_{DNA_LENGTH}.parquet",
        windows=lambda wildcards: (
            f"results/promoters/windows/{wildcards.species}/annotation_{DNA_LENGTH}.parquet"
            if wildcards.set == "annotation"
            else []
        ),
    output:
        "results/dna/sets/{species}/{set}.fa",
    log:
        "logs/draw_reference/{species}/{set}.log",
    benchmark:
        "benchmarks/draw_reference/{species}/{set}.jsonl"
    wildcard_constraints:
        set="|".join(["test", *config["dna"]["sets"]]),
    conda:
        "../envs/evaluate.yaml"
    threads: 1
    resources:
        mem_mb=4000,
        runtime="30m",
    params:
        repo=REPO,
        code=code("dna/draw_reference"),
        number=lookup(dpath="dna/number", within=config),
        windows=lambda wildcards, input: option("windows", [input.windows] if input.windows else []),
        seed=lookup(dpath="seed", within=config),
    message:
        "Drawing the set {wildcards.set} of {wildcards.species}"
    shell:
        "python {params.repo:q}/workflow dna/draw_reference --dataset {input.dataset:q} {params.windows} --species {wildcards.species:q}"
        " --set {wildcards.set:q} --number {params.number} --seed {params.seed} --out {output:q} > {log:q} 2>&1"


rule read_jaspar:
    output:
        "results/dna/motifs/{motif}.json",
    log:
        "logs/read_jaspar/{motif}.log",
    benchmark:
        "benchmarks/read_jaspar/{motif}.jsonl"
    conda:
        "../envs/jaspar.yaml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime="10m",
    params:
        repo=REPO,
        code=code("dna/read_jaspar"),
        release=lookup(dpath="dna/jaspar_release", within=config),
    message:
        "Reading the matrix {wildcards.motif} of JASPAR"
    shell:
        "python {params.repo:q}/workflow dna/read_jaspar --id {wildcards.motif:q} --release {params.release:q} --out {output:q} > {log:q} 2>&1"


rule measure_set:
    input:
        set="results/dna/sets/{species}/{set}.fa",
        real="results/dna/sets/{species}/test.fa",
        dataset=f"results/promoters/dataset/epd_gendna_{DNA_LENGTH}.parquet",
        motifs=expand("results/dna/motifs/{motif}.json", motif=config["dna"]["jaspar"]),
    output:
        measures="results/dna/measures/{species}/{set}.measures.tsv",
        curves="results/dna/measures/{species}/{set}.curves.tsv",
        composition="results/dna/measures/{species}/{set}.composition.tsv",
        evidence="results/dna/measures/{species}/{set}.evidence.tsv",
    log:
        "logs/measure_set/{species}/{set}.log",
    benchmark:
        "benchmarks/measure_set/{species}/{set}.jsonl"
    conda:
        "../envs/evaluate.yaml"
    threads: 1
    resources:
        mem_mb=4000,
        runtime="1h",
    params:
        repo=REPO,
        code=code("dna/measure_set"),
        motifs=shlex.join(config["dna"]["motifs"]),
        files=lambda wildcards, input: option("motif-file", input.motifs),
        resampled=lambda wildcards: resampled(wildcards.set),
        replicates=lookup(dpath="dna/replicates", within=config),
        seed=lookup(dpath="seed", within=config),
    message:
        "Measuring the set {wildcards.set} of {wildcards.species} against its test fold"
    shell:
        "python {params.repo:q}/workflow dna/measure_set --set {input.set:q} --real {input.real:q} --train {input.dataset:q}"
        " --species {wildcards.species:q} --motifs {params.motifs} {params.files} {params.resampled} --replicates {params.replicates} --seed {params.seed}"
        " --measures {output.measures:q} --curves {output.curves:q} --composition {output.composition:q}"
        " --evidence {output.evidence:q} > {log:q} 2>&1"


rule join_measures:
    input:
        measures=[
            f"results/dna/measures/{species}/{name}.measures.tsv" for species in SPECIES for name in sets(species)
        ],
        evidence=[
            f"results/dna/measures/{species}/{name}.evidence.tsv" for species in SPECIES for name in sets(species)
        ],
    output:
        measures="results/dna/measures.tsv",
        summary="results/dna/summary.tsv",
        evidence="results/dna/evidence.tsv",
    log:
        "logs/join_measures.log",
    benchmark:
        "benchmarks/join_measures.jsonl"
    conda:
        "../envs/evaluate.yaml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime="10m",
    params:
        repo=REPO,
        code=code("dna/join_measures"),
    message:
        "Joining the measures of all sets and species"
    shell:
        "python {params.repo:q}/workflow dna/join_measures --measures {input.measures:q} --evidence {input.evidence:q} --floor train"
        " --out {output.measures:q} --summary {output.summary:q} --evidence-out {output.evidence:q} > {log:q} 2>&1"


rule plot_motif_curves:
    input:
        lambda wildcards: expand(
            "results/dna/measures/{species}/{set}.curves.tsv", set=sets(wildcards.species), allow_missing=True
        ),
    output:
        "results/dna/figures/motif_curves_{species}.svg",
    log:
        "logs/plot_motif_curves/{species}.log",
    benchmark:
        "benchmarks/plot_motif_curves/{species}.jsonl"
    conda:
        "../envs/report.yaml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime="10m",
    params:
        repo=REPO,
        code=code("dna/plot_motif_curves"),
        name=lambda wildcards: genome(wildcards.species, "name"),
    message:
        "Drawing the motif curves of {wildcards.species}"
    shell:
        "python {params.repo:q}/workflow dna/plot_motif_curves --curves {input:q} --name {params.name:q} --out {output:q} > {log:q} 2>&1"


rule plot_composition:
    input:
        lambda wildcards: expand(
            "results/dna/measures/{species}/{set}.composition.tsv", set=sets(wildcards.species), allow_missing=True
        ),
    output:
        "results/dna/figures/composition_{species}.svg",
    log:
        "logs/plot_composition/{species}.log",
    benchmark:
        "benchmarks/plot_composition/{species}.jsonl"
    conda:
        "../envs/report.yaml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime="10m",
    params:
        repo=REPO,
        code=code("dna/plot_composition"),
        name=lambda wildcards: genome(wildcards.species, "name"),
    message:
        "Drawing the composition around the start sites of {wildcards.species}"
    shell:
        "python {params.repo:q}/workflow dna/plot_composition --composition {input:q} --name {params.name:q} --out {output:q} > {log:q} 2>&1"
