# Generators of promoters: trained on the data set, sampled, refined by Absorb & Escape, and judged beside the floors of rules/dna.smk.
# A generator's or refinement's samples become FASTA sets, so that rules/dna.smk measures them as it measures real ones.
#
#   data set -> sequences.npz -> autoencoders/<autoencoder>, generators/<generator>, embedding -> samples/<generator>.npz, sets/<species>/<generator>.fa
#            -> calibration/<generator>.json, sweep.tsv (validation fold) -> samples/<refinement>.npz, sets/<species>/<refinement>.fa
#            -> descriptions/<set>.npz -> judgements/<set>.*.tsv -> table.tsv, evidence, figures
LEARNED = config["dna"]["species"]  # species of the generators, in label order
AUTOENCODERS = config["dna"]["autoencoders"]
GENERATORS = {name: entry for name, entry in config["dna"]["generators"].items() if entry}
MADE = list(GENERATORS)  # sets that models made
GENERATORS |= grid_members()  # of the designed experiment, trained and sampled by the same rules
REFINEMENTS = {name: entry for name, entry in config["dna"]["refinements"].items() if entry}
GRID = grid_factors()  # name -> autoencoder, prediction, betas, width, seed
KINDS = {
    kind: [name for name, entry in GENERATORS.items() if entry["kind"] in kinds]
    for kind, kinds in {
        "autoregression": ("recurrent", "transformer"),
        "latent": ("latent",),
        "base": ("onehot", "masked"),
    }.items()
}
USED_AUTOENCODERS = sorted(
    {config["dna"]["fred"], *(GENERATORS[name]["autoencoder"] for name in MADE if name in KINDS["latent"])}
)
DNA_MODELS = [  # name and folder of what is trained
    *[(name, f"results/dna/autoencoders/{name}") for name in USED_AUTOENCODERS],
    *[(name, f"results/dna/generators/{name}") for name in MADE],
    ("embedding", "results/dna/embedding"),
]
MADE += REFINEMENTS
JUDGED = ["test", *(name for name in config["dna"]["sets"] if name != "annotation"), *MADE]
ENSEMBLE = config["dna"]["ensemble"]
# the diffusion and the autoregressive model that the sweep refines with each other
PAIR = config["dna"]["sweep"]["pair"]
FRED = f"results/dna/autoencoders/{config['dna']['fred']}"  # the autoencoder of FReD's features, trained apart from the generators'
# sequences that an autoregressive model should find strange: other species, floors, and what generators made
DNA_OODS = [
    *[(name, f"results/dna/strangers/{name}.fa") for name in config["dna"]["strangers"]],
    *[(name, f"results/dna/sets/{species}/{name}.fa") for name in config["dna"]["detected"] for species in LEARNED],
]
ORACLE = config["dna"]["oracle"]
# MB of a job that holds all sequences: two species of 256 bases, or fifteen of 2048
DNA_MEMORY = 4000 if DNA_LENGTH < 1024 else 48000
DNA_SYSTEMS = ("discdiff", "absorb_escape")
for system in DNA_SYSTEMS:
    EVIDENCE[system] = [f"results/dna/generators/evidence_{system}.tsv"]

for species in LEARNED:
    show(
        "discdiff",
        f"Every set beside its floors: {genome(species, 'name')}",
        f"results/dna/generators/figures/measures_{species}.svg",
        "dna_generators",
    )
    show(
        "discdiff",
        f"Motifs by position: {genome(species, 'name')}",
        f"results/dna/generators/figures/motifs_{species}.svg",
        "dna_motif_generators",
    )
    show(
        "discdiff",
        f"Sequence logos around the TATA-box: {genome(species, 'name')}",
        f"results/dna/generators/figures/logos_{species}.svg",
        "dna_logos",
    )
show("discdiff", "Measures", "results/dna/generators/summary.tsv", "dna_generator_measures")
show("discdiff", "How training went", "results/dna/generators/figures/training.svg", "dna_generator_training")
show("discdiff", "Bits per base", "results/dna/generators/bits.tsv", "dna_bits")
show("discdiff", "Autoencoders", "results/dna/generators/autoencoders.tsv", "dna_autoencoders")
show("absorb_escape", "Absorb & Escape over the threshold", "results/dna/refinement/sweep.svg", "dna_refinement_sweep")
show("absorb_escape", "What was edited", "results/dna/refinement/edits.tsv", "dna_edits")
show("absorb_escape", "Conditions of the paper's argument", "results/dna/refinement/conditions.tsv", "dna_conditions")
show(
    "absorb_escape",
    "Sequence uncertainty",
    "results/dna/uncertainty/figures/auroc.svg",
    "dna_sequence_uncertainty",
)


wildcard_constraints:
    generator="|".join(GENERATORS) or "none",
    autoregressive="|".join(KINDS["autoregression"]) or "none",
    latent="|".join(KINDS["latent"]) or "none",
    base="|".join(KINDS["base"]) or "none",
    refinement="|".join(REFINEMENTS) or "none",
    made="|".join(MADE) or "none",
    judged="|".join(JUDGED),
    autoencoder="|".join(AUTOENCODERS) or "none",


rule encode_promoters:
    input:
        f"results/promoters/dataset/epd_gendna_{DNA_LENGTH}.parquet",
    output:
        "results/dna/sequences.npz",
    log:
        "logs/encode_promoters.log",
    benchmark:
        "benchmarks/encode_promoters.jsonl"
    conda:
        "../envs/evaluate.yaml"
    threads: 1
    resources:
        mem_mb=DNA_MEMORY,
        runtime="30m",
    params:
        repo=REPO,
        code=code("dna/encode_promoters"),
        species=LEARNED,
    message:
        "Encoding the promoters that generators learn from"
    shell:
        "python {params.repo:q}/workflow dna/encode_promoters --dataset {input:q} --species {params.species:q} --out {output:q} > {log:q} 2>&1"


rule draw_stranger:
    input:
        f"results/promoters/windows/{{species}}/chosen_{DNA_LENGTH}.parquet",
    output:
        "results/dna/strangers/{species}.fa",
    log:
        "logs/draw_stranger/{species}.log",
    benchmark:
        "benchmarks/draw_stranger/{species}.jsonl"
    conda:
        "../envs/evaluate.yaml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime="10m",
    params:
        repo=REPO,
        code=code("dna/draw_stranger"),
        number=lookup(dpath="dna/sweep/number", within=config),
        seed=lookup(dpath="seed", within=config),
    message:
        "Drawing promoters of {wildcards.species}, which no generator learns"
    shell:
        "python {params.repo:q}/workflow dna/draw_stranger --windows {input:q} --species {wildcards.species:q} --number {params.number}"
        " --seed {params.seed} --out {output:q} > {log:q} 2>&1"


rule train_autoencoder:
    input:
        "results/dna/sequences.npz",
    output:
        facts="results/dna/autoencoders/{autoencoder}/dna.json",
        config="results/dna/autoencoders/{autoencoder}/config.json",
        weights="results/dna/autoencoders/{autoencoder}/diffusion_pytorch_model.safetensors",
        curve="results/dna/autoencoders/{autoencoder}/curve.tsv",
        statistics="results/dna/autoencoders/{autoencoder}/statistics.tsv",
    log:
        "logs/train_autoencoder/{autoencoder}.log",
    benchmark:
        "benchmarks/train_autoencoder/{autoencoder}.jsonl"
    # the longest chain of steps first: everything waits for it
    priority: 2
    conda:
        "../envs/sample.yaml"
    threads: config["dna"]["threads"]
    resources:
        mem_mb=DNA_MEMORY,
        runtime="2d",
        gpu=lambda wildcards: AUTOENCODERS[wildcards.autoencoder]["gpu"],
    params:
        repo=REPO,
        code=code("dna/train_autoencoder"),
        options=lambda wildcards: model_options(AUTOENCODERS[wildcards.autoencoder]),
        threads=lookup(dpath="dna/threads", within=config),
        device=lambda wildcards: device(AUTOENCODERS[wildcards.autoencoder]["gpu"]),
        seed=lambda wildcards: config["seed"] + AUTOENCODERS[wildcards.autoencoder]["seed"],
    message:
        "Training the autoencoder {wildcards.autoencoder}"
    shell:
        "python {params.repo:q}/workflow dna/train_autoencoder --data {input:q} {params.options} --seed {params.seed}"
        " --threads {params.threads} --device {params.device} --out results/dna/autoencoders/{wildcards.autoencoder} > {log:q} 2>&1"


rule train_autoregression:
    input:
        "results/dna/sequences.npz",
    output:
        facts="results/dna/generators/{autoregressive}/dna.json",
        config="results/dna/generators/{autoregressive}/config.json",
        weights="results/dna/generators/{autoregressive}/diffusion_pytorch_model.safetensors",
        curve="results/dna/generators/{autoregressive}/curve.tsv",
        bits="results/dna/generators/{autoregressive}/bits.tsv",
    log:
        "logs/train_autoregression/{autoregressive}.log",
    benchmark:
        "benchmarks/train_autoregression/{autoregressive}.jsonl"
    # the longest chain of steps first: everything waits for it
    priority: 1
    conda:
        "../envs/sample.yaml"
    threads: config["dna"]["threads"]
    resources:
        mem_mb=DNA_MEMORY,
        runtime="4d",
        gpu=lambda wildcards: GENERATORS[wildcards.autoregressive]["gpu"],
    params:
        repo=REPO,
        code=code("dna/train_autoregression"),
        options=lambda wildcards: model_options(GENERATORS[wildcards.autoregressive]),
        threads=lookup(dpath="dna/threads", within=config),
        device=lambda wildcards: device(GENERATORS[wildcards.autoregressive]["gpu"]),
        seed=lambda wildcards: config["seed"] + GENERATORS[wildcards.autoregressive]["seed"],
    message:
        "Training the autoregressive model {wildcards.autoregressive}"
    shell:
        "python {params.repo:q}/workflow dna/train_autoregression --data {input:q} {params.options} --seed {params.seed}"
        " --threads {params.threads} --device {params.device} --out results/dna/generators/{wildcards.autoregressive} > {log:q} 2>&1"


rule train_latent_diffusion:
    input:
        data="results/dna/sequences.npz",
        autoencoder=lambda wildcards: model_files(
            f"results/dna/autoencoders/{GENERATORS[wildcards.latent]['autoencoder']}"
        ),
    output:
        facts="results/dna/generators/{latent}/dna.json",
        index="results/dna/generators/{latent}/model_index.json",
        denoiser="results/dna/generators/{latent}/denoiser.json",
        scheduler="results/dna/generators/{latent}/scheduler/scheduler_config.json",
        config="results/dna/generators/{latent}/unet/config.json",
        weights="results/dna/generators/{latent}/unet/diffusion_pytorch_model.safetensors",
        decoder=directory("results/dna/generators/{latent}/autoencoder"),
        curve="results/dna/generators/{latent}/curve.tsv",
    log:
        "logs/train_latent_diffusion/{latent}.log",
    benchmark:
        "benchmarks/train_latent_diffusion/{latent}.jsonl"
    # the longest chain of steps first: everything waits for it
    priority: 3
    conda:
        "../envs/sample.yaml"
    threads: config["dna"]["threads"]
    resources:
        mem_mb=DNA_MEMORY,
        runtime="4d",
        gpu=lambda wildcards: GENERATORS[wildcards.latent]["gpu"],
    params:
        repo=REPO,
        code=code("dna/train_latent_diffusion"),
        autoencoder=lambda wildcards: f"results/dna/autoencoders/{GENERATORS[wildcards.latent]['autoencoder']}",
        options=lambda wildcards: model_options(GENERATORS[wildcards.latent]),
        threads=lookup(dpath="dna/threads", within=config),
        device=lambda wildcards: device(GENERATORS[wildcards.latent]["gpu"]),
        seed=lambda wildcards: config["seed"] + GENERATORS[wildcards.latent]["seed"],
    message:
        "Training the latent diffusion model {wildcards.latent}"
    shell:
        "python {params.repo:q}/workflow dna/train_latent_diffusion --data {input.data:q} --autoencoder {params.autoencoder:q} {params.options}"
        " --seed {params.seed} --threads {params.threads} --device {params.device} --out results/dna/generators/{wildcards.latent} > {log:q} 2>&1"


rule train_base_diffusion:
    input:
        "results/dna/sequences.npz",
    output:
        facts="results/dna/generators/{base}/dna.json",
        config="results/dna/generators/{base}/config.json",
        weights="results/dna/generators/{base}/diffusion_pytorch_model.safetensors",
        curve="results/dna/generators/{base}/curve.tsv",
    log:
        "logs/train_base_diffusion/{base}.log",
    benchmark:
        "benchmarks/train_base_diffusion/{base}.jsonl"
    conda:
        "../envs/sample.yaml"
    threads: config["dna"]["threads"]
    resources:
        mem_mb=DNA_MEMORY,
        runtime="4d",
        gpu=lambda wildcards: GENERATORS[wildcards.base]["gpu"],
    params:
        repo=REPO,
        code=code("dna/train_base_diffusion"),
        options=lambda wildcards: model_options(GENERATORS[wildcards.base]),
        threads=lookup(dpath="dna/threads", within=config),
        device=lambda wildcards: device(GENERATORS[wildcards.base]["gpu"]),
        seed=lambda wildcards: config["seed"] + GENERATORS[wildcards.base]["seed"],
    message:
        "Training the diffusion model on bases {wildcards.base}"
    shell:
        "python {params.repo:q}/workflow dna/train_base_diffusion --data {input:q} {params.options} --seed {params.seed}"
        " --threads {params.threads} --device {params.device} --out results/dna/generators/{wildcards.base} > {log:q} 2>&1"


rule train_embedding:
    input:
        "results/dna/sequences.npz",
    output:
        facts="results/dna/embedding/dna.json",
        config="results/dna/embedding/config.json",
        weights="results/dna/embedding/diffusion_pytorch_model.safetensors",
        curve="results/dna/embedding/curve.tsv",
    log:
        "logs/train_embedding.log",
    benchmark:
        "benchmarks/train_embedding.jsonl"
    conda:
        "../envs/sample.yaml"
    threads: config["dna"]["threads"]
    resources:
        mem_mb=DNA_MEMORY,
        runtime="1d",
        gpu=config["dna"]["embedding"]["gpu"],
    params:
        repo=REPO,
        code=code("dna/train_embedding"),
        options=model_options(config["dna"]["embedding"]),
        threads=lookup(dpath="dna/threads", within=config),
        device=device(config["dna"]["embedding"]["gpu"]),
        seed=lookup(dpath="seed", within=config),
    message:
        "Training the classifier whose features sets are compared on"
    shell:
        "python {params.repo:q}/workflow dna/train_embedding --data {input:q} {params.options} --seed {params.seed}"
        " --threads {params.threads} --device {params.device} --out results/dna/embedding > {log:q} 2>&1"


rule sample_generator:
    input:
        data="results/dna/sequences.npz",
        generator=lambda wildcards: generator_files(wildcards.generator),
    output:
        samples="results/dna/samples/{generator}.npz",
        table="results/dna/samples/{generator}.tsv",
        sets=expand("results/dna/sets/{species}/{{generator}}.fa", species=LEARNED),
    log:
        "logs/sample_generator/{generator}.log",
    benchmark:
        "benchmarks/sample_generator/{generator}.jsonl"
    conda:
        "../envs/sample.yaml"
    threads: config["dna"]["threads"]
    resources:
        mem_mb=DNA_MEMORY,
        runtime="12h",
        gpu=lambda wildcards: GENERATORS[wildcards.generator]["gpu"],
    params:
        repo=REPO,
        code=code("dna/sample_generator"),
        # of the designed experiment only the sequences are measured, and as many as the validation fold is asked for
        number=lambda wildcards: (config["dna"]["sweep"] if wildcards.generator in GRID else config["dna"])["number"],
        options=lambda wildcards: options(GENERATORS[wildcards.generator]["sampling"]),
        posterior=lambda wildcards: "" if wildcards.generator in [*KINDS["autoregression"], *GRID] else "--posterior",
        threads=lookup(dpath="dna/threads", within=config),
        device=lambda wildcards: device(GENERATORS[wildcards.generator]["gpu"]),
        seed=lookup(dpath="seed", within=config),
    message:
        "Sampling {wildcards.generator}"
    shell:
        "python {params.repo:q}/workflow dna/sample_generator --generator results/dna/generators/{wildcards.generator} --data {input.data:q}"
        " --name {wildcards.generator} --number {params.number} {params.options} {params.posterior} --threads {params.threads} --device {params.device}"
        " --seed {params.seed} --out {output.samples:q} --table {output.table:q} --sets {output.sets:q} > {log:q} 2>&1"


rule calibrate_generator:
    input:
        data="results/dna/sequences.npz",
        generator=lambda wildcards: generator_files(wildcards.generator),
    output:
        temperature="results/dna/calibration/{generator}.json",
        reliability="results/dna/calibration/{generator}.tsv",
    log:
        "logs/calibrate_generator/{generator}.log",
    benchmark:
        "benchmarks/calibrate_generator/{generator}.jsonl"
    conda:
        "../envs/sample.yaml"
    threads: config["dna"]["threads"]
    resources:
        mem_mb=DNA_MEMORY,
        runtime="4h",
        gpu=lambda wildcards: GENERATORS[wildcards.generator]["gpu"],
    params:
        repo=REPO,
        code=code("dna/calibrate_generator"),
        number=lookup(dpath="dna/sweep/calibration", within=config),
        replicates=lookup(dpath="dna/replicates", within=config),
        threads=lookup(dpath="dna/threads", within=config),
        device=lambda wildcards: device(GENERATORS[wildcards.generator]["gpu"]),
        seed=lookup(dpath="seed", within=config),
    message:
        "Asking {wildcards.generator} about real validation sequences"
    shell:
        "python {params.repo:q}/workflow dna/calibrate_generator --generator results/dna/generators/{wildcards.generator} --data {input.data:q}"
        " --name {wildcards.generator} --number {params.number} --replicates {params.replicates} --threads {params.threads} --device {params.device}"
        " --seed {params.seed} --out {output.temperature:q} --table {output.reliability:q} > {log:q} 2>&1"


rule sweep_refinement:
    input:
        data="results/dna/sequences.npz",
        samples=f"results/dna/samples/{PAIR['diffusion']}.npz",
        alone=f"results/dna/samples/{PAIR['autoregression']}.npz",
        autoregression=generator_files(PAIR["autoregression"]),
        calibration=f"results/dna/calibration/{PAIR['diffusion']}.json",
        embedding=model_files("results/dna/embedding"),
        autoencoder=model_files(FRED),
    output:
        table="results/dna/refinement/sweep.tsv",
        chosen="results/dna/refinement/chosen.json",
    log:
        "logs/sweep_refinement.log",
    benchmark:
        "benchmarks/sweep_refinement.jsonl"
    conda:
        "../envs/sample.yaml"
    threads: config["dna"]["threads"]
    resources:
        mem_mb=DNA_MEMORY,
        runtime="12h",
        gpu=GENERATORS[PAIR["autoregression"]]["gpu"],
    params:
        repo=REPO,
        code=code("dna/sweep_refinement"),
        autoregression=lambda wildcards, input: os.path.dirname(input.autoregression[0]),
        autoencoder=lambda wildcards, input: os.path.dirname(input.autoencoder[0]),
        components=lookup(dpath="dna/components", within=config),
        number=lookup(dpath="dna/sweep/number", within=config),
        thresholds=repeated(
            "thresholds", [(kind, *found) for kind, found in config["dna"]["sweep"]["thresholds"].items()]
        ),
        metric=lookup(dpath="dna/sweep/metric", within=config),
        replicates=lookup(dpath="dna/sweep/replicates", within=config),
        threads=lookup(dpath="dna/threads", within=config),
        device=device(GENERATORS[PAIR["autoregression"]]["gpu"]),
        seed=lookup(dpath="seed", within=config),
    message:
        "Sweeping Absorb & Escape over rules and thresholds against the validation fold"
    shell:
        "python {params.repo:q}/workflow dna/sweep_refinement --data {input.data:q} --samples {input.samples:q} --alone {input.alone:q}"
        " --autoregression {params.autoregression:q} --calibration {input.calibration:q} --embedding results/dna/embedding"
        " --autoencoder {params.autoencoder:q} --components {params.components} {params.thresholds} --number {params.number}"
        " --metric {params.metric:q} --replicates {params.replicates} --threads {params.threads} --device {params.device} --seed {params.seed}"
        " --out {output.table:q} --chosen {output.chosen:q} > {log:q} 2>&1"


rule refine_samples:
    input:
        data="results/dna/sequences.npz",
        samples=lambda wildcards: f"results/dna/samples/{refined(wildcards.refinement)['diffusion']}.npz",
        autoregression=lambda wildcards: generator_files(refined(wildcards.refinement)["autoregression"]),
        calibration=lambda wildcards: f"results/dna/calibration/{refined(wildcards.refinement)['diffusion']}.json",
        like=lambda wildcards: (
            f"results/dna/refined/{REFINEMENTS[wildcards.refinement]['like']}.npz"
            if REFINEMENTS[wildcards.refinement]["control"]
            else []
        ),
        chosen=lambda wildcards: (
            "results/dna/refinement/chosen.json" if REFINEMENTS[wildcards.refinement]["rule"] == "chosen" else []
        ),
    output:
        samples="results/dna/refined/{refinement}.npz",
        sets=expand("results/dna/sets/{species}/{{refinement}}.fa", species=LEARNED),
        table="results/dna/refined/{refinement}.tsv",
    log:
        "logs/refine_samples/{refinement}.log",
    benchmark:
        "benchmarks/refine_samples/{refinement}.jsonl"
    conda:
        "../envs/sample.yaml"
    threads: config["dna"]["threads"]
    resources:
        mem_mb=DNA_MEMORY,
        runtime="4h",
        gpu=lambda wildcards: GENERATORS[refined(wildcards.refinement)["autoregression"]]["gpu"],
    params:
        repo=REPO,
        code=code("dna/refine_samples"),
        autoregression=lambda wildcards: f"results/dna/generators/{refined(wildcards.refinement)['autoregression']}",
        options=lambda wildcards: refinement_options(wildcards.refinement),
        threads=lookup(dpath="dna/threads", within=config),
        device=lambda wildcards: device(GENERATORS[refined(wildcards.refinement)["autoregression"]]["gpu"]),
        seed=lookup(dpath="seed", within=config),
    message:
        "Refining samples: {wildcards.refinement}"
    shell:
        "python {params.repo:q}/workflow dna/refine_samples --samples {input.samples:q} --autoregression {params.autoregression:q}"
        " --data {input.data:q} --calibration {input.calibration:q} --name {wildcards.refinement} {params.options}"
        " --threads {params.threads} --device {params.device} --seed {params.seed} --out {output.samples:q} --sets {output.sets:q} --table {output.table:q} > {log:q} 2>&1"


rule describe_set:
    input:
        data="results/dna/sequences.npz",
        embedding=model_files("results/dna/embedding"),
        autoencoder=model_files(FRED),
        sets=expand("results/dna/sets/{species}/{{judged}}.fa", species=LEARNED),
        real=lambda wildcards: [] if wildcards.judged == "test" else "results/dna/descriptions/test.npz",
        oracle=model_files(ORACLE["folder"]) if there(ORACLE["folder"]) else [],
        flanks=there(ORACLE["flanks"]),
    output:
        "results/dna/descriptions/{judged}.npz",
    log:
        "logs/describe_set/{judged}.log",
    benchmark:
        "benchmarks/describe_set/{judged}.jsonl"
    conda:
        "../envs/sample.yaml"
    threads: config["dna"]["threads"]
    resources:
        mem_mb=DNA_MEMORY,
        runtime="2h",
        gpu=config["dna"]["embedding"]["gpu"],
    params:
        repo=REPO,
        code=code("dna/describe_set"),
        autoencoder=lambda wildcards, input: os.path.dirname(input.autoencoder[0]),
        components=lookup(dpath="dna/components", within=config),
        real=lambda wildcards, input: option("real", input.real and [input.real]),
        oracle=option("oracle", ORACLE["folder"] and [ORACLE["folder"]]),
        flanks=option("flanks", ORACLE["flanks"] and [ORACLE["flanks"]]),
        threads=lookup(dpath="dna/threads", within=config),
        device=device(config["dna"]["embedding"]["gpu"]),
        seed=lookup(dpath="seed", within=config),
    message:
        "Describing the set {wildcards.judged}"
    shell:
        "python {params.repo:q}/workflow dna/describe_set --data {input.data:q} --embedding results/dna/embedding --autoencoder {params.autoencoder:q}"
        " --components {params.components} --sets {input.sets:q} {params.real} {params.oracle} {params.flanks} --threads {params.threads} --device {params.device} --seed {params.seed}"
        " --out {output:q} > {log:q} 2>&1"


rule judge_set:
    input:
        description="results/dna/descriptions/{judged}.npz",
        real="results/dna/descriptions/test.npz",
    output:
        measures="results/dna/judgements/{judged}.measures.tsv",
        evidence="results/dna/judgements/{judged}.evidence.tsv",
    log:
        "logs/judge_set/{judged}.log",
    benchmark:
        "benchmarks/judge_set/{judged}.jsonl"
    conda:
        "../envs/evaluate.yaml"
    threads: 1
    resources:
        mem_mb=DNA_MEMORY,
        runtime="2h",
    params:
        repo=REPO,
        code=code("dna/judge_set"),
        replicates=lookup(dpath="dna/replicates", within=config),
        resampled=lambda wildcards: resampled(wildcards.judged),
        seed=lookup(dpath="seed", within=config),
    message:
        "Judging the set {wildcards.judged} against the test fold"
    shell:
        "python {params.repo:q}/workflow dna/judge_set --set {input.description:q} --real {input.real:q}"
        " --name {wildcards.judged} {params.resampled} --replicates {params.replicates} --seed {params.seed}"
        " --measures {output.measures:q} --evidence {output.evidence:q} > {log:q} 2>&1"


rule score_sequences:
    input:
        data="results/dna/sequences.npz",
        models=[path for name in ENSEMBLE for path in generator_files(name)],
        oods=[path for _, path in DNA_OODS],
    output:
        table="results/dna/uncertainty/detection.tsv",
        evidence="results/dna/uncertainty/evidence.tsv",
        sequences="results/dna/uncertainty/sequences.tsv",
    log:
        "logs/score_sequences.log",
    benchmark:
        "benchmarks/score_sequences.jsonl"
    conda:
        "../envs/sample.yaml"
    threads: config["dna"]["threads"]
    resources:
        mem_mb=DNA_MEMORY,
        runtime="4h",
        gpu=max(GENERATORS[name]["gpu"] for name in ENSEMBLE),
    params:
        repo=REPO,
        code=code("dna/score_sequences"),
        models=[f"results/dna/generators/{name}" for name in ENSEMBLE],
        oods=option("ood", [f"{name}={path}" for name, path in DNA_OODS]),
        replicates=lookup(dpath="dna/replicates", within=config),
        threads=lookup(dpath="dna/threads", within=config),
        device=device(max(GENERATORS[name]["gpu"] for name in ENSEMBLE)),
        seed=lookup(dpath="seed", within=config),
    message:
        "Scoring sequences with an ensemble of autoregressive models"
    shell:
        "python {params.repo:q}/workflow dna/score_sequences --data {input.data:q} --models {params.models:q} {params.oods} --system absorb_escape"
        " --replicates {params.replicates} --threads {params.threads} --device {params.device} --seed {params.seed} --out {output.table:q}"
        " --evidence {output.evidence:q} --sequences {output.sequences:q} > {log:q} 2>&1"


rule measure_bits:
    input:
        data="results/dna/sequences.npz",
        model=generator_files(PAIR["autoregression"]),
    output:
        "results/dna/generators/bits_evidence.tsv",
    log:
        "logs/measure_bits.log",
    benchmark:
        "benchmarks/measure_bits.jsonl"
    conda:
        "../envs/sample.yaml"
    threads: config["dna"]["threads"]
    resources:
        mem_mb=DNA_MEMORY,
        runtime="1h",
        gpu=GENERATORS[PAIR["autoregression"]]["gpu"],
    params:
        repo=REPO,
        code=code("dna/measure_bits"),
        model=lambda wildcards, input: os.path.dirname(input.model[0]),
        name=PAIR["autoregression"],
        replicates=lookup(dpath="dna/replicates", within=config),
        threads=lookup(dpath="dna/threads", within=config),
        device=device(GENERATORS[PAIR["autoregression"]]["gpu"]),
        seed=lookup(dpath="seed", within=config),
    message:
        "Measuring the bits per base of {params.name}"
    shell:
        "python {params.repo:q}/workflow dna/measure_bits --model {params.model:q} --name {params.name} --data {input.data:q}"
        " --replicates {params.replicates} --threads {params.threads} --device {params.device} --seed {params.seed} --out {output:q} > {log:q} 2>&1"


rule join_generators:
    input:
        measures=[f"results/dna/measures/{species}/{name}.measures.tsv" for species in LEARNED for name in JUDGED],
        judgements=expand("results/dna/judgements/{judged}.measures.tsv", judged=JUDGED),
        evidence=[f"results/dna/measures/{species}/{name}.evidence.tsv" for species in LEARNED for name in JUDGED],
        judged=expand("results/dna/judgements/{judged}.evidence.tsv", judged=JUDGED),
        uncertainty="results/dna/uncertainty/evidence.tsv",
        predicted="results/dna/generators/bits_evidence.tsv",
        calibrations=expand("results/dna/calibration/{generator}.json", generator=PAIR.values()),
        draws=[f"results/dna/samples/{name}.tsv" for name in JUDGED if name in GENERATORS],
        edits=expand("results/dna/refined/{refinement}.tsv", refinement=REFINEMENTS),
        bits=expand("results/dna/generators/{autoregressive}/bits.tsv", autoregressive=KINDS["autoregression"]),
        autoencoders=expand("results/dna/autoencoders/{autoencoder}/statistics.tsv", autoencoder=USED_AUTOENCODERS),
    output:
        table="results/dna/generators/table.tsv",
        means="results/dna/generators/means.tsv",
        summary="results/dna/generators/summary.tsv",
        evidence=[path for system in DNA_SYSTEMS for path in EVIDENCE[system]],
        edits="results/dna/refinement/edits.tsv",
        bits="results/dna/generators/bits.tsv",
        autoencoders="results/dna/generators/autoencoders.tsv",
        conditions="results/dna/refinement/conditions.tsv",
    log:
        "logs/join_generators.log",
    benchmark:
        "benchmarks/join_generators.jsonl"
    conda:
        "../envs/evaluate.yaml"
    threads: 1
    resources:
        mem_mb=DNA_MEMORY,
        runtime="1h",
    params:
        repo=REPO,
        code=code("dna/join_generators"),
        origins=repeated("set", [origin(name) for name in [*JUDGED, "chance"]]),
        pair=option("pair", [PAIR["diffusion"], PAIR["autoregression"]]),
        systems=DNA_SYSTEMS,
    message:
        "Joining the measures of all generators"
    shell:
        "python {params.repo:q}/workflow dna/join_generators --measures {input.measures:q} {input.judgements:q} --evidence {input.evidence:q} {input.judged:q}"
        " {input.uncertainty:q} {input.predicted:q} {params.origins} --calibration {input.calibrations:q} --draws {input.draws:q} --edits {input.edits:q} --bits {input.bits:q}"
        " --autoencoders {input.autoencoders:q} {params.pair} --systems {params.systems:q} --table {output.table:q} --means {output.means:q}"
        " --summary {output.summary:q} --evidence-out {output.evidence:q} --edits-out {output.edits:q} --bits-out {output.bits:q}"
        " --autoencoders-out {output.autoencoders:q} --conditions {output.conditions:q} > {log:q} 2>&1"


rule plot_generators:
    input:
        measures="results/dna/generators/table.tsv",
        curves=expand("results/dna/measures/{{species}}/{judged}.curves.tsv", judged=JUDGED),
    output:
        measures="results/dna/generators/figures/measures_{species}.svg",
        motifs="results/dna/generators/figures/motifs_{species}.svg",
    log:
        "logs/plot_generators/{species}.log",
    benchmark:
        "benchmarks/plot_generators/{species}.jsonl"
    conda:
        "../envs/report.yaml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime="10m",
    params:
        repo=REPO,
        code=code("dna/plot_generators"),
        name=lambda wildcards: genome(wildcards.species, "name"),
        sets=lookup(dpath="dna/pictured", within=config),
    message:
        "Drawing the measures and motif curves of generators, {wildcards.species}"
    shell:
        "python {params.repo:q}/workflow dna/plot_generators --measures {input.measures:q} --curves {input.curves:q} --species {wildcards.species:q}"
        " --name {params.name:q} --sets {params.sets} --measures-figure {output.measures:q} --curves-figure {output.motifs:q} > {log:q} 2>&1"


rule plot_logos:
    input:
        expand("results/dna/sets/{{species}}/{set}.fa", set=["test", *config["dna"]["pictured"]]),
    output:
        "results/dna/generators/figures/logos_{species}.svg",
    log:
        "logs/plot_logos/{species}.log",
    benchmark:
        "benchmarks/plot_logos/{species}.jsonl"
    conda:
        "../envs/report.yaml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime="10m",
    params:
        repo=REPO,
        code=code("dna/plot_logos"),
        name=lambda wildcards: genome(wildcards.species, "name"),
    message:
        "Drawing sequence logos of {wildcards.species}"
    shell:
        "python {params.repo:q}/workflow dna/plot_logos --sets {input:q} --name {params.name:q} --out {output:q} > {log:q} 2>&1"


rule plot_dna_training:
    input:
        [f"{folder}/{name}" for _, folder in DNA_MODELS for name in ("curve.tsv", "dna.json")],
    output:
        "results/dna/generators/figures/training.svg",
    log:
        "logs/plot_dna_training.log",
    benchmark:
        "benchmarks/plot_dna_training.jsonl"
    conda:
        "../envs/report.yaml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime="10m",
    params:
        repo=REPO,
        code=code("dna/plot_dna_training"),
        models=repeated("model", DNA_MODELS),
    message:
        "Drawing how the training of DNA models went"
    shell:
        "python {params.repo:q}/workflow dna/plot_dna_training {params.models} --out {output:q} > {log:q} 2>&1"


rule plot_refinement:
    input:
        "results/dna/refinement/sweep.tsv",
    output:
        "results/dna/refinement/sweep.svg",
    log:
        "logs/plot_refinement.log",
    benchmark:
        "benchmarks/plot_refinement.jsonl"
    conda:
        "../envs/report.yaml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime="10m",
    params:
        repo=REPO,
        code=code("dna/plot_refinement"),
        title=f"Absorb & Escape: {PAIR['diffusion']} and {PAIR['autoregression']}, against the validation fold",
    message:
        "Drawing Absorb & Escape over its threshold"
    shell:
        "python {params.repo:q}/workflow dna/plot_refinement --sweep {input:q} --title {params.title:q} --out {output:q} > {log:q} 2>&1"


rule plot_dna_uncertainty:
    input:
        "results/dna/uncertainty/detection.tsv",
    output:
        "results/dna/uncertainty/figures/auroc.svg",
    log:
        "logs/plot_dna_uncertainty.log",
    benchmark:
        "benchmarks/plot_dna_uncertainty.jsonl"
    conda:
        "../envs/report.yaml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime="10m",
    params:
        repo=REPO,
        code=code("dna/plot_dna_uncertainty"),
        title=f"Held-out promoters against others: {len(ENSEMBLE)} autoregressive models",
    message:
        "Drawing the uncertainty of sequences"
    shell:
        "python {params.repo:q}/workflow dna/plot_dna_uncertainty --detection {input:q} --title {params.title:q} --out {output:q} > {log:q} 2>&1"


rule measure_latent_grid:
    input:
        data="results/dna/sequences.npz",
        samples=expand("results/dna/samples/{latent}.npz", latent=GRID),
        embedding=model_files("results/dna/embedding"),
        autoencoder=model_files(FRED),
    output:
        "results/dna/grid/table.tsv",
    log:
        "logs/measure_latent_grid.log",
    benchmark:
        "benchmarks/measure_latent_grid.jsonl"
    conda:
        "../envs/sample.yaml"
    threads: config["dna"]["threads"]
    resources:
        mem_mb=DNA_MEMORY,
        runtime="4h",
        gpu=config["dna"]["embedding"]["gpu"],
    params:
        repo=REPO,
        code=code("dna/measure_latent_grid"),
        runs=lambda wildcards, input: repeated(
            "run", [(*factors, path) for factors, path in zip(GRID.values(), input.samples, strict=True)]
        ),
        autoencoder=lambda wildcards, input: os.path.dirname(input.autoencoder[0]),
        components=lookup(dpath="dna/components", within=config),
        number=lookup(dpath="dna/sweep/number", within=config),
        replicates=lookup(dpath="dna/sweep/replicates", within=config),
        threads=lookup(dpath="dna/threads", within=config),
        device=device(config["dna"]["embedding"]["gpu"]),
        seed=lookup(dpath="seed", within=config),
    message:
        "Measuring the grid of latent diffusion models on the validation fold"
    shell:
        "python {params.repo:q}/workflow dna/measure_latent_grid --data {input.data:q} {params.runs} --embedding results/dna/embedding"
        " --autoencoder {params.autoencoder:q} --components {params.components} --number {params.number} --replicates {params.replicates}"
        " --threads {params.threads} --device {params.device} --seed {params.seed} --out {output:q} > {log:q} 2>&1"


rule plot_latent_grid:
    input:
        "results/dna/grid/table.tsv",
    output:
        "results/dna/grid/effects.svg",
    log:
        "logs/plot_latent_grid.log",
    benchmark:
        "benchmarks/plot_latent_grid.jsonl"
    conda:
        "../envs/report.yaml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime="10m",
    params:
        repo=REPO,
        code=code("dna/plot_latent_grid"),
    message:
        "Drawing the grid of latent diffusion models"
    shell:
        "python {params.repo:q}/workflow dna/plot_latent_grid --grid {input:q} --title 'Latent diffusion: a grid at equal processor time, against the validation fold'"
        " --out {output:q} > {log:q} 2>&1"


rule latent_grid:
    input:
        "results/dna/grid/table.tsv",
        "results/dna/grid/effects.svg",
    localrule: True
