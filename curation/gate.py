"""The gate: is a round's model better on rows that nobody trained on?

Compared is the token-weighted answer loss, paired by row, with a percentile bootstrap over rows
(Efron and Tibshirani 1993): rows differ far more from each other than two rounds do on one row, so
only pairs tell small changes from chance. Rows can't tell that another seed of the training would
have moved them all alike; with trainings of several seeds, paired by seed, the interval knows that
too.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from .pooling import DECIMALS, FEWEST_ROWS, half_width

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

Gate = Literal["baseline", "better", "tie", "undecided", "rolled_back"]
DECIDED: tuple[Gate, ...] = ("better", "rolled_back")

RESAMPLES = 2000


@dataclass(frozen=True, slots=True)
class Interval:
    """A token-weighted mean with its 95 % interval, nats per token, 4 decimals.

    Attributes:
        mean: of all rows.
        low: lower end.
        high: upper end.
        rows: rows with finite losses that it rests on.
        seeds: trainings that it rests on; with one it tells of the rows alone.
    """

    mean: float
    low: float
    high: float
    rows: int
    seeds: int = 1

    @property
    def differs(self) -> bool:
        """Whether zero lies outside: for a comparison, whether there is a measurable difference."""
        return self.low > 0 or self.high < 0

    def as_dict(self) -> dict[str, Any]:
        """Return the interval as JSON types; `Interval(**plain)` is the inverse."""
        return asdict(self)


def holdout_loss(losses: Floats, tokens: Integers, *, seed: int) -> Interval:
    """Return the token-weighted mean loss of the hold-out with its interval.

    Args:
        losses: float64[n], nats per token; rows that are not finite are left out and not counted.
        tokens: int64[n], answer tokens.
        seed: of the run.

    Raises:
        ValueError: no row has a finite loss.
    """
    return _bootstrap(losses, tokens, seed)


def compare(current: Floats, other: Floats, tokens: Integers, *, seed: int) -> Interval:
    """Return the paired difference `current` − `other`; below zero means `current` is better.

    Args:
        current: float64[n] or float64[s, n], nats per token, under the model of each seed.
        other: of the same shape, the same rows and seeds under another round's models.
        tokens: int64[n], answer tokens, the same under both.
        seed: of the run.

    Raises:
        ValueError: no row has both losses.
    """
    both = np.isfinite(current) & np.isfinite(other)
    difference = np.full(current.shape, np.nan)
    np.subtract(current, other, out=difference, where=both)
    if difference.ndim == 1 or len(difference) == 1:
        return _bootstrap(difference.reshape(-1), tokens, seed)
    return _over_seeds(difference, tokens, seed)


@dataclass(frozen=True, slots=True)
class Judgement:
    """What the gate says of a round.

    Attributes:
        gate: its word for the round.
        against_first: paired difference to round 0.
        against_best: paired difference to the best round so far.
    """

    gate: Gate
    against_first: Interval
    against_best: Interval

    def as_dict(self) -> dict[str, Any]:
        """Return the judgement as JSON types."""
        return asdict(self)


def judge(
    current: Floats, first: Floats, best: Floats, tokens: Integers, *, margin: float, seed: int
) -> Judgement:
    """Judge a round against round 0 and the best round so far, which may be round 0.

    `better`: both differences lie below zero with their whole interval. `rolled_back`: one of them
    lies above `margin` with its whole interval. Else `tie`; with fewer than 20 rows `undecided`.

    Args:
        current: float64[n] or float64[s, n], hold-out losses of this round under the model of each
            seed, nats per token.
        first: of the same shape, those of round 0.
        best: of the same shape, those of the best round so far.
        tokens: int64[n], answer tokens.
        margin: nats per token that a round may lose.
        seed: of the run.

    Raises:
        ValueError: no row has all losses.
    """
    differences = (
        compare(current, first, tokens, seed=seed),
        compare(current, best, tokens, seed=seed),
    )
    if min(difference.rows for difference in differences) < FEWEST_ROWS:
        return Judgement("undecided", *differences)
    if any(difference.low > margin for difference in differences):
        return Judgement("rolled_back", *differences)
    if all(difference.high < 0 for difference in differences):
        return Judgement("better", *differences)
    return Judgement("tie", *differences)


def best_round(rounds: Sequence[tuple[int, float, Gate]]) -> int:
    """Return the round with the lowest hold-out loss among those not rolled back.

    Equal losses, after rounding to 4 decimals: the earliest.

    Args:
        rounds: (round, hold-out loss in nats per token, gate), round 0 among them.

    Raises:
        ValueError: every round was rolled back, or there is none.
    """
    standing = [
        (round(loss, DECIMALS), number) for number, loss, gate in rounds if gate != "rolled_back"
    ]
    if not standing:
        raise ValueError(f"best_round: none of {len(rounds)} rounds stands; round 0 always does")
    return min(standing)[1]


def _bootstrap(values: Floats, tokens: Integers, seed: int) -> Interval:
    mean, means, rows = _resampled(values, tokens, seed)
    low, high = np.percentile(means, [2.5, 97.5])
    return _interval(mean, float(low), float(high), rows, 1)


def _over_seeds(values: Floats, tokens: Integers, seed: int) -> Interval:
    """Return the interval of a mean over rows and seeds, from the variance of either.

    The rows' part is the bootstrap's variance of the rows' means over seeds, the seeds' part the
    variance of the seeds' means over rows, divided by their number.
    """
    usable = np.isfinite(values).all(axis=0) & (tokens > 0)
    mean, means, rows = _resampled(np.where(usable, values.mean(axis=0), np.nan), tokens, seed)
    of_seeds = np.average(values[:, usable], axis=1, weights=tokens[usable])
    seeds = len(of_seeds)
    half = half_width(float(means.var(ddof=1)), rows, float(of_seeds.var(ddof=1) / seeds), seeds)
    return _interval(mean, mean - half, mean + half, rows, seeds)


def _resampled(values: Floats, tokens: Integers, seed: int) -> tuple[float, Floats, int]:
    """Return the token-weighted mean, float64[2000] of it over drawn rows, and the rows used."""
    usable = np.isfinite(values) & (tokens > 0)
    rows = int(usable.sum())
    if not rows:
        raise ValueError("gate: no hold-out row has a finite loss")
    weights = tokens[usable].astype(np.float64)
    sums = values[usable] * weights
    rng = np.random.default_rng([seed, 6])
    drawn = rng.integers(rows, size=(RESAMPLES, rows))
    means = sums[drawn].sum(axis=1) / weights[drawn].sum(axis=1)
    return float(sums.sum() / weights.sum()), means, rows


def _interval(mean: float, low: float, high: float, rows: int, seeds: int) -> Interval:
    return Interval(round(mean, DECIMALS), round(low, DECIMALS), round(high, DECIMALS), rows, seeds)
