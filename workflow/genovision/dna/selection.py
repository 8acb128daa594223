"""Measures against the validation fold, by which settings are chosen before the test fold is looked at: FReD, P-FID, 6-mers, TATA-box."""

import os

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch

from genovision.dna import composition, curves
from genovision.dna.autoencoders import read_autoencoder
from genovision.dna.description import posterior_means, principal_components, projected
from genovision.dna.embedding import describe, read_embedding
from genovision.dna.examples import Examples, check_length, check_names
from genovision.dna.judgement import frechet
from genovision.dna.measures import KMER, shifted
from genovision.dna.motifs import EPD, hits
from genovision.errors import InputError
from genovision.resampling import bootstrap_counts, interval, stream

METRICS = ("fred", "p_fid", "js6", "cor:TATA-box")
_RANGE = {"fred": (0, np.inf), "p_fid": (0, np.inf), "js6": (0, np.log(2)), "cor:TATA-box": (-1, 1)}


class Validation:
    """The validation fold as both encoders see it; `measure` compares samples with it, species by species, at equal numbers.

    number      sequences per species, at most; samples are cut to the same number
    replicates  bootstrap samples of both sides, the same for every setting, so differences between settings are paired
    device      of the encoders
    InputError when a species has too few for a covariance of the features, and for encoders of other sequences.
    """

    def __init__(
        self,
        examples: Examples,
        embedding: str | os.PathLike,
        autoencoder: str | os.PathLike,
        *,
        components: int = 16,
        number: int = 500,
        replicates: int = 50,
        seed: int = 0,
        device: torch.device | str = "cpu",
    ):
        self.names, self.length, self.replicates, self.seed = examples.names, examples.length, replicates, seed
        self.network = read_embedding(embedding, device)
        check_names(embedding, self.network.species, examples.names)
        check_length(embedding, self.network.config.length, examples.length)
        self.autoencoder, facts = read_autoencoder(autoencoder, device)
        check_length(autoencoder, facts["length"], examples.length)
        self.basis = principal_components(posterior_means(self.autoencoder, examples.of("train")[0]), components)
        codes, species = examples.of("validation")
        self.real = [codes[species == label][:number] for label in range(len(self.names))]
        self.sizes = [len(part) for part in self.real]
        needed = max(components, self.network.config.features) + 1
        for name, size in zip(self.names, self.sizes, strict=True):
            if size < needed:
                raise InputError(
                    f"of {number} at most, the validation fold gives {size} sequences of {name}; a covariance of "
                    f"{needed - 1} features needs {needed}."
                )
        self.seen = [self._see(part) for part in self.real]

    def _see(self, codes: npt.NDArray[np.uint8]) -> dict[str, npt.NDArray]:
        motif = hits(codes, EPD["TATA-box"])
        return {
            "fred": projected(posterior_means(self.autoencoder, codes), self.basis, "the training fold"),
            "p_fid": describe(self.network, codes).features.astype(np.float64),
            "motif": motif.astype(np.float64),
            "codes": codes,
        }

    def _weights(self, name: str, number: int) -> npt.NDArray[np.float64]:
        drawn = bootstrap_counts(number, self.replicates, stream(self.seed, f"selection {name}"))
        return np.vstack([np.ones((1, number)), drawn])

    def measure(self, tokens: npt.NDArray[np.uint8], species: npt.NDArray[np.int64]) -> pd.DataFrame:
        """Rows metric, value, low, high, averaged over species.

        InputError when a species has fewer samples than the fold, or of another length.
        """
        check_length("a set", tokens.shape[1], self.length)
        found: dict[str, list] = {metric: [] for metric in METRICS}
        for label, (size, real) in enumerate(zip(self.sizes, self.seen, strict=True)):
            codes = tokens[species == label][:size]
            if len(codes) < size:
                raise InputError(f"there are {len(codes)} samples of {self.names[label]}, {size} are needed.")
            one = self._see(codes)
            weights = self._weights(f"set {label}", size), self._weights(f"real {label}", size)
            for metric in ("fred", "p_fid"):
                found[metric].append(frechet(one[metric], real[metric], weights))
            spectra = (
                composition.spectrum(side["codes"], KMER, w) for side, w in zip((one, real), weights, strict=True)
            )
            found["js6"].append(composition.jensen_shannon(*spectra))
            both = (100 * w @ side["motif"] / size for side, w in zip((one, real), weights, strict=True))
            found["cor:TATA-box"].append(curves.cor_m(*both))
        rows = []
        for metric, values in found.items():
            mean = shifted(np.mean(values, axis=0), *_RANGE[metric])
            known = np.isfinite(mean[1:]).any()
            low, high = interval(mean[1:]) if known else (np.nan, np.nan)
            rows.append({"metric": metric, "value": mean[0], "low": low, "high": high})
        return pd.DataFrame(rows)
