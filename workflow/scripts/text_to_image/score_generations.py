"""Score the generations of a generator: PUNC's precision and recall by three similarities, distances among images, and text alone.

One row per prompt and noise seed; every score is an uncertainty, higher = more uncertain. Scores that need the generator or the captioner
are joined from tables (--measured).
"""

import argparse
import warnings
from pathlib import Path

import numpy as np
import pandas as pd

from genovision.errors import InputError
from genovision.tables import read_table, write_table
from genovision.text_to_image import baselines
from genovision.text_to_image.encoder import Encoder, check_ids, check_texts, read_embedded
from genovision.text_to_image.evaluation import unseen
from genovision.text_to_image.generations import Generations, read_generations
from genovision.text_to_image.prompt_uncertainty import EmptyCaption, punc
from genovision.text_to_image.similarity import BERTScore, Rouge, encode_with, unrelated


def parser() -> argparse.ArgumentParser:
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument(
        "--prompts", required=True, metavar="TABLE", help="id, set, kind, text, and what each prompt asks for"
    )
    p.add_argument("--captions", required=True, metavar="TABLE", help="id, sample, caption: a row per image")
    p.add_argument(
        "--size",
        type=int,
        default=4,
        metavar="S",
        help="images judged together; the next S are another seed (default 4)",
    )
    p.add_argument(
        "--images",
        metavar="NPZ|FOLDER",
        help="array `images`, a row per row of --captions, or PNG files that it names; for distances in pixels",
    )
    p.add_argument(
        "--members",
        nargs="+",
        default=[],
        metavar="NPZ",
        help="images of other generators from the same noise, likewise",
    )
    p.add_argument(
        "--encoder", required=True, metavar="FOLDER", help="of BERTScore and of the distance to training texts"
    )
    p.add_argument(
        "--embedded",
        metavar="NPZ",
        help="of text_to_image/embed_texts by the same encoder: texts that need not be read again",
    )
    p.add_argument(
        "--layer", type=int, default=-1, metavar="L", help="of the encoder, for BERTScore (default the last)"
    )
    p.add_argument("--idf", action="store_true", help="weigh tokens by how rare they are in the training texts")
    p.add_argument("--rescale", action="store_true", help="BERTScore: unrelated training texts become 0")
    p.add_argument(
        "--training",
        metavar="TABLE",
        help="column `text` or `caption`: what the generator was trained on; without it there is no control that sees the text alone",
    )
    p.add_argument(
        "--parts",
        nargs="+",
        default=[],
        metavar="COLUMN",
        help="of both tables; a value that no training row has is an unseen concept",
    )
    p.add_argument("--group", metavar="COLUMN", help="of the prompts, to compare groups by (default `group` if there)")
    p.add_argument("--measured", nargs="+", default=[], metavar="TABLE", help="id, seed and further uncertainties")
    p.add_argument("--threads", type=int, default=1, metavar="N", help="of the CPU (default 1)")
    p.add_argument("--out", required=True, metavar="TABLE", help="the scores (.parquet or .tsv)")
    p.add_argument("--warnings", required=True, metavar="TSV", help="empty captions, and texts that the encoder cut")
    return p


def main(args: argparse.Namespace) -> None:
    if args.threads < 1 or args.size < 1:
        raise InputError(f"--threads {args.threads} and --size {args.size} must be 1 or more.")
    prompts = _prompts(args.prompts)
    generations = read_generations(args.captions, prompts["id"].tolist(), args.prompts, args.size)
    training = read_table(args.training) if args.training else None
    texts = [] if training is None else _training_texts(training, args.training)
    for name in ("idf", "rescale", "parts"):
        if training is None and getattr(args, name):
            raise InputError(f"--{name} needs --training, the texts that the generator was trained on.")
    encoder = Encoder(args.encoder)
    _limit_threads(args.threads)
    scores = _keys(prompts, generations)
    for name, column in _described(prompts, training, args).items():
        scores[name] = np.repeat(column, len(generations.seeds))
    bertscore = BERTScore(encode_with(encoder, args.layer), texts if args.idf else None)
    if args.rescale:
        bertscore.baseline = unrelated(bertscore, texts)
    for name, similarity in (("rouge1", Rouge("rouge1")), ("rougel", Rouge("rougeL")), ("bertscore", bertscore)):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", EmptyCaption)  # they are in the table of warnings, once
            found = punc(scores["text"].tolist(), generations.captions, similarity)
        scores[f"{name}_epistemic"], scores[f"{name}_aleatoric"] = found["epistemic"], found["aleatoric"]
        scores[f"{name}_f1"] = 1 - found["f1"]
    if args.images:
        _image_scores(scores, generations, args)
    if texts:
        nearest = _nearest(encoder, prompts["text"].tolist(), texts, args.embedded)
        scores["nearest_training"] = np.repeat(nearest, len(generations.seeds))
    for path in args.measured:
        scores = _joined(scores, path)
    write_table(scores, args.out)
    told = _warnings(scores, generations, bertscore)
    write_table(told, args.warnings)
    print(
        f"{len(prompts)} prompts, {len(generations.seeds)} seeds of {generations.samples} images, {len(told)} warnings"
    )


def _prompts(path: str) -> pd.DataFrame:
    prompts = read_table(path, ["id", "set", "kind", "text"])
    prompts["text"] = prompts["text"].fillna("").astype(str)
    prompts["id"] = prompts["id"].astype(str)
    check_ids(prompts["id"].tolist(), path)
    check_texts(prompts["text"].tolist(), prompts["id"].tolist())
    return prompts


def _described(prompts: pd.DataFrame, training: pd.DataFrame | None, args: argparse.Namespace) -> dict[str, np.ndarray]:
    """Columns concept, group and template of the prompts, as far as there are any."""
    found = {}
    text = prompts.fillna("").astype(str)
    own = text["group"] if "group" in text else pd.Series("", index=text.index)
    concepts = own.where(text["kind"] == "copyright", "")
    if args.parts:
        for table, path in ((prompts, args.prompts), (training, args.training)):
            _columns(table, path, args.parts)
        concepts = concepts.where(concepts != "", pd.Series(unseen(prompts, training, args.parts), index=text.index))
    found["concept"] = concepts.to_numpy()
    if args.group:
        _columns(prompts, args.prompts, [args.group])
        found["group"] = text[args.group].to_numpy()
    else:
        found["group"] = own.where(text["kind"] == "bias", "").to_numpy()
    if "template" in text:
        found["template"] = text["template"].to_numpy()
    return found


def _columns(table: pd.DataFrame, path: str, names: list[str]) -> None:
    missing = [name for name in names if name not in table.columns]
    if missing:
        raise InputError(f"{path} has no column {', '.join(missing)}; it has {', '.join(map(str, table.columns))}.")


def _training_texts(training: pd.DataFrame, path: str) -> list[str]:
    column = next((name for name in ("text", "caption") if name in training), None)
    texts = list(dict.fromkeys(training[column].dropna().astype(str))) if column else []
    if len(texts) < 2:
        raise InputError(f"{path} has no column `text` or `caption` with two different texts or more.")
    return texts


def _limit_threads(number: int) -> None:
    import torch

    torch.set_num_threads(number)


def _keys(prompts: pd.DataFrame, generations: Generations) -> pd.DataFrame:
    """A row per prompt and seed, in the order of the captions of `generations`."""
    seeds = generations.seeds
    rows = prompts[["id", "set", "kind", "text"]].loc[prompts.index.repeat(len(seeds))].reset_index(drop=True)
    rows.insert(3, "seed", np.tile(seeds, len(prompts)))
    return rows


def _image_scores(scores: pd.DataFrame, generations: Generations, args: argparse.Namespace) -> None:
    if Path(args.images).is_dir():  # of a model of the hub: too many pixels to hold all of them
        if generations.samples > 1:
            places = range(len(scores))
            scores["pixel_distance"] = [baselines.pairwise(generations.images(args.images, [n]))[0] for n in places]
        return
    images = generations.images(args.images)
    if generations.samples > 1:
        scores["pixel_distance"] = baselines.pairwise(images)
    if not args.members:
        return
    others = [generations.images(path) for path in args.members]
    for path, other in zip(args.members, others, strict=True):
        if other.shape != images.shape:
            raise InputError(f"{path} has images {other.shape[2:]}, {args.images} has {images.shape[2:]}.")
    scores["two_models"] = baselines.two_models(images, others[0])
    scores["ensemble"] = baselines.ensemble([images, *others])


def _nearest(encoder: Encoder, prompts: list[str], texts: list[str], embedded: str | None) -> np.ndarray:
    """Distance of each prompt to the nearest training text; embeddings are looked up before they are computed."""
    known: dict[str, np.ndarray] = {}
    if embedded:
        found = read_embedded(embedded)
        if found.pooled.shape[1] != encoder.width:
            raise InputError(f"{embedded} is of another encoder than the one in {encoder.folder}.")
        known = dict(zip(found.texts.tolist(), found.pooled, strict=True))
    missing = [text for text in dict.fromkeys([*prompts, *texts]) if text not in known]
    if missing:
        known |= dict(zip(missing, encoder.embed(missing)[0].pooled, strict=True))
    return baselines.nearest_training([known[text] for text in prompts], [known[text] for text in texts])


def _joined(scores: pd.DataFrame, path: str) -> pd.DataFrame:
    measured = read_table(path, ["id", "seed"])
    measured["id"] = measured["id"].astype(str)
    twice = [name for name in measured.columns if name in scores.columns and name not in ("id", "seed")]
    if twice:
        raise InputError(f"{path}: there is a score {twice[0]} already; rename the column.")
    if measured.duplicated(["id", "seed"]).any():
        raise InputError(f"{path} has two rows of the same id and seed.")
    joined = scores.merge(measured, on=["id", "seed"], how="left")
    new = [name for name in measured.columns if name not in ("id", "seed")]
    bad = joined[new].isna().any(axis=1)
    if bad.any():
        row = joined[bad].iloc[0]
        raise InputError(f"{path} has no value for prompt {row['id']}, seed {row['seed']}; measure it again.")
    return joined


def _warnings(scores: pd.DataFrame, generations: Generations, bertscore: BERTScore) -> pd.DataFrame:
    rows = []
    for place, sample in generations.empty():
        row = scores.iloc[place]
        rows.append(
            (row["id"], row["seed"], "empty_caption", f"image {sample} has no caption: its precision and recall are 0")
        )
    prompts = scores.drop_duplicates("id")
    for row in prompts[prompts["text"].isin(list(bertscore.cuts))].itertuples():
        rows.append((row.id, "", "cut_prompt", bertscore.cuts[row.text]))
    for place, captions in enumerate(generations.captions):
        for caption in dict.fromkeys(caption for caption in captions if caption in bertscore.cuts):
            row = scores.iloc[place]
            rows.append((row["id"], row["seed"], "cut_caption", bertscore.cuts[caption]))
    return pd.DataFrame(rows, columns=["id", "seed", "warning", "text"])
