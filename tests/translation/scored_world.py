"""Tables of scored sentences whose truth is known: how far each system's uncertainty rises on each set is given."""

import zlib
from functools import cache

import numpy as np
import pandas as pd

WORDS = ["die", "Datei", "wurde", "nicht", "gefunden", "bitte", "später", "erneut", "versuchen", "."]
ROLES = {
    "train": "train",
    "valid": "valid",
    "test": "test",
    "django": "ood",
    "french": "ood",
    "valid_spanish": "valid_ood",
    "valid_noised": "valid_ood",
}
# system: rise of mutual information on OOD sets, in standard deviations; None: it has none
SYSTEMS = {"single": None, "ensemble": 1.0, "end": None, "dirichlet": 0.5, "proxy_dirichlet": 1.2, "laplace": -0.5}
SYSTEMS |= {"laplace_top": 1.5, "gaussian_top": 0.9}
MEASURES = ("total", "data", "mutual_information", "epkl", "rmi")


@cache
def sets(sentences=40, seed=0):
    """set, role, id, source, target, as a table of sets."""
    rng = np.random.default_rng(seed)
    rows = []
    for key, role in ROLES.items():
        for number in range(sentences):
            target = " ".join(rng.choice(WORDS, rng.integers(2, 9))) if role in ("train", "valid", "test") else ""
            rows.append(
                {"set": key, "role": role, "id": f"{key}-{number}", "source": f"text {number}", "target": target}
            )
    return pd.DataFrame(rows)


def scored(system, seed=0, rises=SYSTEMS, sentences=40, task="bitext"):
    """One table: the more uncertain (total) a test sentence, the worse; mutual information shares a part over all systems of a seed."""
    rows, table = [], sets(sentences)
    common = np.random.default_rng(100 + seed).normal(size=len(table))
    rng = np.random.default_rng([seed, zlib.crc32(system.encode())])
    for part, row in zip(common, table.to_dict("records"), strict=True):
        if row["role"] == "train":
            continue
        out = row["role"] in ("ood", "valid_ood")
        total = np.exp(0.5 * rng.normal() + part + 0.8 * out)
        rise = rises[system]
        knowledge = 0.0 if rise is None else float(np.exp(0.3 * (rng.normal() + part) + 0.5 * rise * out))
        words = [word if rng.random() < 1 / (1 + total) else "x" for word in row["target"].split()]
        found = {"set": row["set"], "id": row["id"]}
        if task == "bitext":
            found |= {"hypothesis": " ".join(words), "tokens": len(words) + 1, "logprob": -total}
            found |= {"chrf": 100 / (1 + total) if row["target"] else np.nan}
        else:
            found |= {"tokens": 32, "nll": total / 4}
        found |= dict.fromkeys(MEASURES, knowledge) | {"total": total, "data": total - knowledge / 2}
        rows.append(found | ({"mean_scale": knowledge / 3} if system.startswith("laplace") else {}))
    return pd.DataFrame(rows)


def controls(sentences=40):
    rng = np.random.default_rng(7)
    table = sets(sentences)
    table = table[table["role"] != "train"]
    out = table["role"].isin(["ood", "valid_ood"]).to_numpy()
    scores = {"length": rng.integers(1, 20, len(table)), "bigram": rng.normal(size=len(table)) + 3 * out}
    return table[["set", "id"]].assign(**scores)


def costs(system, seconds):
    row = {"system": system, "sentences": 40, "tokens": 300, "seconds_decode": seconds, "seconds_score": seconds / 2}
    return pd.DataFrame([row | {"passes": 10, "padding_waste": 0.1}])
