"""From what a model said of one conversation to its signals."""

from collections.abc import Sequence

import numpy as np

from ..core.measures import RATINGS, Measured
from .exchange import Exchange, Part
from .reading import Floats, Reading

LOSS_DIGITS = 4
EMBEDDING_DIGITS = 6
OPENING = 8
"""Answer tokens that count as its opening."""
ANSWER_RATINGS = 3
"""The last of `RATINGS` are those of the answer."""


def summarise(exchange: Exchange, reading: Reading, values: Sequence[int]) -> Measured:
    """Turn token losses and rating probabilities into the signals of one conversation.

    Losses and ratings are rounded to 4 decimals, embeddings to 6, so that the last bits of a
    batch's arithmetic decide nothing.

    Args:
        exchange: what was computed.
        reading: what the model said.
        values: the rating that each rating token stands for.
    """
    if not reading.is_finite:
        return Measured(unscored="not_finite")
    answer = reading.losses["answer"]
    ratings, mass = _ratings(reading.ratings, np.asarray(values, dtype=np.float64))
    first, last = exchange.prompt_span
    return Measured(
        answer_tokens=exchange.answer_tokens,
        prompt_tokens=last - first,
        loss=_rounded(answer.mean()),
        end=_mean(reading, "end"),
        peak=_peak(answer, reading.entropies),
        alone=_mean(reading, "alone"),
        opening=_opening(answer, reading.losses.get("alone")),
        copied=_rounded(exchange.copied),
        looped=_rounded(exchange.looped),
        prompt=_mean(reading, "prompt", empty=0.0),
        reverse=_mean(reading, "reverse", empty=0.0),
        ratings=ratings,
        rating_mass=mass,
        embedding=_embedding(reading.embedding),
    )


def _rounded(value: float) -> float:
    return round(float(value), LOSS_DIGITS)


def _mean(reading: Reading, part: Part, empty: float | None = None) -> float | None:
    """Return a part's mean loss; None where it was not asked for, `empty` where no token counts.

    A prompt that the answer repeats word for word leaves no token: both means are then 0, so that
    recoverability is 0 and the echo gains nothing.
    """
    losses = reading.losses.get(part)
    if losses is None:
        return None
    return _rounded(losses.mean()) if len(losses) else empty


def _peak(losses: Floats, entropies: Floats | None) -> float | None:
    """Return how far the least fitting token lies beyond the model's own doubt."""
    return None if entropies is None else _rounded((losses - entropies).max())


def _opening(losses: Floats, alone: Floats | None) -> float | None:
    """Return what the prompt tells about the answer's first tokens."""
    if alone is None or not len(alone):
        return None
    return _rounded(alone[:OPENING].mean() - losses[:OPENING].mean())


def _ratings(
    logs: Floats | None, values: Floats
) -> tuple[tuple[float | None, ...] | None, float | None]:
    """Return the expected ratings, and the probability that the next token is a rating at all."""
    if logs is None:
        return None, None
    # Relative to the largest, as the probabilities themselves can be too small for a float.
    weights = np.exp(logs - logs.max(axis=1, keepdims=True))
    expected = weights @ values / weights.sum(axis=1)
    not_asked = [None] * (len(RATINGS) - len(expected))
    mass = np.exp(logs[-ANSWER_RATINGS:]).sum(axis=1).mean()
    return (*not_asked, *(_rounded(rating) for rating in expected)), _rounded(mass)


def _embedding(vector: Floats | None) -> tuple[float, ...] | None:
    if vector is None:
        return None
    return tuple(round(float(value), EMBEDDING_DIGITS) for value in vector)
