# For all stories: the checked configuration, the digest of code, where files stand, and the list of what the report shows.
import re
import shlex
import sys
import time
from collections import defaultdict
from pathlib import Path

# The checkout as seen from the working directory, so that a moved checkout changes no command and no input.
STARTED = time.time()
REPO = os.path.relpath(workflow.basedir)
sys.path.insert(0, os.path.join(workflow.basedir, "workflow"))
from closure import code, contents
from configuration import check_claims, check_config, check_sources, look_first, read_yaml
from genovision.sources import read_sources, taken_up

SCHEMAS = os.path.join(workflow.basedir, "workflow", "schemas")
check_config(config, read_yaml(f"{SCHEMAS}/config.schema.yaml"))
check_claims(os.path.join(workflow.basedir, "config", "claims.yaml"), read_yaml(f"{SCHEMAS}/claims.schema.yaml"))

SPECIES = config["promoters"]["species"]
LENGTHS = config["promoters"]["lengths"]
AUTHOR_CSV = config["promoters"]["author_csv"]
DNA_LENGTH = config["dna"]["length"]
STORIES = {  # system -> the story whose target it also answers to
    "epd_gendna": "promoters",
    **dict.fromkeys(["discdiff", "absorb_escape"], "dna"),
    **dict.fromkeys(["sirc", "ensemble_diversity", "early_exit", "label_smoothing"], "uncertainty"),
    "deis_sn": "samplers",
    "edd": "translation",
    "punc": "text_to_image",
}
# target -> its systems, of those that the configuration runs
TARGETS = {
    name: [one for one in config["systems"] if name in (one, STORIES[one])]
    for system in config["systems"]
    for name in (system, STORIES[system])
}
SHOWN = defaultdict(list)  # system -> (title, path, caption) of what the report shows of it, in order
WARNINGS = defaultdict(list)  # system -> tables of warnings that the report repeats
EVIDENCE = defaultdict(list)  # system -> tables of evidence that its claims are weighed on

SOURCES = defaultdict(list)  # (source, file) -> rows of the table of sources
for row in read_sources(os.path.join(workflow.basedir, "resources", "sources.tsv")):
    SOURCES[row.source, row.file].append(row)
check_sources(config, set(SOURCES), "resources/sources.tsv")


FOLDERS = look_first(config["sources"]["folders"])


def show(system, title, path, caption):
    """Put a figure (SVG) or table (TSV) of a system into the report; `caption` names workflow/report/<caption>.md."""
    SHOWN[system].append((title, path, caption))


def genome(species, key):
    """`genomes.<species>.<key>` of the configuration, None where it is silent."""
    return config["genomes"][species].get(key)


def sourced(entry, suffix=""):
    """Where rules/sources.smk puts the file of `{source: ..., file: ...}`, or with a suffix its receipt; [] for no entry."""
    return f"results/sources/{entry['source']}/{entry['file']}{suffix}" if entry else []


def receipts(species, kinds):
    """Receipts of the files of these kinds that the genomes of these species name."""
    return sorted({sourced(genome(one, kind), ".json") for one in species for kind in kinds if genome(one, kind)})


def member(entry):
    """The option that names the place inside an archive."""
    return f"--member {shlex.quote(entry['member'])}" if entry and entry.get("member") else ""


def switches(settings, names):
    """`options` of a mapping in which these keys are switches: written where they are true."""
    rest = options({key: value for key, value in settings.items() if key not in names})
    return " ".join([rest, *(f"--{name.replace('_', '-')}" for name in names if settings.get(name))]).strip()


def option(name, values):
    """`--name a b c`, quoted for the shell; nothing when there is no value."""
    return f"--{name} {shlex.join(map(str, values))}" if values else ""


def repeated(name, rows):
    """`--name a b --name c d`, quoted for the shell."""
    return " ".join(f"--{name} {shlex.join(map(str, row))}" for row in rows)


def options(settings):
    """`--one-key a --another b c` for a mapping of a command's settings; what is null is left out."""
    rows = [(key.replace("_", "-"), value) for key, value in settings.items() if value is not None]
    return " ".join(option(key, value if isinstance(value, list) else [value]) for key, value in rows)


def renamed(species):
    """Options that rename contigs to EPD's names and check their lengths."""
    contigs = genome(species, "contigs") or {}
    names = [f"{old}={contig['name']}" for old, contig in contigs.items()]
    lengths = [f"{contig['name']}={contig['length']}" for contig in contigs.values()]
    return option("rename", names), option("lengths", lengths)


def replaceable(source):
    """May the file be missing? EPDnew's files may where annotated 5' ends may stand in for them."""
    return any(
        source == (entry.get(kind) or {}).get("source")
        for entry in config["genomes"].values()
        for kind in ("epd", "dat")
        if entry.get("annotation") and "annotation" in config["promoters"]["tss"]
    )


def late(wildcards):
    """The option that retrieves anew a file which was out of reach before and now lies in a folder that is looked into first."""
    receipt = f"results/sources/{wildcards.source}/{wildcards.file}.json"
    return "--taken-up" if taken_up(receipt, FOLDERS) else ""


def kinds(species):
    """Kinds of start site that a species has, in the configured order of preference."""
    return [kind for kind in config["promoters"]["tss"] if genome(species, kind)]


def compared(species):
    """Has the species both kinds of start site, and are windows cut at them here?"""
    return not AUTHOR_CSV and {"epd", "annotation"} <= set(kinds(species))


def sets(species):
    """Sets of sequences measured for a species; the real test fold itself, for its curves, stands first."""
    return ["test", *(name for name in config["dna"]["sets"] if name != "annotation" or compared(species))]


def seeds(width, recipe):
    """Seeds of a model: of the desk's family, or of a network of classifiers.imagenet, whose recipe is called imagenet."""
    return range(NETWORKS[width]["seeds"]) if recipe == "imagenet" else SEEDS


def oods(width, recipe):
    """OOD sets that a model was run on."""
    if recipe != "imagenet":
        return OOD_SETS
    return [split for split in IMAGENET["benchmarks"][NETWORKS[width]["benchmark"]] if split not in ID_SETS]


def outputs(width, recipe, split):
    """The outputs of every seed's model on one split."""
    return [f"results/classifiers/outputs/{width}/{recipe}/seed{seed}/{split}.npz" for seed in seeds(width, recipe)]


def cost(width, recipe):
    """The file with the MACs of a model, those of its first seed."""
    return f"results/classifiers/{'outputs' if recipe == 'imagenet' else 'models'}/{width}/{recipe}/seed0/macs.json"


def denoiser_name(denoiser):
    """What the commands of the samplers call a denoiser: `bed:NAME` or a folder."""
    if denoiser in LATENT_DENOISERS:
        return f"results/dna/generators/{denoiser}"
    return f"bed:{denoiser}" if denoiser in BEDS else f"results/samplers/denoisers/{denoiser}"


def denoiser_files(denoiser):
    """Files of a denoiser that was trained; a bed has none."""
    names = [
        "unet/diffusion_pytorch_model.safetensors",
        "unet/config.json",
        "scheduler/scheduler_config.json",
        "denoiser.json",
    ]
    return [] if denoiser in BEDS else [f"{denoiser_name(denoiser)}/{name}" for name in names]


def network_options(network):
    """Options of samplers/train_denoiser for an entry of `samplers.networks`."""
    renamed = {"ema": "ema-decay", "gpu": "processes"}
    switches = {
        "middle_attention": ("no-middle-attention", False),
        "flip": ("no-flip", False),
        "scale_shift": ("scale-shift", True),
    }
    options = []
    for key, value in network.items():
        if key in switches:
            name, when = switches[key]
            options += [f"--{name}"] if value is when else []
        elif key != "images":
            values = value if isinstance(value, list) else [max(1, value) if key == "gpu" else value]
            options.append(option(renamed.get(key, key.replace("_", "-")), values))
    return " ".join(filter(None, options))


def there(path):
    """What only the user can fetch, as an input where it is, so that another one is noticed; [] where it is not, as with a name on the hub."""
    return path if path and os.path.exists(path) else []


def noises(purpose, denoiser):
    """How many noises a denoiser gets for a purpose: beds cost nothing, networks do."""
    return config["samplers"]["noises"][purpose][denoiser not in BEDS]


def sampling_threads(denoiser):
    """Threads of a job that samples: beds have nothing to share."""
    return 1 if denoiser in BEDS else config["samplers"]["sampling_threads"]


def gpus(denoiser):
    """GPUs that a denoiser is trained on; 0 for a bed."""
    if denoiser in LATENT_DENOISERS:
        return GENERATORS[denoiser]["gpu"]
    return DIFFUSION_NETWORKS[denoiser]["gpu"] if denoiser in DIFFUSION_NETWORKS else 0


def prompts_of(world):
    """The prompts that a world's generator is asked."""
    folder = os.path.join(world, "sets") if world in DRAWN else "hub"
    return f"results/text_to_image/{folder}/prompts.tsv"


def images_of(world, members):
    """Arrays of the images that generators made in a drawn world; those of hub models stay in the cache."""
    return [f"results/text_to_image/{world}/generations/{member}.npz" for member in members] if world in DRAWN else []


def model_names(world):
    """What the data set calls a world's generator and captioner."""
    if world in DRAWN:
        return f"genovision {world} generator 0", f"genovision {world} captioner"
    return HUB["generators"][world]["model"], HUB["captioner"]["model"]


def training_texts(world):
    """What a world's generator was trained on, as a table; [] where that is not known."""
    return f"results/text_to_image/{world}/sets/train.tsv" if world in DRAWN else HUB["training"] or []


def score_options(world, files):
    """Options of text_to_image/score_generations that depend on the world."""
    similarity = [f"--{key}" for key in ("idf", "rescale") if T2I["bertscore"][key] and files.training]
    similarity += [f"--layer {T2I['bertscore']['layer']}", f"--size {T2I['samples']}"]
    similarity += [option("training", files.training and [files.training])]
    if world not in DRAWN:
        return " ".join([*similarity, "--images results/text_to_image/cache" if T2I["samples"] > 1 else ""])
    return " ".join(
        [
            *similarity,
            option("images", files.images[:1]),
            option("members", files.images[1:]),
            option("measured", [files.measured]),
            option("parts", CONCEPTS[world]),
            option("group", [GROUPS[world]]),
        ]
    )


# Predictions of the grid that need codewords -> what they set beside or instead of `prediction`
WORDS = {"codewords": {}, "uncounted": {"prediction": "codewords", "no_counts": True}}


def grid_factors():
    """The designed experiment on latent models: name -> autoencoder, prediction, betas, width, seed. Only patches have codewords."""
    grid, known = config["dna"]["grid"], config["dna"]["autoencoders"]
    return {
        f"grid_{autoencoder}_{prediction}_{betas}_{width}_{seed}": (autoencoder, prediction, betas, width, seed)
        for autoencoder, widths in grid.get("steps", {}).items()
        for prediction in grid["predictions"]
        if prediction not in WORDS or known[autoencoder]["architecture"] == "patch"
        for betas in grid["betas"]
        for width, steps in (widths or {}).items()
        if steps
        for seed in range(grid["seeds"])
    }


def grid_members():
    """The same as generators."""
    members = {}
    for name, (autoencoder, prediction, betas, width, seed) in grid_factors().items():
        wide = int(width)
        size = {"width": wide}
        if config["dna"]["autoencoders"][autoencoder]["architecture"] == "conv":
            size = {"denoiser": "unet", "channels": [wide // 2, wide * 3 // 4, wide]}
        grid = config["dna"]["grid"]
        number = grid["steps"][autoencoder][width] / grid["slower"].get(prediction, 1)
        steps = {"steps": max(1, round(number)), "batch": grid["batch"]}
        rest = {"kind": "latent", "autoencoder": autoencoder, "sampling": {}, "gpu": 0, "seed": seed}
        members[name] = rest | size | steps | {"prediction": prediction, "betas": betas} | WORDS.get(prediction, {})
    return members


def model_options(entry):
    """Options of the command that trains a DNA model, for its entry in the configuration."""
    flags = ["unscaled", "no_counts"]
    elsewhere = ["sampling", "autoencoder", "gpu", "seed", *flags]
    elsewhere += ["kind"] if entry.get("kind") == "latent" else []
    found = options({key: value for key, value in entry.items() if key not in elsewhere})
    return " ".join([found, *(f"--{flag.replace('_', '-')}" for flag in flags if entry.get(flag))])


def device(gpu):
    """What a command of the generators is told of the `gpu` it has asked for: with one it stops where there is none."""
    return "cuda" if gpu else "cpu"


def model_files(folder):
    """Files of a trained DNA model that is one network with its configuration."""
    return [f"{folder}/{name}" for name in ("dna.json", "config.json", "diffusion_pytorch_model.safetensors")]


def generator_files(name):
    """Files of a trained generator."""
    folder = f"results/dna/generators/{name}"
    if GENERATORS[name]["kind"] != "latent":
        return model_files(folder)
    files = ("dna.json", "denoiser.json", "unet/config.json", "unet/diffusion_pytorch_model.safetensors", "autoencoder")
    return [f"{folder}/{name}" for name in files]


def resampled(name):
    """Sets that models made are resampled alike, so that a refinement is paired with what it refines; real sets and floors by themselves."""
    return "--resample-as generated" if name in MADE else ""


def origin(name):
    """Where a set of sequences comes from, for the table: name, kind and parents, the refined one first; - for none."""
    if name in GENERATORS:
        return name, name, "-"
    if name in REFINEMENTS:
        entry = REFINEMENTS[name]
        kind = f"random_{entry['control']}" if entry["control"] else f"absorb & escape, {entry['rule']}"
        return name, kind, entry["like"] or " + ".join(entry[key] for key in ("diffusion", "autoregression"))
    return name, "real" if name in ("train", "test") else "floor", "-"


def refined(name):
    """The entry of a refinement that says what is refined: a control follows the refinement that it is like."""
    entry = REFINEMENTS[name]
    return REFINEMENTS[entry["like"]] if entry["control"] else entry


def refinement_options(name):
    """Options of dna/refine_samples for a refinement. Not read off the inputs: a parameter that depends on them triggers no rerun."""
    entry = REFINEMENTS[name]
    if entry["control"]:
        return f"--control {entry['control']} --like results/dna/refined/{entry['like']}.npz"
    if entry["rule"] == "chosen":
        return "--chosen results/dna/refinement/chosen.json"
    keys = ("rule", "confidence", "threshold", "proposal", "temperature", "max_run")
    return options({key: entry[key] for key in keys})


def corpus_files(entry):
    """Files of an entry of `translation.corpora`."""
    return [path for path in (entry["source"], entry["target"]) if path]


def corpus_row(name, entry):
    """What translation/build_bitext is told of it."""
    return name, entry["fold"], entry["source"], entry["target"] or "-"


def network_files(folder):
    """Files of a trained member of translation; a student has one more."""
    names = ["model.safetensors", "config.json", "facts.json"]
    return [f"{folder}/{name}" for name in [*names, *(["student.json"] if "/students/" in folder else [])]]


def translators(ensemble, system):
    """Folders of the networks of a system of translation: none for the control scores."""
    if system in STUDENTS:
        return [f"{BITEXT}/students/{ensemble}/{system}"]
    number = {"control": 0, "single": 1, "ensemble": EDD["members"]}[system]
    return [f"{BITEXT}/members/{ensemble}/{member}" for member in range(number)]


def translation_seed(ensemble):
    """Where the seeds of an ensemble's members and students begin; those of a further ensemble of the diagnosis are the first one's."""
    return config["seed"] + 1000 * (int(ensemble) if ensemble.isdigit() else 0)


def teachers_of(ensemble, student):
    """What a student learns from: the likeliest tokens, or the whole vocabulary."""
    return f"{BITEXT}/teachers/{ensemble}/{'full' if student in FULL else 'top'}.npz"


def begins_as(ensemble, student):
    """The network a student begins as: that of `end`, which has learnt the mean already, and `end` itself, or all without it, a member."""
    if student != "end" and "end" in STUDENTS:
        return f"{BITEXT}/students/{ensemble}/end"
    return translators(ensemble, "single")[0]


def base_models(ensemble, system):
    """Folders of the networks of a system of promoters; the control scores too ask one which species it knows."""
    if system in BASE_STUDENTS:
        return [f"{BASES}/students/{ensemble}/{system}"]
    return BASE_TEACHERS if system == "ensemble" else BASE_TEACHERS[:1]


def base_model_files(ensemble, system):
    """Files of these."""
    if system in BASE_STUDENTS:
        return [
            f"{BASES}/students/{ensemble}/{system}/{name}" for name in ("network", "head.safetensors", "student.json")
        ]
    number = len(BASE_TEACHERS) if system == "ensemble" else 1
    return [file for name in config["dna"]["ensemble"][:number] for file in generator_files(name)]


def scored_tables():
    """(task, ensemble, system, table) of all that edd has scored."""
    rows = []
    for task, place, students in (("bitext", BITEXT, STUDENTS), ("dna", BASES, BASE_STUDENTS)):
        if task in EDD["tasks"]:
            rows += [
                (task, ensemble, system, f"{place}/scored/{ensemble}/{system}.tsv")
                for ensemble in (ENSEMBLES if task == "bitext" else [0])  # dna.ensemble is one
                for system in ("single", "ensemble", *students)
            ]
    return rows


def systems():
    """Systems that belong into the ledger and the report of this invocation.

    `./run sirc report` asks for one: it is shown with whatever is there already. `./run report` asks for all.
    """
    targets = set(workflow.dag_settings.targets)
    named = [system for system in config["systems"] if targets & {system, STORIES[system]}]
    return [
        system
        for system in config["systems"]
        if not named or system in named or all(os.path.exists(path) for _, path, _ in SHOWN[system])
    ]


def shown(wanted=None):
    """Paths of what the report shows of the given systems (of this invocation's, when none is given)."""
    return [path for system in wanted or systems() for _, path, _ in SHOWN[system]]


def asked_for_all():
    """Were the ledger and the report among the targets, as they are when none is named?"""
    targets = set(workflow.dag_settings.targets)
    return not targets or bool(targets & {"all", "report", "weigh_claims"})


def announce():
    """After a run: the warnings, and where to look."""
    for system in config["systems"]:
        for path in filter(os.path.exists, WARNINGS[system]):
            for line in Path(path).read_text().splitlines()[1:]:
                species, sentence = line.split("\t")
                print(f"warning: {species}: {sentence}", file=sys.stderr)
    for what, path in (("table", "results/claims.tsv"), ("report", "results/report.html")):
        if os.path.exists(path) and (os.path.getmtime(path) > STARTED or asked_for_all()):
            print(f"{what}: {os.path.abspath(path)}", file=sys.stderr)


wildcard_constraints:
    species="|".join(config["genomes"]),
    length=r"\d+",
    tss="epd|annotation|chosen",
    set="|".join(["test", *config["dna"]["sets"], *config["dna"]["generators"], *config["dna"]["refinements"]]),
    motif="|".join(config["dna"]["jaspar"]) or "none",
    source="|".join(sorted({re.escape(source) for source, _ in SOURCES})),
    file="|".join(sorted({re.escape(file) for _, file in SOURCES})),
