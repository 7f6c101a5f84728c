"""A histogram whose bins meet at a threshold: no bin lies on both of its sides.

The bins are equally wide and cover nearly all values; the few that lie far out are counted in the
outermost bins, which then have an open end.
"""

import math
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass

MOST_BINS = 15
OUTSIDE = 0.02
"""Share of the values at either end that get no bins of their own where they lie far out."""
FAR = 2.0
"""How much they may stretch the range before they count as far out."""
BAR_CELLS = 36
_FINEST_STEP = 1e-4
_STEPS = (1.0, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 6.0, 8.0)
_DECIMALS = 4


@dataclass(frozen=True, slots=True)
class Bin:
    """A range of values.

    Attributes:
        low: lower edge; -inf where the range has no lower end.
        high: upper edge; inf where the range has no upper end.
        count: values in it. A value on an edge is counted on the side away from the flags, so one
            that equals the threshold is never counted as flagged.
        beyond: whether the range lies on the flagged side of the threshold.
    """

    low: float
    high: float
    count: int
    beyond: bool


def histogram(
    values: Sequence[float],
    threshold: float,
    *,
    flags_high: bool,
    bounds: tuple[float, float] = (-math.inf, math.inf),
) -> list[Bin]:
    """Return at most 15 bins, lowest first: none without values, one where all are equal.

    Args:
        values: finite.
        threshold: an edge of the bins; values above it are flagged, or values below it.
        flags_high: which of the two.
        bounds: the lowest and the highest value that are possible.
    """
    ordered = sorted(values)
    if not ordered:
        return []
    least, most = ordered[0], ordered[-1]
    if least == most:
        beyond = least > threshold if flags_high else least < threshold
        return [Bin(least, most, len(ordered), beyond)]
    first, last, step = _grid(ordered, threshold, flags_high)
    edges = [round(threshold + number * step, 6) for number in range(first, last + 1)]
    # The outermost bins take what lies beyond the edges.
    find = bisect_right if flags_high else bisect_left
    cuts = [0, *(find(ordered, edge) for edge in edges[1:-1]), len(ordered)]
    lows = [max(edge, bounds[0]) for edge in edges]
    highs = [min(edge, bounds[1]) for edge in edges]
    lows[0] = -math.inf if least < edges[0] else lows[0]
    highs[-1] = math.inf if most > edges[-1] else highs[-1]
    return [
        Bin(
            lows[place],
            highs[place + 1],
            cuts[place + 1] - cuts[place],
            first + place >= 0 if flags_high else first + place < 0,
        )
        for place in range(len(edges) - 1)
    ]


def _grid(ordered: Sequence[float], threshold: float, flags_high: bool) -> tuple[int, int, float]:
    """Return first and last edge, counted in steps from the threshold, and the step."""
    low, high = _core(ordered)
    is_split = ordered[0] <= threshold <= ordered[-1]
    if is_split:
        low, high = min(low, threshold), max(high, threshold)
    exponent = math.floor(math.log10((high - low) / MOST_BINS))
    while True:
        for factor in _STEPS:
            step = max(factor * 10.0**exponent, _FINEST_STEP)
            start, end = (round((edge - threshold) / step, 6) for edge in (low, high))
            first = math.ceil(start) - 1 if flags_high else math.floor(start)
            last = math.ceil(end) if flags_high else math.floor(end) + 1
            if is_split:
                first, last = min(first, -1), max(last, 1)
            if last - first <= MOST_BINS:
                return first, last, step
        exponent += 1


def _core(ordered: Sequence[float]) -> tuple[float, float]:
    """Return the range of the values, without `OUTSIDE` of them at either end if those are far."""
    outside = math.ceil(len(ordered) * OUTSIDE)
    inner = ordered[outside : len(ordered) - outside] or ordered
    span = inner[-1] - inner[0]
    if span and ordered[-1] - ordered[0] > FAR * span:
        return inner[0], inner[-1]
    return ordered[0], ordered[-1]


def drawn(bins: Sequence[Bin], threshold: float, *, flags_high: bool) -> list[str]:
    """Return a line per bin, with the threshold as a line between those that it separates."""
    if not bins:
        return []
    edges = [edge for one in bins for edge in (one.low, one.high) if math.isfinite(edge)]
    places = _decimals([threshold, *edges])
    width = max(len(f"{edge:.{places}f}") for edge in edges)
    ranges = [_range(one, width, places) for one in bins]
    left = max(map(len, ranges))
    most = max(one.count for one in bins)
    counts = max(len(f"{one.count:,}") for one in bins)
    lines = []
    for one, text in zip(bins, ranges, strict=True):
        cells = max(round(BAR_CELLS * one.count / most), 1) if one.count else 0
        bar = ("█" if one.beyond else "░") * cells
        lines.append(f"{text:>{left}}  {one.count:>{counts},}  {bar}".rstrip())
    where = sum(one.beyond != flags_high for one in bins)
    side = "higher" if flags_high else "lower"
    line = f"{'─' * left}  threshold {threshold:.{places}f}; {side} scores lie beyond it (█)"
    lines.insert(where, line)
    return lines


def _range(one: Bin, width: int, places: int) -> str:
    low, high = (f"{edge:>{width}.{places}f}" for edge in (one.low, one.high))
    if one.low == one.high:
        return low
    if math.isinf(one.low):
        return f"below {high}"
    if math.isinf(one.high):
        return f"above {low}"
    return f"{low} to {high}"


def _decimals(values: Sequence[float]) -> int:
    """Return how many decimals show every value as it is, at least 2 and at most 4."""
    enough = (
        places
        for places in range(2, _DECIMALS)
        if all(abs(round(value, places) - value) < 1e-9 for value in values)
    )
    return next(enough, _DECIMALS)
