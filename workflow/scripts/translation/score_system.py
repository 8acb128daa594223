"""Translate and score sentences by the uncertainty of one system: a single model, an ensemble, a student, or controls without a model; on
the test set, sets that are out of distribution, and those that choices are made on."""

import argparse

import numpy as np
import pandas as pd
import torch

from genovision import devices
from genovision.errors import InputError
from genovision.tables import write_table
from genovision.translation import quality
from genovision.translation.batches import Corpus, make_corpus, read_corpus
from genovision.translation.controls import Controls
from genovision.translation.network import Translator, read_members
from genovision.translation.scored import CONTROL, SYSTEMS
from genovision.translation.scoring import Cost, Judge, Scored, of_members, of_student, score_corpus
from genovision.translation.sets import read_sets
from genovision.translation.students import read_student
from genovision.translation.tokenizer import read_tokenizer

MEMBERS = ("single", "ensemble")
ROLES = ("test", "valid", "ood", "valid_ood")
TRAIN = "train"


def parser() -> argparse.ArgumentParser:
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument(
        "--system", required=True, choices=(*SYSTEMS, CONTROL), help="single: the first of --models; control: no model"
    )
    p.add_argument(
        "--models",
        nargs="+",
        default=[],
        metavar="FOLDER",
        help="of translation/train_member; for a student the one of translation/train_student; for control none",
    )
    p.add_argument("--tokenizer", required=True, metavar="FILE", help="that the sets were encoded with")
    p.add_argument("--encoded", required=True, metavar="NPZ", help="of translation/encode_sets")
    p.add_argument("--sets", required=True, metavar="TSV", help="of translation/build_sets")
    p.add_argument(
        "--beam", type=int, default=1, metavar="N", help="hypotheses kept open; 1 = greedy search (default 1)"
    )
    p.add_argument("--hypotheses", type=int, default=1, metavar="N", help="of the beam that are scored (default 1)")
    p.add_argument("--temperature", type=float, default=1.0, metavar="T", help="of their weights (default 1)")
    p.add_argument("--samples", type=int, default=25, metavar="S", help="of a student's logits (default 25)")
    p.add_argument(
        "--support",
        type=int,
        metavar="K",
        help="tokens of a position that a student is asked about, no more than it was trained on (default those; of a student of the whole "
        "vocabulary all, as published)",
    )
    p.add_argument("--seed", type=int, default=0, help="of the samples (default 0)")
    p.add_argument(
        "--budget", type=int, default=2000, metavar="T", help="padded tokens of a batch at most (default 2000)"
    )
    p.add_argument("--device", default="auto", help=devices.HELP)
    p.add_argument("--threads", type=int, default=1, metavar="N", help="of the CPU (default 1)")
    p.add_argument("--out", required=True, metavar="TSV", help="set, role, id, hypothesis, a column per measure")
    p.add_argument("--cost", metavar="TSV", help="seconds of the processor, passes through networks, padding")
    return p


def main(args: argparse.Namespace) -> None:
    _check(args)
    torch.set_num_threads(args.threads)
    tokenizer, sets = read_tokenizer(args.tokenizer), read_sets(args.sets)
    parts = {name: rows for name, rows in sets.groupby("set", sort=False) if rows["role"].iloc[0] in ROLES}
    if not parts:
        raise InputError(f"{args.sets} has no set of role {', '.join(ROLES)}.")
    corpora = {name: _corpus(args.encoded, name, rows, tokenizer.digest) for name, rows in parts.items()}
    if args.system == CONTROL:
        train = sets[sets["role"] == TRAIN]
        learned = _sources(read_corpus(args.encoded, TRAIN, tokenizer.digest))
        control = Controls(learned, train["source"].tolist())
        frames = [
            _keys(rows).assign(**control(_sources(corpora[name]), rows["source"].tolist()))
            for name, rows in parts.items()
        ]
        cost = Cost(sum(map(len, parts.values())), 0, 0.0, 0.0, 0, 0.0)
    else:
        networks, judge = _system(args, tokenizer.digest)
        first = next(iter(corpora))
        # what is loaded and allocated once is not the cost of a sentence
        options = {
            "beam": args.beam,
            "hypotheses": args.hypotheses,
            "temperature": args.temperature,
            "budget": args.budget,
        }
        score_corpus(networks, judge, _beginning(corpora[first]), **options)
        frames, cost = [], Cost(0, 0, 0.0, 0.0, 0, 0.0)
        for name, rows in parts.items():
            scored, more = score_corpus(networks, judge, corpora[name], **options)
            frames.append(_table(rows, scored, tokenizer))
            cost = cost.plus(more)
    write_table(pd.concat(frames, ignore_index=True), args.out)
    if args.cost:
        write_table(pd.DataFrame([{"system": args.system} | cost._asdict()]), args.cost)
    print(
        f"{args.system}: {cost.sentences} sentences in {cost.seconds_decode:.1f} + {cost.seconds_score:.1f} s of the processor"
    )


def _check(args: argparse.Namespace) -> None:
    for name in ("samples", "budget", "threads", "hypotheses"):
        if getattr(args, name) < 1:
            raise InputError(f"--{name} {getattr(args, name)} must be 1 or more.")
    if args.support is not None and args.support < 1:
        raise InputError(f"--support {args.support} must be 1 or more.")
    if args.seed < 0 or not args.temperature > 0:
        raise InputError(f"--seed {args.seed} must not be negative, --temperature {args.temperature} must be above 0.")
    if args.beam < args.hypotheses:
        raise InputError(f"--hypotheses {args.hypotheses} are more than --beam {args.beam} keeps.")
    if args.system == CONTROL and args.models:
        raise InputError("--system control: it knows no model, leave --models out.")
    if args.system != CONTROL and not args.models:
        raise InputError(f"--system {args.system}: name its folder with --models.")
    if args.system == "ensemble" and len(args.models) < 2:
        raise InputError("--system ensemble: --models names one model; an ensemble has two members or more.")
    if args.system not in (*MEMBERS, CONTROL) and len(args.models) != 1:
        raise InputError(f"--system {args.system}: --models names {len(args.models)} folders; a student has one.")


def _system(args: argparse.Namespace, vocabulary: str) -> tuple[list[Translator], Judge]:
    """The networks that translate, and who judges their hypotheses."""
    where = devices.choose(args.device)
    if args.system in MEMBERS:
        folders = args.models[:1] if args.system == "single" else args.models
        members = [one.to(where) for one in read_members(folders, vocabulary)]
        return members, of_members(members)
    student, _ = read_student(args.models[0], vocabulary)
    if student.family != args.system:
        raise InputError(f"--system {args.system}: {args.models[0]} is a student of the family {student.family}.")
    student.network.to(where)
    return [student.network], of_student(student, args.samples, args.seed, args.support)


def _corpus(path: str, name: str, rows: pd.DataFrame, vocabulary: str) -> Corpus:
    corpus = read_corpus(path, name, vocabulary)
    if corpus.sentences != len(rows):
        raise InputError(
            f"{path} has {corpus.sentences} sentences of {name}, the table of sets {len(rows)}; encode them again."
        )
    return corpus


def _beginning(corpus: Corpus) -> Corpus:
    """Its first two sentences."""
    rows = range(min(2, corpus.sentences))
    return make_corpus([corpus.source_row(row) for row in rows], [[]] * len(rows), 1 << 17)


def _sources(corpus: Corpus) -> list[np.ndarray]:
    return [corpus.source_row(row) for row in range(corpus.sentences)]


def _keys(rows: pd.DataFrame) -> pd.DataFrame:
    return rows[["set", "role", "id"]].reset_index(drop=True)


def _table(rows: pd.DataFrame, scored: Scored, tokenizer) -> pd.DataFrame:
    """One row per sentence; chrF where there is a reference."""
    texts = [_line(tokenizer.decode(one.tokens)) for one in scored.best]
    there = (rows["target"] != "").to_numpy()
    chrf = np.full(len(rows), np.nan)
    if there.any():
        pairs = [(text, wanted) for text, wanted in zip(texts, rows["target"], strict=True) if wanted]
        chrf[there] = quality.sentence_chrf(quality.statistics(*zip(*pairs, strict=True)))
    columns = {
        "hypothesis": texts,
        "tokens": [len(one.tokens) for one in scored.best],
        "logprob": [one.log_probability for one in scored.best],
        "chrf": chrf,
    }
    return _keys(rows).assign(**columns, **scored.measures)


def _line(text: str) -> str:
    """A text as one line: what is no printable character is a space, and no space follows another."""
    return " ".join("".join(one if one.isprintable() else " " for one in text).split())
