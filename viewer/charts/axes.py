"""Scales, ticks and their labels: what all charts share."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from .svg import group, line, text

WIDTH = 360.0
"""Units of every chart: about the pixels of a phone, so that text of 11 units can be read there."""
LETTER = 6.1
"""Width of a letter, in units, where text is set at its size of 11: on the safe side."""
MOST_TICKS = 5
_STEPS = (1.0, 2.0, 2.5, 5.0, 10.0)
_PLAIN = (1e-4, 1e7)
MINUS = "\N{MINUS SIGN}"


@dataclass(frozen=True, slots=True)
class Scale:
    """A straight map from values to units; values outside land on the ends.

    Attributes:
        low: value at `start`.
        high: value at `end`, above `low`.
        start: units.
        end: units; below `start` for an axis that points up.
    """

    low: float
    high: float
    start: float
    end: float

    def at(self, value: float) -> float:
        """Return where a value lies, in units."""
        inside = min(max(value, self.low), self.high)
        share = (inside - self.low) / (self.high - self.low)
        return self.start + share * (self.end - self.start)

    def holds(self, value: float) -> bool:
        """Return whether a value lies between the ends."""
        return self.low <= value <= self.high


@dataclass(frozen=True, slots=True)
class Box:
    """The rectangle of a chart that holds its marks, in units."""

    left: float
    top: float
    right: float
    bottom: float


def scale(values: Sequence[float], start: float, end: float, room: float = 0.06) -> Scale:
    """Return a scale that holds the finite values, with some room at both ends.

    One value, or none, gets a scale around it (around 0) instead of one without width.
    """
    finite = [value for value in values if math.isfinite(value)] or [0.0]
    low, high = min(finite), max(finite)
    spare = (high - low) * room
    # Below this a double can't tell the ends of the scale from its middle.
    least = max(abs(low), abs(high)) * 1e-6
    if spare <= least * room:
        spare = max(abs(low), 1.0) * 0.1
    return Scale(low - spare, high + spare, start, end)


def counting(most: float, start: float, end: float) -> Scale:
    """Return a scale from 0 to a round number that is at least `most`, and at least 1."""
    top = max(most, 1.0)
    steps = ticks(0.0, top)
    step = steps[1] - steps[0] if len(steps) > 1 else top
    return Scale(0.0, math.ceil(round(top / step, 6)) * step, start, end)


def ticks(low: float, high: float, most: int = MOST_TICKS, whole: bool = False) -> list[float]:
    """Return round numbers between two values, both included, at most `most` of them.

    Args:
        low: finite.
        high: finite, not below `low`.
        most: at least 2.
        whole: only whole numbers, for counts.
    """
    if not high > low:
        return [low]
    exponent = math.floor(math.log10((high - low) / most))
    while True:
        for factor in _STEPS:
            step = factor * 10.0**exponent
            if whole and (step < 1 or step % 1):
                continue
            first = math.ceil(round(low / step, 6))
            last = math.floor(round(high / step, 6))
            if last - first < most:
                return [round(at * step, 10) for at in range(first, last + 1)] or [low]
        exponent += 1


def tick_labels(values: Sequence[float]) -> list[str]:
    """Return the numbers with as many decimals as tell them apart, thousands separated."""
    far = max((abs(value) for value in values), default=0.0)
    gaps = [abs(b - a) for a, b in zip(values, values[1:], strict=False)]
    if far >= _PLAIN[1] or (gaps and min(gaps) < _PLAIN[0]):
        return [f"{value:.3g}".replace("-", MINUS) for value in values]
    places = next(
        (n for n in range(5) if all(abs(round(v, n) - v) < 1e-9 for v in values)),
        4,
    )
    return [signed(f"{value:,.{places}f}") for value in values]


def signed(written: str) -> str:
    """Return a written number with a real minus sign."""
    return written.replace("-", MINUS)


def breadth(written: str) -> float:
    """Return about how many units a line of text takes."""
    return len(written) * LETTER


def upright(
    box: Box, across: Scale, label: str, most: int = MOST_TICKS, whole: bool = False
) -> Markup:
    """Return the vertical axis: grid lines, their labels at the left, and what it is above them."""
    at = ticks(across.low, across.high, most, whole)
    lines = [line(box.left, across.at(v), box.right, across.at(v), "grid") for v in at]
    written = [
        text(box.left - 6, across.at(value) + 3.8, label_, "tick", "end")
        for value, label_ in zip(at, tick_labels(at), strict=True)
    ]
    return group("axis", *lines, *written, text(2, 11, label, "label"))


def level(
    box: Box,
    along: Scale,
    label: str,
    most: int = MOST_TICKS,
    *,
    at: Sequence[float] | None = None,
    named: Callable[[float], str] | None = None,
) -> Markup:
    """Return the horizontal axis: a line, ticks with labels below it, and what it is below them.

    Args:
        box: of the marks.
        along: its scale.
        label: what the axis is.
        most: ticks, where `at` doesn't say which.
        at: where ticks stand.
        named: what they are called; their numbers by default.
    """
    places = ticks(along.low, along.high, most) if at is None else at
    names = tick_labels(places) if named is None else [named(value) for value in places]
    marks = [
        line(along.at(value), box.bottom, along.at(value), box.bottom + 4, "rule")
        for value in places
    ]
    written = [
        text(along.at(value), box.bottom + 16, name, "tick", "middle")
        for value, name in zip(places, names, strict=True)
    ]
    rule = line(box.left, box.bottom, box.right, box.bottom, "rule")
    below = text((box.left + box.right) / 2, box.bottom + 32, label, "label", "middle")
    return group("axis", rule, *marks, *written, below)


def margin(across: Scale, most: int = MOST_TICKS, whole: bool = False) -> float:
    """Return the units that the labels of a vertical axis need at its left."""
    written = tick_labels(ticks(across.low, across.high, most, whole))
    return max(26.0, 10 + max(breadth(label) for label in written))
