# ImageNet: pretrained and trained networks of timm on image files, into the arrays that the systems of uncertainty read.
#
#   resources/imagenet.tsv, folder -> imagenet/<set>.tsv -+-> models/<network>/imagenet/seed<seed> (only where a recipe is named)
#                         package, hub or checkpoint -----+-> outputs/<network>/imagenet/seed<seed>/<split>.npz, head.npz
#
# At the desk: EfficientNet-Lite 0, 1 and 2 on twenty photographs, about twenty seconds. config/paper.yaml is the papers' scale.
#
# `./run imagenet` writes the outputs of all networks of the configuration.
import json

from genovision.classifiers.imagenet_sets import read_image_sets

IMAGENET = config["classifiers"]["imagenet"]
IMAGE_SETS = read_image_sets(os.path.join(workflow.basedir, "resources", "imagenet.tsv"))
NETWORKS = IMAGENET["networks"]
# Sets that the workflow has itself lie in these folders; the others in the folder of the configuration.
IMAGE_ROOTS = {"photographs": "results/sources/foolbox", "noise": "results/classifiers/imagenet"}
IMAGE_ROOTS |= {name: IMAGENET["folder"] or "imagenet" for name in IMAGE_SETS if name not in IMAGE_ROOTS}
# A training set can be divided: <set>.held_out and <set>.kept are lists too, and so is <set>.sample, drawn from what is not held out.
IMAGE_FILES = {
    f"{name}{part}": os.path.join(IMAGE_ROOTS[name], row.folder)
    for name, row in IMAGE_SETS.items()
    for part in ("", ".kept", ".held_out", ".sample")
}
HELD_OUT = {name: f"--hold-out {number}" for name, number in IMAGENET["held_out"].items()}
SAMPLES = {name: f"--limit {number}" for name, number in IMAGENET["samples"].items()}
PART_OPTIONS = {
    (name, part): " ".join(words)
    for name in IMAGE_SETS
    for part, words in {
        "": [],
        ".kept": [HELD_OUT.get(name, ""), "--part kept"],
        ".held_out": [HELD_OUT.get(name, ""), "--part held_out"],
        ".sample": [*([HELD_OUT[name], "--part kept"] if name in HELD_OUT else []), SAMPLES.get(name, "")],
    }.items()
}
TRAINED = [network for network, told in NETWORKS.items() if told.get("recipe")]
RECIPE_OPTIONS = {
    network: " ".join(
        option(key.replace("_", "-"), value if isinstance(value, list) else [value])
        for key, value in NETWORKS[network]["recipe"].items()
        if key not in ("train", "calibration")
    )
    for network in TRAINED
}
NETWORK_OPTIONS = {
    network: " ".join(
        [
            *(["--hub"] if told["weights"].get("hub") else []),
            *(f"--{key} {shlex.quote(str(told['weights'][key]))}" for key in ("member",) if told["weights"].get(key)),
            *(f"--{key} {shlex.quote(str(told[key]))}" for key in ("outputs", "first", "keep") if told.get(key)),
            *(
                [f"--preprocessing {shlex.quote(json.dumps(told['preprocessing']))}"]
                if told.get("preprocessing")
                else []
            ),
        ]
    )
    for network, told in NETWORKS.items()
}
NETWORK_WEIGHTS = {
    network: (
        ["results/classifiers/models/{network}/imagenet/seed{seed}/model.safetensors"]
        if network in TRAINED
        else (
            [told["weights"]["checkpoint"]]
            if told["weights"].get("checkpoint")
            else [sourced(told["weights"])] if told["weights"].get("source") else []
        )
    )
    for network, told in NETWORKS.items()
}

if IMAGENET["cascade"]:
    show(
        "early_exit",
        "Reality check: EfficientNet-Lite on ImageNet photographs",
        "results/classifiers/imagenet/accuracy.tsv",
        "classifiers_imagenet",
    )


wildcard_constraints:
    network="|".join(network.replace(".", r"\.") for network in NETWORKS),
    images="|".join(IMAGE_SETS),
    part=r"|\.kept|\.held_out|\.sample",


localrules:
    imagenet,


rule imagenet:
    input:
        [
            f"results/classifiers/outputs/{network}/imagenet/seed{seed}/head.npz"
            for network, told in NETWORKS.items()
            for seed in range(told["seeds"])
        ],


rule write_noise_images:
    output:
        directory("results/classifiers/imagenet/noise"),
    log:
        "logs/write_noise_images.log",
    benchmark:
        "benchmarks/write_noise_images.jsonl"
    conda:
        "../envs/images.yaml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime="1h",
    params:
        repo=REPO,
        code=code("classifiers/write_noise_images"),
        number=IMAGE_SETS["noise"].count,
        seed=lookup(dpath="seed", within=config),
    message:
        "Writing the noise images"
    shell:
        "python {params.repo:q}/workflow classifiers/write_noise_images --number {params.number} --seed {params.seed}"
        " --out {output:q} > {log:q} 2>&1"


rule prepare_image_list:
    input:
        # what the user fetched is no input: a set that is missing then ends in the sentence that says where to get it
        lambda wildcards: (IMAGE_FILES[wildcards.images] if wildcards.images in ("photographs", "noise") else []),
    output:
        "results/classifiers/imagenet/{images}{part}.tsv",
    log:
        "logs/prepare_image_list/{images}{part}.log",
    benchmark:
        "benchmarks/prepare_image_list/{images}{part}.jsonl"
    conda:
        "../envs/images.yaml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime="2h",
    params:
        repo=REPO,
        code=code("classifiers/prepare_image_list"),
        row=lambda wildcards: str(IMAGE_SETS[wildcards.images]),
        root=lambda wildcards: IMAGE_ROOTS[wildcards.images],
        part=lambda wildcards: PART_OPTIONS[wildcards.images, wildcards.part],
        seed=lookup(dpath="seed", within=config),
    message:
        "Listing the images of {wildcards.images}{wildcards.part}"
    shell:
        "python {params.repo:q}/workflow classifiers/prepare_image_list --table {params.repo:q}/resources/imagenet.tsv"
        " --set {wildcards.images:q} --root {params.root:q} {params.part} --seed {params.seed}"
        " --out {output:q} > {log:q} 2>&1"


rule train_imagenet:
    input:
        train=lambda wildcards: f"results/classifiers/imagenet/{NETWORKS[wildcards.network]['recipe']['train']}.tsv",
        calibration=lambda wildcards: (
            f"results/classifiers/imagenet/{NETWORKS[wildcards.network]['recipe']['calibration']}.tsv"
        ),
    output:
        model="results/classifiers/models/{network}/imagenet/seed{seed}/model.safetensors",
        config="results/classifiers/models/{network}/imagenet/seed{seed}/config.json",
        curve="results/classifiers/models/{network}/imagenet/seed{seed}/curve.tsv",
        macs="results/classifiers/models/{network}/imagenet/seed{seed}/macs.json",
    log:
        "logs/train_imagenet/{network}/seed{seed}.log",
    benchmark:
        "benchmarks/train_imagenet/{network}/seed{seed}.jsonl"
    wildcard_constraints:
        network="|".join(TRAINED) or "none",
    conda:
        "../envs/train.yaml"
    threads: IMAGENET["threads"]
    resources:
        mem_mb=64000,
        runtime="14d",
        gpu=IMAGENET["gpu"],
    params:
        repo=REPO,
        code=code("classifiers/train_imagenet"),
        architecture=lambda wildcards: NETWORKS[wildcards.network]["architecture"],
        recipe=lambda wildcards: RECIPE_OPTIONS[wildcards.network],
        train=lambda wildcards: IMAGE_FILES[NETWORKS[wildcards.network]["recipe"]["train"]],
        calibration=lambda wildcards: IMAGE_FILES[NETWORKS[wildcards.network]["recipe"]["calibration"]],
        processes=max(1, IMAGENET["gpu"]),
        threads=IMAGENET["threads"],
    message:
        "Training {wildcards.network}, seed {wildcards.seed}, on ImageNet"
    shell:
        "python {params.repo:q}/workflow classifiers/train_imagenet --architecture {params.architecture:q}"
        " --name {wildcards.network:q}/seed{wildcards.seed} --train {input.train:q} {params.train:q}"
        " --calibration {input.calibration:q} {params.calibration:q} {params.recipe} --processes {params.processes}"
        " --threads {params.threads} --seed {wildcards.seed}"
        " --out results/classifiers/models/{wildcards.network:q}/imagenet/seed{wildcards.seed} > {log:q} 2>&1"


# one job per network writes all splits of its benchmark
for benchmark, splits in IMAGENET["benchmarks"].items():
    OUTS = {split: f"results/classifiers/outputs/{{network}}/imagenet/seed{{seed}}/{split}.npz" for split in splits}

    rule:
        name:
            f"write_{benchmark}_outputs"
        input:
            lists=expand("results/classifiers/imagenet/{images}.tsv", images=splits.values()),
            images=[IMAGE_FILES[images] for images in splits.values() if images in ("photographs", "noise")],
            # a checkpoint of the user's that is missing ends in the command's sentence
            weights=lambda wildcards: [
                path
                for path in expand(NETWORK_WEIGHTS[wildcards.network], **wildcards)
                if wildcards.network in TRAINED or path.startswith("results/") or os.path.exists(path)
            ],
            training=lambda wildcards: (
                f"results/classifiers/models/{wildcards.network}/imagenet/seed{wildcards.seed}/config.json"
                if wildcards.network in TRAINED
                else []
            ),
        output:
            list(OUTS.values()),
            head="results/classifiers/outputs/{network}/imagenet/seed{seed}/head.npz",
            macs="results/classifiers/outputs/{network}/imagenet/seed{seed}/macs.json",
            config="results/classifiers/outputs/{network}/imagenet/seed{seed}/config.json",
        log:
            "logs/write_pretrained_outputs/{network}/seed{seed}.log",
        benchmark:
            "benchmarks/write_pretrained_outputs/{network}/seed{seed}.jsonl"
        wildcard_constraints:
            network="|".join(
                network.replace(".", r"\.") for network, told in NETWORKS.items() if told["benchmark"] == benchmark
            )
            or "none",
        conda:
            "../envs/train.yaml"
        threads: IMAGENET["threads"]
        resources:
            mem_mb=4000 if IMAGENET["folder"] is None else 32000,
            runtime="2d",
            gpu=min(1, IMAGENET["gpu"]),
        params:
            repo=REPO,
            code=code("classifiers/write_pretrained_outputs"),
            architecture=lambda wildcards: NETWORKS[wildcards.network]["architecture"],
            sets=repeated(
                "set",
                [
                    (f"results/classifiers/imagenet/{images}.tsv", IMAGE_FILES[images], OUTS[split])
                    for split, images in splits.items()
                ],
            ),
            tiles=option(
                "tiles", [OUTS[split] for split, images in splits.items() if IMAGE_SETS[images.split(".")[0]].resize]
            ),
            weights=lambda wildcards: option("checkpoint", expand(NETWORK_WEIGHTS[wildcards.network], **wildcards)),
            training=lambda wildcards, input: option("training", [input.training] if input.training else []),
            network=lambda wildcards: NETWORK_OPTIONS[wildcards.network],
            batch=lookup(dpath="classifiers/imagenet/batch", within=config),
            threads=lookup(dpath="classifiers/imagenet/threads", within=config),
        message:
            "Writing the outputs of {wildcards.network}, seed {wildcards.seed}, on ImageNet's sets"
        shell:
            "python {params.repo:q}/workflow classifiers/write_pretrained_outputs --architecture {params.architecture:q}"
            " {params.weights} {params.network} {params.training} {params.sets} {params.tiles} --batch {params.batch}"
            " --threads {params.threads} --head {output.head:q} --macs {output.macs:q} --config {output.config:q} > {log:q} 2>&1"


rule check_imagenet:
    input:
        outputs=expand(
            "results/classifiers/outputs/{network}/imagenet/seed0/photographs.npz", network=IMAGENET["cascade"]
        ),
        macs=expand("results/classifiers/outputs/{network}/imagenet/seed0/macs.json", network=IMAGENET["cascade"]),
        config=expand("results/classifiers/outputs/{network}/imagenet/seed0/config.json", network=IMAGENET["cascade"]),
    output:
        accuracy="results/classifiers/imagenet/accuracy.tsv",
        cascade="results/classifiers/imagenet/cascade.tsv",
    log:
        "logs/check_imagenet.log",
    benchmark:
        "benchmarks/check_imagenet.jsonl"
    conda:
        "../envs/evaluate.yaml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime="10m",
    params:
        repo=REPO,
        code=code("classifiers/check_imagenet"),
        models=lambda wildcards, input: repeated(
            "model", list(zip(IMAGENET["cascade"], input.outputs, input.macs, input.config))
        ),
    message:
        "Checking EfficientNet-Lite on photographs"
    shell:
        "python {params.repo:q}/workflow classifiers/check_imagenet {params.models} --accuracy {output.accuracy:q}"
        " --cascade {output.cascade:q} > {log:q} 2>&1"
