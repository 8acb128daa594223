"""Check the configuration and the claims before anything is planned: one sentence that names the key, and exit code 2."""

import os
import sys

import jsonschema
import yaml


def check_config(config: dict, schema: dict) -> None:
    """Set the schema's defaults, then stop with a sentence if the configuration does not fit."""
    fill(config, schema)
    stop_if(_misfit("config key", config, schema) or _contradiction(config))


def check_claims(path: str, schema: dict) -> None:
    """Stop with a sentence if the list of claims does not fit its schema or uses a number twice."""
    claims = read_yaml(path)
    stop_if(_misfit(f"{os.path.relpath(path)}: entry", claims, schema))
    for claim in claims:
        if claim["direction"] == "near" and not isinstance(claim["right"], str):
            stop_if(
                f"{os.path.relpath(path)}: id {claim['id']} is near, which compares with one side; give right one name."
            )
    ids = [claim["id"] for claim in claims]
    twice = sorted({number for number in ids if ids.count(number) > 1})
    stop_if(f"{os.path.relpath(path)}: id {twice[0]} stands there twice; give every claim its own." if twice else None)


def check_sources(config: dict, known: set[tuple[str, str]], table: str) -> None:
    """Stop with a sentence if a genome that is used names a file which is not in the table of sources."""
    for species in config["promoters"]["species"]:
        for kind in ("sequence", "annotation", "epd", "dat"):
            entry = config["genomes"][species].get(kind)
            if entry and (entry["source"], entry["file"]) not in known:
                where = f"config key genomes.{species}.{kind}"
                stop_if(f"{where}: {table} has no file {entry['file']} of a source {entry['source']}; add its row.")
    elsewhere = [(f"text_to_image.{kind}", config["text_to_image"][kind]) for kind in ("encoder", "openmoji")]
    elsewhere += [(f"translation.packages.{name}", entry) for name, entry in config["translation"]["packages"].items()]
    for where, entry in elsewhere:
        if entry and (entry["source"], entry["file"]) not in known:
            stop_if(
                f"config key {where}: {table} has no file {entry['file']} of a source {entry['source']}; add its row."
            )


def stop_if(sentence: str | None) -> None:
    """Print the sentence and leave with 2; nothing has been planned or written yet."""
    if sentence:
        print(f"error: {sentence}", file=sys.stderr)
        sys.exit(2)


def fill(config: dict, schema: dict) -> None:
    """Set the schema's defaults where the configuration is silent, in place."""
    for key, part in schema.get("properties", {}).items():
        if "default" in part:
            config.setdefault(key, part["default"])
        if isinstance(config.get(key), dict):
            fill(config[key], part)
    template = schema.get("additionalProperties")
    for key, value in config.items():
        if isinstance(template, dict) and isinstance(value, dict) and key not in schema.get("properties", {}):
            fill(value, template)


def read_yaml(path: str):
    """A YAML file, such as a schema."""
    with open(path, encoding="utf-8") as handle:
        return yaml.safe_load(handle)


def _misfit(what: str, value, schema: dict) -> str | None:
    error = jsonschema.exceptions.best_match(jsonschema.Draft202012Validator(schema).iter_errors(value))
    if error is None:
        return None
    key = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in error.absolute_path).lstrip(".")
    if error.validator == "additionalProperties":
        known = sorted(error.schema.get("properties", {}))
        unknown = [name for name in error.instance if name not in known]
        return (
            f"{what} {key}{'.' * bool(key)}{unknown[0]} is unknown; {key or 'the top level'} takes {', '.join(known)}."
        )
    if error.validator == "pattern":
        return f"{what} {key}: {error.instance!r} is not allowed; it must match {error.validator_value}."
    return f"{what} {key}: {error.message}."


def _contradiction(config: dict) -> str | None:
    """What the schema cannot say: keys that must agree with each other."""
    promoters, known = config["promoters"], config["genomes"]
    if config["uncertainty"]["arrays"]:
        sentence = _unread(config["uncertainty"]["arrays"], config["classifiers"]["imagenet"])
        if sentence:
            return sentence
    sentence = _unsampled(config["samplers"], "deis_sn" in config["systems"])
    if sentence:
        return sentence
    for name in config["samplers"]["latents"]:
        if (config["dna"]["generators"].get(name) or {}).get("kind") != "latent":
            return f"config key samplers.latents: {name} is no latent generator under dna.generators."
    for key, names in [
        ("species", promoters["species"]),
        ("split.orthologs", [name for group in promoters["split"]["orthologs"] for name in group]),
    ]:
        for species in names:
            if species not in known:
                return (
                    f"config key promoters.{key}: {species} is not defined under genomes, which has {', '.join(known)}."
                )
    groups = promoters["split"]["orthologs"]
    for species in [name for group in groups for name in group]:
        if species not in promoters["species"] or sum(species in group for group in groups) > 1:
            return f"config key promoters.split.orthologs: {species} must be one of promoters.species and stand in one group only."
    for species in promoters["species"]:
        if not any(known[species].get(kind) for kind in promoters["tss"]):
            kinds = " or ".join(promoters["tss"])
            return f"config key genomes.{species}: promoters.tss asks for {kinds}, but the genome names no such file."
    if abs(sum(promoters["split"]["fractions"]) - 1) > 1e-9:
        return f"config key promoters.split.fractions: {promoters['split']['fractions']} does not sum to 1."
    if promoters["split"]["orthologs"] and promoters["split"]["unit"] != "cluster":
        return "config key promoters.split.orthologs needs promoters.split.unit: cluster, because blocks of genes would chain together."
    if promoters["author_csv"] and promoters["lengths"] != [promoters["author_csv"]["length"]]:
        return "config key promoters.author_csv.length: promoters.lengths must be this one length."
    if config["dna"]["length"] not in promoters["lengths"]:
        return (
            f"config key dna.length: {config['dna']['length']} is not one of promoters.lengths, {promoters['lengths']}."
        )
    asked = {"discdiff", "absorb_escape"} & set(config["systems"])
    sentence = _ungenerated(config["dna"], promoters["species"], list(known)) if asked else None
    if sentence:
        return sentence
    if "edd" in config["systems"]:
        sentence = _untaught(config["translation"], config["dna"])
        if sentence:
            return sentence
    return _contradiction_of_images(config["text_to_image"], "punc" in config["systems"])


def _ungenerated(dna: dict, species: list[str], genomes: list[str]) -> str | None:
    """What generators of promoters name that is not there."""
    generators = {name: entry for name, entry in dna["generators"].items() if entry}
    refinements = {name: entry for name, entry in dna["refinements"].items() if entry}
    kinds = {"diffusion": ("latent", "onehot", "masked"), "autoregression": ("recurrent", "transformer")}
    made, floors = [*generators, *refinements], ["test", *dna["sets"]]
    if twice := [name for name in made if made.count(name) > 1 or name in floors]:
        return f"config key dna.generators: a set called {twice[0]} is there already; give it another name."
    for key, kinds_of in (("species", species), ("strangers", genomes)):
        for name in dna[key]:
            if name not in kinds_of:
                return f"config key dna.{key}: {name} is none of {', '.join(kinds_of)}."
    if alike := set(dna["species"]) & set(dna["strangers"]):
        return f"config key dna.strangers: {min(alike)} is one of dna.species, which generators learn."
    for name in [
        dna["fred"],
        *(entry.get("autoencoder") for entry in generators.values() if entry["kind"] == "latent"),
    ]:
        if name not in dna["autoencoders"]:
            return (
                f"config key dna.autoencoders: there is no {name or 'autoencoder named by a latent model'}; it is used."
            )
    if any(entry["kind"] == "latent" and entry["autoencoder"] == dna["fred"] for entry in generators.values()):
        return f"config key dna.fred: {dna['fred']} is a generator's own autoencoder, which would judge its own latents; train another."
    pairs = [("dna.sweep.pair", dna["sweep"]["pair"])]
    pairs += [(f"dna.refinements.{name}", entry) for name, entry in refinements.items() if not entry["control"]]
    for where, pair in pairs:
        for side, wanted in kinds.items():
            kind = generators.get(pair[side], {}).get("kind")
            if kind not in wanted:
                known = [name for name, entry in generators.items() if entry["kind"] in wanted]
                return f"config key {where}.{side}: {pair[side]} is no generator of this kind; there is {', '.join(known) or 'none'}."
    for name, entry in refinements.items():
        like = refinements.get(entry["like"])
        if entry["control"] and (like is None or like["control"]):
            return f"config key dna.refinements.{name}.like: {entry['like']} is no refinement to be compared with."
    for name in dna["ensemble"]:
        if generators.get(name, {}).get("kind") not in kinds["autoregression"]:
            return f"config key dna.ensemble: {name} is no autoregressive generator."
    for key in ("detected", "pictured"):
        there = [name for name in [*floors, *made] if name != "annotation"]  # whose windows are not of the data set
        if unknown := [name for name in dna[key] if name not in there]:
            return f"config key dna.{key}: there is no set {unknown[0]}; there is {', '.join(there)}."
    return (
        "config key dna.generators: the systems discdiff and absorb_escape need a generator called discdiff."
        if "discdiff" not in generators
        else None
    )


def _untaught(told: dict, dna: dict) -> str | None:
    """What the sequence ensembles and their students lack."""
    folds = {entry["fold"] for entry in told["corpora"].values()}
    if "bitext" in told["tasks"]:
        if not told["packages"]["home_assistant"] and not {"train", "valid", "test"} <= folds:
            return (
                "config key translation.packages.home_assistant: without it translation.corpora needs files of the folds "
                "train, valid and test."
            )
        longest = told["member"].get("longest", 256)
        if told["limit"] > longest:
            return (
                f"config key translation.limit: {told['limit']} tokens, and networks read {longest}; "
                "raise translation.member.longest too."
            )
        if told["decoding"]["hypotheses"] > told["decoding"]["beam"]:
            return f"config key translation.decoding.hypotheses: a beam of {told['decoding']['beam']} has no more than that."
    if "dna" in told["tasks"]:
        if len(dna["ensemble"]) < 2:
            return (
                "config key dna.ensemble: the task dna of translation needs two autoregressive generators or more; "
                "name them, or leave dna out of translation.tasks."
            )
        for name in dna["ensemble"]:
            if (dna["generators"].get(name) or {}).get("kind") not in ("recurrent", "transformer"):
                return f"config key dna.ensemble: {name} is no autoregressive generator; the task dna of translation needs it."
    return None


def _contradiction_of_images(told: dict, asked: bool) -> str | None:
    """The same for text_to_image."""
    hub = told["hub"]
    if asked and not told["worlds"] and not hub["generators"]:
        return "config key text_to_image.worlds: the system punc needs a world, or a model under text_to_image.hub.generators."
    if hub["generators"] and not hub["captioner"]["model"]:
        return "config key text_to_image.hub.captioner.model: the images of hub.generators need a model that describes them."
    if hub["generators"] and "normal" not in hub["prompts"] and not hub["lists"]:
        return (
            "config key text_to_image.hub.prompts: the set normal is missing, which the other sets are compared with."
        )
    if told["scenes"]["sets"].get("novel") is not None:
        return (
            "config key text_to_image.scenes.sets.novel: only the world glyphs keeps names apart; scenes have held_out."
        )
    alien = [
        key for key in ("generator_images", "captioner_images", "held_out", "jitter") if key in told["glyphs"]["sets"]
    ]
    if alien:
        return f"config key text_to_image.glyphs.sets.{alien[0]}: only the world scenes has it; glyphs has a drawing for each name."
    if told["reconstruction"]["judged"] > told["samples"]:
        return f"config key text_to_image.reconstruction.judged: there are only {told['samples']} images of a prompt (samples)."
    return None


def _unread(arrays: dict, imagenet: dict) -> str | None:
    """What uncertainty.arrays asks of networks that classifiers.imagenet does not have or not run on the splits."""
    needs = [("sirc", arrays["sirc"], ("train", "test"), 1)]
    needs += [("ensemble_diversity", arrays["ensemble_diversity"], ("test",), 2)]
    needs += [("early_exit", network, ("calibration", "test"), 2) for network in arrays["early_exit"]]
    needs += [("label_smoothing", network, ("calibration", "test"), 1) for network in arrays["label_smoothing"]]
    for system, network, splits, seeds in needs:
        where, told = f"config key uncertainty.arrays.{system}: {network}", imagenet["networks"].get(network)
        if told is None:
            return f"{where} is not defined under classifiers.imagenet.networks."
        run_on = imagenet["benchmarks"].get(told["benchmark"], {})
        lacking = [split for split in splits if split not in run_on]
        if lacking:
            return f"{where} is run on the benchmark {told['benchmark']}, which has no {' and no '.join(lacking)}."
        if system != "label_smoothing" and not set(run_on) - {"train", "calibration", "test"}:
            return f"{where} is run on the benchmark {told['benchmark']}, which has no OOD set."
        if told["seeds"] < seeds:
            return f"{where} needs {seeds} seeds at least; give it classifiers.imagenet.networks.{network}.seeds."
    for system in ("early_exit", "label_smoothing"):
        alike = {(imagenet["networks"][one]["benchmark"], imagenet["networks"][one]["seeds"]) for one in arrays[system]}
        if len(alike) > 1:
            return f"config key uncertainty.arrays.{system}: its networks differ in benchmark or number of seeds."
    if sum(alpha == 0 for alpha in arrays["label_smoothing"].values()) != 1:
        return (
            "config key uncertainty.arrays.label_smoothing: exactly one network is trained without smoothing (alpha 0)."
        )
    return None


def _unsampled(samplers: dict, wanted: bool) -> str | None:
    """A denoiser whose images are named nowhere, or none at all where the system is wanted."""
    for name, network in samplers["networks"].items():
        if network and network["images"] != "fashion_mnist" and not samplers[network["images"]]:
            return (
                f"config key samplers.{network['images']}: samplers.networks.{name} is trained on these images; "
                "name the file or folder that config/README.md says to fetch."
            )
    if wanted and not (samplers["beds"] or any(samplers["networks"].values())):
        return "config key samplers: name at least one of beds and networks, or leave deis_sn out of systems."
    return None


def look_first(folders: list[str]) -> list[str]:
    """Tell the retrieving jobs where to look before they download: the configured folders, then the one of EPD_DIR. Returns them.

    By the environment, not by a parameter of theirs: a file that matches its checksum is the same from anywhere, so that
    nothing reruns when a folder changes.
    """
    places = [*folders, *filter(None, [os.environ.get("EPD_DIR")])]
    for place in places:
        if not os.path.isdir(place):
            stop_if(f"sources.folders or EPD_DIR names {place}, which is no folder; correct it or leave it out.")
    absolute = [os.path.abspath(place) for place in places]
    os.environ["GENOVISION_SOURCES"] = os.pathsep.join(absolute)
    return absolute
