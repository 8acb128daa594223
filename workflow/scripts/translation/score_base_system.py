"""Score promoters by the uncertainty of one system: an ensemble of autoregressive models, one of them, a student, or controls without a
model; on the test fold, sets that are out of distribution, and those that choices are made on."""

import argparse
import time
from collections.abc import Callable

import numpy as np
import pandas as pd
import torch

from genovision import devices
from genovision.dna import markov
from genovision.dna.autoregression import log_distributions, read_autoregression
from genovision.dna.examples import Examples, read_examples
from genovision.dna.fasta import read_named_sets
from genovision.dna.likelihood import ORDER, Controls
from genovision.dna.shuffle import dinucleotide_shuffle
from genovision.errors import InputError
from genovision.resampling import stream
from genovision.tables import write_table
from genovision.translation.base_students import FAMILIES, ensemble_measures, read_facts, read_student, student_measures
from genovision.translation.families import noise_of
from genovision.translation.logit_noise import noise

SYSTEMS = ("single", "ensemble", *FAMILIES, "control")
TEST, VALID = "test", "valid"
FLOORS = ("valid_shuffle", "valid_markov5")  # of the validation fold, for choices
COST = ["system", "sentences", "tokens", "seconds_decode", "seconds_score", "passes", "padding_waste"]
_BATCH = 64  # sequences at a time

Score = Callable[[np.ndarray, np.ndarray], dict[str, np.ndarray]]


def parser() -> argparse.ArgumentParser:
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("--system", required=True, choices=SYSTEMS, help="single: the first of --models; control: no model")
    p.add_argument(
        "--models",
        required=True,
        nargs="+",
        metavar="FOLDER",
        help="of dna/train_autoregression; for a student the one of translation/train_base_student",
    )
    p.add_argument("--data", required=True, metavar="NPZ", help="of dna/encode_promoters")
    p.add_argument(
        "--ood",
        nargs="+",
        default=[],
        metavar="NAME=FASTA",
        help="OOD sets; files of one name (a species each) are put together; species of --data that models do not know are further ones",
    )
    p.add_argument(
        "--number", type=int, default=0, metavar="N", help="sequences of a set, evenly chosen; 0 = all (default 0)"
    )
    p.add_argument(
        "--validation", type=int, default=600, metavar="N", help="validation sequences, likewise (default 600)"
    )
    p.add_argument("--samples", type=int, default=25, metavar="S", help="of a student's logits (default 25)")
    p.add_argument("--seed", type=int, default=0, help="of the samples (default 0)")
    p.add_argument("--floor-seed", type=int, default=0, help="of the validation OOD sets (default 0)")
    p.add_argument("--threads", type=int, default=1, metavar="N", help="of the CPU (default 1)")
    p.add_argument("--device", default="auto", metavar="NAME", help=devices.HELP)
    p.add_argument("--out", required=True, metavar="TSV", help="set, role, id, nll and a column per measure")
    p.add_argument("--cost", metavar="TSV", help="seconds of the processor and passes through networks")
    p.add_argument("--sets", metavar="TSV", help="set, role, sequences")
    return p


# --- sets ------------------------------------------------------------------------------------------------------------------------------


def _evenly(codes: np.ndarray, number: int) -> np.ndarray:
    return codes[np.linspace(0, len(codes) - 1, number).astype(np.int64)] if 0 < number < len(codes) else codes


def _known(examples: Examples, species: tuple[str, ...], fold: str) -> tuple[np.ndarray, np.ndarray]:
    """Codes of a fold's sequences of the models' species, and which of these species each is."""
    codes, of = examples.of(fold)
    own = np.array([species.index(name) if name in species else -1 for name in examples.names])[of]
    if not (own >= 0).any():
        raise InputError(f"the {fold} fold has no sequence of {', '.join(species)}, the species of the models.")
    return codes[own >= 0], own[own >= 0]


def _validation(examples: Examples, species: tuple[str, ...], number: int, seed: int) -> dict[str, np.ndarray]:
    """Validation sequences, their dinucleotide shuffles, and as many of each species from a chain fitted on its training sequences."""
    (codes, own), (training, of_training) = (_known(examples, species, fold) for fold in ("validation", "train"))
    own, codes = _evenly(own, number), _evenly(codes, number)
    drawn = []
    for label in np.unique(own):
        learned = training[of_training == label]
        if not len(learned):
            raise InputError(f"the train fold has no sequence of {species[label]}, the validation fold has.")
        chain = markov.fit(learned, ORDER)
        drawn.append(
            chain.sample(int((own == label).sum()), codes.shape[1], stream(seed, f"{species[label]} {FLOORS[1]}"))
        )
    return {
        VALID: codes,
        FLOORS[0]: dinucleotide_shuffle(codes, stream(seed, FLOORS[0])),
        FLOORS[1]: np.concatenate(drawn),
    }


def _sets(args: argparse.Namespace, examples: Examples, species: tuple[str, ...]) -> dict[str, tuple[str, np.ndarray]]:
    """Set -> role and codes."""
    codes, of = examples.of("test")
    strange = {name: codes[of == label] for label, name in enumerate(examples.names) if name not in species}
    strange = {name: rows for name, rows in strange.items() if len(rows)}
    ood = strange | read_named_sets(args.ood, {TEST, VALID, *FLOORS, *strange}, examples.length)
    if not ood:
        raise InputError("there is no OOD set: give some with --ood NAME=FASTA.")
    found = {TEST: ("test", _known(examples, species, "test")[0])} | {name: ("ood", rows) for name, rows in ood.items()}
    found = {name: (role, _evenly(rows, args.number)) for name, (role, rows) in found.items()}
    for name, rows in _validation(examples, species, args.validation, args.floor_seed).items():
        found[name] = ("valid" if name == VALID else "valid_ood", rows)
    return found


# --- systems ---------------------------------------------------------------------------------------------------------------------------


def _members(args: argparse.Namespace, device: torch.device) -> list:
    """The models, all of the same species and length."""
    models = [read_autoregression(folder, device)[0] for folder in args.models]
    for folder, model in zip(args.models, models, strict=True):
        if (tuple(model.species), model.length) != (tuple(models[0].species), models[0].length):
            raise InputError(
                f"{folder} reads {model.length} bases of {', '.join(model.species)}, {args.models[0]} {models[0].length} of "
                f"{', '.join(models[0].species)}; members of an ensemble need the same."
            )
    if args.system == "ensemble" and len(models) < 2:
        raise InputError("--system ensemble: --models names one model; an ensemble has two members or more.")
    return models[:1] if args.system == "single" else models


def _system(args: argparse.Namespace, device: torch.device):
    """Species and length that the system knows, its score of (tokens, labels), and how many networks a pass goes through."""
    if args.system not in FAMILIES:
        models = _members(args, device)

        def of_members(codes: torch.Tensor, labels: torch.Tensor) -> dict[str, torch.Tensor]:
            logs = [torch.from_numpy(log_distributions(model, codes.numpy(), labels.numpy())) for model in models]
            return ensemble_measures(torch.stack(logs, dim=2), codes)

        return models[0], of_members, len(models)
    if len(args.models) != 1:
        raise InputError(f"--system {args.system}: --models names {len(args.models)} folders; a student has one.")
    folder, family = args.models[0], read_facts(args.models[0])["family"]
    if family != args.system:
        raise InputError(f"--system {args.system}: {folder} is a student of the family {family}.")
    network = read_autoregression(f"{folder}/network", device)[0]
    student = read_student(folder, network)
    kind = noise_of(family)
    drawn = noise(kind, network.length, args.samples, student.letters, args.seed).to(device) if kind else None

    def of_student(codes: torch.Tensor, labels: torch.Tensor) -> dict[str, torch.Tensor]:
        codes, labels = codes.to(device), labels.to(device)
        return student_measures(family, student(codes, labels), codes, drawn)

    return network, of_student, 1


@torch.inference_mode()
def _scores(score, codes: np.ndarray, anything: int) -> dict[str, np.ndarray]:
    parts = []
    for at in range(0, len(codes), _BATCH):
        tokens = torch.from_numpy(codes[at : at + _BATCH].astype(np.int64))
        parts.append(score(tokens, torch.full((len(tokens),), anything)))
    return {name: torch.cat([part[name] for part in parts]).cpu().numpy() for name in parts[0]}


def main(args: argparse.Namespace) -> None:
    for name in ("number", "validation", "seed", "floor_seed"):
        if getattr(args, name) < 0:
            raise InputError(f"--{name.replace('_', '-')} {getattr(args, name)} must not be negative.")
    for name in ("threads", "samples"):
        if getattr(args, name) < 1:
            raise InputError(f"--{name} {getattr(args, name)} must be 1 or more.")
    torch.set_num_threads(args.threads)
    examples = read_examples(args.data)
    model, score, networks = _system(args, devices.choose(args.device))
    if model.length != examples.length:
        raise InputError(
            f"{args.models[0]} reads sequences of {model.length} bases, those of --data have {examples.length}."
        )
    species = tuple(model.species)
    sets = _sets(args, examples, species)
    control = Controls(_known(examples, species, "train")[0]) if args.system == "control" else None
    frames, seconds, batches = [], 0.0, 0
    for name, (role, codes) in sets.items():
        begun = time.process_time()
        # no set is scored under its species: it would tell the model more of some than of others
        found = control(codes) if control else _scores(score, codes, model.anything)
        seconds += time.process_time() - begun
        batches += -(-len(codes) // _BATCH)
        columns = {"nll": found.pop("nll")} if "nll" in found else {}
        frames.append(pd.DataFrame({"set": name, "role": role, "id": np.arange(len(codes))} | columns | found))
    table = pd.concat(frames, ignore_index=True)
    write_table(table, args.out)
    passes = 0 if control else batches * networks
    if args.cost:
        tokens = len(table) * examples.length
        write_table(
            pd.DataFrame([[args.system, len(table), tokens, 0.0, seconds, passes, 0.0]], columns=COST), args.cost
        )
    if args.sets:
        rows = [(name, role, len(codes)) for name, (role, codes) in sets.items()]
        write_table(pd.DataFrame(rows, columns=["set", "role", "sequences"]), args.sets)
    print(f"{args.system}: {len(table)} sequences of {len(sets)} sets in {seconds:.1f} s of the processor")
