# Samplers of diffusion models: one grid of samplers, settings and numbers of evaluations, on any denoiser of the graph.
# A denoiser is a bed in closed form or a folder like a diffusers pipeline's; everything after it is the same.
#
#   image sets -> denoisers/<denoiser> (beds need none) -> <denoiser>/normalizer.json, trace.npz -> settings.tsv, chosen.json (validation noise)
#              -> errors.npz, samples.npz (test noise) -> features.npz -> table.tsv, evidence.tsv, figures
BEDS = config["samplers"]["beds"]
DIFFUSION_NETWORKS = {name: network for name, network in config["samplers"]["networks"].items() if network}
LATENT_DENOISERS = config["samplers"]["latents"]  # generators of promoters, whose latents the same grid samples
DENOISERS = [*BEDS, *DIFFUSION_NETWORKS, *LATENT_DENOISERS]
# image set -> training images, images for the curve, real images that features are compared on
IMAGES = {
    "fashion_mnist": [f"results/classifiers/sets/{part}.npz" for part in ("train", "calibration", "test")],
    **{
        name: [f"results/samplers/images/{name}/{part}.npz" for part in ("train", "held_out", "train")]
        for name in ("cifar10", "lsun_church")
    },
}
# networks whose images can be described: all by FID's Inception, grey ones of clothes by a classifier trained here
INCEPTION = config["samplers"]["inception"]
DESCRIBED = [name for name, network in DIFFUSION_NETWORKS.items() if INCEPTION or network["images"] == "fashion_mnist"]
FEATURES_FROM = f"results/classifiers/models/{config['uncertainty']['width']}/{PLAIN}/seed0"

EVIDENCE["deis_sn"] = expand("results/samplers/{denoiser}/evidence.tsv", denoiser=DENOISERS)

for title, path, caption in [
    ("Error by evaluations", "figures/error.svg", "samplers_error"),
    ("Against the best peer", "figures/ratio.svg", "samplers_ratio"),
    ("Which setting, and what it gives", "summary.tsv", "samplers_summary"),
    ("Mean |eps| and mean |score|", "figures/noise.svg", "samplers_noise"),
    ("When score normalisation helps", "flatness.tsv", "samplers_flatness"),
    ("Floors and the solution's own error", "reference.tsv", "samplers_reference"),
    *([("Frechet distance by evaluations", "figures/frechet.svg", "samplers_frechet")] if DESCRIBED else []),
    *[(f"Samples: {name}", f"figures/samples/{name}.svg", "samplers_samples") for name in DIFFUSION_NETWORKS],
    *[
        (f"How training went: {name}", f"figures/training/{name}.svg", "samplers_training")
        for name in DIFFUSION_NETWORKS
    ],
]:
    show("deis_sn", title, f"results/samplers/{path}", caption)


wildcard_constraints:
    denoiser="|".join(DENOISERS) or "none",
    network="|".join(DIFFUSION_NETWORKS) or "none",


rule prepare_denoising_images:
    input:
        lambda wildcards: there(config["samplers"][wildcards.images]),
    output:
        train="results/samplers/images/{images}/train.npz",
        held_out="results/samplers/images/{images}/held_out.npz",
        table="results/samplers/images/{images}/images.tsv",
    log:
        "logs/prepare_denoising_images/{images}.log",
    benchmark:
        "benchmarks/prepare_denoising_images/{images}.jsonl"
    wildcard_constraints:
        images="cifar10|lsun_church",
    conda:
        "../envs/images.yaml"
    threads: 1
    resources:
        mem_mb=8000,
        runtime="4h",
    params:
        repo=REPO,
        code=code("samplers/prepare_denoising_images"),
        images=lambda wildcards: option(wildcards.images.replace("_", "-"), [config["samplers"][wildcards.images]]),
        seed=lookup(dpath="seed", within=config),
    message:
        "Preparing the images of {wildcards.images}"
    shell:
        "python {params.repo:q}/workflow samplers/prepare_denoising_images {params.images} --seed {params.seed}"
        " --out results/samplers/images/{wildcards.images} --table {output.table:q} > {log:q} 2>&1"


rule train_denoiser:
    input:
        train=lambda wildcards: IMAGES[DIFFUSION_NETWORKS[wildcards.network]["images"]][0],
        held_out=lambda wildcards: IMAGES[DIFFUSION_NETWORKS[wildcards.network]["images"]][1],
    output:
        network="results/samplers/denoisers/{network}/unet/diffusion_pytorch_model.safetensors",
        config="results/samplers/denoisers/{network}/unet/config.json",
        scheduler="results/samplers/denoisers/{network}/scheduler/scheduler_config.json",
        facts="results/samplers/denoisers/{network}/denoiser.json",
        index="results/samplers/denoisers/{network}/model_index.json",
        curve="results/samplers/denoisers/{network}/curve.tsv",
    log:
        "logs/train_denoiser/{network}.log",
    benchmark:
        "benchmarks/train_denoiser/{network}.jsonl"
    conda:
        "../envs/sample.yaml"
    threads: config["samplers"]["threads"]
    resources:
        mem_mb=6000,
        runtime="4d",
        gpu=lambda wildcards: DIFFUSION_NETWORKS[wildcards.network]["gpu"],
    params:
        repo=REPO,
        code=code("samplers/train_denoiser"),
        network=lambda wildcards: network_options(DIFFUSION_NETWORKS[wildcards.network]),
        threads=lookup(dpath="samplers/threads", within=config),
        seed=lookup(dpath="seed", within=config),
    message:
        "Training the denoiser {wildcards.network}"
    shell:
        "python {params.repo:q}/workflow samplers/train_denoiser --train {input.train:q} --held-out {input.held_out:q} --name {wildcards.network}"
        " {params.network} --seed {params.seed} --threads {params.threads} --out results/samplers/denoisers/{wildcards.network} > {log:q} 2>&1"


rule collect_normalizer:
    input:
        lambda wildcards: denoiser_files(wildcards.denoiser),
    output:
        normalizer="results/samplers/{denoiser}/normalizer.json",
        trace="results/samplers/{denoiser}/trace.npz",
        flatness="results/samplers/{denoiser}/flatness.tsv",
    log:
        "logs/collect_normalizer/{denoiser}.log",
    benchmark:
        "benchmarks/collect_normalizer/{denoiser}.jsonl"
    conda:
        "../envs/sample.yaml"
    threads: lambda wildcards: sampling_threads(wildcards.denoiser)
    resources:
        mem_mb=4000,
        runtime="12h",
        gpu=lambda wildcards: min(1, gpus(wildcards.denoiser)),
    params:
        repo=REPO,
        code=code("samplers/collect_normalizer"),
        denoiser=lambda wildcards: denoiser_name(wildcards.denoiser),
        samples=lambda wildcards: noises("statistics", wildcards.denoiser),
        steps=lookup(dpath="samplers/statistics_steps", within=config),
        batch=lookup(dpath="samplers/batch", within=config),
        grids=lookup(dpath="samplers/nfe", within=config),
        threads=lambda wildcards: sampling_threads(wildcards.denoiser),
        seed=lookup(dpath="seed", within=config),
    message:
        "Collecting the normaliser of {wildcards.denoiser}"
    shell:
        "python {params.repo:q}/workflow samplers/collect_normalizer --denoiser {params.denoiser:q} --samples {params.samples}"
        " --batch {params.batch} --steps {params.steps} --grids {params.grids} --seed {params.seed} --threads {params.threads}"
        " --out {output.normalizer:q} --trace {output.trace:q} --flatness {output.flatness:q} > {log:q} 2>&1"


rule choose_settings:
    input:
        denoiser=lambda wildcards: denoiser_files(wildcards.denoiser),
        trace="results/samplers/{denoiser}/trace.npz",
    output:
        tried="results/samplers/{denoiser}/settings.tsv",
        chosen="results/samplers/{denoiser}/chosen.json",
    log:
        "logs/choose_settings/{denoiser}.log",
    benchmark:
        "benchmarks/choose_settings/{denoiser}.jsonl"
    conda:
        "../envs/sample.yaml"
    threads: lambda wildcards: sampling_threads(wildcards.denoiser)
    resources:
        mem_mb=4000,
        runtime="12h",
        gpu=lambda wildcards: min(1, gpus(wildcards.denoiser)),
    params:
        repo=REPO,
        code=code("samplers/choose_settings"),
        denoiser=lambda wildcards: denoiser_name(wildcards.denoiser),
        noises=lambda wildcards: noises("validation", wildcards.denoiser),
        level=lambda wildcards: config["samplers"]["search"][wildcards.denoiser not in BEDS],
        polish=lambda wildcards: config["samplers"]["polish"][wildcards.denoiser not in BEDS],
        nfe=lookup(dpath="samplers/nfe", within=config),
        reference=lookup(dpath="samplers/reference_steps", within=config),
        batch=lookup(dpath="samplers/batch", within=config),
        threads=lambda wildcards: sampling_threads(wildcards.denoiser),
        seed=lookup(dpath="seed", within=config),
    message:
        "Choosing the settings of every sampler on {wildcards.denoiser}"
    shell:
        "python {params.repo:q}/workflow samplers/choose_settings --denoiser {params.denoiser:q} --trace {input.trace:q} --nfe {params.nfe}"
        " --noises {params.noises} --batch {params.batch} --reference-steps {params.reference} --level {params.level} --polish {params.polish} --seed {params.seed}"
        " --threads {params.threads} --out {output.tried:q} {output.chosen:q} > {log:q} 2>&1"


rule sample_denoiser:
    input:
        denoiser=lambda wildcards: denoiser_files(wildcards.denoiser),
        trace="results/samplers/{denoiser}/trace.npz",
        chosen="results/samplers/{denoiser}/chosen.json",
    output:
        errors="results/samplers/{denoiser}/errors.npz",
        seconds="results/samplers/{denoiser}/seconds.tsv",
        samples="results/samplers/{denoiser}/samples.npz",
    log:
        "logs/sample_denoiser/{denoiser}.log",
    benchmark:
        "benchmarks/sample_denoiser/{denoiser}.jsonl"
    conda:
        "../envs/sample.yaml"
    threads: lambda wildcards: sampling_threads(wildcards.denoiser)
    resources:
        mem_mb=8000,
        runtime="1d",
        gpu=lambda wildcards: min(1, gpus(wildcards.denoiser)),
    params:
        repo=REPO,
        code=code("samplers/sample_denoiser"),
        denoiser=lambda wildcards: denoiser_name(wildcards.denoiser),
        images=lambda wildcards: noises("test", wildcards.denoiser),
        seeds=lookup(dpath="samplers/seeds", within=config),
        pictured=option("pictured", config["samplers"]["pictured"] and [config["samplers"]["pictured"]]),
        reference=lookup(dpath="samplers/reference_steps", within=config),
        batch=lookup(dpath="samplers/batch", within=config),
        threads=lambda wildcards: sampling_threads(wildcards.denoiser),
    message:
        "Sampling {wildcards.denoiser} with every sampler"
    shell:
        "python {params.repo:q}/workflow samplers/sample_denoiser --denoiser {params.denoiser:q} --trace {input.trace:q} --chosen {input.chosen:q}"
        " --seeds {params.seeds} --images {params.images} --batch {params.batch} --reference-steps {params.reference} --threads {params.threads}"
        " --errors {output.errors:q} --seconds {output.seconds:q} --samples {output.samples:q} {params.pictured} > {log:q} 2>&1"


rule describe_samples:
    input:
        samples="results/samplers/{network}/samples.npz",
        real=lambda wildcards: IMAGES[DIFFUSION_NETWORKS[wildcards.network]["images"]][2],
        network=(
            there(INCEPTION) if INCEPTION else [f"{FEATURES_FROM}/model.safetensors", f"{FEATURES_FROM}/config.json"]
        ),
    output:
        "results/samplers/{network}/features.npz",
    log:
        "logs/describe_samples/{network}.log",
    benchmark:
        "benchmarks/describe_samples/{network}.jsonl"
    conda:
        "../envs/train.yaml"
    threads: 1
    resources:
        mem_mb=4000,
        runtime="4h",
    params:
        repo=REPO,
        code=code("samplers/describe_samples"),
        network=option("inception", [INCEPTION]) if INCEPTION else option("classifier", [FEATURES_FROM]),
    message:
        "Describing real images and the samples of {wildcards.network}"
    shell:
        "python {params.repo:q}/workflow samplers/describe_samples --samples {input.samples:q} --real {input.real:q}"
        " {params.network} --out {output:q} > {log:q} 2>&1"


rule measure_samples:
    input:
        errors="results/samplers/{denoiser}/errors.npz",
        seconds="results/samplers/{denoiser}/seconds.tsv",
        trace="results/samplers/{denoiser}/trace.npz",
        features=lambda wildcards: (
            f"results/samplers/{wildcards.denoiser}/features.npz" if wildcards.denoiser in DESCRIBED else []
        ),
    output:
        table="results/samplers/{denoiser}/table.tsv",
        reference="results/samplers/{denoiser}/reference.tsv",
        evidence="results/samplers/{denoiser}/evidence.tsv",
    log:
        "logs/measure_samples/{denoiser}.log",
    benchmark:
        "benchmarks/measure_samples/{denoiser}.jsonl"
    conda:
        "../envs/evaluate.yaml"
    threads: 1
    resources:
        mem_mb=4000,
        runtime="2h",
    params:
        repo=REPO,
        code=code("samplers/measure_samples"),
        features=lambda wildcards, input: option("features", input.features and [input.features]),
        claims=lambda wildcards: "--eps-slope" if wildcards.denoiser in DIFFUSION_NETWORKS else "",
        replicates=lookup(dpath="samplers/replicates", within=config),
        seed=lookup(dpath="seed", within=config),
    message:
        "Measuring every sampler on {wildcards.denoiser}"
    shell:
        "python {params.repo:q}/workflow samplers/measure_samples --denoiser {wildcards.denoiser} --errors {input.errors:q}"
        " --seconds {input.seconds:q} --trace {input.trace:q} {params.features} {params.claims} --replicates {params.replicates}"
        " --seed {params.seed} --table {output.table:q} --reference {output.reference:q} --evidence {output.evidence:q} > {log:q} 2>&1"


rule join_samplers:
    input:
        tables=expand("results/samplers/{denoiser}/table.tsv", denoiser=DENOISERS),
        references=expand("results/samplers/{denoiser}/reference.tsv", denoiser=DENOISERS),
        flatness=expand("results/samplers/{denoiser}/flatness.tsv", denoiser=DENOISERS),
        normalizers=expand("results/samplers/{denoiser}/normalizer.json", denoiser=DENOISERS),
    output:
        table="results/samplers/table.tsv",
        summary="results/samplers/summary.tsv",
        reference="results/samplers/reference.tsv",
        flatness="results/samplers/flatness.tsv",
    log:
        "logs/join_samplers.log",
    benchmark:
        "benchmarks/join_samplers.jsonl"
    conda:
        "../envs/report.yaml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime="10m",
    params:
        repo=REPO,
        code=code("samplers/join_samplers"),
        denoisers=DENOISERS,
    message:
        "Joining the tables of all denoisers"
    shell:
        "python {params.repo:q}/workflow samplers/join_samplers --denoisers {params.denoisers} --tables {input.tables:q}"
        " --references {input.references:q} --flatness {input.flatness:q} --normalizers {input.normalizers:q} --out {output:q} > {log:q} 2>&1"


rule plot_samplers:
    input:
        table="results/samplers/table.tsv",
        reference="results/samplers/reference.tsv",
        traces=expand("results/samplers/{denoiser}/trace.npz", denoiser=DENOISERS),
    output:
        error="results/samplers/figures/error.svg",
        ratio="results/samplers/figures/ratio.svg",
        noise="results/samplers/figures/noise.svg",
        frechet="results/samplers/figures/frechet.svg" if DESCRIBED else [],
    log:
        "logs/plot_samplers.log",
    benchmark:
        "benchmarks/plot_samplers.jsonl"
    conda:
        "../envs/report.yaml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime="10m",
    params:
        repo=REPO,
        code=code("samplers/plot_samplers"),
        traces=repeated("trace", [(name, f"results/samplers/{name}/trace.npz") for name in DENOISERS]),
        frechet=lambda wildcards, output: option("frechet", output.frechet and [output.frechet]),
    message:
        "Drawing errors by evaluations"
    shell:
        "python {params.repo:q}/workflow samplers/plot_samplers --table {input.table:q} --reference {input.reference:q} {params.traces}"
        " --error {output.error:q} --ratio {output.ratio:q} --noise {output.noise:q} {params.frechet} > {log:q} 2>&1"


rule plot_samples:
    input:
        samples="results/samplers/{network}/samples.npz",
        curve="results/samplers/denoisers/{network}/curve.tsv",
    output:
        samples="results/samplers/figures/samples/{network}.svg",
        training="results/samplers/figures/training/{network}.svg",
    log:
        "logs/plot_samples/{network}.log",
    benchmark:
        "benchmarks/plot_samples/{network}.jsonl"
    conda:
        "../envs/report.yaml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime="10m",
    params:
        repo=REPO,
        code=code("samplers/plot_samples"),
    message:
        "Drawing samples of {wildcards.network}"
    shell:
        "python {params.repo:q}/workflow samplers/plot_samples --samples {input.samples:q} --curve {input.curve:q} --name {wildcards.network}"
        " --out {output.samples:q} {output.training:q} > {log:q} 2>&1"
