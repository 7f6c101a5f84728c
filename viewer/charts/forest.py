"""A forest plot: differences with their intervals, one below the other, against a line at zero.

It is a file of its own, to be put into a paper or a mail: the few styles that it needs are in it.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from markupsafe import Markup

from .axes import Box, Scale, level, scale, signed
from .marks import Series, legend, mark
from .svg import group, line, nothing, picture, tag, text

WIDE = 700.0
_LEFT, _RIGHT = 150.0, 210.0
_ROW, _TOP, _FOOT = 34.0, 12.0, 44.0
SERIES = {
    "last": Series("last", "circle", "model of the last round"),
    "export": Series("export", "diamond", "exported model (chosen on these rows)"),
}
_STYLE = """
svg { font: 11px system-ui, sans-serif; background: #ffffff; color: #1d1c1a; }
text { fill: #1d1c1a; }
.tick, .total { fill: #625d56; font-variant-numeric: tabular-nums; }
.grid { stroke: #e6e2db; }
.rule { stroke: #8b857c; }
.bound { stroke: #1d1c1a; stroke-dasharray: 4 3; }
.rod { stroke-width: 1.6; }
.last { stroke: #2f5fb3; fill: #2f5fb3; }
.export { stroke: #b4480c; fill: #ffffff; }
@media (prefers-color-scheme: dark) {
  svg { background: #1b1d20; color: #e9e7e3; }
  text { fill: #e9e7e3; }
  .tick, .total { fill: #a8a39b; }
  .grid { stroke: #2b2e32; }
  .bound { stroke: #e9e7e3; }
  .last { stroke: #7fa9f5; fill: #7fa9f5; }
  .export { stroke: #f0965a; fill: #1b1d20; }
}
"""


@dataclass(frozen=True, slots=True)
class Apart:
    """One difference of two arms.

    Attributes:
        name: of the two.
        of: which of their models are compared.
        mean: finite.
        low: lower end of its interval, finite.
        high: upper end.
        says: the interval in words.
    """

    name: str
    of: Literal["last", "export"]
    mean: float
    low: float
    high: float
    says: str


def forest(title: str, found: Sequence[Apart], unit: str) -> Markup:
    """Return the picture: a row for each pair of arms, a mark and its interval for each model.

    Args:
        title: what is compared.
        found: differences; those of one name are drawn in one row. Others than finite ones are
            left out.
        unit: of the axis.
    """
    shown = [one for one in found if all(map(math.isfinite, (one.mean, one.low, one.high)))]
    if not shown:
        return _file(nothing("forest", title, "Nothing could be compared.", WIDE))
    names = list(dict.fromkeys(one.name for one in shown))
    kinds = [kind for kind in SERIES if any(one.of == kind for one in shown)]
    keys, high = legend([SERIES[kind] for kind in kinds], _TOP)
    top = _TOP + high + 8
    box = Box(_LEFT, top, WIDE - _RIGHT, top + _ROW * len(names))
    ends = [0.0, *(one.low for one in shown), *(one.high for one in shown)]
    along = scale(ends, box.left, box.right)
    rows = [
        _row(name, [one for one in shown if one.name == name], top + _ROW * place, along)
        for place, name in enumerate(names)
    ]
    zero = line(along.at(0.0), box.top - 4, along.at(0.0), box.bottom, "bound")
    drawn = picture(
        "forest",
        title,
        _told(shown),
        WIDE,
        box.bottom + _FOOT,
        keys,
        zero,
        *rows,
        level(box, along, unit),
    )
    return _file(drawn)


def _row(name: str, found: Sequence[Apart], y: float, along: Scale) -> Markup:
    drawn = []
    for place, one in enumerate(found):
        at = y + _ROW * (place + 1) / (len(found) + 1)
        told = f"{name}, {SERIES[one.of].name}: {_figures(one)}, {one.says}"
        drawn += [
            line(along.at(one.low), at, along.at(one.high), at, f"rod {one.of}"),
            mark(SERIES[one.of], along.at(one.mean), at, told),
            text(WIDE - _RIGHT + 10, at + 3.5, _figures(one), "total"),
        ]
    rule = line(_LEFT, y + _ROW, WIDE - _RIGHT, y + _ROW, "grid")
    return group("row", rule, text(_LEFT - 10, y + _ROW / 2 + 4, name, "key", "end"), *drawn)


def _figures(one: Apart) -> str:
    return signed(f"{one.mean:+.4f} [{one.low:+.4f}, {one.high:+.4f}]")


def _told(found: Sequence[Apart]) -> str:
    parts = (f"{one.name}, {SERIES[one.of].name}: {_figures(one)}, {one.says}" for one in found)
    return f"Differences with 95% intervals, below zero is better. {'; '.join(parts)}."


def _file(drawn: Markup) -> Markup:
    """Put the styles behind the opening tag."""
    head, end, rest = drawn.partition(">")
    return head + end + tag("style", _STYLE) + rest
