"""How well a score ranks damaged rows above clean ones: areas under the ROC curve with intervals.

The area is the share of (clean, damaged) pairs in which the damaged row scores higher, ties half.
Intervals are percentile bootstraps (Efron and Tibshirani 1993, chapter 13) that draw clean and
damaged rows apart, since they are different rows. All kinds of damage share the drawn clean rows,
so that a mean over kinds has an interval too.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

RESAMPLES = 1000


@dataclass(frozen=True, slots=True)
class Area:
    """An area under the ROC curve with its 95 % interval, 3 decimals."""

    auc: float
    low: float
    high: float

    def as_dict(self) -> dict[str, float]:
        """Return JSON types."""
        return {"auc": self.auc, "low": self.low, "high": self.high}

    def __str__(self) -> str:
        """Return it as a table shows it."""
        return f"{self.auc:.2f} ({self.low:.2f}-{self.high:.2f})"


def areas(
    clean: Floats, damaged: Mapping[str, Floats], fits: Mapping[str, NDArray[np.bool_]], seed: int
) -> tuple[dict[str, Area], dict[str, Floats]]:
    """Return the area of each kind, and its values over the resamples, for `mean_area`.

    Args:
        clean: float64[n], scores of clean rows, higher is worse; NaN is below all others: a row
            that can't be judged is never found.
        damaged: kind -> float64[m], at least one.
        fits: kind -> bool[n], the clean rows that a damaged row is held against.
        seed: of the resamples.
    """
    rng = np.random.default_rng([seed, 12])
    drawn = _counts(len(clean), rng)
    found: dict[str, Area] = {}
    resampled: dict[str, Floats] = {}
    for kind, scores in damaged.items():
        against = fits[kind]
        wins = _wins(clean[against], scores)
        of_clean, of_damaged = drawn[:, against], _counts(len(scores), rng)
        pairs = of_clean.sum(axis=1) * of_damaged.sum(axis=1)
        won = ((of_damaged @ wins) * of_clean).sum(axis=1)
        resampled[kind] = np.asarray(np.where(pairs > 0, won / np.maximum(pairs, 1), 0.5))
        found[kind] = _area(float(wins.mean()), resampled[kind])
    return found, resampled


def mean_area(
    kinds: Iterable[str], found: Mapping[str, Area], resampled: Mapping[str, Floats]
) -> Area | None:
    """Return the mean area over some kinds; None where none of them is there."""
    there = [kind for kind in kinds if kind in found]
    if not there:
        return None
    mean = float(np.mean([found[kind].auc for kind in there]))
    return _area(mean, np.mean([resampled[kind] for kind in there], axis=0))


def negative(value: float | None) -> float | None:
    """Return a score turned round, for a judge to whom less is worse."""
    return None if value is None else -value


def _area(value: float, resampled: Floats) -> Area:
    low, high = np.percentile(resampled, [2.5, 97.5])
    return Area(round(value, 3), round(float(low), 3), round(float(high), 3))


def _counts(rows: int, rng: np.random.Generator) -> Floats:
    return rng.multinomial(rows, np.full(rows, 1 / rows), size=RESAMPLES).astype(np.float64)


def _wins(clean: Floats, damaged: Floats) -> Floats:
    """Return float64[m, n]: 1 where the damaged row is ranked higher, 0.5 where equally high."""
    below, above = (np.where(np.isnan(v), -np.inf, v) for v in (clean, damaged))
    higher = (above[:, None] > below[None, :]).astype(np.float64)
    return np.asarray(higher + 0.5 * (above[:, None] == below[None, :]))
