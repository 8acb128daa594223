# PUNC: when does a picture not follow from its prompt. Worlds of the desk are drawn from OpenMoji, with a generator and a captioner trained
# here; models of the hub, where the configuration names some, stand behind the same steps.
#
#   MiniLM's package -> encoder;   OpenMoji -> {world}/sets, {world}/prompts.tsv (hub: templates -> hub/prompts.tsv)
#   sets, encoder -> {world}/embeddings -> {world}/generators/<member>, {world}/captioner
#   prompts, generator -> {world}/generations/<member>.tsv, .npz -> {world}/captions.tsv -> {world}/pairs (a data set of its own)
#   captions, images -> {world}/measured.parquet (what needs a model), {world}/scores.parquet -> *.tsv, figures, evidence
#
# Images are kept one by one in results/text_to_image/cache, across runs, by what they were made from: no step's output, and safe to delete.
T2I = config["text_to_image"]
DRAWN = T2I["worlds"]
HUB = T2I["hub"]
DEPICTED = [
    *DRAWN,
    *HUB["generators"],
]  # the worlds: drawn ones, and hub models, each of which is asked its own prompts
MEMBERS = {world: range(T2I[world]["members"]) if world in DRAWN else [0] for world in DEPICTED}
PROMPT_SETS = {
    "scenes": ["normal", "ood_object", "ood_relation", "vague_unnamed", "vague_category", "corrupted"],
    "glyphs": ["normal", "novel", "ood_flags", "ood_animals", "vague_category", "vague_colour", "corrupted"],
}
# columns of the prompts: a value that no training row has is an unseen concept; groups whose uncertainty is compared
CONCEPTS = {"scenes": ["object1", "object2", "relation"], "glyphs": ["category1"]}
GROUPS = {"scenes": "category1", "glyphs": "colour1"}
ENCODER = [
    f"results/text_to_image/encoder/{name}"
    for name in [
        "config.json",
        "model.safetensors",
        "sentence_bert_config.json",
        "special_tokens_map.json",
        "tokenizer.json",
        "tokenizer_config.json",
        "vocab.txt",
    ]
]

EVIDENCE["punc"] = ["results/text_to_image/evidence.tsv"]
WARNINGS["punc"] = ["results/text_to_image/warnings.tsv"]

for title, path, caption in [
    ("AUROC by score and prompt set", "summary.tsv", "text_to_image_summary"),
    *[(f"AUROC of every score: {world}", f"figures/auroc/{world}.svg", "text_to_image_auroc") for world in DEPICTED],
    ("Two kinds of uncertainty", "figures/disentanglement.svg", "text_to_image_disentanglement"),
    ("How far both uncertainties rise", "disentanglement.tsv", "text_to_image_rises"),
    *[
        (f"Prompts, generations, captions: {world}", f"figures/sheets/{world}.svg", "text_to_image_sheets")
        for world in DEPICTED
    ],
    *[(f"What is read back: {world}", f"{world}/readback.tsv", "text_to_image_readback") for world in DRAWN],
    *[
        (f"The captioner on real images: {world}", f"{world}/captioner/accuracy.tsv", "text_to_image_captioner")
        for world in DRAWN
    ],
    ("Uncertainty by group", "figures/groups.svg", "text_to_image_groups"),
    ("Concepts the generator was never shown", "concepts.tsv", "text_to_image_concepts"),
    *[(f"The pairs as a data set: {world}", f"{world}/pairs/README.md", "text_to_image_pairs") for world in DEPICTED],
]:
    show("punc", title, f"results/text_to_image/{path}", caption)


wildcard_constraints:
    world="|".join(DEPICTED) or "none",
    drawn="|".join(DRAWN) or "none",
    hub="|".join(HUB["generators"]) or "none",
    member=r"\d+",
    trained="train|captioner",


rule unpack_encoder:
    input:
        sourced(T2I["encoder"]),
    output:
        ENCODER,
    log:
        "logs/unpack_encoder.log",
    benchmark:
        "benchmarks/unpack_encoder.jsonl"
    conda:
        "../envs/text.yaml"
    threads: 1
    resources:
        mem_mb=500,
        runtime="10m",
    params:
        repo=REPO,
        code=code("text_to_image/embed_texts"),
    message:
        "Unpacking the text encoder"
    shell:
        "python {params.repo:q}/workflow text_to_image/embed_texts --package {input:q} --encoder results/text_to_image/encoder > {log:q} 2>&1"


rule prepare_scenes:
    input:
        sourced(T2I["openmoji"]),
    output:
        images=expand("results/text_to_image/scenes/sets/{set}.npz", set=["train", "captioner", *PROMPT_SETS["scenes"]]),
        tables=expand("results/text_to_image/scenes/sets/{set}.tsv", set=["train", "captioner", *PROMPT_SETS["scenes"]]),
        prompts="results/text_to_image/scenes/sets/prompts.tsv",
    log:
        "logs/prepare_scenes/scenes.log",
    benchmark:
        "benchmarks/prepare_scenes/scenes.jsonl"
    conda:
        "../envs/images.yaml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime="30m",
    params:
        repo=REPO,
        code=code("text_to_image/prepare_scenes"),
        world="scenes",
        sizes=options(T2I["scenes"]["sets"]),
        seed=lookup(dpath="seed", within=config),
    message:
        "Drawing the world {params.world}"
    shell:
        "python {params.repo:q}/workflow text_to_image/prepare_scenes --openmoji {input:q} --world {params.world} {params.sizes}"
        " --seed {params.seed} --out results/text_to_image/{params.world}/sets > {log:q} 2>&1"


use rule prepare_scenes as prepare_glyphs with:
    output:
        images=expand("results/text_to_image/glyphs/sets/{set}.npz", set=["train", "captioner", *PROMPT_SETS["glyphs"]]),
        tables=expand("results/text_to_image/glyphs/sets/{set}.tsv", set=["train", "captioner", *PROMPT_SETS["glyphs"]]),
        prompts="results/text_to_image/glyphs/sets/prompts.tsv",
    log:
        "logs/prepare_scenes/glyphs.log",
    benchmark:
        "benchmarks/prepare_scenes/glyphs.jsonl"
    params:
        repo=REPO,
        code=code("text_to_image/prepare_scenes"),
        world="glyphs",
        sizes=options(T2I["glyphs"]["sets"]),
        seed=lookup(dpath="seed", within=config),


rule embed_texts:
    input:
        encoder=ENCODER,
        texts="results/text_to_image/{drawn}/sets/{trained}.tsv",
    output:
        "results/text_to_image/{drawn}/embeddings/{trained}.npz",
    log:
        "logs/embed_texts/{drawn}/{trained}.log",
    benchmark:
        "benchmarks/embed_texts/{drawn}/{trained}.jsonl"
    conda:
        "../envs/text.yaml"
    threads: T2I["threads"]
    resources:
        mem_mb=3000,
        runtime="1h",
    params:
        repo=REPO,
        code=code("text_to_image/embed_texts"),
        # the generator is told token by token, with open slots; the captioner learns to place an image beside its whole caption
        what=lambda wildcards: (
            f"--column text --parts tokens --layer {T2I['layer']}"
            if wildcards.trained == "train"
            else "--column caption --parts pooled"
        ),
        threads=lookup(dpath="text_to_image/threads", within=config),
    message:
        "Embedding the texts of {wildcards.drawn}, {wildcards.trained}"
    shell:
        "python {params.repo:q}/workflow text_to_image/embed_texts --encoder results/text_to_image/encoder --texts {input.texts:q}"
        " {params.what} --threads {params.threads} --out {output:q} > {log:q} 2>&1"


rule train_generator:
    input:
        encoder=ENCODER,
        images="results/text_to_image/{drawn}/sets/train.npz",
        texts="results/text_to_image/{drawn}/sets/train.tsv",
        embeddings="results/text_to_image/{drawn}/embeddings/train.npz",
    output:
        model="results/text_to_image/{drawn}/generators/{member}/model.safetensors",
        config="results/text_to_image/{drawn}/generators/{member}/config.json",
        curve="results/text_to_image/{drawn}/generators/{member}/curve.tsv",
    log:
        "logs/train_generator/{drawn}/{member}.log",
    benchmark:
        "benchmarks/train_generator/{drawn}/{member}.jsonl"
    # the longest steps first: everything waits for them
    priority: 1
    conda:
        "../envs/text.yaml"
    threads: T2I["threads"]
    resources:
        mem_mb=3000,
        runtime="4h",
    params:
        repo=REPO,
        code=code("text_to_image/train_generator"),
        recipe=lambda wildcards: options(T2I[wildcards.drawn]["generator"]),
        layer=lookup(dpath="text_to_image/layer", within=config),
        threads=lookup(dpath="text_to_image/threads", within=config),
    message:
        "Training generator {wildcards.member} of {wildcards.drawn}"
    shell:
        "python {params.repo:q}/workflow text_to_image/train_generator --images {input.images:q} --texts {input.texts:q}"
        " --embeddings {input.embeddings:q} --layer {params.layer} --encoder results/text_to_image/encoder {params.recipe}"
        " --threads {params.threads} --seed {wildcards.member}"
        " --out results/text_to_image/{wildcards.drawn}/generators/{wildcards.member} > {log:q} 2>&1"


rule train_captioner:
    input:
        images="results/text_to_image/{drawn}/sets/captioner.npz",
        captions="results/text_to_image/{drawn}/sets/captioner.tsv",
        embeddings="results/text_to_image/{drawn}/embeddings/captioner.npz",
        tests=lambda wildcards: expand(
            "results/text_to_image/{world}/sets/{set}.npz", world=wildcards.drawn, set=PROMPT_SETS[wildcards.drawn]
        ),
        tables=lambda wildcards: expand(
            "results/text_to_image/{world}/sets/{set}.tsv", world=wildcards.drawn, set=PROMPT_SETS[wildcards.drawn]
        ),
    output:
        model="results/text_to_image/{drawn}/captioner/model.safetensors",
        config="results/text_to_image/{drawn}/captioner/config.json",
        curve="results/text_to_image/{drawn}/captioner/curve.tsv",
        accuracy="results/text_to_image/{drawn}/captioner/accuracy.tsv",
    log:
        "logs/train_captioner/{drawn}.log",
    benchmark:
        "benchmarks/train_captioner/{drawn}.jsonl"
    conda:
        "../envs/text.yaml"
    threads: T2I["threads"]
    resources:
        mem_mb=3000,
        runtime="4h",
    params:
        repo=REPO,
        code=code("text_to_image/train_captioner"),
        recipe=lambda wildcards: options(T2I[wildcards.drawn]["captioner"]),
        threads=lookup(dpath="text_to_image/threads", within=config),
        seed=lookup(dpath="seed", within=config),
    message:
        "Training the captioner of {wildcards.drawn}"
    shell:
        "python {params.repo:q}/workflow text_to_image/train_captioner --images {input.images:q} --captions {input.captions:q}"
        " --embeddings {input.embeddings:q} --test {input.tests:q} {params.recipe} --threads {params.threads} --seed {params.seed}"
        " --out results/text_to_image/{wildcards.drawn}/captioner > {log:q} 2>&1"


rule generate_images:
    input:
        encoder=ENCODER,
        model="results/text_to_image/{drawn}/generators/{member}/model.safetensors",
        config="results/text_to_image/{drawn}/generators/{member}/config.json",
        prompts="results/text_to_image/{drawn}/sets/prompts.tsv",
    output:
        table="results/text_to_image/{drawn}/generations/{member}.tsv",
        images="results/text_to_image/{drawn}/generations/{member}.npz",
    log:
        "logs/generate_images/{drawn}/{member}.log",
    benchmark:
        "benchmarks/generate_images/{drawn}/{member}.jsonl"
    conda:
        "../envs/text.yaml"
    threads: T2I["threads"]
    resources:
        mem_mb=3000,
        runtime="4h",
    params:
        repo=REPO,
        code=code("text_to_image/generate_images"),
        samples=T2I["samples"] * T2I["seeds"],
        sampling=options(T2I["sampling"]),
        threads=lookup(dpath="text_to_image/threads", within=config),
        seed=lookup(dpath="seed", within=config),
    message:
        "Generating images of {wildcards.drawn} by generator {wildcards.member}"
    shell:
        "python {params.repo:q}/workflow text_to_image/generate_images --prompts {input.prompts:q}"
        " --model results/text_to_image/{wildcards.drawn}/generators/{wildcards.member} --encoder results/text_to_image/encoder"
        " --samples {params.samples} {params.sampling} --threads {params.threads} --seed {params.seed}"
        " --cache results/text_to_image/cache --out {output.table:q} --images {output.images:q} > {log:q} 2>&1"


rule caption_images:
    input:
        table="results/text_to_image/{drawn}/generations/0.tsv",
        images="results/text_to_image/{drawn}/generations/0.npz",
        model="results/text_to_image/{drawn}/captioner/model.safetensors",
        config="results/text_to_image/{drawn}/captioner/config.json",
    output:
        "results/text_to_image/{drawn}/captions.tsv",
    log:
        "logs/caption_images/{drawn}.log",
    benchmark:
        "benchmarks/caption_images/{drawn}.jsonl"
    conda:
        "../envs/text.yaml"
    threads: T2I["threads"]
    resources:
        mem_mb=3000,
        runtime="4h",
    params:
        repo=REPO,
        code=code("text_to_image/caption_images"),
        threads=lookup(dpath="text_to_image/threads", within=config),
    message:
        "Captioning the images of {wildcards.drawn}"
    shell:
        "python {params.repo:q}/workflow text_to_image/caption_images --generations {input.table:q} --images {input.images:q}"
        " --model results/text_to_image/{wildcards.drawn}/captioner --threads {params.threads} --out {output:q} > {log:q} 2>&1"


rule read_back:
    input:
        prompts="results/text_to_image/{drawn}/sets/prompts.tsv",
        captions="results/text_to_image/{drawn}/captions.tsv",
    output:
        "results/text_to_image/{drawn}/readback.tsv",
    log:
        "logs/read_back/{drawn}.log",
    benchmark:
        "benchmarks/read_back/{drawn}.jsonl"
    conda:
        "../envs/evaluate.yaml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime="10m",
    params:
        repo=REPO,
        code=code("text_to_image/read_back"),
        replicates=lookup(dpath="text_to_image/replicates", within=config),
        seed=lookup(dpath="seed", within=config),
    message:
        "Comparing captions with what was asked for in {wildcards.drawn}"
    shell:
        "python {params.repo:q}/workflow text_to_image/read_back --prompts {input.prompts:q} --captions {input.captions:q}"
        " --replicates {params.replicates} --seed {params.seed} --out {output:q} > {log:q} 2>&1"


rule prepare_prompts:
    input:
        templates=[os.path.normpath(f"{REPO}/resources/prompts/{name}.tsv") for name in HUB["prompts"]],
        words=os.path.normpath(f"{REPO}/resources/prompts/words.tsv"),
        lists=HUB["lists"],
    output:
        prompts="results/text_to_image/hub/prompts.tsv",
        table="results/text_to_image/hub/sets.tsv",
    log:
        "logs/prepare_prompts.log",
    benchmark:
        "benchmarks/prepare_prompts.jsonl"
    conda:
        "../envs/evaluate.yaml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime="10m",
    params:
        repo=REPO,
        code=code("text_to_image/prepare_prompts"),
        lists=lambda wildcards, input: option("lists", input.lists),
        number=lookup(dpath="text_to_image/hub/number", within=config),
        corruption=option("corruption", HUB["corruption"]),
        seed=lookup(dpath="seed", within=config),
    message:
        "Writing the prompts for models of the hub"
    shell:
        "python {params.repo:q}/workflow text_to_image/prepare_prompts --templates {input.templates:q} --words {input.words:q} {params.lists}"
        " --number {params.number} {params.corruption} --seed {params.seed} --out {output.prompts:q} --table {output.table:q} > {log:q} 2>&1"


rule generate_by_hub_model:
    input:
        prompts="results/text_to_image/hub/prompts.tsv",
        model=lambda wildcards: there(HUB["generators"][wildcards.hub]["model"]),
    output:
        "results/text_to_image/{hub}/generations/0.tsv",
    log:
        "logs/generate_by_hub_model/{hub}.log",
    benchmark:
        "benchmarks/generate_by_hub_model/{hub}.jsonl"
    conda:
        "../envs/text.yaml"
    threads: HUB["threads"]
    resources:
        mem_mb=24000,
        runtime="2d",
        gpu=HUB["gpu"],
    params:
        repo=REPO,
        code=code("text_to_image/generate_images"),
        model=lambda wildcards: HUB["generators"][wildcards.hub]["model"],
        settings=lambda wildcards: options(
            {key: value for key, value in HUB["generators"][wildcards.hub].items() if key != "model"}
        ),
        samples=T2I["samples"] * T2I["seeds"],
        threads=lookup(dpath="text_to_image/hub/threads", within=config),
        seed=lookup(dpath="seed", within=config),
    message:
        "Generating images by {wildcards.hub}"
    shell:
        "python {params.repo:q}/workflow text_to_image/generate_images --prompts {input.prompts:q} --hub {params.model:q} {params.settings}"
        " --samples {params.samples} --threads {params.threads} --seed {params.seed} --cache results/text_to_image/cache"
        " --out {output:q} > {log:q} 2>&1"


rule caption_by_hub_model:
    input:
        table="results/text_to_image/{hub}/generations/0.tsv",
        model=there(HUB["captioner"]["model"]),
    output:
        "results/text_to_image/{hub}/captions.tsv",
    log:
        "logs/caption_by_hub_model/{hub}.log",
    benchmark:
        "benchmarks/caption_by_hub_model/{hub}.jsonl"
    conda:
        "../envs/text.yaml"
    threads: HUB["threads"]
    resources:
        mem_mb=48000,
        runtime="2d",
        gpu=HUB["gpu"],
    params:
        repo=REPO,
        code=code("text_to_image/caption_images"),
        captioner=options({"hub" if key == "model" else key: value for key, value in HUB["captioner"].items()}),
        threads=lookup(dpath="text_to_image/hub/threads", within=config),
    message:
        "Captioning the images of {wildcards.hub}"
    shell:
        "python {params.repo:q}/workflow text_to_image/caption_images --generations {input.table:q} --images results/text_to_image/cache"
        " {params.captioner} --threads {params.threads} --out {output:q} > {log:q} 2>&1"


rule build_pairs:
    input:
        prompts=lambda wildcards: prompts_of(wildcards.world),
        table="results/text_to_image/{world}/generations/0.tsv",
        images=lambda wildcards: images_of(wildcards.world, [0]),
        captions="results/text_to_image/{world}/captions.tsv",
        receipts=lambda wildcards: (
            [sourced(T2I[source], ".json") for source in ("openmoji", "encoder")] if wildcards.world in DRAWN else []
        ),
    output:
        pairs="results/text_to_image/{world}/pairs/pairs.parquet",
        sheet="results/text_to_image/{world}/pairs/README.md",
    log:
        "logs/build_pairs/{world}.log",
    benchmark:
        "benchmarks/build_pairs/{world}.jsonl"
    conda:
        "../envs/images.yaml"
    threads: 1
    resources:
        mem_mb=4000,
        runtime="2h",
    params:
        repo=REPO,
        code=code("text_to_image/build_pairs"),
        images=lambda wildcards, input: shlex.quote(input.images[0] if input.images else "results/text_to_image/cache"),
        receipts=lambda wildcards, input: option("receipts", input.receipts),
        generator=lambda wildcards: model_names(wildcards.world)[0],
        captioner=lambda wildcards: model_names(wildcards.world)[1],
    message:
        "Writing prompts, generations and captions of {wildcards.world} as a data set"
    shell:
        "python {params.repo:q}/workflow text_to_image/build_pairs --prompts {input.prompts:q} --generations {input.table:q}"
        " --images {params.images} --captions {input.captions:q} --generator {params.generator:q} --captioner {params.captioner:q}"
        " {params.receipts} --out results/text_to_image/{wildcards.world}/pairs > {log:q} 2>&1"


rule measure_generations:
    input:
        encoder=ENCODER,
        prompts="results/text_to_image/{drawn}/sets/prompts.tsv",
        captions="results/text_to_image/{drawn}/captions.tsv",
        images=lambda wildcards: images_of(wildcards.drawn, MEMBERS[wildcards.drawn]),
        generator="results/text_to_image/{drawn}/generators/0/model.safetensors",
        generator_config="results/text_to_image/{drawn}/generators/0/config.json",
        captioner="results/text_to_image/{drawn}/captioner/model.safetensors",
        captioner_config="results/text_to_image/{drawn}/captioner/config.json",
        texts="results/text_to_image/{drawn}/sets/train.tsv",
        training="results/text_to_image/{drawn}/sets/train.npz",
    output:
        "results/text_to_image/{drawn}/measured.parquet",
    log:
        "logs/measure_generations/{drawn}.log",
    benchmark:
        "benchmarks/measure_generations/{drawn}.jsonl"
    conda:
        "../envs/text.yaml"
    threads: T2I["threads"]
    resources:
        mem_mb=4000,
        runtime="2h",
    params:
        repo=REPO,
        code=code("text_to_image/measure_generations"),
        members=lambda wildcards, input: option("members", input.images[1:]),
        settings=options(T2I["reconstruction"]),
        size=lookup(dpath="text_to_image/samples", within=config),
        threads=lookup(dpath="text_to_image/threads", within=config),
    message:
        "Measuring what needs a model of {wildcards.drawn}"
    shell:
        "python {params.repo:q}/workflow text_to_image/measure_generations --prompts {input.prompts:q} --captions {input.captions:q}"
        " --size {params.size} --images {input.images[0]:q} {params.members} --encoder results/text_to_image/encoder"
        " --captioner results/text_to_image/{wildcards.drawn}/captioner --generator results/text_to_image/{wildcards.drawn}/generators/0"
        " --training {input.texts:q} {input.training:q} {params.settings} --threads {params.threads} --out {output:q} > {log:q} 2>&1"


rule score_generations:
    input:
        encoder=ENCODER,
        prompts=lambda wildcards: prompts_of(wildcards.world),
        captions="results/text_to_image/{world}/captions.tsv",
        images=lambda wildcards: images_of(wildcards.world, MEMBERS[wildcards.world]),
        measured=lambda wildcards: (
            f"results/text_to_image/{wildcards.world}/measured.parquet" if wildcards.world in DRAWN else []
        ),
        training=lambda wildcards: training_texts(wildcards.world),
    output:
        scores="results/text_to_image/{world}/scores.parquet",
        warnings="results/text_to_image/{world}/warnings.tsv",
    log:
        "logs/score_generations/{world}.log",
    benchmark:
        "benchmarks/score_generations/{world}.jsonl"
    conda:
        "../envs/text.yaml"
    threads: T2I["threads"]
    resources:
        mem_mb=4000,
        runtime="4h",
    params:
        repo=REPO,
        code=code("text_to_image/score_generations"),
        options=lambda wildcards, input: score_options(wildcards.world, input),
        threads=lookup(dpath="text_to_image/threads", within=config),
    message:
        "Scoring the generations of {wildcards.world}"
    shell:
        "python {params.repo:q}/workflow text_to_image/score_generations --prompts {input.prompts:q} --captions {input.captions:q}"
        " --encoder results/text_to_image/encoder {params.options} --threads {params.threads} --out {output.scores:q}"
        " --warnings {output.warnings:q} > {log:q} 2>&1"


rule evaluate_punc:
    input:
        scores=expand("results/text_to_image/{world}/scores.parquet", world=DEPICTED),
        warnings=expand("results/text_to_image/{world}/warnings.tsv", world=DEPICTED),
    output:
        detection="results/text_to_image/detection.tsv",
        summary="results/text_to_image/summary.tsv",
        disentanglement="results/text_to_image/disentanglement.tsv",
        groups="results/text_to_image/groups.tsv",
        concepts="results/text_to_image/concepts.tsv",
        evidence="results/text_to_image/evidence.tsv",
        told="results/text_to_image/warnings.tsv",
    log:
        "logs/evaluate_punc.log",
    benchmark:
        "benchmarks/evaluate_punc.jsonl"
    conda:
        "../envs/evaluate.yaml"
    threads: 1
    resources:
        mem_mb=4000,
        runtime="2h",
    params:
        repo=REPO,
        code=code("text_to_image/evaluate_punc"),
        scores=lambda wildcards, input: repeated("scores", zip(DEPICTED, input.scores)),
        warnings=lambda wildcards, input: repeated("warnings", zip(DEPICTED, input.warnings)),
        headline=lookup(dpath="text_to_image/headline", within=config),
        replicates=lookup(dpath="text_to_image/replicates", within=config),
        seed=lookup(dpath="seed", within=config),
    message:
        "Evaluating the uncertainty of prompts"
    shell:
        "python {params.repo:q}/workflow text_to_image/evaluate_punc {params.scores} {params.warnings} --headline {params.headline}"
        " --replicates {params.replicates} --seed {params.seed} --detection {output.detection:q} --summary {output.summary:q}"
        " --disentanglement {output.disentanglement:q} --groups {output.groups:q} --concepts {output.concepts:q}"
        " --evidence {output.evidence:q} --told {output.told:q} > {log:q} 2>&1"


rule plot_punc:
    input:
        scores=expand("results/text_to_image/{world}/scores.parquet", world=DEPICTED),
        captions=expand("results/text_to_image/{world}/captions.tsv", world=DEPICTED),
        images=[images_of(world, [0]) for world in DEPICTED],
        detection="results/text_to_image/detection.tsv",
        groups="results/text_to_image/groups.tsv",
    output:
        disentanglement="results/text_to_image/figures/disentanglement.svg",
        groups="results/text_to_image/figures/groups.svg",
        auroc=expand("results/text_to_image/figures/auroc/{world}.svg", world=DEPICTED),
        sheets=expand("results/text_to_image/figures/sheets/{world}.svg", world=DEPICTED),
    log:
        "logs/plot_punc.log",
    benchmark:
        "benchmarks/plot_punc.jsonl"
    conda:
        "../envs/report.yaml"
    threads: 1
    resources:
        mem_mb=4000,
        runtime="30m",
    params:
        repo=REPO,
        code=code("text_to_image/plot_punc"),
        worlds=lambda wildcards, input: repeated(
            "world",
            [
                (world, scores, captions, *(images_of(world, [0]) or ["results/text_to_image/cache"]))
                for world, scores, captions in zip(DEPICTED, input.scores, input.captions)
            ],
        ),
        headline=lookup(dpath="text_to_image/headline", within=config),
        size=lookup(dpath="text_to_image/samples", within=config),
        examples=lookup(dpath="text_to_image/examples", within=config),
    message:
        "Drawing the figures of PUNC"
    shell:
        "python {params.repo:q}/workflow text_to_image/plot_punc {params.worlds} --similarity {params.headline} --detection {input.detection:q}"
        " --groups {input.groups:q} --size {params.size} --examples {params.examples} --disentanglement-figure {output.disentanglement:q}"
        " --groups-figure {output.groups:q} --auroc-figures {output.auroc:q} --contact-sheets {output.sheets:q} > {log:q} 2>&1"
