# genovision: ten published systems of generative genomics and vision uncertainty in one graph.
# Each story is one file in rules/, readable top to bottom as a data flow; README.md shows the whole.
from snakemake.utils import min_version

min_version("9.20")


configfile: os.path.join(workflow.basedir, "config", "config.yaml")


include: "rules/common.smk"
include: "rules/sources.smk"
include: "rules/promoters.smk"
include: "rules/dna.smk"
include: "rules/claims.smk"


localrules:
    all,
    epd_gendna,
    promoters,
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


onsuccess:
    announce()
