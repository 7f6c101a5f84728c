"""How far two models are apart on the same held-out rows, over one seed or several, and how sure.

The difference of a seed is the token-weighted mean over rows, paired by row; seeds count alike.
Two things make it uncertain, and their variances are added: the rows, where a row that several
seeds hold out counts as one (the mean is linearised and clustered by row), and the seeds. Where
each seed holds out other rows, the seeds' variance has the rows' in it already: the interval is on
the safe side. With one seed it knows the rows alone.
"""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit  # type: ignore[import-untyped]  # has no stubs

DECIMALS = 4
FEWEST_ROWS = 20
"""Held-out rows below which nothing is decided."""
NO_DIFFERENCE = "no measurable difference (0 inside)"
_SEEDS = (
    "mean over seeds of the token-weighted difference per hold-out row, paired by row and seed; 95%"
    " interval by Student's t from the variance over rows (clustered by row) and that over seeds"
)
_ONE_SEED = (
    "token-weighted difference per hold-out row, paired by row; 95% interval over rows alone: one"
    " seed can't tell what another would do, which is often more; compare with 3 seeds or more"
)


@dataclass(frozen=True, slots=True, eq=False)
class Held:
    """The hold-out under one model.

    Attributes:
        ids: of the rows.
        losses: float64[n], nats per token.
        tokens: int64[n], answer tokens.
    """

    ids: tuple[str, ...]
    losses: NDArray[np.float64]
    tokens: NDArray[np.int64]

    @property
    def loss(self) -> float | None:
        """The token-weighted mean, nats per token, 4 decimals; None where no row has a loss."""
        usable = np.isfinite(self.losses) & (self.tokens > 0)
        if not usable.any():
            return None
        mean = np.average(self.losses[usable], weights=self.tokens[usable])
        return round(float(mean), DECIMALS)


@dataclass(frozen=True, slots=True)
class Difference:
    """A difference of two models, pooled; below zero means that the first has the lower loss.

    Attributes:
        mean: nats per token.
        low: lower end of the 95 % interval.
        high: upper end.
        rows: held-out rows that it rests on, each counted once.
        each: the difference in each seed, in their order.
    """

    mean: float
    low: float
    high: float
    rows: int
    each: tuple[float, ...]

    @property
    def says(self) -> str:
        """What the interval says, and no more."""
        if not any((self.mean, self.low, self.high, *self.each)):
            return "the same"
        if self.rows < FEWEST_ROWS:
            return "too few rows to tell"
        if self.low <= 0 <= self.high:
            return NO_DIFFERENCE
        found = "better" if self.high < 0 else "worse"
        return found if len(self.each) > 1 else f"{found} in this one seed"

    def as_dict(self) -> dict[str, Any]:
        """Return JSON types."""
        return {**asdict(self), "each": list(self.each), "says": self.says}


def pooling(seeds: int) -> str:
    """Say how a difference and its interval are made."""
    return _SEEDS if seeds > 1 else _ONE_SEED


def difference(pairs: Sequence[tuple[Held, Held]]) -> Difference | None:
    """Return how two models differ over all seeds; None where a seed has no row of both.

    Args:
        pairs: of each seed, the hold-out under the first model and under the second.
    """
    means, influence = [], dict[str, float]()
    for first, second in pairs:
        ids, apart, tokens = _paired(first, second)
        if not ids:
            return None
        mean = float(np.average(apart, weights=tokens))
        shares = tokens * (apart - mean) / tokens.sum() / len(pairs)
        for name, share in zip(ids, shares.tolist(), strict=True):
            influence[name] = influence.get(name, 0.0) + share
        means.append(mean)
    if not means:
        return None
    rows, seeds = len(influence), len(means)
    of_rows = float(np.square(list(influence.values())).sum() * rows / max(rows - 1, 1))
    of_seeds = float(np.var(means, ddof=1) / seeds) if seeds > 1 else 0.0
    mean, half = float(np.mean(means)), half_width(of_rows, rows, of_seeds, seeds)
    low, high = (round(end, DECIMALS) for end in (mean - half, mean + half))
    each = tuple(round(one, DECIMALS) for one in means)
    return Difference(round(mean, DECIMALS), low, high, rows, each)


def half_width(of_rows: float, rows: int, of_seeds: float, seeds: int) -> float:
    """Return half the width of the 95 % interval of a mean over rows and seeds.

    Each part's standard error is taken times its own percentile of Student's t, and the two are
    added as squares (Howe 1974, JASA 69). One percentile for the sum, with Satterthwaite's degrees
    of freedom, is too narrow with two or three seeds: where these happen to agree, it takes the
    sum's freedom for that of the rows.

    Args:
        of_rows: variance of the mean over rows.
        rows: how many.
        of_seeds: variance of the mean over seeds; 0 with one.
        seeds: how many.
    """
    parts = ((of_rows, rows - 1), (of_seeds, seeds - 1))
    known = ((variance, freedom) for variance, freedom in parts if variance > 0 and freedom > 0)
    return math.sqrt(sum(stdtrit(freedom, 0.975) ** 2 * variance for variance, freedom in known))


def _paired(
    first: Held, second: Held
) -> tuple[list[str], NDArray[np.float64], NDArray[np.float64]]:
    """Return the rows of both, float64[n] first − second, and float64[n] their tokens."""
    other = dict(zip(second.ids, second.losses.tolist(), strict=True))
    rows = [
        (name, loss - other[name], tokens)
        for name, loss, tokens in zip(
            first.ids, first.losses.tolist(), first.tokens.tolist(), strict=True
        )
        if name in other and tokens > 0 and math.isfinite(loss) and math.isfinite(other[name])
    ]
    apart = np.array([one for _, one, _ in rows], dtype=np.float64)
    return [name for name, _, _ in rows], apart, np.array([float(n) for *_, n in rows])
