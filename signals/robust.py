"""Robust centre and spread of a signal, within bins of text length.

Short answers scatter more than long ones, so one centre and spread for all of them would flag
short answers for being short. Median and median absolute deviation (MAD) are used, since the rows
that are looked for are the outliers; 1.4826 · MAD estimates the standard deviation of a normal
distribution (Rousseeuw and Croux 1993).
"""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

MAD_SCALE = 1.4826
SMALLEST_BIN = 20
MOST_BINS = 8
FLOOR_SHARE = 0.1
FLOOR = 0.01
"""Nats per token: a bin's spread is at least this, and at least `FLOOR_SHARE` of the spread of
all residuals, so that in a bin of (nearly) equal values a difference of nothing is no outlier."""


def centre_and_spread(values: Floats) -> tuple[float, float]:
    """Return median and 1.4826 · MAD of `values` (float64[n]); NaN and infinities are left out.

    Raises:
        ValueError: no finite value is left.
    """
    finite = values[np.isfinite(values)]
    if not finite.size:
        raise ValueError("centre_and_spread: no finite value among the given ones")
    centre = float(np.median(finite))
    return centre, float(MAD_SCALE * np.median(np.abs(finite - centre)))


def length_edges(
    tokens: Integers, *, smallest: int = SMALLEST_BIN, most: int = MOST_BINS
) -> tuple[int, ...]:
    """Return the lengths at which the second and later bins begin.

    Bins are cut at quantiles of `tokens` (int64[n]); a cut that would leave a bin of fewer than
    `smallest` rows, because of equal lengths or few rows, is left out. Few rows: one bin, `()`.
    """
    ordered = np.sort(tokens)
    count = max(1, min(most, ordered.size // smallest))
    edges: list[int] = []
    start = 0
    for cut in sorted({int(ordered[ordered.size * i // count]) for i in range(1, count)}):
        at = int(np.searchsorted(ordered, cut))
        if at - start >= smallest and ordered.size - at >= smallest:
            edges.append(cut)
            start = at
    return tuple(edges)


@dataclass(frozen=True, slots=True)
class LengthBaseline:
    """What is usual for a signal at a length: one centre and spread per bin.

    Attributes:
        edges: tokens at which the second and later bins begin.
        centres: median per bin.
        spreads: 1.4826 · MAD per bin, not below the floor.
    """

    edges: tuple[int, ...]
    centres: tuple[float, ...]
    spreads: tuple[float, ...]

    def standardise(self, values: Floats, tokens: Integers) -> Floats:
        """Return (value − centre) / spread per row, float64[n]; NaN stays NaN."""
        bins = np.searchsorted(self.edges, tokens, side="right")
        centres, spreads = np.asarray(self.centres)[bins], np.asarray(self.spreads)[bins]
        return np.asarray((values - centres) / spreads, dtype=np.float64)

    def bound(self, tokens: int, k: float) -> float:
        """Return centre + k · spread for a text of `tokens` tokens."""
        index = int(np.searchsorted(self.edges, tokens, side="right"))
        return self.centres[index] + k * self.spreads[index]

    def as_dict(self) -> dict[str, Any]:
        """Return the baseline as JSON types; `baseline_from` is the inverse."""
        return {key: list(value) for key, value in asdict(self).items()}


def baseline_from(plain: dict[str, Any]) -> LengthBaseline:
    """Rebuild a baseline from `LengthBaseline.as_dict`."""
    return LengthBaseline(**{key: tuple(plain[key]) for key in ("edges", "centres", "spreads")})


def fit_baseline(values: Floats, tokens: Integers, edges: tuple[int, ...]) -> LengthBaseline:
    """Measure centre and spread per bin of length.

    Args:
        values: float64[n], all finite, at least one in every bin.
        tokens: int64[n], tokens of each text.
        edges: from `length_edges`.

    Raises:
        ValueError: a bin holds no finite value.
    """
    bins = np.searchsorted(edges, tokens, side="right")
    measured = [centre_and_spread(values[bins == index]) for index in range(len(edges) + 1)]
    centres = np.array([centre for centre, _ in measured])
    _, overall = centre_and_spread(values - centres[bins])
    floor = max(FLOOR, FLOOR_SHARE * overall)
    return LengthBaseline(
        edges=edges,
        centres=tuple(round(float(centre), 6) for centre in centres),
        spreads=tuple(round(max(spread, floor), 6) for _, spread in measured),
    )
