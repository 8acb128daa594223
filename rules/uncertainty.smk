# Four systems of uncertainty on the cached outputs of the classifiers: scores and SIRC, ensembles, early-exit cascades, label smoothing.
# Nothing here runs a network: arrays come in, tables, figures and evidence go out.
#
#   outputs/<width>/<recipe>/seed<seed>/<set>.npz -> sirc/scores -> sirc/*.tsv, *.svg
#                                                 -> ensemble_diversity, early_exit, label_smoothing: *.tsv, *.svg
#   models/<width>/<recipe>/seed<seed>/macs.json  -> early_exit;  seconds.tsv (measured, never the same twice) -> early_exit/seconds*
#
# uncertainty.arrays names networks of classifiers.imagenet to read instead of the desk's family; <recipe> is then `imagenet`.
ARRAYS = config["uncertainty"]["arrays"]
if ARRAYS:
    SCORED, MEMBERS = ((ARRAYS[system], "imagenet") for system in ("sirc", "ensemble_diversity"))
    FAMILY = {network: (network, "imagenet") for network in ARRAYS["early_exit"]}
    SWEPT = ARRAYS["early_exit"][0]
    ALPHAS = ARRAYS["label_smoothing"]
    SMOOTHED = {network: (network, "imagenet") for network in ALPHAS}
else:
    SWEPT = config["uncertainty"]["width"]
    SCORED = MEMBERS = (SWEPT, PLAIN)
    FAMILY = {width: (width, PLAIN) for width in config["classifiers"]["widths"]}
    SMOOTHED = {recipe: (SWEPT, recipe) for width, recipe, seed in MODELS if width == SWEPT and seed == 0}
    ALPHAS = {recipe: config["classifiers"]["recipes"][recipe] for recipe in SMOOTHED}
SPLITS = ["test", *oods(*SCORED)]
CASCADED = [(name, model, split) for name, model in FAMILY.items() for split in ["calibration", "test", *oods(*model)]]
MEMORY = 64000 if ARRAYS else 3000  # megabytes for one table of a system
HOURS = "12h" if ARRAYS else "1h"

EVIDENCE["sirc"] = ["results/uncertainty/sirc/evidence.tsv"]
EVIDENCE["ensemble_diversity"] = ["results/uncertainty/ensemble_diversity/evidence.tsv"]
EVIDENCE["early_exit"] = [
    "results/uncertainty/early_exit/evidence.tsv",
    *([] if ARRAYS else ["results/uncertainty/early_exit/seconds_evidence.tsv"]),
]
EVIDENCE["label_smoothing"] = ["results/uncertainty/label_smoothing/evidence.tsv"]

for system, title, path, caption in [
    ("sirc", "AUROC of correct ID inputs", "auroc_summary.tsv", "uncertainty_sirc_auroc"),
    ("sirc", "FPR@95 of correct ID inputs", "fpr95_summary.tsv", "uncertainty_sirc_fpr95"),
    ("sirc", "AURR of a stream, half of it ID", "aurr_summary.tsv", "uncertainty_sirc_aurr_table"),
    ("sirc", "Scores by OOD set", "figures/separation.svg", "uncertainty_sirc_separation"),
    ("sirc", "AURR over alpha and beta", "figures/aurr.svg", "uncertainty_sirc_aurr"),
    ("sirc", "Risk by recall", "figures/risk_recall.svg", "uncertainty_sirc_risk_recall"),
    ("ensemble_diversity", "AUROC of ID inputs", "auroc_summary.tsv", "uncertainty_diversity_auroc"),
    ("ensemble_diversity", "FPR@95 of ID inputs", "fpr95_summary.tsv", "uncertainty_diversity_fpr95"),
    ("ensemble_diversity", "Scores against entropy", "figures/auroc.svg", "uncertainty_diversity_difference"),
    ("ensemble_diversity", "Disagreement", "figures/disagreement.svg", "uncertainty_diversity_disagreement"),
    ("ensemble_diversity", "Selective classification", "selective.tsv", "uncertainty_diversity_selective"),
    ("early_exit", "What models and cascades give and cost", "summary.tsv", "uncertainty_cascades_summary"),
    ("early_exit", "Against MACs", "figures/macs.svg", "uncertainty_cascades_macs"),
    *(
        []  # seconds are measured on the desk's networks only
        if ARRAYS
        else [
            ("early_exit", "Against measured seconds", "figures/seconds.svg", "uncertainty_cascades_seconds"),
            ("early_exit", "Measured seconds", "seconds.tsv", "uncertainty_cascades_timings"),
        ]
    ),
    ("early_exit", "Windows of every size", "figures/sizes.svg", "uncertainty_cascades_sizes"),
    ("label_smoothing", "Recipes and scores", "summary.tsv", "uncertainty_smoothing_summary"),
    ("label_smoothing", "Risk by coverage", "figures/risk_coverage.svg", "uncertainty_smoothing_risk_coverage"),
    ("label_smoothing", "AURC by alpha", "figures/by_alpha.svg", "uncertainty_smoothing_by_alpha"),
    ("label_smoothing", "Suppression of the max logit", "figures/suppression.svg", "uncertainty_smoothing_suppression"),
    ("label_smoothing", "Choice of p", "figures/powers.svg", "uncertainty_smoothing_powers"),
]:
    show(system, title, f"results/uncertainty/{system}/{path}", caption)


rule score_outputs:
    input:
        sets=expand("results/classifiers/outputs/{{width}}/{{recipe}}/seed{{seed}}/{set}.npz", set=["train", *SPLITS]),
        head="results/classifiers/outputs/{width}/{recipe}/seed{seed}/head.npz",
    output:
        scores="results/uncertainty/sirc/scores/{width}/{recipe}/seed{seed}.npz",
        parameters="results/uncertainty/sirc/parameters/{width}/{recipe}/seed{seed}.tsv",
    log:
        "logs/score_outputs/{width}/{recipe}/seed{seed}.log",
    benchmark:
        "benchmarks/score_outputs/{width}/{recipe}/seed{seed}.jsonl"
    wildcard_constraints:
        width=re.escape(SCORED[0]),
        recipe=re.escape(SCORED[1]),
    # before more trainings: the longest table then fills a core beside them, not after them
    priority: 1
    conda:
        "../envs/evaluate.yaml"
    threads: 1
    resources:
        mem_mb=64000 if ARRAYS else 4000,
        runtime="12h" if ARRAYS else "2h",
    params:
        repo=REPO,
        code=code("uncertainty/score_outputs"),
        outputs=lambda wildcards, input: repeated("outputs", zip(SPLITS, input.sets[1:])),
        bank=lookup(dpath="uncertainty/bank", within=config),
        knn=lookup(dpath="uncertainty/knn", within=config),
        seed=lookup(dpath="seed", within=config),
    message:
        "Scoring the outputs of {wildcards.width}, {wildcards.recipe}, seed {wildcards.seed}"
    shell:
        "python {params.repo:q}/workflow uncertainty/score_outputs --train {input.sets[0]:q} {params.outputs} --head {input.head:q}"
        " --bank {params.bank} --neighbours {params.knn} --seed {params.seed} --out {output.scores:q}"
        " --parameters {output.parameters:q} > {log:q} 2>&1"


rule evaluate_sirc:
    input:
        scores=[f"results/uncertainty/sirc/scores/{'/'.join(SCORED)}/seed{seed}.npz" for seed in seeds(*SCORED)],
    output:
        separation="results/uncertainty/sirc/separation.tsv",
        aurr="results/uncertainty/sirc/aurr.tsv",
        curves="results/uncertainty/sirc/curves.tsv",
        summary=expand("results/uncertainty/sirc/{metric}_summary.tsv", metric=["auroc", "fpr95", "aurr"]),
        evidence="results/uncertainty/sirc/evidence.tsv",
    log:
        "logs/evaluate_sirc.log",
    benchmark:
        "benchmarks/evaluate_sirc.jsonl"
    # before more trainings: the longest table then fills a core beside them, not after them
    priority: 1
    conda:
        "../envs/evaluate.yaml"
    threads: 1
    resources:
        mem_mb=MEMORY,
        runtime=HOURS,
    params:
        repo=REPO,
        code=code("uncertainty/evaluate_sirc"),
        headline=lookup(dpath="uncertainty/headline", within=config),
        ratios=lookup(dpath="uncertainty/ratios", within=config),
        betas=lookup(dpath="uncertainty/betas", within=config),
        replicates=lookup(dpath="uncertainty/replicates", within=config),
        seed=lookup(dpath="seed", within=config),
    message:
        "Evaluating all scores in OOD detection and selective classification"
    shell:
        "python {params.repo:q}/workflow uncertainty/evaluate_sirc --scores {input.scores:q} --headline {params.headline:q}"
        " --ratios {params.ratios} --betas {params.betas} --replicates {params.replicates} --seed {params.seed}"
        " --separation {output.separation:q} --aurr {output.aurr:q} --curves {output.curves:q} --summary {output.summary:q}"
        " --evidence {output.evidence:q} > {log:q} 2>&1"


rule plot_sirc:
    input:
        separation="results/uncertainty/sirc/separation.tsv",
        aurr="results/uncertainty/sirc/aurr.tsv",
        curves="results/uncertainty/sirc/curves.tsv",
    output:
        expand("results/uncertainty/sirc/figures/{figure}.svg", figure=["separation", "aurr", "risk_recall"]),
    log:
        "logs/plot_sirc.log",
    benchmark:
        "benchmarks/plot_sirc.jsonl"
    conda:
        "../envs/report.yaml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime="10m",
    params:
        repo=REPO,
        code=code("uncertainty/plot_sirc"),
        headline=lookup(dpath="uncertainty/headline", within=config),
    message:
        "Drawing the figures of SIRC"
    shell:
        "python {params.repo:q}/workflow uncertainty/plot_sirc --separation {input.separation:q} --aurr {input.aurr:q}"
        " --curves {input.curves:q} --headline {params.headline:q} --out {output:q} > {log:q} 2>&1"


rule evaluate_diversity:
    input:
        [outputs(*MEMBERS, split) for split in ["test", *oods(*MEMBERS)]],
    output:
        detection="results/uncertainty/ensemble_diversity/detection.tsv",
        selective="results/uncertainty/ensemble_diversity/selective.tsv",
        conditional="results/uncertainty/ensemble_diversity/conditional.tsv",
        summary=expand("results/uncertainty/ensemble_diversity/{metric}_summary.tsv", metric=["auroc", "fpr95"]),
        evidence="results/uncertainty/ensemble_diversity/evidence.tsv",
    log:
        "logs/evaluate_diversity.log",
    benchmark:
        "benchmarks/evaluate_diversity.jsonl"
    conda:
        "../envs/evaluate.yaml"
    threads: 1
    resources:
        mem_mb=MEMORY,
        runtime=HOURS,
    params:
        repo=REPO,
        code=code("uncertainty/evaluate_diversity"),
        outputs=repeated("outputs", [(split, *outputs(*MEMBERS, split)) for split in ["test", *oods(*MEMBERS)]]),
        replicates=lookup(dpath="uncertainty/replicates", within=config),
        seed=lookup(dpath="seed", within=config),
    message:
        "Evaluating single models against their ensemble"
    shell:
        "python {params.repo:q}/workflow uncertainty/evaluate_diversity {params.outputs}"
        " --replicates {params.replicates} --seed {params.seed} --detection {output.detection:q}"
        " --selective {output.selective:q} --conditional {output.conditional:q} --summary {output.summary:q}"
        " --evidence {output.evidence:q} > {log:q} 2>&1"


rule plot_diversity:
    input:
        detection="results/uncertainty/ensemble_diversity/detection.tsv",
        conditional="results/uncertainty/ensemble_diversity/conditional.tsv",
    output:
        expand("results/uncertainty/ensemble_diversity/figures/{figure}.svg", figure=["auroc", "disagreement"]),
    log:
        "logs/plot_diversity.log",
    benchmark:
        "benchmarks/plot_diversity.jsonl"
    conda:
        "../envs/report.yaml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime="10m",
    params:
        repo=REPO,
        code=code("uncertainty/plot_diversity"),
    message:
        "Drawing the figures of ensemble diversity"
    shell:
        "python {params.repo:q}/workflow uncertainty/plot_diversity --detection {input.detection:q}"
        " --conditional {input.conditional:q} --out {output:q} > {log:q} 2>&1"


rule evaluate_cascades:
    input:
        outputs=[outputs(*model, split) for name, model, split in CASCADED],
        macs=[cost(*model) for model in FAMILY.values()],
    output:
        points="results/uncertainty/early_exit/points.tsv",
        windows="results/uncertainty/early_exit/windows.tsv",
        sizes="results/uncertainty/early_exit/sizes.tsv",
        summary="results/uncertainty/early_exit/summary.tsv",
        evidence="results/uncertainty/early_exit/evidence.tsv",
    log:
        "logs/evaluate_cascades.log",
    benchmark:
        "benchmarks/evaluate_cascades.jsonl"
    conda:
        "../envs/evaluate.yaml"
    threads: 1
    resources:
        mem_mb=MEMORY,
        runtime=HOURS,
    params:
        repo=REPO,
        code=code("uncertainty/evaluate_cascades"),
        outputs=repeated("outputs", [(name, split, *outputs(*model, split)) for name, model, split in CASCADED]),
        macs=lambda wildcards, input: repeated("macs", zip(FAMILY, input.macs)),
        width=SWEPT,
        half_width=lookup(dpath="uncertainty/half_width", within=config),
        replicates=lookup(dpath="uncertainty/replicates", within=config),
        seed=lookup(dpath="seed", within=config),
    message:
        "Evaluating single models, ensembles and cascades"
    shell:
        "python {params.repo:q}/workflow uncertainty/evaluate_cascades {params.macs} {params.outputs}"
        " --sweep {params.width:q} --half-width {params.half_width} --replicates {params.replicates} --seed {params.seed}"
        " --points {output.points:q} --windows {output.windows:q} --sizes {output.sizes:q} --summary {output.summary:q}"
        " --evidence {output.evidence:q} > {log:q} 2>&1"


rule plot_cascades:
    input:
        points="results/uncertainty/early_exit/points.tsv",
        sizes="results/uncertainty/early_exit/sizes.tsv",
    output:
        expand("results/uncertainty/early_exit/figures/{figure}.svg", figure=["macs", "sizes"]),
    log:
        "logs/plot_cascades.log",
    benchmark:
        "benchmarks/plot_cascades.jsonl"
    conda:
        "../envs/report.yaml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime="10m",
    params:
        repo=REPO,
        code=code("uncertainty/plot_cascades"),
    message:
        "Drawing cascades against their cost"
    shell:
        "python {params.repo:q}/workflow uncertainty/plot_cascades --points {input.points:q} --sizes {input.sizes:q}"
        " --out {output:q} > {log:q} 2>&1"


rule compare_seconds:
    input:
        seconds="results/classifiers/seconds.tsv",
        points="results/uncertainty/early_exit/points.tsv",
    output:
        table="results/uncertainty/early_exit/seconds.tsv",
        evidence="results/uncertainty/early_exit/seconds_evidence.tsv",
    log:
        "logs/compare_seconds.log",
    benchmark:
        "benchmarks/compare_seconds.jsonl"
    conda:
        "../envs/evaluate.yaml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime="10m",
    params:
        repo=REPO,
        code=code("uncertainty/compare_seconds"),
        replicates=lookup(dpath="uncertainty/replicates", within=config),
        seed=lookup(dpath="seed", within=config),
    message:
        "Comparing measured seconds"
    shell:
        "python {params.repo:q}/workflow uncertainty/compare_seconds --seconds {input.seconds:q} --points {input.points:q} --replicates {params.replicates}"
        " --seed {params.seed} --out {output.table:q} --evidence {output.evidence:q} > {log:q} 2>&1"


rule plot_seconds:
    input:
        seconds="results/uncertainty/early_exit/seconds.tsv",
        points="results/uncertainty/early_exit/points.tsv",
    output:
        "results/uncertainty/early_exit/figures/seconds.svg",
    log:
        "logs/plot_seconds.log",
    benchmark:
        "benchmarks/plot_seconds.jsonl"
    conda:
        "../envs/report.yaml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime="10m",
    params:
        repo=REPO,
        code=code("uncertainty/plot_seconds"),
    message:
        "Drawing coverage against measured seconds"
    shell:
        "python {params.repo:q}/workflow uncertainty/plot_seconds --seconds {input.seconds:q} --points {input.points:q}"
        " --out {output:q} > {log:q} 2>&1"


rule evaluate_smoothing:
    input:
        [outputs(*model, split) for model in SMOOTHED.values() for split in ["calibration", "test"]],
    output:
        measures="results/uncertainty/label_smoothing/measures.tsv",
        curves="results/uncertainty/label_smoothing/curves.tsv",
        searched="results/uncertainty/label_smoothing/searched.tsv",
        suppression="results/uncertainty/label_smoothing/suppression.tsv",
        summary="results/uncertainty/label_smoothing/summary.tsv",
        evidence="results/uncertainty/label_smoothing/evidence.tsv",
    log:
        "logs/evaluate_smoothing.log",
    benchmark:
        "benchmarks/evaluate_smoothing.jsonl"
    conda:
        "../envs/evaluate.yaml"
    threads: 1
    resources:
        mem_mb=MEMORY,
        runtime=HOURS,
    params:
        repo=REPO,
        code=code("uncertainty/evaluate_smoothing"),
        alphas=repeated("alpha", ALPHAS.items()),
        outputs=repeated(
            "outputs",
            [
                (recipe, split, *outputs(*model, split))
                for recipe, model in SMOOTHED.items()
                for split in ["calibration", "test"]
            ],
        ),
        powers=lookup(dpath="uncertainty/powers", within=config),
        replicates=lookup(dpath="uncertainty/replicates", within=config),
        seed=lookup(dpath="seed", within=config),
    message:
        "Evaluating label smoothing and logit normalisation"
    shell:
        "python {params.repo:q}/workflow uncertainty/evaluate_smoothing {params.alphas} {params.outputs}"
        " --powers {params.powers} --replicates {params.replicates} --seed {params.seed} --measures {output.measures:q}"
        " --curves {output.curves:q} --searched {output.searched:q} --suppression {output.suppression:q}"
        " --summary {output.summary:q} --evidence {output.evidence:q} > {log:q} 2>&1"


rule plot_smoothing:
    input:
        measures="results/uncertainty/label_smoothing/measures.tsv",
        curves="results/uncertainty/label_smoothing/curves.tsv",
        suppression="results/uncertainty/label_smoothing/suppression.tsv",
        searched="results/uncertainty/label_smoothing/searched.tsv",
    output:
        expand(
            "results/uncertainty/label_smoothing/figures/{figure}.svg",
            figure=["risk_coverage", "by_alpha", "suppression", "powers"],
        ),
    log:
        "logs/plot_smoothing.log",
    benchmark:
        "benchmarks/plot_smoothing.jsonl"
    conda:
        "../envs/report.yaml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime="10m",
    params:
        repo=REPO,
        code=code("uncertainty/plot_smoothing"),
    message:
        "Drawing the figures of label smoothing"
    shell:
        "python {params.repo:q}/workflow uncertainty/plot_smoothing --measures {input.measures:q} --curves {input.curves:q}"
        " --suppression {input.suppression:q} --searched {input.searched:q} --out {output:q} > {log:q} 2>&1"
