# genovision: ten published systems of generative genomics and vision uncertainty in one graph.
# Each story is one file in rules/, readable top to bottom as a data flow; README.md shows the whole.
from snakemake.utils import min_version

min_version("9.20")


configfile: os.path.join(workflow.basedir, "config", "config.yaml")


include: "rules/common.smk"
include: "rules/sources.smk"
include: "rules/promoters.smk"
include: "rules/dna.smk"
include: "rules/classifiers.smk"
include: "rules/imagenet.smk"
include: "rules/uncertainty.smk"
include: "rules/claims.smk"


localrules:
    all,
    early_exit,
    ensemble_diversity,
    epd_gendna,
    label_smoothing,
    promoters,
    sirc,
    uncertainty,
    retrieve,  # nodes of a cluster often have no internet


rule all:
    default_target: True
    input:
        shown(config["systems"]),
        "results/claims.tsv",
        "results/report.html",


rule epd_gendna:
    input:
        shown(["epd_gendna"]),


rule promoters:
    input:
        rules.epd_gendna.input,


rule sirc:
    input:
        shown(["sirc"]),


rule ensemble_diversity:
    input:
        shown(["ensemble_diversity"]),


rule early_exit:
    input:
        shown(["early_exit"]),


rule label_smoothing:
    input:
        shown(["label_smoothing"]),


rule uncertainty:
    input:
        rules.sirc.input,
        rules.ensemble_diversity.input,
        rules.early_exit.input,
        rules.label_smoothing.input,


onsuccess:
    announce()
