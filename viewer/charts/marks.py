"""Marks and legends: each group has a shape of its own, since colour alone is not for everybody."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Literal

from markupsafe import Markup

from .axes import WIDTH, breadth
from .svg import group, number, tag, text

Shape = Literal["circle", "square", "triangle", "diamond", "cross", "plus", "kite", "dot", "block"]

SIZE = 3.4
_ROW = 16.0
_GAP = 12.0
_KEY = 14.0
_Points = tuple[tuple[float, float], ...]
_CORNERS: dict[str, _Points] = {
    "square": ((-0.9, -0.9), (0.9, -0.9), (0.9, 0.9), (-0.9, 0.9)),
    "triangle": ((0.0, -1.2), (1.15, 0.85), (-1.15, 0.85)),
    "diamond": ((0.0, -1.3), (1.1, 0.0), (0.0, 1.3), (-1.1, 0.0)),
    "kite": ((0.0, 1.2), (1.15, -0.85), (-1.15, -0.85)),
    "block": ((-1.4, -1.4), (1.4, -1.4), (1.4, 1.4), (-1.4, 1.4)),
}
_STROKES: dict[str, tuple[_Points, _Points]] = {
    "cross": (((-0.95, -0.95), (0.95, 0.95)), ((-0.95, 0.95), (0.95, -0.95))),
    "plus": (((-1.2, 0.0), (1.2, 0.0)), ((0.0, -1.2), (0.0, 1.2))),
}


@dataclass(frozen=True, slots=True)
class Series:
    """A group of marks: its class for the colour, its shape, and what it is."""

    class_: str
    shape: Shape
    name: str


@cache
def outline(shape: Shape, size: float = SIZE) -> str:
    """Return a mark as a path that starts at its middle, to follow after `M x y`."""
    if shape == "dot":
        return "h0"  # a stroke without length: its round ends are the dot
    if shape == "circle":
        r, d = number(size), number(2 * size)
        return f"m-{r} 0a{r} {r} 0 1 0 {d} 0a{r} {r} 0 1 0-{d} 0z"
    if shape in _CORNERS:
        return _moves(_CORNERS[shape], size) + "z"
    first, second = _STROKES[shape]
    (x, y), (ahead_x, ahead_y) = first[-1], second[0]
    between = ((ahead_x - x, ahead_y - y), *((b[0] - ahead_x, b[1] - ahead_y) for b in second[1:]))
    jump = f"m{number(size * between[0][0])} {number(size * between[0][1])}"
    stroke = f"l{number(size * between[1][0])} {number(size * between[1][1])}"
    return _moves(first, size) + jump + stroke


def _moves(points: _Points, size: float) -> str:
    """Return relative moves from the middle to the first point, and lines on to the others."""
    x = y = 0.0
    moves = []
    for at, (to_x, to_y) in enumerate(points):
        step = f"{number(size * (to_x - x))} {number(size * (to_y - y))}"
        moves.append(("l" if at else "m") + step)
        x, y = to_x, to_y
    return "".join(moves)


def mark(series: Series, x: float, y: float, told: str = "", size: float = SIZE) -> Markup:
    """Return one mark; `told` is shown where a pointer rests on it."""
    path = f"M{number(x)} {number(y)}{outline(series.shape, size)}"
    inside = (tag("title", told),) if told else ()
    return tag("path", *inside, d=path, class_=f"point {series.class_} {series.shape}")


def many(series: Series, xs: Sequence[float], ys: Sequence[float], size: float = SIZE) -> Markup:
    """Return the marks of a group as one path: thousands of elements would slow a page down.

    Args:
        series: the group.
        xs: float[n], finite, in units.
        ys: float[n], finite, in units.
        size: half the width of a mark.
    """
    if not len(xs):
        return Markup("")
    shape = outline(series.shape, size)
    path = "".join(f"M{x:.1f} {y:.1f}{shape}" for x, y in zip(xs, ys, strict=True))
    return tag("path", d=path, class_=f"point many {series.class_} {series.shape}")


def legend(entries: Sequence[Series], top: float, left: float = 2.0) -> tuple[Markup, float]:
    """Return a legend in rows that fit the width, and the units that it is high."""
    x, y = left, top
    drawn = []
    for entry in entries:
        wide = _KEY + breadth(entry.name)
        if x > left and x + wide > WIDTH:
            x, y = left, y + _ROW
        drawn.append(mark(entry, x + 5, y + 7, size=3.6))
        drawn.append(text(x + _KEY, y + 11, entry.name, "key"))
        x += wide + _GAP
    return group("legend", *drawn), (y + _ROW - top) if entries else 0.0


def core(values: Sequence[float], share: float = 0.01, far: float = 2.0) -> tuple[float, float]:
    """Return a range that holds nearly all finite values.

    The outermost `share` at either end is left out where it would stretch the range to more than
    `far` times the range of the others.
    """
    ordered = sorted(value for value in values if math.isfinite(value))
    if not ordered:
        return 0.0, 0.0
    out = math.ceil(len(ordered) * share)
    inner = ordered[out : len(ordered) - out] or ordered
    span = inner[-1] - inner[0]
    if span and ordered[-1] - ordered[0] > far * span:
        return inner[0], inner[-1]
    return ordered[0], ordered[-1]
