"""The paired difference of two measurements of the same rows, with a bootstrap interval.

Rows differ far more from each other than two models do on one row, so that only pairs tell a small
change from chance (percentile bootstrap, Efron and Tibshirani 1993).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

RESAMPLES = 2000
DECIMALS = 4


@dataclass(frozen=True, slots=True)
class Difference:
    """A weighted mean of differences with its 95 % interval, 4 decimals.

    Attributes:
        mean: of all pairs.
        low: lower end.
        high: upper end.
        rows: pairs that it rests on.
        seeds: trainings of either side that it rests on.
    """

    mean: float
    low: float
    high: float
    rows: int
    seeds: int = 1


def paired_difference(
    before: Floats, after: Floats, weights: Integers, *, seed: int
) -> Difference | None:
    """Return the weighted mean of `after` − `before`; None where no row has both.

    Args:
        before: float64[n].
        after: float64[n], of the same rows.
        weights: int64[n], such as answer tokens; rows without weight are left out.
        seed: of the bootstrap.
    """
    usable = np.isfinite(before) & np.isfinite(after) & (weights > 0)
    rows = int(usable.sum())
    if not rows:
        return None
    shares = weights[usable].astype(np.float64)
    sums = (after[usable] - before[usable]) * shares
    drawn = np.random.default_rng([seed, 6]).integers(rows, size=(RESAMPLES, rows))
    means = sums[drawn].sum(axis=1) / shares[drawn].sum(axis=1)
    low, high = np.percentile(means, [2.5, 97.5]).tolist()
    mean = float(sums.sum() / shares.sum())
    return Difference(round(mean, DECIMALS), round(low, DECIMALS), round(high, DECIMALS), rows)
