"""One rule for all axes: how far out of the usual a row must lie to be flagged.

A standardised score z says how many spreads a row lies on the bad side; it is flagged where
z > k. For complexity z is `ComplexityModel.score`; for density and quality it is
(mean − value) / std, so that z > k is value < mean − k · std. k is chosen once, at the first
diagnosis, so that the wanted share of the rows is flagged. What is kept is the absolute value, so
that the number of flags can fall to zero in later rounds.
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

LOW, HIGH = 0.5, 4.0
STEP = 0.01
CURVE_STEP = 0.1
DECIMALS = 4
SOUND = 0.5
"""Quality from which a row is never flagged: it is more likely sound than broken."""


@dataclass(frozen=True, slots=True)
class Choice:
    """The factor k that was chosen, and what every other k would have flagged.

    Attributes:
        k: 2 decimals.
        share: share of the rows with a finite score that k flagged when it was set.
        curve: (k, share) from the lowest to the highest k in steps of 0.1, at the fit.
        fixed: True where the configuration gave k.
    """

    k: float
    share: float
    curve: tuple[tuple[float, float], ...]
    fixed: bool = False

    def as_dict(self) -> dict[str, Any]:
        """Return the choice as JSON types; `choice_from` is the inverse."""
        return {
            "k": self.k,
            "share": self.share,
            "curve": [list(point) for point in self.curve],
            "fixed": self.fixed,
        }

    def moved(self, k: float, share: float) -> "Choice":
        """Return the choice of another k; `share` is what that k flags now, 4 decimals."""
        return replace(self, k=k, share=share)


def choice_from(plain: dict[str, Any]) -> Choice:
    """Rebuild a choice from `Choice.as_dict`."""
    curve = tuple((float(k), float(share)) for k, share in plain["curve"])
    return Choice(plain["k"], plain["share"], curve, plain["fixed"])


def choose_k(
    z: Floats, share: float, low: float = LOW, high: float = HIGH, *, fixed: float | None = None
) -> Choice:
    """Choose the k of two decimals in [low, high] whose flagged share is nearest to `share`.

    Of several as near, the largest k is taken: rather too few flags than too many.

    Args:
        z: float64[n], standardised scores; rows that are not finite are never counted.
        share: wanted share of the finite rows.
        low: smallest k.
        high: largest k.
        fixed: a configured k, taken as it is.
    """
    finite = np.sort(np.round(z[np.isfinite(z)], DECIMALS))

    def flagged(k: Floats) -> Floats:
        above = finite.size - np.searchsorted(finite, np.round(k, DECIMALS), side="right")
        return above / max(finite.size, 1)

    steps = np.round(np.arange(low, high + CURVE_STEP / 2, CURVE_STEP), 2)
    curve = tuple(
        (float(k), round(float(part), DECIMALS))
        for k, part in zip(steps, flagged(steps), strict=True)
    )
    if fixed is None:
        grid = np.round(np.arange(low, high + STEP / 2, STEP), 2)
        distance = np.round(np.abs(flagged(grid) - share), 9)
        chosen = float(grid[np.flatnonzero(distance == distance.min())[-1]])
    else:
        chosen = fixed
    part = float(flagged(np.array([chosen]))[0])
    return Choice(chosen, round(part, DECIMALS), curve, fixed is not None)


@dataclass(frozen=True, slots=True)
class Threshold:
    """A lower bound for density or quality, fitted once and kept.

    Attributes:
        mean: of the finite values.
        std: standard deviation of the finite values.
        k: factor of the standard deviation.
        value: mean − k · std, not above the cap; 4 decimals.
        choice: how k was chosen.
    """

    mean: float
    std: float
    k: float
    value: float
    choice: Choice

    def flags(self, values: Floats) -> NDArray[np.bool_]:
        """Return bool[n]: rows below the threshold. Values that are not finite are not flagged."""
        return np.isfinite(values) & (np.round(values, DECIMALS) < self.value)

    def at(self, k: float, cap: float | None = None) -> float:
        """Return the bound that another k gives with the same mean and std, 4 decimals."""
        return _bound(self.mean, self.std, k, cap)

    def moved(self, k: float, values: Floats, cap: float | None = None) -> "Threshold":
        """Return the threshold with another k; mean and std stay as they were fitted.

        Args:
            k: factor of the standard deviation.
            values: float64[n], of today; the choice notes the share of them that k flags.
            cap: as at the fit.
        """
        moved = replace(self, k=k, value=self.at(k, cap))
        return replace(moved, choice=self.choice.moved(k, moved.share(values)))

    def share(self, values: Floats) -> float:
        """Return the share of the finite values that lie below, 4 decimals; 0 where none is."""
        finite = np.isfinite(values)
        return round(float(self.flags(values).sum() / max(finite.sum(), 1)), DECIMALS)

    def as_dict(self) -> dict[str, Any]:
        """Return the threshold as JSON types; `threshold_from` is the inverse."""
        return {
            "mean": self.mean,
            "std": self.std,
            "k": self.k,
            "value": self.value,
            "choice": self.choice.as_dict(),
        }


def threshold_from(plain: dict[str, Any]) -> Threshold:
    """Rebuild a threshold from `Threshold.as_dict`."""
    return Threshold(**{**plain, "choice": choice_from(plain["choice"])})


def fit_threshold(
    values: Floats, share: float, *, fixed: float | None = None, cap: float | None = None
) -> Threshold:
    """Fit mean − k · std so that about `share` of the rows lies below.

    Args:
        values: float64[n]; rows that are not finite are left out.
        share: wanted share of the finite rows.
        fixed: a configured k.
        cap: largest threshold; quality uses `SOUND`.

    Raises:
        ValueError: no value is finite.
    """
    finite = np.round(values[np.isfinite(values)], DECIMALS)
    if not finite.size:
        raise ValueError("fit_threshold: no finite value to fit a threshold to")
    mean, std = float(finite.mean()), float(finite.std())
    # Equal values differ from their mean by rounding alone; nothing stands out among them.
    std = 0.0 if np.ptp(finite) == 0 else std
    z = (mean - finite) / std if std else np.zeros(finite.size)
    choice = choose_k(z, share, fixed=fixed)
    value = _bound(mean, std, choice.k, cap)
    return Threshold(round(mean, 6), round(std, 6), choice.k, value, choice)


def _bound(mean: float, std: float, k: float, cap: float | None) -> float:
    value = round(mean - k * std, DECIMALS)
    return value if cap is None else min(value, cap)
