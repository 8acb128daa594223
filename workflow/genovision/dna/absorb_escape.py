"""Absorb & Escape: where a diffusion model was unsure, an autoregressive model rewrites its sample (Li et al. 2024; Fast A&E).

A sequence is read from left to right. At a position whose confidence is below the threshold the autoregressive model absorbs: base after
base is drawn from it, given everything before, until it escapes, which by default is where the diffusion model's confidence is strictly
above the largest probability of the autoregressive one. That is tested before a base is drawn, so a run may be empty, and a tie goes on.
The position of the escape keeps its base and is not tested for absorbing; the reading goes on behind it. Confidences are those of the
diffusion model's one pass and are never computed again; drawn bases are in the prefix of all that follows.

This is the rule the authors' code runs, with its last base written too. Their text differs in two places: it begins one base further
right, and it compares the probability of the base just drawn (here escape="sampled"). Rows move through the positions together, so the
model takes as many steps as a sequence has bases, however many rows there are and however often they absorb.
"""

from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from genovision.dna.drawing import inverse, tempered
from genovision.errors import InputError
from genovision.resampling import stream

ESCAPES = ("natural", "sampled", "threshold")
_SUM = 1e-3  # what probabilities may miss 1 by: half precision does
_CHECKED = 32  # positions that are checked at once

Codes = npt.NDArray[np.uint8]
Mask = npt.NDArray[np.bool_]


class Model(Protocol):
    """An autoregressive model as sequences are read: a state stands for the bases so far of B sequences.

    probs may be an array or a torch tensor; a state is only handed back, each at most once to `advance`.
    """

    def start(self, number: int) -> Any:
        """The state of `number` sequences before their first base."""

    def probs(self, state: Any) -> npt.ArrayLike:
        """(B, 4): the distribution of each sequence's next base."""

    def advance(self, state: Any, tokens: npt.NDArray[np.int64]) -> Any:
        """The state after the next base (B,) of each sequence."""


def absorb_escape(
    tokens: npt.ArrayLike,
    confidence: npt.ArrayLike,
    model: Model,
    threshold: float = 0.85,
    uniforms: npt.ArrayLike | None = None,
    *,
    escape: str = "natural",
    temperature: float = 1.0,
    max_run: int | None = None,
    seed: int = 0,
) -> tuple[Codes, Mask]:
    """Rewrite tokens (B, L) where their confidence (B, L) is low -> new tokens, and which positions were drawn anew, both (B, L).

    threshold    in [0, 1]: absorb where confidence < threshold. 0 changes nothing; confidence 0 everywhere gives the model's own samples
    uniforms     (B, L) in [0, 1): a base is the inverse distribution function at the uniform of its place, so the result depends on the
                 rule alone and not on how rows are cut into batches; None draws them from `seed`
    escape       natural: confidence > the model's largest probability, before a base is drawn (a tie goes on)
                 sampled: a base is drawn, and written only if its probability > confidence (a tie escapes)
                 threshold: confidence >= threshold, so exactly the positions below the threshold are drawn anew
    temperature  of drawing; escapes compare the untempered probabilities, as the authors' code does
    max_run      longest run; the position behind it escapes whatever the other rule says
    Everything is compared in float64. Bases are counted 0 to 3 and keep the dtype they came in; the input is left as it is.

    ValueError for shapes that differ and options that cannot be; InputError, with row and position, for a token that is no base, a
    confidence outside [0, 1], and probabilities of the model that are none.
    """
    codes, confidence = _checked(tokens, confidence)
    rows, length = codes.shape
    if not 0 <= threshold <= 1:
        raise ValueError(f"threshold {threshold} must lie in [0, 1]")
    if escape not in ESCAPES:
        raise ValueError(f"escape {escape!r} is none of {', '.join(ESCAPES)}")
    if not temperature > 0:
        raise ValueError(f"temperature {temperature} must be above 0")
    if max_run is not None and max_run < 1:
        raise ValueError(f"max_run {max_run} must be 1 or more")
    uniforms = _uniforms(uniforms, codes.shape, seed, "absorb and escape")
    # positions first, so that what a step reads and writes lies together
    below, limits, draws = (np.ascontiguousarray(array.T) for array in (confidence < threshold, confidence, uniforms))
    written, edited = np.array(codes.T, dtype=np.int64, order="C"), np.zeros((length, rows), dtype=bool)
    # behind the last position that absorbs, only a run can need the model
    columns = np.flatnonzero(below.any(axis=1))
    last = columns[-1] if columns.size else -1
    inside, going = np.zeros(rows, dtype=bool), 0  # rows in a run, and how many they are
    run = np.zeros(rows, dtype=np.int64)  # bases of it so far
    said = _Said(rows)
    state = model.start(rows) if columns.size else None
    for j, (low, limit, draw, base, anew) in enumerate(zip(below, limits, draws, written, edited, strict=True)):
        if j > last and not going:
            break
        active = low | inside
        if going or np.count_nonzero(active):
            probabilities = said.take(model.probs(state), active, j)
            drawn = None
            if escape == "natural":
                inside = active & (limit <= np.maximum.reduce(probabilities))
            elif escape == "sampled":
                drawn = inverse(tempered(probabilities, temperature), draw)
                inside = active & (probabilities[drawn, np.arange(rows)] > limit)
            else:
                inside = low
            if max_run is not None:
                inside = inside & (run < max_run)
                run = np.where(inside, run + 1, 0)
            going = np.count_nonzero(inside)
            if going:
                if drawn is None:
                    drawn = inverse(tempered(probabilities, temperature), draw)
                np.copyto(base, drawn, where=inside)
                anew[:] = inside
        if j + 1 < length:
            state = model.advance(state, base)
    said.check()
    return np.ascontiguousarray(written.T).astype(codes.dtype), np.ascontiguousarray(edited.T)


def random_refill(
    tokens: npt.ArrayLike,
    edited: npt.ArrayLike,
    model: Model,
    uniforms: npt.ArrayLike | None = None,
    places: npt.ArrayLike | None = None,
    *,
    temperature: float = 1.0,
    seed: int = 0,
) -> tuple[Codes, Mask]:
    """Control: as many positions of each row as `edited` (B, L) has, at random, drawn from the model given the bases before.

    tokens (B, L) are those before any edit. places (B, L) decides where (a row's smallest), uniforms (B, L) what is drawn there; None
    draws them from `seed`. Returns as `absorb_escape` does.
    """
    chosen = _chosen(edited, places, seed)
    # every chosen position is in a valley and every other one is sure: with the threshold's escape the run is the valley
    return absorb_escape(
        tokens,
        np.where(chosen, 0.0, 1.0),
        model,
        1.0,
        _uniforms(uniforms, chosen.shape, seed, "random refill"),
        escape="threshold",
        temperature=temperature,
    )


def random_letters(
    tokens: npt.ArrayLike, edited: npt.ArrayLike, seed: int, pool: npt.ArrayLike, places: npt.ArrayLike | None = None
) -> tuple[Codes, Mask]:
    """Control: as many positions of each row as `edited` has, at random, with letters as frequent as the pool (M, L) has them there.

    The pool are training sequences, best of the same species. As a drawn base may, a letter may equal the one that was there.
    """
    codes, pool = np.asarray(tokens).copy(), np.asarray(pool)
    chosen = _chosen(edited, places, seed)
    if codes.shape != chosen.shape:
        raise ValueError(f"tokens {codes.shape} and edited {chosen.shape} differ")
    if pool.ndim != 2 or not len(pool) or pool.shape[1] != codes.shape[1]:
        raise ValueError(f"the pool {pool.shape} holds no sequences of {codes.shape[1]} bases")
    _check_bases(pool, "the pool")
    rows = stream(seed, "random letters").integers(len(pool), size=codes.shape)
    letters = np.take_along_axis(pool, rows, axis=0)
    codes[chosen] = letters[chosen]
    return codes, chosen


def summary(
    edited: npt.ArrayLike,
    confidence: npt.ArrayLike,
    threshold: float,
    before: npt.ArrayLike | None = None,
    after: npt.ArrayLike | None = None,
) -> dict[str, float]:
    """What a refinement did: edit_rate (share of bases drawn anew), mean_run_length (0 without a run), share_below (of confidences below
    the threshold) and, where tokens before and after are given, changed_rate (share of bases that are other ones now)."""
    edited, confidence = np.asarray(edited, dtype=bool), np.asarray(confidence, dtype=np.float64)
    if edited.shape != confidence.shape or edited.ndim != 2:
        raise ValueError(f"edited {edited.shape} and confidence {confidence.shape} must be of one shape (B, L)")
    starts = edited.copy()
    starts[:, 1:] &= ~edited[:, :-1]  # two runs never touch: the position of an escape lies between them
    found = {
        "edit_rate": float(edited.mean()),
        "mean_run_length": float(edited.sum() / max(1, starts.sum())),
        "share_below": float((confidence < threshold).mean()),
    }
    if before is not None and after is not None:
        found["changed_rate"] = float((np.asarray(before) != np.asarray(after)).mean())
    return found


class _Said:
    """What a model said at the latest positions, in float64, checked some positions at a time: a check costs as much as a step does."""

    def __init__(self, rows: int):
        self.columns, self.active = np.empty((_CHECKED, 4, rows)), np.empty((_CHECKED, rows), dtype=bool)
        self.positions: list[int] = []

    def take(self, found, active: Mask, position: int) -> npt.NDArray[np.float64]:
        """Distributions (B, 4) as columns (4, B), whose rows are read several times faster. Only active rows need be distributions."""
        if not isinstance(found, np.ndarray) and hasattr(found, "detach"):  # torch, which this module does without
            found = found.detach().cpu().double().numpy()
        found = np.asarray(found)
        if found.shape != (len(active), 4):
            raise ValueError(f"the model's probabilities are {found.shape}, ({len(active)}, 4) is needed")
        if len(self.positions) == _CHECKED:
            self.check()
        at = len(self.positions)
        self.positions.append(position)
        self.active[at] = active
        columns = self.columns[at]
        columns[:] = found.T
        return columns

    def check(self) -> None:
        """InputError, with row and position, for the first that is no distribution; then forget them."""
        columns = self.columns[: len(self.positions)]
        missing = np.abs(columns.sum(axis=1) - 1)
        if not ((columns >= 0).all() and (missing <= _SUM).all()):  # a NaN fails
            wrong = self.active[: len(columns)] & ~((columns >= 0).all(axis=1) & (missing <= _SUM))
            if wrong.any():
                at, row = np.argwhere(wrong)[0]
                values = ", ".join(f"{value:.4g}" for value in columns[at, :, row])
                raise InputError(
                    f"the autoregressive model's probabilities for sequence {row} at position {self.positions[at]} are {values}: "
                    "no distribution."
                )
        self.positions.clear()


def _checked(tokens, confidence):
    """The tokens, and the confidences in float64."""
    codes, confidence = np.asarray(tokens), np.asarray(confidence, dtype=np.float64)
    if codes.ndim != 2 or codes.shape != confidence.shape:
        raise ValueError(f"tokens {codes.shape} and confidence {confidence.shape} must be of one shape (B, L)")
    _check_bases(codes, "the tokens")
    odd = ~((confidence >= 0) & (confidence <= 1))
    if odd.any():
        row, position = np.argwhere(odd)[0]
        raise InputError(
            f"the confidence of sequence {row} at position {position} is {confidence[row, position]}, not in [0, 1]."
        )
    return codes, confidence


def _check_bases(codes, name: str) -> None:
    if codes.dtype.kind not in "iu":
        raise ValueError(f"{name} must be whole numbers, not {codes.dtype}")
    odd = (codes < 0) | (codes > 3)
    if odd.any():
        row, position = np.argwhere(odd)[0]
        raise InputError(
            f"{name} of sequence {row} at position {position} is {codes[row, position]}; bases are 0 to 3 (A, C, G, T)."
        )


def _uniforms(uniforms, shape, seed: int, name: str):
    if uniforms is None:
        return stream(seed, name).random(shape)
    uniforms = np.asarray(uniforms, dtype=np.float64)
    if uniforms.shape != shape:
        raise ValueError(f"uniforms {uniforms.shape} and tokens {shape} must be of one shape (B, L)")
    if not ((uniforms >= 0) & (uniforms < 1)).all():
        raise ValueError("uniforms must lie in [0, 1)")
    return uniforms


def _chosen(edited, places, seed: int) -> Mask:
    """As many positions of each row as are edited, those of the smallest `places`."""
    edited = np.asarray(edited, dtype=bool)
    if edited.ndim != 2:
        raise ValueError(f"edited must be (B, L), not {edited.shape}")
    places = _uniforms(places, edited.shape, seed, "places")
    ranks = np.argsort(np.argsort(places, axis=1, kind="stable"), axis=1, kind="stable")
    return ranks < edited.sum(axis=1, keepdims=True)
