# EPD-GenDNA (Li et al., DiscDiff, 2024): promoters of several species, cut from reference genomes around the start sites of EPDnew.
#
#   archive -> genome.fa ----------------------------------+
#   annotation -> annotation.tsv -+                        v
#   EPDnew SGA -> epd.tsv --------+-> chosen.tsv -> windows (species, length) -> data set (length), FASTA, data sheet
#                                          +----> split of all species ---------^
#
# Seconds per species at the desk; hours of downloads for the fifteen genomes of config/epd.yaml.
CUT = [] if AUTHOR_CSV else SPECIES  # species whose windows are cut here
WARNINGS["epd_gendna"] = expand("results/promoters/tss/{species}/chosen.warning.tsv", species=CUT)
RECEIPTS = (
    expand("results/promoters/dataset/epd_gendna_{length}.source.json", length=LENGTHS)
    if AUTHOR_CSV
    else receipts(SPECIES, ("sequence", "annotation", "epd", "dat"))
)
COMPARED = list(filter(compared, SPECIES))

show("epd_gendna", "Windows kept and dropped", "results/promoters/figures/window_counts.svg", "promoters_window_counts")


rule prepare_genome:
    input:
        lambda wildcards: sourced(genome(wildcards.species, "sequence")),
    output:
        fasta="results/promoters/genomes/{species}.fa",
        fai="results/promoters/genomes/{species}.fa.fai",
    log:
        "logs/prepare_genome/{species}.log",
    benchmark:
        "benchmarks/prepare_genome/{species}.jsonl"
    conda:
        "../envs/genomes.yaml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime="1h",
    params:
        repo=REPO,
        code=code("promoters/prepare_genome"),
        member=lambda wildcards: member(genome(wildcards.species, "sequence")),
        contigs=lambda wildcards: " ".join(renamed(wildcards.species)),
    message:
        "Preparing the genome of {wildcards.species}"
    shell:
        "python {params.repo:q}/workflow promoters/prepare_genome --archive {input:q} {params.member} {params.contigs}"
        " --out {output.fasta:q} > {log:q} 2>&1"


rule read_annotation:
    input:
        archive=lambda wildcards: sourced(genome(wildcards.species, "annotation")),
        fai="results/promoters/genomes/{species}.fa.fai",
    output:
        "results/promoters/tss/{species}/annotation.tsv",
    log:
        "logs/read_annotation/{species}.log",
    benchmark:
        "benchmarks/read_annotation/{species}.jsonl"
    conda:
        "../envs/genomes.yaml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime="1h",
    params:
        repo=REPO,
        code=code("promoters/read_annotation"),
        member=lambda wildcards: member(genome(wildcards.species, "annotation")),
        contigs=lambda wildcards: renamed(wildcards.species)[0],
        absent=lambda wildcards: option("absent", genome(wildcards.species, "absent")),
    message:
        "Reading annotated 5' ends of {wildcards.species}"
    shell:
        "python {params.repo:q}/workflow promoters/read_annotation --archive {input.archive:q} {params.member} {params.contigs}"
        " --fai {input.fai:q} {params.absent} --out {output:q} > {log:q} 2>&1"


rule read_epd:
    input:
        sga=lambda wildcards: sourced(genome(wildcards.species, "epd")),
        receipt=lambda wildcards: sourced(genome(wildcards.species, "epd"), ".json"),
        dat=lambda wildcards: sourced(genome(wildcards.species, "dat")),
        dat_receipt=lambda wildcards: sourced(genome(wildcards.species, "dat"), ".json"),
        genome="results/promoters/genomes/{species}.fa",
        fai="results/promoters/genomes/{species}.fa.fai",
    output:
        "results/promoters/tss/{species}/epd.tsv",
    log:
        "logs/read_epd/{species}.log",
    benchmark:
        "benchmarks/read_epd/{species}.jsonl"
    conda:
        "../envs/genomes.yaml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime="1h",
    params:
        repo=REPO,
        code=code("promoters/read_epd"),
        dat=lambda wildcards, input: repeated(
            "dat", [(input.dat, "--dat-receipt", input.dat_receipt)] if input.dat else []
        ),
        absent=lambda wildcards: option("absent", genome(wildcards.species, "absent")),
    message:
        "Reading the EPDnew start sites of {wildcards.species}"
    shell:
        "python {params.repo:q}/workflow promoters/read_epd --sga {input.sga:q} --receipt {input.receipt:q} {params.dat}"
        " --genome {input.genome:q} {params.absent} --out {output:q} > {log:q} 2>&1"


rule choose_tss:
    input:
        lambda wildcards: expand(
            "results/promoters/tss/{species}/{kind}.tsv", kind=kinds(wildcards.species), allow_missing=True
        ),
    output:
        tss="results/promoters/tss/{species}/chosen.tsv",
        warning="results/promoters/tss/{species}/chosen.warning.tsv",
    log:
        "logs/choose_tss/{species}.log",
    benchmark:
        "benchmarks/choose_tss/{species}.jsonl"
    conda:
        "../envs/genomes.yaml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime="10m",
    params:
        repo=REPO,
        code=code("promoters/choose_tss"),
    message:
        "Choosing the start sites of {wildcards.species}"
    shell:
        "python {params.repo:q}/workflow promoters/choose_tss --tss {input:q} --species {wildcards.species:q}"
        " --out {output.tss:q} --warning {output.warning:q} > {log:q} 2>&1"


rule cut_windows:
    input:
        genome="results/promoters/genomes/{species}.fa",
        fai="results/promoters/genomes/{species}.fa.fai",
        tss="results/promoters/tss/{species}/{tss}.tsv",
    output:
        windows="results/promoters/windows/{species}/{tss}_{length}.parquet",
        dropped="results/promoters/windows/{species}/{tss}_{length}.dropped.tsv",
    log:
        "logs/cut_windows/{species}/{tss}_{length}.log",
    benchmark:
        "benchmarks/cut_windows/{species}/{tss}_{length}.jsonl"
    conda:
        "../envs/genomes.yaml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime="1h",
    params:
        repo=REPO,
        code=code("promoters/cut_windows"),
        ambiguous=lookup(dpath="promoters/ambiguous", within=config),
    message:
        "Cutting windows of {wildcards.length} bases, {wildcards.species}, start sites: {wildcards.tss}"
    shell:
        "python {params.repo:q}/workflow promoters/cut_windows --genome {input.genome:q} --tss {input.tss:q}"
        " --species {wildcards.species:q} --length {wildcards.length} --ambiguous {params.ambiguous:q}"
        " --out {output.windows:q} --dropped {output.dropped:q} > {log:q} 2>&1"


rule split_windows:
    input:
        tss=expand("results/promoters/tss/{species}/chosen.tsv", species=SPECIES),
        fai=expand("results/promoters/genomes/{species}.fa.fai", species=SPECIES),
    output:
        "results/promoters/split.tsv",
    log:
        "logs/split_windows.log",
    benchmark:
        "benchmarks/split_windows.jsonl"
    conda:
        "../envs/genomes.yaml"
    threads: 1
    resources:
        mem_mb=4000,
        runtime="1h",
    params:
        repo=REPO,
        code=code("promoters/split_windows"),
        species=SPECIES,
        length=max(config["promoters"]["lengths"]),
        unit=lookup(dpath="promoters/split/unit", within=config),
        block_length=lookup(dpath="promoters/split/block_length", within=config),
        fractions=lookup(dpath="promoters/split/fractions", within=config),
        orthologs=" ".join(
            option("orthologs", [",".join(group)]) for group in config["promoters"]["split"]["orthologs"]
        ),
        seed=lookup(dpath="seed", within=config),
    message:
        "Splitting the promoters of all species into train, validation and test"
    shell:
        "python {params.repo:q}/workflow promoters/split_windows --tss {input.tss:q} --fai {input.fai:q} --species {params.species:q}"
        " --length {params.length} --unit {params.unit:q} --block-length {params.block_length}"
        " --fractions {params.fractions} {params.orthologs} --seed {params.seed} --out {output:q} > {log:q} 2>&1"


if AUTHOR_CSV:

    rule read_author_csv:
        input:
            lookup(dpath="promoters/author_csv/path", within=config),
        output:
            dataset="results/promoters/dataset/epd_gendna_{length}.parquet",
            fasta="results/promoters/dataset/epd_gendna_{length}.fa.gz",
            dropped="results/promoters/dataset/epd_gendna_{length}.dropped.tsv",
            counts="results/promoters/dataset/epd_gendna_{length}.counts.tsv",
            receipt="results/promoters/dataset/epd_gendna_{length}.source.json",
        log:
            "logs/read_author_csv/{length}.log",
        benchmark:
            "benchmarks/read_author_csv/{length}.jsonl"
        conda:
            "../envs/genomes.yaml"
        threads: 1
        resources:
            mem_mb=8000,
            runtime="1h",
        params:
            repo=REPO,
            code=code("promoters/read_author_csv"),
            sha256=lookup(dpath="promoters/author_csv/sha256", within=config),
            fractions=lookup(dpath="promoters/split/fractions", within=config),
            seed=lookup(dpath="seed", within=config),
        message:
            "Reading the authors' CSV of EPD-GenDNA"
        shell:
            "python {params.repo:q}/workflow promoters/read_author_csv --csv {input:q} --sha256 {params.sha256:q}"
            " --length {wildcards.length} --fractions {params.fractions} --seed {params.seed}"
            " --out {output.dataset:q} --fasta {output.fasta:q} --dropped-out {output.dropped:q} --counts {output.counts:q} --receipt {output.receipt:q} > {log:q} 2>&1"

else:

    rule build_dataset:
        input:
            windows=expand("results/promoters/windows/{species}/chosen_{{length}}.parquet", species=SPECIES),
            dropped=expand("results/promoters/windows/{species}/chosen_{{length}}.dropped.tsv", species=SPECIES),
            split="results/promoters/split.tsv",
        output:
            dataset="results/promoters/dataset/epd_gendna_{length}.parquet",
            fasta="results/promoters/dataset/epd_gendna_{length}.fa.gz",
            dropped="results/promoters/dataset/epd_gendna_{length}.dropped.tsv",
            counts="results/promoters/dataset/epd_gendna_{length}.counts.tsv",
        log:
            "logs/build_dataset/{length}.log",
        benchmark:
            "benchmarks/build_dataset/{length}.jsonl"
        conda:
            "../envs/genomes.yaml"
        threads: 1
        resources:
            mem_mb=8000,
            runtime="1h",
        params:
            repo=REPO,
            code=code("promoters/build_dataset"),
        message:
            "Joining the windows of {wildcards.length} bases of all species"
        shell:
            "python {params.repo:q}/workflow promoters/build_dataset --windows {input.windows:q} --dropped {input.dropped:q}"
            " --split {input.split:q} --out {output.dataset:q} --fasta {output.fasta:q}"
            " --dropped-out {output.dropped:q} --counts {output.counts:q} > {log:q} 2>&1"


rule compare_tss_sources:
    input:
        epd="results/promoters/tss/{species}/epd.tsv",
        annotation="results/promoters/tss/{species}/annotation.tsv",
        fai="results/promoters/genomes/{species}.fa.fai",
    output:
        "results/promoters/tss/{species}/comparison.tsv",
    log:
        "logs/compare_tss_sources/{species}.log",
    benchmark:
        "benchmarks/compare_tss_sources/{species}.jsonl"
    conda:
        "../envs/genomes.yaml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime="10m",
    params:
        repo=REPO,
        code=code("promoters/compare_tss_sources"),
    message:
        "Comparing EPDnew start sites with annotated 5' ends of {wildcards.species}"
    shell:
        "python {params.repo:q}/workflow promoters/compare_tss_sources --epd {input.epd:q} --annotation {input.annotation:q}"
        " --species {wildcards.species:q} --fai {input.fai:q} --out {output:q} > {log:q} 2>&1"


rule write_datasheet:
    input:
        dataset=expand("results/promoters/dataset/epd_gendna_{length}.parquet", length=LENGTHS),
        dropped=expand("results/promoters/dataset/epd_gendna_{length}.dropped.tsv", length=LENGTHS),
        receipts=RECEIPTS,
        warnings=WARNINGS["epd_gendna"],
        split=[] if AUTHOR_CSV else "results/promoters/split.tsv",
        comparison=expand("results/promoters/tss/{species}/comparison.tsv", species=COMPARED),
    output:
        "results/promoters/dataset/datasheet.md",
    log:
        "logs/write_datasheet.log",
    benchmark:
        "benchmarks/write_datasheet.jsonl"
    conda:
        "../envs/genomes.yaml"
    threads: 1
    resources:
        mem_mb=4000,
        runtime="10m",
    params:
        repo=REPO,
        code=code("promoters/write_datasheet"),
        comparison=lambda wildcards, input: option("comparison", input.comparison),
        split=lambda wildcards, input: option("split", [input.split] if input.split else []),
    message:
        "Writing the data sheet of EPD-GenDNA"
    shell:
        "python {params.repo:q}/workflow promoters/write_datasheet --dataset {input.dataset:q} --dropped {input.dropped:q}"
        " --receipts {input.receipts:q} --warning {input.warnings:q} {params.comparison} {params.split}"
        " --out {output:q} > {log:q} 2>&1"


rule plot_window_counts:
    input:
        expand("results/promoters/dataset/epd_gendna_{length}.counts.tsv", length=LENGTHS),
    output:
        "results/promoters/figures/window_counts.svg",
    log:
        "logs/plot_window_counts.log",
    benchmark:
        "benchmarks/plot_window_counts.jsonl"
    conda:
        "../envs/report.yaml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime="10m",
    params:
        repo=REPO,
        code=code("promoters/plot_window_counts"),
    message:
        "Drawing the window counts"
    shell:
        "python {params.repo:q}/workflow promoters/plot_window_counts --counts {input:q} --out {output:q} > {log:q} 2>&1"
