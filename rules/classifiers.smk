# Image classifiers for the four systems of uncertainty: a family of widths, several seeds, with and without label smoothing, on
# Fashion-MNIST with classes held out. Each model is run once over every set; all later scores read the arrays that this leaves.
#
#   packages -> sets/<set>.npz -> models/<width>/<recipe>/seed<seed> -> outputs/<width>/<recipe>/seed<seed>/<set>.npz, head.npz
#
# About four minutes on two cores at the desk, most of them in training.
ID_SETS = ["train", "calibration", "test"]
OOD_SETS = ["held_out", "digits", "openmoji", "permuted", "gaussian_noise", "uniform_noise"]
SEEDS = range(config["classifiers"]["seeds"])
PLAIN = next(recipe for recipe, alpha in config["classifiers"]["recipes"].items() if alpha == 0)
MODELS = [
    (width, recipe, seed)
    for width in config["classifiers"]["widths"]
    for recipe, alpha in config["classifiers"]["recipes"].items()
    if alpha == 0 or width in config["classifiers"]["smoothed_widths"]
    for seed in SEEDS
]
MODEL_FOLDERS = [f"results/classifiers/models/{width}/{recipe}/seed{seed}" for width, recipe, seed in MODELS]

if not config["uncertainty"]["arrays"]:
    show("sirc", "The image sets", "results/classifiers/figures/sets.svg", "classifiers_sets")
    show("sirc", "Counts of the image sets", "results/classifiers/sets/sets.tsv", "classifiers_counts")
    show("sirc", "How training went", "results/classifiers/figures/training.svg", "classifiers_training")
    show("early_exit", "The classifiers", "results/classifiers/models/summary.tsv", "classifiers_models")


wildcard_constraints:
    width="|".join(config["classifiers"]["widths"]),
    recipe="|".join(recipe.replace(".", r"\.") for recipe in config["classifiers"]["recipes"]),
    seed=r"\d+",


rule prepare_images:
    input:
        fashion_mnist=sourced(config["classifiers"]["fashion_mnist"]),
        openmoji=sourced(config["classifiers"]["openmoji"]),
    output:
        sets=expand("results/classifiers/sets/{set}.npz", set=ID_SETS + OOD_SETS),
        table="results/classifiers/sets/sets.tsv",
    log:
        "logs/prepare_images.log",
    benchmark:
        "benchmarks/prepare_images.jsonl"
    conda:
        "../envs/images.yaml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime="30m",
    params:
        repo=REPO,
        code=code("classifiers/prepare_images"),
        held_out=lookup(dpath="classifiers/held_out", within=config),
        train=lookup(dpath="classifiers/train", within=config),
        calibration=lookup(dpath="classifiers/calibration", within=config),
        ood=lookup(dpath="classifiers/ood", within=config),
        seed=lookup(dpath="seed", within=config),
    message:
        "Preparing the image sets"
    shell:
        "python {params.repo:q}/workflow classifiers/prepare_images --fashion-mnist {input.fashion_mnist:q} --openmoji {input.openmoji:q}"
        " --held-out {params.held_out} --train {params.train} --calibration {params.calibration} --ood {params.ood}"
        " --seed {params.seed} --out results/classifiers/sets --table {output.table:q} > {log:q} 2>&1"


rule train_classifier:
    input:
        train="results/classifiers/sets/train.npz",
        calibration="results/classifiers/sets/calibration.npz",
    output:
        model="results/classifiers/models/{width}/{recipe}/seed{seed}/model.safetensors",
        config="results/classifiers/models/{width}/{recipe}/seed{seed}/config.json",
        curve="results/classifiers/models/{width}/{recipe}/seed{seed}/curve.tsv",
        macs="results/classifiers/models/{width}/{recipe}/seed{seed}/macs.json",
    log:
        "logs/train_classifier/{width}/{recipe}/seed{seed}.log",
    benchmark:
        "benchmarks/train_classifier/{width}/{recipe}/seed{seed}.jsonl"
    conda:
        "../envs/train.yaml"
    threads: config["classifiers"]["threads"]
    resources:
        mem_mb=4000,
        runtime="4h",
        gpu=config["classifiers"]["gpu"],
    params:
        repo=REPO,
        code=code("classifiers/train_classifier"),
        channels=lambda wildcards: config["classifiers"]["widths"][wildcards.width],
        alpha=lambda wildcards: config["classifiers"]["recipes"][wildcards.recipe],
        epochs=lookup(dpath="classifiers/epochs", within=config),
        batch=lookup(dpath="classifiers/batch", within=config),
        learning_rate=lookup(dpath="classifiers/learning_rate", within=config),
        weight_decay=lookup(dpath="classifiers/weight_decay", within=config),
        schedule=lookup(dpath="classifiers/schedule", within=config),
        warmup=lookup(dpath="classifiers/warmup", within=config),
        augmentation=lookup(dpath="classifiers/augmentation", within=config),
        precision=lookup(dpath="classifiers/precision", within=config),
        processes=max(1, config["classifiers"]["gpu"]),
        save_every=lookup(dpath="classifiers/save_every", within=config),
        threads=lookup(dpath="classifiers/threads", within=config),
    message:
        "Training the classifier {wildcards.width}, {wildcards.recipe}, seed {wildcards.seed}"
    shell:
        "python {params.repo:q}/workflow classifiers/train_classifier --train {input.train:q} --calibration {input.calibration:q}"
        " --name {wildcards.width:q}/{wildcards.recipe:q}/seed{wildcards.seed} --width {params.channels} --epochs {params.epochs}"
        " --batch {params.batch} --learning-rate {params.learning_rate} --weight-decay {params.weight_decay}"
        " --label-smoothing {params.alpha} --schedule {params.schedule:q} --warmup {params.warmup}"
        " --augmentation {params.augmentation:q} --precision {params.precision:q} --processes {params.processes}"
        " --save-every {params.save_every} --threads {params.threads} --seed {wildcards.seed}"
        " --out results/classifiers/models/{wildcards.width:q}/{wildcards.recipe:q}/seed{wildcards.seed} > {log:q} 2>&1"


rule write_outputs:
    input:
        model="results/classifiers/models/{width}/{recipe}/seed{seed}/model.safetensors",
        config="results/classifiers/models/{width}/{recipe}/seed{seed}/config.json",
        sets=expand("results/classifiers/sets/{set}.npz", set=ID_SETS + OOD_SETS),
    output:
        sets=expand("results/classifiers/outputs/{{width}}/{{recipe}}/seed{{seed}}/{set}.npz", set=ID_SETS + OOD_SETS),
        head="results/classifiers/outputs/{width}/{recipe}/seed{seed}/head.npz",
    log:
        "logs/write_outputs/{width}/{recipe}/seed{seed}.log",
    benchmark:
        "benchmarks/write_outputs/{width}/{recipe}/seed{seed}.jsonl"
    # before more trainings: the longest table then fills a core beside them, not after them
    priority: 1
    conda:
        "../envs/train.yaml"
    threads: config["classifiers"]["threads"]
    resources:
        mem_mb=2000,
        runtime="1h",
        gpu=min(1, config["classifiers"]["gpu"]),
    params:
        repo=REPO,
        code=code("classifiers/write_outputs"),
        bank=lookup(dpath="classifiers/bank", within=config),
        threads=lookup(dpath="classifiers/threads", within=config),
    message:
        "Writing the outputs of {wildcards.width}, {wildcards.recipe}, seed {wildcards.seed} on every set"
    shell:
        "python {params.repo:q}/workflow classifiers/write_outputs --sets {input.sets:q}"
        " --model results/classifiers/models/{wildcards.width:q}/{wildcards.recipe:q}/seed{wildcards.seed} --first train {params.bank}"
        " --threads {params.threads} --out results/classifiers/outputs/{wildcards.width:q}/{wildcards.recipe:q}/seed{wildcards.seed} > {log:q} 2>&1"


rule join_models:
    input:
        config=expand("{folder}/config.json", folder=MODEL_FOLDERS),
        macs=expand("{folder}/macs.json", folder=MODEL_FOLDERS),
    output:
        models="results/classifiers/models/models.tsv",
        summary="results/classifiers/models/summary.tsv",
    log:
        "logs/join_models.log",
    benchmark:
        "benchmarks/join_models.jsonl"
    conda:
        "../envs/report.yaml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime="10m",
    params:
        repo=REPO,
        code=code("classifiers/join_models"),
        models=repeated("model", [(*model, folder) for model, folder in zip(MODELS, MODEL_FOLDERS)]),
    message:
        "Joining size, cost and accuracy of all classifiers"
    shell:
        "python {params.repo:q}/workflow classifiers/join_models {params.models} --out {output.models:q}"
        " --summary {output.summary:q} > {log:q} 2>&1"


rule time_cascade:
    input:
        images="results/classifiers/sets/test.npz",
        models=expand(
            "results/classifiers/models/{width}/{recipe}/seed{seed}/model.safetensors",
            width=config["classifiers"]["widths"],
            recipe=PLAIN,
            seed=[0, 1],
        ),
        outputs=expand(
            "results/classifiers/outputs/{width}/{recipe}/seed0/calibration.npz",
            width=config["classifiers"]["widths"],
            recipe=PLAIN,
        ),
    output:
        "results/classifiers/seconds.tsv",
    log:
        "logs/time_cascade.log",
    benchmark:
        "benchmarks/time_cascade.jsonl"
    conda:
        "../envs/train.yaml"
    # one thread computes; the second is asked for so that no other job shares a machine of two cores while seconds are measured
    threads: 2
    resources:
        mem_mb=2000,
        runtime="1h",
    params:
        repo=REPO,
        code=code("classifiers/time_cascade"),
        pairs=repeated(
            "pair",
            [
                (
                    width,
                    *(f"results/classifiers/models/{width}/{PLAIN}/seed{seed}" for seed in (0, 1)),
                    f"results/classifiers/outputs/{width}/{PLAIN}/seed0/calibration.npz",
                )
                for width in config["classifiers"]["widths"]
            ],
        ),
        half_width=lookup(dpath="uncertainty/half_width", within=config),
        repeats=lookup(dpath="classifiers/repeats", within=config),
    message:
        "Measuring the seconds of single models, ensembles and cascades"
    shell:
        "python {params.repo:q}/workflow classifiers/time_cascade {params.pairs} --images {input.images:q}"
        " --half-width {params.half_width} --repeats {params.repeats} --out {output:q} > {log:q} 2>&1"


rule plot_sets:
    input:
        expand("results/classifiers/sets/{set}.npz", set=["test", *OOD_SETS]),
    output:
        "results/classifiers/figures/sets.svg",
    log:
        "logs/plot_sets.log",
    benchmark:
        "benchmarks/plot_sets.jsonl"
    conda:
        "../envs/report.yaml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime="10m",
    params:
        repo=REPO,
        code=code("classifiers/plot_sets"),
    message:
        "Drawing the image sets"
    shell:
        "python {params.repo:q}/workflow classifiers/plot_sets --sets {input:q} --out {output:q} > {log:q} 2>&1"


rule plot_training:
    input:
        expand("{folder}/curve.tsv", folder=MODEL_FOLDERS),
    output:
        "results/classifiers/figures/training.svg",
    log:
        "logs/plot_training.log",
    benchmark:
        "benchmarks/plot_training.jsonl"
    conda:
        "../envs/report.yaml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime="10m",
    params:
        repo=REPO,
        code=code("classifiers/plot_training"),
        curves=repeated("curve", [(*model, f"{folder}/curve.tsv") for model, folder in zip(MODELS, MODEL_FOLDERS)]),
    message:
        "Drawing how training went"
    shell:
        "python {params.repo:q}/workflow classifiers/plot_training {params.curves} --out {output:q} > {log:q} 2>&1"
