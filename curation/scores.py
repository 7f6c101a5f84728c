"""A task's score: the mean of its rows with a 95 % interval.

Where every row is right or wrong the mean is a share, and the interval is Wilson's (1927), which
holds near 0 and 1 too, where small models are. Other scores have a percentile bootstrap over rows.
Two shares of the same rows differ by Agresti and Min's interval (2005): a bootstrap of rows that
all came out the same would have no width, as if there were no doubt.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .gate import holdout_loss

Z = 1.959964
"""Of a two-sided 95 % interval."""
DECIMALS = 4


@dataclass(frozen=True, slots=True)
class Score:
    """A mean over rows, 4 decimals.

    Attributes:
        mean: of the rows.
        low: lower end of the interval; None where one row is all there is.
        high: upper end.
        rows: rows that it rests on.
        is_share: whether every row counts 0 or 1.
    """

    mean: float
    low: float | None
    high: float | None
    rows: int
    is_share: bool


def score_of(values: Sequence[float], *, seed: int) -> Score:
    """Return the mean of rows' scores with its interval.

    Args:
        values: of the rows, finite; at least one.
        seed: of the bootstrap.
    """
    rows = len(values)
    if all(value in (0, 1) for value in values):
        right = sum(map(int, values))
        low, high = wilson(right, rows)
        return Score(round(right / rows, DECIMALS), low, high, rows, True)
    if rows == 1:
        return Score(round(values[0], DECIMALS), None, None, 1, False)
    found = holdout_loss(np.array(values), np.ones(rows, dtype=np.int64), seed=seed)
    return Score(found.mean, found.low, found.high, rows, False)


def wilson(right: int, rows: int) -> tuple[float, float]:
    """Return Wilson's 95 % interval of a share, 4 decimals."""
    share = right / rows
    middle = share + Z**2 / (2 * rows)
    half = Z * math.sqrt(share * (1 - share) / rows + Z**2 / (4 * rows**2))
    whole = 1 + Z**2 / rows
    low, high = max(0.0, (middle - half) / whole), min(1.0, (middle + half) / whole)
    return round(low, DECIMALS), round(high, DECIMALS)


def share_difference(before: Sequence[float], after: Sequence[float]) -> tuple[float, float]:
    """Return the 95 % interval of the difference of two shares of the same rows, 4 decimals.

    Half a row is added to each of the four ways in which a pair can come out (Agresti and Min 2005,
    Statistics in Medicine 24).

    Args:
        before: 0 or 1 per row.
        after: the same, of the same rows.
    """
    pairs = list(zip(before, after, strict=True))
    gained = sum(one < other for one, other in pairs) + 0.5
    lost = sum(one > other for one, other in pairs) + 0.5
    rows = len(pairs) + 2
    middle = (gained - lost) / rows
    half = Z * math.sqrt(gained + lost - (gained - lost) ** 2 / rows) / rows
    return (
        round(max(-1.0, middle - half), DECIMALS),
        round(min(1.0, middle + half), DECIMALS),
    )
