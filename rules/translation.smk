# Translation: an ensemble of sequence models and students that stand for it, each of which says how unsure it is of a sentence.
#
#   packages, parallel files -> pairs.tsv, others.tsv -> tokenizer -> sets.tsv (test, OOD, validation OOD) -> encoded.npz
#   encoded -> members/<ensemble>/<member> -> teachers/<ensemble>/*.npz (their log-probabilities) -> students/<ensemble>/<student>
#   members, students -> scored/<ensemble>/<system>.tsv -> detection, quality, agreement, cost, evidence, figures; teachers -> diagnosis
#
# The task `dna` does the same with the autoregressive models of rules/generators.smk, whose vocabulary are four bases.
EDD = config["translation"]
BITEXT = "results/translation"
BASES = "results/translation/dna"
ENSEMBLES = range(EDD["seeds"])
# by family; one that is null is left out
STUDENTS = {name: entry for name, entry in EDD["students"].items() if entry is not None}
BASE_STUDENTS = {name: entry for name, entry in EDD["bases"]["students"].items() if entry is not None}
BASE_TEACHERS = [f"results/dna/generators/{name}" for name in config["dna"]["ensemble"]]
# students of the whole vocabulary, as published; it is kept for them alone
FULL = [name for name in STUDENTS if name in ("laplace", "gaussian")]
# students with a scale for each logit
NOISY = [name for name in STUDENTS if name.split("_")[0] in ("laplace", "gaussian")]
# by task: the sets and their roles, and the scores that know no model
SETS_OF = {"bitext": f"{BITEXT}/sets.tsv", "dna": f"{BASES}/scored/0/control.sets.tsv"}
CONTROLS_OF = {"bitext": f"{BITEXT}/scored/0/control.tsv", "dna": f"{BASES}/scored/0/control.tsv"}
# further ensembles, trained with another label smoothing, that the diagnosis compares with the first
SMOOTHED = {f"smoothing{value}": value for value in EDD["diagnosis"]["smoothings"]}
TOKENIZER = f"{BITEXT}/tokenizer/{'sentencepiece.model' if str(EDD['tokenizer']['model']).endswith('.model') else 'tokenizer.json'}"


EVIDENCE["edd"] = [f"{BITEXT}/evidence.tsv"]
WARNINGS["edd"] = [f"{BITEXT}/warnings.tsv"]

for title, path, caption in [
    ("AUROC by system, measure and set", "summary.tsv", "translation_summary"),
    *[(f"AUROC by system and set: {task}", f"figures/auroc_{task}.svg", "translation_auroc") for task in EDD["tasks"]],
    *[
        (f"Quality, errors, cost: {task}", f"figures/overview_{task}.svg", "translation_overview")
        for task in EDD["tasks"]
    ],
    *[
        (
            f"Students' mutual information beside the ensemble's: {task}",
            f"figures/agreement_{task}.svg",
            "translation_agreement",
        )
        for task in EDD["tasks"]
    ],
    ("What was chosen on validation sets", "choice.tsv", "translation_choice"),
    ("Quality", "quality.tsv", "translation_quality"),
    ("Cost", "cost.tsv", "translation_cost"),
    *(
        [
            ("Is the teachers' spread a sign of OOD", "figures/diagnosis.svg", "translation_diagnosis"),
            ("What settings of the teachers are worth", "settings.tsv", "translation_settings"),
            ("Scales by rank in the vocabulary", "figures/scales.svg", "translation_scales"),
            ("What truncation leaves out", "teachers/0/truncation.tsv", "translation_truncation"),
            ("The sets", "sets_summary.tsv", "translation_sets"),
            ("What cleaning left", "cleaning.tsv", "translation_cleaning"),
        ]
        if "bitext" in EDD["tasks"]
        else []
    ),
]:
    show("edd", title, f"{BITEXT}/{path}", caption)


wildcard_constraints:
    ensemble="|".join([r"\d+", *map(re.escape, SMOOTHED)]),
    student="|".join({**STUDENTS, **BASE_STUDENTS}) or "none",


rule build_bitext:
    input:
        **{name: sourced(entry) for name, entry in EDD["packages"].items() if entry},
        corpora=[path for entry in EDD["corpora"].values() for path in corpus_files(entry)],
    output:
        pairs=f"{BITEXT}/pairs.tsv",
        others=f"{BITEXT}/others.tsv",
        cleaning=f"{BITEXT}/cleaning.tsv",
    log:
        "logs/build_bitext.log",
    benchmark:
        "benchmarks/build_bitext.jsonl"
    conda:
        "../envs/translate.yaml"
    threads: 1
    resources:
        mem_mb=4000,
        runtime="2h",
    params:
        repo=REPO,
        code=code("translation/build_bitext"),
        packages=" ".join(
            option(name.replace("_", "-"), [sourced(entry)]) for name, entry in EDD["packages"].items() if entry
        ),
        corpora=repeated("corpus", [corpus_row(name, entry) for name, entry in EDD["corpora"].items()]),
        languages=f"{option('source', EDD['source'])} {option('target', [EDD['target']])}",
        matched=option("matched", [f"{name}={language}" for name, language in EDD["matched"].items()] or [""]),
        rules=switches(EDD["bitext"], ["leave_out"]),
        seed=lookup(dpath="seed", within=config),
    message:
        "Joining and cleaning pairs of sentences"
    shell:
        "python {params.repo:q}/workflow translation/build_bitext {params.packages} {params.corpora} {params.languages} {params.matched}"
        " {params.rules} --seed {params.seed} --out {output.pairs:q} --others {output.others:q} --cleaning {output.cleaning:q} > {log:q} 2>&1"


rule train_tokenizer:
    input:
        pairs=f"{BITEXT}/pairs.tsv",
        model=lambda wildcards: EDD["tokenizer"]["model"] or [],
    output:
        TOKENIZER,
    log:
        "logs/train_tokenizer.log",
    benchmark:
        "benchmarks/train_tokenizer.jsonl"
    conda:
        "../envs/translate.yaml"
    threads: 1
    resources:
        mem_mb=4000,
        runtime="1h",
    params:
        repo=REPO,
        code=code("translation/train_tokenizer"),
        how=(
            option("model", [EDD["tokenizer"]["model"]])
            if EDD["tokenizer"]["model"]
            else f"--pairs {BITEXT}/pairs.tsv --size {EDD['tokenizer']['size']}"
        ),
    message:
        "Learning the vocabulary"
    shell:
        "python {params.repo:q}/workflow translation/train_tokenizer {params.how} --out {output:q} > {log:q} 2>&1"


rule build_sets:
    input:
        pairs=f"{BITEXT}/pairs.tsv",
        others=f"{BITEXT}/others.tsv",
        tokenizer=TOKENIZER,
    output:
        sets=f"{BITEXT}/sets.tsv",
        summary=f"{BITEXT}/sets_summary.tsv",
    log:
        "logs/build_sets.log",
    benchmark:
        "benchmarks/build_sets.jsonl"
    conda:
        "../envs/translate.yaml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime="30m",
    params:
        repo=REPO,
        code=code("translation/build_sets"),
        noise=lookup(dpath="translation/noise", within=config),
        seed=lookup(dpath="seed", within=config),
    message:
        "Building the test set and the sets out of domain"
    shell:
        "python {params.repo:q}/workflow translation/build_sets --pairs {input.pairs:q} --others {input.others:q} --tokenizer {input.tokenizer:q}"
        " --noise {params.noise} --seed {params.seed} --out {output.sets:q} --summary {output.summary:q} > {log:q} 2>&1"


rule encode_sets:
    input:
        sets=f"{BITEXT}/sets.tsv",
        tokenizer=TOKENIZER,
    output:
        f"{BITEXT}/encoded.npz",
    log:
        "logs/encode_sets.log",
    benchmark:
        "benchmarks/encode_sets.jsonl"
    conda:
        "../envs/translate.yaml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime="30m",
    params:
        repo=REPO,
        code=code("translation/encode_sets"),
        limit=lookup(dpath="translation/limit", within=config),
    message:
        "Encoding the sets"
    shell:
        "python {params.repo:q}/workflow translation/encode_sets --sets {input.sets:q} --tokenizer {input.tokenizer:q}"
        " --limit {params.limit} --out {output:q} > {log:q} 2>&1"


rule train_member:
    input:
        encoded=f"{BITEXT}/encoded.npz",
        tokenizer=TOKENIZER,
    output:
        model=f"{BITEXT}/members/{{ensemble}}/{{member}}/model.safetensors",
        config=f"{BITEXT}/members/{{ensemble}}/{{member}}/config.json",
        facts=f"{BITEXT}/members/{{ensemble}}/{{member}}/facts.json",
        curve=f"{BITEXT}/members/{{ensemble}}/{{member}}/curve.tsv",
    log:
        "logs/train_member/{ensemble}/{member}.log",
    benchmark:
        "benchmarks/train_member/{ensemble}/{member}.jsonl"
    # the longest chain of steps first: everything waits for them
    priority: 2
    conda:
        "../envs/translate.yaml"
    threads: EDD["threads"]
    resources:
        mem_mb=3000,
        runtime="4d",
        gpu=EDD["gpu"],
    params:
        repo=REPO,
        code=code("translation/train_member"),
        recipe=lambda wildcards: options(
            EDD["member"]
            | ({"label_smoothing": SMOOTHED[wildcards.ensemble]} if wildcards.ensemble in SMOOTHED else {})
        ),
        device=device(EDD["gpu"]),
        threads=lookup(dpath="translation/threads", within=config),
        seed=lambda wildcards: translation_seed(wildcards.ensemble) + int(wildcards.member),
    message:
        "Training member {wildcards.member} of ensemble {wildcards.ensemble}"
    shell:
        "python {params.repo:q}/workflow translation/train_member --encoded {input.encoded:q} --tokenizer {input.tokenizer:q} {params.recipe}"
        " --device {params.device} --threads {params.threads} --seed {params.seed}"
        " --out results/translation/members/{wildcards.ensemble}/{wildcards.member} > {log:q} 2>&1"


rule cache_teachers:
    input:
        encoded=f"{BITEXT}/encoded.npz",
        tokenizer=TOKENIZER,
        members=lambda wildcards: [
            file for folder in translators(wildcards.ensemble, "ensemble") for file in network_files(folder)
        ],
    output:
        top=f"{BITEXT}/teachers/{{ensemble}}/top.npz",
        full=[f"{BITEXT}/teachers/{{ensemble}}/full.npz"] if FULL else [],
        truncation=f"{BITEXT}/teachers/{{ensemble}}/truncation.tsv",
    log:
        "logs/cache_teachers/{ensemble}.log",
    benchmark:
        "benchmarks/cache_teachers/{ensemble}.jsonl"
    priority: 1
    conda:
        "../envs/translate.yaml"
    threads: EDD["threads"]
    resources:
        mem_mb=6000,
        runtime="1d",
        gpu=EDD["gpu"],
    params:
        repo=REPO,
        code=code("translation/cache_teachers"),
        members=lambda wildcards: option("members", translators(wildcards.ensemble, "ensemble")),
        teaching=options(EDD["teachers"]),
        full=lambda wildcards: option("full", [f"{BITEXT}/teachers/{wildcards.ensemble}/full.npz"] if FULL else []),
        device=device(EDD["gpu"]),
        threads=lookup(dpath="translation/threads", within=config),
        seed=lookup(dpath="seed", within=config),
    message:
        "Keeping what the members of ensemble {wildcards.ensemble} say of each token"
    shell:
        "python {params.repo:q}/workflow translation/cache_teachers {params.members} --encoded {input.encoded:q} --tokenizer {input.tokenizer:q}"
        " {params.teaching} --device {params.device} --threads {params.threads} --seed {params.seed} --out {output.top:q} {params.full}"
        " --truncation {output.truncation:q} > {log:q} 2>&1"


rule train_student:
    input:
        teachers=lambda wildcards: teachers_of(wildcards.ensemble, wildcards.student),
        start=lambda wildcards: network_files(begins_as(wildcards.ensemble, wildcards.student)),
        tokenizer=TOKENIZER,
    output:
        model=f"{BITEXT}/students/{{ensemble}}/{{student}}/model.safetensors",
        config=f"{BITEXT}/students/{{ensemble}}/{{student}}/config.json",
        facts=f"{BITEXT}/students/{{ensemble}}/{{student}}/facts.json",
        student=f"{BITEXT}/students/{{ensemble}}/{{student}}/student.json",
        curve=f"{BITEXT}/students/{{ensemble}}/{{student}}/curve.tsv",
    log:
        "logs/train_student/{ensemble}/{student}.log",
    benchmark:
        "benchmarks/train_student/{ensemble}/{student}.jsonl"
    conda:
        "../envs/translate.yaml"
    threads: EDD["threads"]
    resources:
        mem_mb=6000,
        runtime="4d",
        gpu=EDD["gpu"],
    params:
        repo=REPO,
        code=code("translation/train_student"),
        start=lambda wildcards: begins_as(wildcards.ensemble, wildcards.student),
        recipe=lambda wildcards: options(EDD["student"] | STUDENTS[wildcards.student]),
        device=device(EDD["gpu"]),
        threads=lookup(dpath="translation/threads", within=config),
        seed=lambda wildcards: translation_seed(wildcards.ensemble),
    message:
        "Training the student {wildcards.student} of ensemble {wildcards.ensemble}"
    shell:
        "python {params.repo:q}/workflow translation/train_student --family {wildcards.student:q} --start {params.start:q}"
        " --teachers {input.teachers:q} --tokenizer {input.tokenizer:q} {params.recipe} --device {params.device}"
        " --threads {params.threads} --seed {params.seed}"
        " --out results/translation/students/{wildcards.ensemble}/{wildcards.student} > {log:q} 2>&1"


rule cache_base_teachers:
    input:
        data="results/dna/sequences.npz",
        models=[file for name in config["dna"]["ensemble"] for file in generator_files(name)],
    output:
        f"{BASES}/teachers.npz",
    log:
        "logs/cache_base_teachers.log",
    benchmark:
        "benchmarks/cache_base_teachers.jsonl"
    conda:
        "../envs/translate.yaml"
    threads: EDD["threads"]
    resources:
        mem_mb=6000,
        runtime="4h",
        gpu=EDD["gpu"],
    params:
        repo=REPO,
        code=code("translation/cache_base_teachers"),
        models=option("models", BASE_TEACHERS),
        number=lookup(dpath="translation/bases/training", within=config),
        validation=lookup(dpath="translation/bases/validation", within=config),
        threads=lookup(dpath="translation/threads", within=config),
        device=device(EDD["gpu"]),
    message:
        "Keeping what the autoregressive models of promoters say of each base"
    shell:
        "python {params.repo:q}/workflow translation/cache_base_teachers {params.models} --data {input.data:q} --number {params.number}"
        " --validation {params.validation} --threads {params.threads} --device {params.device} --out {output:q} > {log:q} 2>&1"


rule train_base_student:
    input:
        cache=f"{BASES}/teachers.npz",
        start=generator_files(config["dna"]["ensemble"][0]),
    output:
        network=directory(f"{BASES}/students/{{ensemble}}/{{student}}/network"),
        head=f"{BASES}/students/{{ensemble}}/{{student}}/head.safetensors",
        facts=f"{BASES}/students/{{ensemble}}/{{student}}/student.json",
        curve=f"{BASES}/students/{{ensemble}}/{{student}}/curve.tsv",
    log:
        "logs/train_base_student/{ensemble}/{student}.log",
    benchmark:
        "benchmarks/train_base_student/{ensemble}/{student}.jsonl"
    conda:
        "../envs/translate.yaml"
    threads: EDD["threads"]
    resources:
        mem_mb=4000,
        runtime="1d",
        gpu=EDD["gpu"],
    params:
        repo=REPO,
        code=code("translation/train_base_student"),
        start=lambda wildcards, input: os.path.dirname(input.start[0]),
        recipe=lambda wildcards: options(BASE_STUDENTS[wildcards.student]),
        threads=lookup(dpath="translation/threads", within=config),
        device=device(EDD["gpu"]),
        seed=lambda wildcards: translation_seed(wildcards.ensemble),
    message:
        "Training the student {wildcards.student} of promoters, {wildcards.ensemble}"
    shell:
        "python {params.repo:q}/workflow translation/train_base_student --family {wildcards.student:q} --cache {input.cache:q}"
        " --start {params.start:q} {params.recipe}"
        " --threads {params.threads} --device {params.device} --seed {params.seed}"
        " --out results/translation/dna/students/{wildcards.ensemble}/{wildcards.student} > {log:q} 2>&1"


rule score_base_system:
    input:
        data="results/dna/sequences.npz",
        models=lambda wildcards: base_model_files(wildcards.ensemble, wildcards.system),
        ood=[path for _, path in DNA_OODS],
    output:
        scored=f"{BASES}/scored/{{ensemble}}/{{system}}.tsv",
        cost=f"{BASES}/scored/{{ensemble}}/{{system}}.cost.tsv",
        sets=f"{BASES}/scored/{{ensemble}}/{{system}}.sets.tsv",
    log:
        "logs/score_base_system/{ensemble}/{system}.log",
    benchmark:
        "benchmarks/score_base_system/{ensemble}/{system}.jsonl"
    conda:
        "../envs/translate.yaml"
    threads: EDD["threads"]
    resources:
        mem_mb=6000,
        runtime="4h",
        gpu=EDD["gpu"],
    params:
        repo=REPO,
        code=code("translation/score_base_system"),
        models=lambda wildcards: option("models", base_models(wildcards.ensemble, wildcards.system)),
        ood=option("ood", [f"{name}={path}" for name, path in DNA_OODS]),
        number=lookup(dpath="translation/bases/number", within=config),
        validation=lookup(dpath="translation/bases/validation", within=config),
        samples=lookup(dpath="translation/bases/samples", within=config),
        seed=lookup(dpath="seed", within=config),
        threads=lookup(dpath="translation/threads", within=config),
        device=device(EDD["gpu"]),
    message:
        "Scoring promoters and other sequences by {wildcards.system}, {wildcards.ensemble}"
    shell:
        "python {params.repo:q}/workflow translation/score_base_system --system {wildcards.system:q} {params.models} --data {input.data:q}"
        " {params.ood} --number {params.number} --validation {params.validation} --samples {params.samples} --seed {params.seed}"
        " --floor-seed {params.seed} --threads {params.threads} --device {params.device} --out {output.scored:q} --cost {output.cost:q} --sets {output.sets:q} > {log:q} 2>&1"


rule score_system:
    input:
        encoded=f"{BITEXT}/encoded.npz",
        sets=f"{BITEXT}/sets.tsv",
        tokenizer=TOKENIZER,
        models=lambda wildcards: [
            file for folder in translators(wildcards.ensemble, wildcards.system) for file in network_files(folder)
        ],
    output:
        scored=f"{BITEXT}/scored/{{ensemble}}/{{system}}.tsv",
        cost=f"{BITEXT}/scored/{{ensemble}}/{{system}}.cost.tsv",
    log:
        "logs/score_system/{ensemble}/{system}.log",
    benchmark:
        "benchmarks/score_system/{ensemble}/{system}.jsonl"
    conda:
        "../envs/translate.yaml"
    threads: EDD["threads"]
    resources:
        mem_mb=4000,
        runtime="1d",
        gpu=EDD["gpu"],
    params:
        repo=REPO,
        code=code("translation/score_system"),
        models=lambda wildcards: option("models", translators(wildcards.ensemble, wildcards.system)),
        decoding=options(EDD["decoding"]),
        samples=lookup(dpath="translation/samples", within=config),
        device=device(EDD["gpu"]),
        threads=lookup(dpath="translation/threads", within=config),
        seed=lookup(dpath="seed", within=config),
    message:
        "Translating and scoring the sets by {wildcards.system}, {wildcards.ensemble}"
    shell:
        "python {params.repo:q}/workflow translation/score_system --system {wildcards.system:q} {params.models} --tokenizer {input.tokenizer:q}"
        " --encoded {input.encoded:q} --sets {input.sets:q} {params.decoding} --samples {params.samples} --device {params.device}"
        " --threads {params.threads} --seed {params.seed} --out {output.scored:q} --cost {output.cost:q} > {log:q} 2>&1"


rule diagnose_teachers:
    input:
        encoded=f"{BITEXT}/encoded.npz",
        sets=f"{BITEXT}/sets.tsv",
        tokenizer=TOKENIZER,
        models=[
            file
            for ensemble in ["0", *SMOOTHED]
            for folder in translators(ensemble, "ensemble")
            for file in network_files(folder)
        ],
        students=[file for name in NOISY for file in network_files(f"{BITEXT}/students/0/{name}")],
    output:
        spread=f"{BITEXT}/spread.tsv",
        experiment=f"{BITEXT}/experiment.tsv",
        settings=f"{BITEXT}/settings.tsv",
    log:
        "logs/diagnose_teachers.log",
    benchmark:
        "benchmarks/diagnose_teachers.jsonl"
    conda:
        "../envs/translate.yaml"
    threads: EDD["threads"]
    resources:
        mem_mb=6000,
        runtime="1d",
        gpu=EDD["gpu"],
    params:
        repo=REPO,
        code=code("translation/diagnose_teachers"),
        members=option("members", translators("0", "ensemble")),
        others=repeated("others", [translators(ensemble, "ensemble") for ensemble in SMOOTHED]),
        students=repeated("students", [(name, f"{BITEXT}/students/0/{name}") for name in NOISY]),
        experiment=options({key: EDD["diagnosis"][key] for key in ("sentences", "k", "temperatures", "replicates")}),
        device=device(EDD["gpu"]),
        threads=lookup(dpath="translation/threads", within=config),
        seed=lookup(dpath="seed", within=config),
    message:
        "Asking where the teachers disagree"
    shell:
        "python {params.repo:q}/workflow translation/diagnose_teachers {params.members} {params.others} {params.students}"
        " --tokenizer {input.tokenizer:q} --encoded {input.encoded:q} --sets {input.sets:q} {params.experiment} --device {params.device}"
        " --threads {params.threads} --seed {params.seed} --spread {output.spread:q} --experiment {output.experiment:q}"
        " --settings {output.settings:q} > {log:q} 2>&1"


rule evaluate_edd:
    input:
        scored=[path for *_, path in scored_tables()],
        costs=[path.replace(".tsv", ".cost.tsv") for *_, path in scored_tables()],
        sets=[SETS_OF[task] for task in EDD["tasks"]],
        controls=[CONTROLS_OF[task] for task in EDD["tasks"]],
    output:
        **{
            name: f"{BITEXT}/{name}.tsv"
            for name in (
                "detection",
                "summary",
                "errors",
                "quality",
                "agreement",
                "points",
                "cost",
                "choice",
                "evidence",
                "warnings",
            )
        },
    log:
        "logs/evaluate_edd.log",
    benchmark:
        "benchmarks/evaluate_edd.jsonl"
    conda:
        "../envs/translate.yaml"
    threads: 1
    resources:
        mem_mb=4000,
        runtime="4h",
    params:
        repo=REPO,
        code=code("translation/evaluate_edd"),
        scored=repeated("scored", scored_tables()),
        costs=repeated("costs", [(task, path.replace(".tsv", ".cost.tsv")) for task, *_, path in scored_tables()]),
        sets=repeated("sets", [(task, SETS_OF[task]) for task in EDD["tasks"]]),
        controls=repeated("controls", [(task, CONTROLS_OF[task]) for task in EDD["tasks"]]),
        replicates=lookup(dpath="translation/replicates", within=config),
        seed=lookup(dpath="seed", within=config),
    message:
        "Evaluating the uncertainty of sequences"
    shell:
        "python {params.repo:q}/workflow translation/evaluate_edd {params.scored} {params.costs} {params.sets} {params.controls}"
        " --replicates {params.replicates} --seed {params.seed} --detection {output.detection:q} --summary {output.summary:q}"
        " --errors {output.errors:q} --quality {output.quality:q} --agreement {output.agreement:q} --points {output.points:q}"
        " --cost {output.cost:q} --choice {output.choice:q} --evidence {output.evidence:q} --told {output.warnings:q} > {log:q} 2>&1"


rule plot_edd:
    input:
        **{name: f"{BITEXT}/{name}.tsv" for name in ("detection", "quality", "errors", "cost", "agreement", "points")},
        diagnosis=[f"{BITEXT}/spread.tsv", f"{BITEXT}/experiment.tsv"] if "bitext" in EDD["tasks"] else [],
    output:
        auroc=expand(f"{BITEXT}/figures/auroc_{{task}}.svg", task=EDD["tasks"]),
        overview=expand(f"{BITEXT}/figures/overview_{{task}}.svg", task=EDD["tasks"]),
        agreement=expand(f"{BITEXT}/figures/agreement_{{task}}.svg", task=EDD["tasks"]),
        diagnosis=(
            [f"{BITEXT}/figures/scales.svg", f"{BITEXT}/figures/diagnosis.svg"] if "bitext" in EDD["tasks"] else []
        ),
    log:
        "logs/plot_edd.log",
    benchmark:
        "benchmarks/plot_edd.jsonl"
    conda:
        "../envs/report.yaml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime="30m",
    params:
        repo=REPO,
        code=code("translation/plot_edd"),
        tasks=option("tasks", EDD["tasks"]),
        spread=option("spread", [f"{BITEXT}/spread.tsv"] if "bitext" in EDD["tasks"] else []),
        experiment=option("experiment", [f"{BITEXT}/experiment.tsv"] if "bitext" in EDD["tasks"] else []),
        scales=option("scales-figure", [f"{BITEXT}/figures/scales.svg"] if "bitext" in EDD["tasks"] else []),
        diagnosis=option("diagnosis-figure", [f"{BITEXT}/figures/diagnosis.svg"] if "bitext" in EDD["tasks"] else []),
    message:
        "Drawing the figures of edd"
    shell:
        "python {params.repo:q}/workflow translation/plot_edd {params.tasks} --detection {input.detection:q} --quality {input.quality:q}"
        " --errors {input.errors:q} --cost {input.cost:q} --agreement {input.agreement:q} --points {input.points:q} {params.spread}"
        " {params.experiment} --auroc-figures {output.auroc:q} --overview-figures {output.overview:q}"
        " --agreement-figures {output.agreement:q} {params.scales} {params.diagnosis} > {log:q} 2>&1"
