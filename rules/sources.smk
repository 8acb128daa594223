# Published files, retrieved once, checked by sha256. resources/sources.tsv says where each is published;
# the receipt beside each file says where it came from. No digest of code here: the published bytes are what they are, whatever fetched
# them, and an update of this workflow must not download genomes again. Where the environment changes and Snakemake does run the
# rule again, it finds the file in results/sources/.kept.


rule retrieve:
    output:
        file="results/sources/{source}/{file}",
        receipt="results/sources/{source}/{file}.json",
    log:
        "logs/retrieve/{source}/{file}.log",
    benchmark:
        "benchmarks/retrieve/{source}/{file}.jsonl"
    conda:
        "../envs/retrieve.yaml"
    threads: 1
    resources:
        mem_mb=500,
        runtime="4h",
    params:
        repo=REPO,
        published=lambda wildcards: [(row.location, row.sha256) for row in SOURCES[wildcards.source, wildcards.file]],
        optional=lambda wildcards: "--optional" if replaceable(wildcards.source) else "",
        late=late,
    message:
        "Retrieving {wildcards.file}"
    shell:
        "python {params.repo:q}/workflow sources/retrieve --table {params.repo:q}/resources/sources.tsv"
        " --source {wildcards.source:q} --file {wildcards.file:q} {params.optional} {params.late} --store results/sources/.kept"
        " --out {output.file:q} --receipt {output.receipt:q} > {log:q} 2>&1"
