"""Join and clean bitext from packages of translated software, or take parallel files, and split it into folds.

Strings of Home Assistant and Plone are in-domain pairs; Django, names of pycountry and the test keys in further languages are material for
sets out of domain. Files of any parallel corpus may be given instead of packages or beside them. Archives are read where they lie.
"""

import argparse
import re
from collections.abc import Iterator
from dataclasses import replace

import pandas as pd

from genovision.errors import InputError
from genovision.promoters.archives import DAMAGED, members, numbered_lines
from genovision.tables import write_table
from genovision.translation import bitext
from genovision.translation.bitext import Pair
from genovision.translation.cleaning import Ledger, Rules, clean_all, comparable, plain
from genovision.translation.sets import FOLDS, fit_for_testing, fold_by_key, identifiers, ranked

# glob of the members of a package's wheel, and where a member's name holds its language
MEMBERS = {
    "home_assistant": ("*/static/translations/*.json", r"/(?P<language>[A-Za-z]+(?:-[A-Za-z0-9]+)?)-[0-9a-f]{32}\.json$"),
    "plone": ("*/locales/*/LC_MESSAGES/*.po", r"/locales/(?P<language>[^/]+)/LC_MESSAGES/"),
    "django": ("*/locale/*/LC_MESSAGES/*.po", r"/locale/(?P<language>[^/]+)/LC_MESSAGES/"),
    "pycountry": ("*/locales/*/LC_MESSAGES/*.mo", r"/locales/(?P<language>[^/]+)/LC_MESSAGES/"),
}  # fmt: skip
PACKAGE_LIMIT = 1 << 26  # bytes of a member of a package
CORPUS_LIMIT = 1 << 34


def parser() -> argparse.ArgumentParser:
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument(
        "--home-assistant", metavar="WHL", help="in-domain; test and validation keys are drawn among its keys"
    )
    p.add_argument("--plone", metavar="WHL", help="in-domain, for training")
    p.add_argument("--django", metavar="WHL", help="the set django, out of domain")
    p.add_argument("--pycountry", metavar="WHL", help="the set pycountry, out of domain")
    p.add_argument(
        "--source",
        nargs="+",
        default=["en", "en-GB"],
        metavar="LANGUAGE",
        help="of the sources in Home Assistant, the first that has a key (default en en-GB)",
    )
    p.add_argument("--target", default="de", metavar="LANGUAGE", help="of the translations (default de)")
    p.add_argument(
        "--matched",
        nargs="*",
        default=["french=fr", "valid_spanish=es"],
        metavar="SET=LANGUAGE",
        help="sets of Home Assistant's sources in another language, of the test keys, or the validation keys where the name begins "
        "with valid_ (default french=fr valid_spanish=es)",
    )
    p.add_argument(
        "--corpus",
        nargs=4,
        action="append",
        default=[],
        metavar=("NAME", "FOLD", "SOURCE", "TARGET"),
        help="parallel text, again for each; FOLD is train, valid, test, ood or valid_ood (then NAME is the set); files of lines, plain or "
        ".gz, or source and reference sets (.sgm); TARGET is - where there is none, or where SOURCE is a .tsv that holds both",
    )
    p.add_argument("--line-limit", type=int, default=5000, metavar="N", help="characters of a line (default 5000)")
    p.add_argument(
        "--leave-out",
        action="store_true",
        help="count and leave out pairs of a corpus with an empty side or a line over the limit; without it they are errors",
    )
    p.add_argument("--shortest", type=int, default=2, metavar="N", help="characters of a side in training (default 2)")
    p.add_argument(
        "--longest", type=int, default=120, metavar="N", help="characters of a side in training (default 120)"
    )
    p.add_argument(
        "--words", type=int, default=2, metavar="N", help="different ones of a source outside training (default 2)"
    )
    p.add_argument("--valid", type=int, default=250, metavar="N", help="pairs for validation (default 250)")
    p.add_argument("--test", type=int, default=300, metavar="N", help="pairs for testing (default 300)")
    p.add_argument("--train", type=int, metavar="N", help="pairs for training at most (default all)")
    p.add_argument("--seed", type=int, default=0, help="of the folds (default 0)")
    p.add_argument("--out", required=True, metavar="TSV", help="pairs: id, origin, key, source, target, fold")
    p.add_argument("--others", required=True, metavar="TSV", help="out of domain: set, role, id, key, source, target")
    p.add_argument("--cleaning", required=True, metavar="TSV", help="origin, outcome, pairs, example")
    return p


def _gathered(origin: str, path: str, wanted: list[str]) -> dict[str, list[tuple[str, bytes]]]:
    pattern, language = MEMBERS[origin]
    try:
        return bitext.gather(members(path, pattern, PACKAGE_LIMIT), re.compile(language), wanted, path)
    except DAMAGED as error:
        raise InputError(f"{path} is damaged; fetch it again.") from error


def _messages(files: list[tuple[str, bytes]]) -> dict[str, str]:
    found = {}
    for name, data in files:
        for key, text in bitext.read_messages(data, name).items():
            found.setdefault(key, text)
    return found


def _catalogue(origin: str, path: str, language: str) -> list[Pair]:
    """Pairs of all catalogues of a language, the name of the catalogue before each key."""
    pairs = []
    for name, data in _gathered(origin, path, [language])[language]:
        read = bitext.read_po if name.endswith(".po") else bitext.read_mo
        parts = name.rsplit("::", 1)[-1].split("/")
        catalogue = "/".join([parts[max(0, parts.index("LC_MESSAGES") - 3)], parts[-1].rsplit(".", 1)[0]])
        pairs += [pair._replace(key=f"{catalogue}:{pair.key}") for pair in read(data, name)]
    return pairs


def _lines(path: str) -> Iterator[tuple[int, str]]:
    for label, stream in members(path, None, CORPUS_LIMIT):
        yield from bitext.text_lines(numbered_lines(stream, label), label)


def _bytes(path: str) -> bytes:
    try:
        return b"".join(stream.read() for _, stream in members(path, None, PACKAGE_LIMIT))
    except DAMAGED as error:
        raise InputError(f"{path} is cut short or damaged; fetch it again.") from error


def _corpus(source: str, target: str, limit: int, left_out: list | None) -> list[Pair]:
    bare = source.removesuffix(".gz")
    other = None if target == "-" else target
    if bare.endswith(".tsv"):
        if other is not None:
            raise InputError(f"{source} holds both sides; give - in place of {target}.")
        return bitext.read_columns(_lines(source), source, limit, left_out)
    if bare.endswith((".sgm", ".sgml")):
        second = None if other is None else _bytes(other)
        return bitext.read_sgml(_bytes(source), second, (source, target), limit, left_out)
    second = None if other is None else _lines(other)
    return bitext.read_parallel(_lines(source), second, (source, target), limit, left_out)


def _matched(options: list[str]) -> dict[str, str]:
    found = {}
    for option in filter(None, options):  # an empty one stands for none at all
        name, _, language = option.partition("=")
        if not re.fullmatch(r"[a-z_0-9]+", name) or not language or name in (*FOLDS, *found):
            raise InputError(f"--matched {option}: give the name of a new set and a language, for example french=fr.")
        found[name] = language
    return found


def _frame(origin: str, pairs: list[Pair], **columns) -> pd.DataFrame:
    frame = pd.DataFrame(pairs, columns=["key", "source", "target"])
    return frame.assign(id=identifiers(origin, [pair.key for pair in pairs]), origin=origin, **columns)


def _split_by_files(args: argparse.Namespace) -> bool:
    """Are test and validation files given, so that all of Home Assistant is for training?"""
    return any(fold in ("valid", "test") for _, fold, *_ in args.corpus)


def _role(name: str) -> str:
    return "valid_ood" if name.startswith("valid_") else "ood"


def _corpora(args: argparse.Namespace, rules: Rules, seen: set[str], ledger: Ledger) -> list[pd.DataFrame]:
    """Frames of the files of the command line, fold or role in the column fold.

    Test and validation come first, so that training pairs with their sources are left out; of those two every pair is kept as it is, so
    that their scores compare with published ones.
    """
    frames = []
    for name, fold, source, target in sorted(args.corpus, key=lambda one: one[1] not in ("test", "valid")):
        left_out = [] if args.leave_out else None
        read = _corpus(source, target, args.line_limit, left_out)
        for reason, pair in left_out or []:
            ledger.count(name, "read")
            ledger.count(name, reason, pair)
        if fold == "train":
            kept = clean_all(name, read, replace(rules, interface=False), seen, ledger)
        else:
            kept = [Pair(pair.key, plain(pair.source), plain(pair.target)) for pair in read]
            ledger.count(name, "read", number=len(kept))
            ledger.count(name, "kept", kept[0], len(kept))
        if fold in FOLDS:
            seen |= {comparable(pair.source) for pair in kept}
            if not all(pair.target for pair in kept):
                raise InputError(f"--corpus {name}: the fold {fold} needs a target.")
        frames.append(_frame(name, kept, fold=fold))
    return frames


def _home_assistant(
    args: argparse.Namespace, rules: Rules, seen: set[str], ledger: Ledger
) -> tuple[list[Pair], dict[str, dict[str, Pair]]]:
    """Pairs joined by key, and for each matched set the pairs of the same keys from its language."""
    origin, languages = "home_assistant", {} if _split_by_files(args) else _matched(args.matched)
    files = _gathered(origin, args.home_assistant, [*args.source, args.target, *languages.values()])
    messages = {language: _messages(found) for language, found in files.items()}
    rules, target = replace(rules, translated=True), messages[args.target]
    pairs = clean_all(origin, bitext.joined([messages[one] for one in args.source], target), rules, seen, ledger)
    matched = {
        name: clean_all(name, bitext.joined([messages[language]], target), rules, set(), ledger)
        for name, language in languages.items()
    }
    return pairs, {name: {pair.key: pair for pair in found} for name, found in matched.items()}


def _folds(args: argparse.Namespace, frame: pd.DataFrame, matched: dict, seen: set[str]) -> list[pd.DataFrame]:
    """The frame with its column fold, and a frame of each matched set: the foreign sources of its fold's keys under their ids."""
    pairs = {row.key: Pair(row.key, row.source, row.target) for row in frame.itertuples()}
    eligible = fit_for_testing(pairs, matched, seen, args.words)
    counts = {"valid": args.valid, "test": args.test}
    folds = fold_by_key(list(pairs), eligible, **counts, seed=args.seed, label=args.home_assistant)
    frames = [frame.assign(fold=[folds[key] for key in frame["key"]])]
    for name, foreign in matched.items():
        fold = "valid" if _role(name) == "valid_ood" else "test"
        rows = frames[0][frames[0]["fold"] == fold]
        chosen = [foreign[key] for key in rows["key"]]
        sides = {side: [getattr(pair, side) for pair in chosen] for side in ("source", "target")}
        frames.append(rows.assign(**sides, origin=name, fold=_role(name)))
    return frames


def _checked(args: argparse.Namespace) -> None:
    if not any((args.home_assistant, args.plone, args.corpus)):
        raise InputError("there is no in-domain text: give --home-assistant, --plone or --corpus.")
    names = [name for name, *_ in args.corpus]
    for name, fold, *_ in args.corpus:
        if names.count(name) > 1:
            raise InputError(f"--corpus {name} is given twice; give each corpus a name of its own.")
        if fold not in (*FOLDS, "ood", "valid_ood") or not re.fullmatch(r"[a-z_0-9]+", name):
            raise InputError(
                f"--corpus {name} {fold}: the name must be of a-z, 0-9 and _, the fold train, valid, test, ood or valid_ood."
            )
    for name, least in (("valid", 1), ("test", 1), ("shortest", 1), ("longest", args.shortest), ("line_limit", 1)):
        if getattr(args, name) < least:
            raise InputError(f"--{name.replace('_', '-')} {getattr(args, name)} must be {least} or more.")
    if args.train is not None and args.train < 1:
        raise InputError(f"--train {args.train} must be 1 or more.")


def main(args: argparse.Namespace) -> None:
    _checked(args)
    rules, seen, ledger = Rules(args.shortest, args.longest), set(), Ledger()
    frames = _corpora(args, rules, seen, ledger)
    software, matched = [], {}
    if args.home_assistant:
        software, matched = _home_assistant(args, rules, seen, ledger)
    if args.plone:
        pairs = clean_all("plone", _catalogue("plone", args.plone, args.target), rules, seen, ledger)
        frames.append(_frame("plone", pairs, fold="train"))
    if software and not _split_by_files(args):
        frames += _folds(args, _frame("home_assistant", software), matched, seen)
    elif software:
        frames.append(_frame("home_assistant", software, fold="train"))
    for origin in ("django", "pycountry"):
        if getattr(args, origin):
            read = _catalogue(origin, getattr(args, origin), args.target)
            pairs = clean_all(origin, read, replace(rules, words=args.words), set(seen), ledger)
            frames.append(_frame(origin, pairs, fold=_role(origin)))
    table = pd.concat(frames, ignore_index=True)
    pairs, others = table[table["fold"].isin(FOLDS)], table[~table["fold"].isin(FOLDS)]
    if args.train is not None:
        order = ranked(pairs["id"][pairs["fold"] == "train"], args.seed, "training")
        pairs = pairs[(pairs["fold"] != "train") | pairs["id"].isin(order[: args.train])]
    counts = {fold: int((pairs["fold"] == fold).sum()) for fold in FOLDS}
    if not all(counts.values()):
        lacking = ", ".join(fold for fold, number in counts.items() if not number)
        raise InputError(f"no pair is left for {lacking}; give more text or cleaning that leaves more of it.")
    others = others.rename(columns={"origin": "set", "fold": "role"})
    write_table(pairs[["id", "origin", "key", "source", "target", "fold"]], args.out)
    write_table(others[["set", "role", "id", "key", "source", "target"]], args.others)
    write_table(ledger.table(), args.cleaning)
    print(f"pairs: {counts}; out of domain: {others['set'].value_counts(sort=False).to_dict()}")
