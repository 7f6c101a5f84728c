"""What the quality calibration reads of a measurement, and how length is taken out of it.

Every signal drifts with the answer's length (a mean over few tokens is larger and scatters more).
Control answers differ in length from real ones on purpose (a cut answer is a third as long), so a
classifier that were handed the length would learn "short is broken". Log length is therefore a
covariate of the *sound* rows only: each signal is replaced by its distance from what real answers
of that length have. A real answer that is merely short then looks like any other real answer.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..core.measures import RATINGS, Measured

Floats = NDArray[np.float64]

LIKELIHOODS = ("loss", "end", "peak", "copied", "looped", "gain", "opening")
RATING_SIGNALS = (*RATINGS[3:], "rating_mass")
"""Those of the answer: controls change no prompt, so its ratings can't tell."""
SHRINKAGE = 1.0
"""Ridge on the slopes over log length, in squared log units."""


def features(measured: Measured, signals: Sequence[str]) -> Floats | None:
    """Return the named signals of a measurement, float64[f].

    None where the row is unscored, or one of the signals is missing or not finite.
    """
    if measured.unscored is not None or measured.answer_tokens < 1:
        return None
    values = [read(measured, name) for name in signals]
    if any(value is None for value in values):
        return None
    found = np.array(values, dtype=np.float64)
    return found if np.isfinite(found).all() else None


def read(measured: Measured, signal: str) -> float | None:
    """Return one signal of a measurement by its name; None where it was not measured."""
    if signal in RATINGS:
        return None if measured.ratings is None else measured.ratings[RATINGS.index(signal)]
    value: float | None = getattr(measured, signal)
    return value


def log_length(measured: Measured) -> float:
    """Return the natural logarithm of the answer's content tokens."""
    return float(np.log(max(measured.answer_tokens, 1)))


@dataclass(frozen=True, slots=True)
class LengthScale:
    """What each signal is for a real answer of a given length, and the unit to measure it in.

    Attributes:
        intercepts: per signal, at log length 0.
        slopes: per signal, by log length.
        scales: per signal, standard deviation of the distances, real and control rows pooled.
        low: log length of the shortest real answer; shorter ones are treated as this long.
        high: log length of the longest real answer.
    """

    intercepts: tuple[float, ...]
    slopes: tuple[float, ...]
    scales: tuple[float, ...]
    low: float
    high: float

    def apply(self, values: Floats, lengths: Floats) -> Floats:
        """Return the scaled distances, float64[n, f], of values[n, f] at log lengths[n]."""
        return np.asarray(_distances(values, lengths, self) / np.asarray(self.scales))

    def as_dict(self) -> dict[str, Any]:
        """Return the scale as JSON types; `scale_from` is the inverse."""
        plain = asdict(self)
        return {key: list(v) if isinstance(v, tuple) else v for key, v in plain.items()}


def scale_from(plain: dict[str, Any]) -> LengthScale:
    """Rebuild a scale from `LengthScale.as_dict`."""
    tuples = {key: tuple(plain[key]) for key in ("intercepts", "slopes", "scales")}
    return LengthScale(**{**plain, **tuples})


def fit_scale(
    real: Floats, lengths: Floats, controls: Sequence[tuple[Floats, Floats]]
) -> LengthScale:
    """Fit the length trend of each signal on real rows, and its unit on all rows.

    Args:
        real: float64[n, f].
        lengths: float64[n], log lengths of the real answers.
        controls: (values float64[m, f], log lengths float64[m]) per kind of control.
    """
    centred = lengths - lengths.mean()
    slopes = centred @ (real - real.mean(axis=0)) / (centred @ centred + SHRINKAGE)
    intercepts = real.mean(axis=0) - slopes * lengths.mean()
    low, high = float(lengths.min()), float(lengths.max())
    trend = LengthScale(tuple(intercepts.tolist()), tuple(slopes.tolist()), (), low, high)
    parts = [_distances(v, t, trend) for v, t in ((real, lengths), *controls)]
    scales = np.concatenate(parts).std(axis=0)
    scales = np.where(scales > 1e-9, scales, 1.0)
    return LengthScale(trend.intercepts, trend.slopes, tuple(scales.tolist()), low, high)


def _distances(values: Floats, lengths: Floats, trend: LengthScale) -> Floats:
    inside = np.clip(lengths, trend.low, trend.high)[:, None]
    return np.asarray(values - (np.asarray(trend.intercepts) + np.asarray(trend.slopes) * inside))
