"""Is the disagreement of the teachers a signal of OOD sentences, where in the vocabulary, and what does it depend on? At the tokens of the
ensemble's own translations; beside it the scales that students of logits predict there. Which setting is the best is asked of sets of
validation alone."""

import argparse
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import torch

from genovision import devices
from genovision.errors import InputError
from genovision.resampling import Draws
from genovision.tables import write_table
from genovision.translation import diagnosis
from genovision.translation.batches import Corpus, make_corpus, padded, read_corpus, token_batches
from genovision.translation.decoding import force_members, translate_corpus
from genovision.translation.families import noise_of
from genovision.translation.network import Translator, read_network
from genovision.translation.predictions import predict
from genovision.translation.sets import read_sets
from genovision.translation.students import read_student
from genovision.translation.tokenizer import read_tokenizer

_NUMBERS = 1 << 21  # log-probabilities at a time: 16 MB in double precision, several times over


def parser() -> argparse.ArgumentParser:
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument(
        "--members", required=True, nargs="+", metavar="FOLDER", help="of translation/train_member: the teachers"
    )
    p.add_argument(
        "--others",
        action="append",
        nargs="+",
        default=[],
        metavar="FOLDER",
        help="teachers that were trained with another label smoothing; once per ensemble",
    )
    p.add_argument(
        "--students",
        action="append",
        nargs=2,
        default=[],
        metavar=("SYSTEM", "FOLDER"),
        help="of translation/train_student, with a scale for each logit; once per student",
    )
    p.add_argument("--tokenizer", required=True, metavar="FILE", help="that the sets were encoded with")
    p.add_argument("--encoded", required=True, metavar="NPZ", help="of translation/encode_sets")
    p.add_argument(
        "--sets", required=True, metavar="TSV", help="of translation/build_sets; all roles but training are read"
    )
    p.add_argument("--sentences", type=int, default=0, metavar="N", help="the first of each set; 0 = all (default 0)")
    p.add_argument("--k", type=int, nargs="*", default=[], metavar="K", help="tokens told apart, besides all")
    p.add_argument("--temperatures", type=float, nargs="*", default=[], metavar="T", help="of the teachers, besides 1")
    p.add_argument(
        "--replicates", type=int, default=200, metavar="R", help="bootstrap samples; 0 = no intervals (default 200)"
    )
    p.add_argument("--seed", type=int, default=0, help="non-negative whole number (default 0)")
    p.add_argument("--device", default="auto", help=devices.HELP)
    p.add_argument("--threads", type=int, default=1, metavar="N", help="of the CPU (default 1)")
    p.add_argument("--spread", required=True, metavar="TSV", help="spread and scales by rank of the token")
    p.add_argument(
        "--experiment", required=True, metavar="TSV", help="AUROC by k, temperature, members and label smoothing"
    )
    p.add_argument(
        "--settings", required=True, metavar="TSV", help="the same settings on sets of validation, best first"
    )
    return p


def main(args: argparse.Namespace) -> None:
    _check(args)
    torch.set_num_threads(args.threads)
    where, tokenizer = devices.choose(args.device), read_tokenizer(args.tokenizer)
    teachers = {}
    for folders in (args.members, *args.others):
        members, smoothing = _teachers(folders, tokenizer.digest, where)
        if smoothing in teachers:
            raise InputError(f"{folders[0]}: another ensemble was trained with label smoothing {smoothing:g} already.")
        teachers[smoothing] = members
    own = next(iter(teachers))
    students = {name: _student(name, folder, tokenizer.digest, where) for name, folder in args.students}
    corpora, validation = (
        _corpora(args, tokenizer.digest, *roles) for roles in (("test", "ood"), ("valid", "valid_ood"))
    )
    base, tried = diagnosis.settings(tokenizer.size, len(args.members), args.temperatures, args.k)
    found: dict[float, dict[str, diagnosis.Found]] = {smoothing: {} for smoothing in teachers}
    chosen_on: dict[float, dict[str, diagnosis.Found]] = {smoothing: {} for smoothing in teachers}
    for smoothing, members in teachers.items():
        for kept, sets, some in ((found, corpora, students if smoothing == own else {}), (chosen_on, validation, {})):
            for name, corpus in sets.items():
                one = diagnosis.diagnose(_chunks(members, some, corpus), corpus.sentences, tried)
                kept[smoothing][name] = one
                tokens = len(one.positions[diagnosis.TEACHERS])
                print(f"{name}: {tokens} tokens, label smoothing {smoothing:g}", flush=True)
    draws = Draws(args.replicates, args.seed)
    spread = diagnosis.spread_table(found[own], tokenizer.size, draws)
    experiment = diagnosis.experiment_table(found, base, own, draws)
    write_table(spread, args.spread)
    write_table(experiment, args.experiment)
    write_table(diagnosis.settings_table(diagnosis.experiment_table(chosen_on, base, own, draws)), args.settings)


def _check(args: argparse.Namespace) -> None:
    for name in ("replicates", "seed", "sentences"):
        if getattr(args, name) < 0:
            raise InputError(f"--{name} {getattr(args, name)} must not be negative.")
    if args.threads < 1:
        raise InputError(f"--threads {args.threads} must be 1 or more.")
    if min(args.k, default=1) < 1 or not min(args.temperatures, default=1.0) > 0:
        raise InputError("--k must be 1 or more, --temperatures above 0.")
    if len({name for name, _ in args.students}) < len(args.students):
        raise InputError("--students: a system is named twice.")
    if any(len(folders) != len(args.members) for folders in args.others):
        raise InputError(f"--others: as many members as --members has, {len(args.members)}, are compared with it.")


def _teachers(folders: Sequence[str], vocabulary: str, where: torch.device) -> tuple[list[Translator], float]:
    """The members, and the label smoothing that they were trained with."""
    if len(folders) < 2:
        raise InputError(f"teachers are an ensemble of 2 or more members, {len(folders)} given.")
    found = [read_network(folder, vocabulary) for folder in folders]
    smoothing = [float(facts.get("label_smoothing", 0.0)) for _, facts in found]
    if len(set(smoothing)) > 1:
        raise InputError(f"{folders[0]}: its ensemble has members of label smoothing {smoothing}; they must share one.")
    return [network.to(where) for network, _ in found], smoothing[0]


def _student(name: str, folder: str, vocabulary: str, where: torch.device) -> Callable[..., torch.Tensor]:
    """Scales (T, V) at temperature 1 that a student predicts at the tokens of a target."""
    student, _ = read_student(folder, vocabulary)
    if student.family != name or not noise_of(name):
        raise InputError(
            f"--students {name}: {folder} is a student {student.family}; students with a scale for each logit are asked for."
        )
    student.network.to(where)

    def scales(source: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        found = predict(student, source, target, samples=1, support=student.network.sizes.vocabulary)
        return found.scale * student.temperature

    return scales


def _corpora(args: argparse.Namespace, vocabulary: str, inside: str, outside: str) -> dict[str, Corpus]:
    """The set of role `inside` first, then those of role `outside`."""
    sets = read_sets(args.sets)
    roles = dict(zip(sets["set"], sets["role"], strict=True))
    names = sorted(
        (name for name, role in roles.items() if role in (inside, outside)), key=lambda name: roles[name] != inside
    )
    if [roles[name] for name in names[:2]] != [inside, outside]:
        raise InputError(f"{args.sets}: one set of role {inside} and some of role {outside} are needed.")
    found = {}
    for name in names:
        corpus = read_corpus(args.encoded, name, vocabulary)
        rows = range(min(args.sentences or corpus.sentences, corpus.sentences))
        if len(rows) < 2:
            raise InputError(f"{args.encoded}: the set {name} has {len(rows)} sentences; two at least are needed.")
        found[name] = make_corpus([corpus.source_row(row) for row in rows], [[]] * len(rows), 1 << 17)
    return found


def _chunks(members: list[Translator], students: dict, corpus: Corpus) -> Iterator[diagnosis.Chunk]:
    said = translate_corpus(members, corpus)
    sources = [corpus.source_row(row) for row in range(corpus.sentences)]
    pairs = make_corpus(sources, [best.tokens for (best, *_) in said], members[0].sizes.vocabulary)
    budget = max(1, _NUMBERS // (len(members) * members[0].sizes.vocabulary))
    for rows in token_batches(pairs, budget, 0, 0):
        source, target = padded(pairs, rows)
        logs = force_members(members, source, target).cpu()
        scales = {name: scale(source, target).cpu() for name, scale in students.items()}
        yield diagnosis.Chunk(np.repeat(rows, pairs.target_lengths[rows]), logs, scales)
