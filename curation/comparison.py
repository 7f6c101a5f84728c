"""Arms of a loop against each other: the same rows, seeds and budget, and what differs.

Compared are losses on held-out rows, paired by row and by seed. Seeds count alike: the difference
of two arms is the mean over seeds of their token-weighted differences. Its interval is Student's,
from two variances that are added: that of the rows, where a row that several seeds hold out counts
as one (the mean is linearised and clustered by row), and that of the seeds. Where each seed holds
out other rows, the seeds' variance has the rows' in it already: the interval is on the safe side.
With one seed the interval knows rows alone, and what it says is said of that seed.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit  # type: ignore[import-untyped]  # has no stubs

from ..core.config import RunConfig
from ..core.errors import ConfigError

Arm = Literal["middo", "none", "random", "rewrite-all"]
ARMS: tuple[Arm, ...] = get_args(Arm)
BUDGETED: dict[Arm, str] = {"random": "random", "rewrite-all": "all"}
"""Arms that get the budget of `middo`, and what they select by."""

DECIMALS = 4
_POOLING = (
    "mean over seeds of the token-weighted difference per hold-out row, paired by row and seed; 95%"
    " interval by Student's t from the variance over rows (clustered by row) plus that over seeds"
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
    """A difference of two arms, pooled; below zero means that the first has the lower loss.

    Attributes:
        mean: nats per token.
        low: lower end of the 95 % interval.
        high: upper end.
        rows: pairs of rows, over all seeds.
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
        if self.low <= 0 <= self.high:
            return "no measurable difference"
        found = "better" if self.high < 0 else "worse"
        return found if len(self.each) > 1 else f"{found} in this one seed"

    def as_dict(self) -> dict[str, Any]:
        """Return JSON types."""
        return {**asdict(self), "each": list(self.each), "says": self.says}


def pooling(seeds: int) -> str:
    """Say how a difference and its interval are made."""
    return _POOLING if seeds > 1 else _ONE_SEED


def difference(pairs: Sequence[tuple[Held, Held]]) -> Difference | None:
    """Return how two arms differ over all seeds; None where a seed has no row of both.

    Args:
        pairs: of each seed, the hold-out under the first arm's model and under the second's.
    """
    means, influence, count = [], dict[str, float](), 0
    for first, second in pairs:
        ids, apart, tokens = _paired(first, second)
        if not ids:
            return None
        mean = float(np.average(apart, weights=tokens))
        shares = tokens * (apart - mean) / tokens.sum() / len(pairs)
        for name, share in zip(ids, shares.tolist(), strict=True):
            influence[name] = influence.get(name, 0.0) + share
        means.append(mean)
        count += len(ids)
    if not means:
        return None
    mean, half = float(np.mean(means)), _half(np.array(list(influence.values())), np.array(means))
    low, high = (round(end, DECIMALS) for end in (mean - half, mean + half))
    return Difference(
        round(mean, DECIMALS), low, high, count, tuple(round(one, DECIMALS) for one in means)
    )


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


def _half(influence: NDArray[np.float64], means: NDArray[np.float64]) -> float:
    """Return half the width of the interval; infinite degrees of freedom never occur.

    Args:
        influence: float64[n], what each row adds to the deviation of the mean.
        means: float64[s], of the seeds.
    """
    rows, seeds = len(influence), len(means)
    by_rows = float((influence**2).sum() * rows / max(rows - 1, 1))
    by_seeds = float(means.var(ddof=1) / seeds) if seeds > 1 else 0.0
    variance = by_rows + by_seeds
    if variance == 0:
        return 0.0
    parts = by_rows**2 / max(rows - 1, 1) + by_seeds**2 / max(seeds - 1, 1)
    return float(stdtrit(variance**2 / parts, 0.975)) * math.sqrt(variance)


@dataclass(frozen=True, slots=True)
class Spent:
    """What an arm did: refinements, samples refined in them, proposals accepted."""

    rounds: int
    refined: int
    accepted: int

    @property
    def per_round(self) -> int:
        """Samples per refinement, rounded up: the budget of the arms that get as much."""
        return math.ceil(self.refined / self.rounds) if self.rounds else 0


def spent(document: Mapping[str, Any]) -> Spent:
    """Return what a finished run did, from `run.json`; what was deferred is not refined."""
    done = [entry for entry in document["rounds"] if entry.get("accepted") is not None]
    fates = ("accepted", "rejected", "failed")
    refined = sum(entry[fate] for entry in done for fate in fates)
    return Spent(len(done), refined, sum(entry["accepted"] for entry in done))


def arm_config(config: RunConfig, arm: Arm, seed: int, budget: Spent | None) -> RunConfig:
    """Return the configuration of an arm.

    `middo` is the configuration as it is, `none` trains and evaluates alone; the others refine as
    often as `middo` did with this seed, and as many samples.

    Args:
        config: of the comparison.
        arm: which.
        seed: of the run.
        budget: what `middo` spent; needed for the arms in `BUDGETED`.

    Raises:
        ConfigError: such an arm, and no budget.
    """
    plain = config.model_dump(mode="json")
    signals = {**plain["signals"], "selection": BUDGETED.get(arm, "signals")}
    changes: dict[str, Any] = {"seed": seed, "signals": signals}
    if arm == "none":
        changes["rounds"] = 0
    elif arm in BUDGETED:
        if budget is None:
            raise ConfigError(f"--arms: {arm} gets the budget of middo; add middo to the arms")
        changes["rounds"] = budget.rounds
        changes["refinement"] = {**plain["refinement"], "max_samples": budget.per_round}
    return RunConfig.model_validate({**plain, **changes})
