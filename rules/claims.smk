# The ledger and the report: every story's evidence tables -> verdicts -> one HTML page.


rule weigh_claims:
    input:
        claims=os.path.normpath(f"{REPO}/config/claims.yaml"),
        evidence=lambda wildcards: [path for system in systems() for path in EVIDENCE[system]],
        warnings=lambda wildcards: [path for system in systems() for path in WARNINGS[system]],
    output:
        "results/claims.tsv",
    log:
        "logs/weigh_claims.log",
    benchmark:
        "benchmarks/weigh_claims.jsonl"
    conda:
        "../envs/report.yaml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime="10m",
    params:
        repo=REPO,
        code=code("claims/weigh_claims"),
        scale=lookup(dpath="scale", within=config),
        warnings=lambda wildcards: repeated(
            "warnings", [(system, path) for system in systems() for path in WARNINGS[system]]
        ),
    message:
        "Weighing the claims"
    shell:
        "python {params.repo:q}/workflow claims/weigh_claims --claims {input.claims:q} --evidence {input.evidence:q} {params.warnings}"
        " --scale {params.scale:q} --out {output:q} > {log:q} 2>&1"


rule report:
    input:
        ledger="results/claims.tsv",
        shown=lambda wildcards: shown(),
        warnings=lambda wildcards: [path for system in systems() for path in WARNINGS[system]],
    output:
        "results/report.html",
    log:
        "logs/report.log",
    benchmark:
        "benchmarks/report.jsonl"
    conda:
        "../envs/report.yaml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime="10m",
    params:
        repo=REPO,
        code=code("claims/write_report"),
        texts=contents("workflow/report"),
        figures=lambda wildcards: repeated("item", [(system, *item) for system in systems() for item in SHOWN[system]]),
        warnings=lambda wildcards: repeated(
            "warnings", [(system, path) for system in systems() for path in WARNINGS[system]]
        ),
        settings=lambda wildcards: repeated(
            "setting", [("scale", config["scale"]), ("seed", config["seed"]), ("systems", ", ".join(systems()))]
        ),
    message:
        "Writing the report"
    shell:
        "python {params.repo:q}/workflow claims/write_report --ledger {input.ledger:q} {params.figures} {params.warnings} {params.settings}"
        " --texts {params.repo:q}/workflow/report --out {output:q} > {log:q} 2>&1"
