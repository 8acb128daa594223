"""What the sets are like, for the reader of a report: sizes, lengths, how much of them training has seen, and an example."""

import numpy as np
import pandas as pd

from genovision.translation.cleaning import comparable
from genovision.translation.controls import Controls
from genovision.translation.sets import encoded_sets

COLUMNS = (
    "set", "role", "sentences", "words", "tokens", "target_tokens", "bytes_per_token", "known_bigrams", "known_sources", "example",
)  # fmt: skip


def summarize(sets: pd.DataFrame, tokenizer) -> pd.DataFrame:
    """A row for each set.

    words, tokens:   mean of a source, the end not counted;  target_tokens: of the references there are, NaN without any
    bytes_per_token: bytes of all sources per token
    known_bigrams:   mean share of a source's token pairs, its start and end counted, that occur in training sources
    known_sources:   share of sources whose words are, in their order, those of a training source
    example:         the first source -> its target
    """
    encoded = encoded_sets(sets, tokenizer, limit=1 << 30)
    train = sets[sets["set"] == "train"]
    controls = Controls(encoded["train"][0], train["source"].tolist())
    seen = {comparable(text) for text in train["source"]}
    rows = []
    for name, part in sets.groupby("set", sort=False):
        sources, targets = encoded[str(name)]
        lengths = np.array([len(row) - 1 for row in sources])
        references = [len(row) - 1 for row in targets if len(row)]
        first = part.iloc[0]
        rows.append(
            (
                name,
                first["role"],
                len(part),
                float(np.mean([len(text.split()) for text in part["source"]])),
                float(lengths.mean()),
                float(np.mean(references)) if references else float("nan"),
                sum(len(text.encode()) for text in part["source"]) / lengths.sum(),
                float(np.mean([controls.known_pairs(row) for row in sources])),
                float(np.mean([comparable(text) in seen for text in part["source"]])),
                f"{first['source']} -> {first['target']}" if first["target"] else first["source"],
            )
        )
    return pd.DataFrame(rows, columns=list(COLUMNS))
