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
    **dict.fromkeys(["sirc", "ensemble_diversity", "early_exit", "label_smoothing"], "uncertainty"),
    "deis_sn": "samplers",
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
    return config["samplers"]["noises"][purpose][denoiser in DIFFUSION_NETWORKS]


def sampling_threads(denoiser):
    """Threads of a job that samples: beds have nothing to share."""
    return config["samplers"]["sampling_threads"] if denoiser in DIFFUSION_NETWORKS else 1


def gpus(denoiser):
    """GPUs that a denoiser is trained on; 0 for a bed."""
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
    set="|".join(["test", *config["dna"]["sets"]]),
    motif="|".join(config["dna"]["jaspar"]) or "none",
    source="|".join(sorted({re.escape(source) for source, _ in SOURCES})),
    file="|".join(sorted({re.escape(file) for _, file in SOURCES})),
