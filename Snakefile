# genovision: ten published systems of generative genomics and vision uncertainty in one graph.
# Each story is one file in rules/, readable top to bottom as a data flow; README.md shows the whole.
from snakemake.utils import min_version

min_version("9.20")


configfile: os.path.join(workflow.basedir, "config", "config.yaml")


include: "rules/common.smk"
include: "rules/sources.smk"
include: "rules/promoters.smk"
include: "rules/dna.smk"
include: "rules/generators.smk"
include: "rules/classifiers.smk"
include: "rules/imagenet.smk"
include: "rules/uncertainty.smk"
include: "rules/samplers.smk"
include: "rules/translation.smk"
include: "rules/text_to_image.smk"
include: "rules/claims.smk"


localrules:
    all,
    retrieve,  # nodes of a cluster often have no internet


rule all:
    default_target: True
    input:
        shown(config["systems"]),
        "results/claims.tsv",
        "results/report.html",


# one target per system, and one per story for all its systems
for target, systems_of_target in TARGETS.items():

    rule:
        name:
            target
        input:
            shown(systems_of_target),
        localrule: True


onsuccess:
    announce()
