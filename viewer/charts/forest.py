"""A forest plot: figures with their intervals, one below the other, against a line.

It is a file of its own, to be put into a paper or a mail: the few styles that it needs are in it.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from .axes import Box, Scale, level, scale, signed
from .marks import Series, legend, mark
from .svg import group, line, nothing, picture, tag, text

WIDE = 700.0
_LEFT, _RIGHT = 150.0, 210.0
_ROW, _LINE, _TOP, _FOOT = 34.0, 17.0, 12.0, 44.0
MODELS = {
    "last": Series("first", "circle", "model of the last round"),
    "export": Series("second", "diamond", "exported model (chosen on these rows)"),
}
"""Which model of an arm a difference is of."""
DIFFERENCES = "Differences with 95% intervals, below zero is better"
_STYLE = """
svg { font: 11px system-ui, sans-serif; background: #ffffff; color: #1d1c1a; }
text { fill: #1d1c1a; }
.tick, .total { fill: #625d56; font-variant-numeric: tabular-nums; }
.grid { stroke: #e6e2db; }
.rule { stroke: #8b857c; }
.bound { stroke: #1d1c1a; stroke-dasharray: 4 3; }
.rod { stroke-width: 1.6; }
.first { stroke: #2f5fb3; fill: #2f5fb3; }
.second { stroke: #b4480c; fill: #ffffff; }
.third { stroke: #3a7a3a; fill: #3a7a3a; }
@media (prefers-color-scheme: dark) {
  svg { background: #1b1d20; color: #e9e7e3; }
  text { fill: #e9e7e3; }
  .tick, .total { fill: #a8a39b; }
  .grid { stroke: #2b2e32; }
  .bound { stroke: #e9e7e3; }
  .first { stroke: #7fa9f5; fill: #7fa9f5; }
  .second { stroke: #f0965a; fill: #1b1d20; }
  .third { stroke: #86c886; fill: #86c886; }
}
"""


@dataclass(frozen=True, slots=True)
class Apart:
    """One figure, such as the difference of two arms.

    Attributes:
        name: of what it is about; figures of one name share a row.
        of: key of its series.
        mean: finite.
        low: lower end of its interval, finite.
        high: upper end.
        says: the interval in words.
    """

    name: str
    of: str
    mean: float
    low: float
    high: float
    says: str


@dataclass(frozen=True, slots=True)
class _Mark:
    """A figure as it is drawn and told."""

    one: Apart
    series: Series
    figures: str
    words: str


def difference_unit(seeds: int) -> str:
    """Return what stands below the axis of differences of hold-out losses."""
    rests = "one seed: intervals over rows alone" if seeds == 1 else f"{seeds} seeds"
    return f"difference of hold-out loss, nats per token; below 0 the first is better ({rests})"


def differences(one: Apart) -> str:
    """Return a difference with its interval, signed."""
    return signed(f"{one.mean:+.4f} [{one.low:+.4f}, {one.high:+.4f}]")


def forest(
    title: str,
    found: Sequence[Apart],
    unit: str,
    *,
    series: Mapping[str, Series] = MODELS,
    against: float | None = 0.0,
    what: str = DIFFERENCES,
    figures: Callable[[Apart], str] = differences,
) -> Markup:
    """Return the picture: a row for each name, a mark and its interval for each series.

    Args:
        title: what is compared.
        found: the figures. Others than finite ones are left out.
        unit: of the axis.
        series: key -> colour, shape and name, in the order of the legend.
        against: where the line is that an interval should not reach; None draws none.
        what: what the figures are, for those who can't see the picture.
        figures: tells a figure with its interval.
    """
    shown = [one for one in found if all(map(math.isfinite, (one.mean, one.low, one.high)))]
    if not shown:
        return _file(nothing("forest", title, "Nothing could be compared.", WIDE))
    names = list(dict.fromkeys(one.name for one in shown))
    used = {key: one for key, one in series.items() if any(x.of == key for x in shown)}
    keys, high = legend(list(used.values()), _TOP)
    step = max(_ROW, _LINE * len(used))
    top = _TOP + high + 8
    box = Box(_LEFT, top, WIDE - _RIGHT, top + step * len(names))
    ends = [
        *([] if against is None else [against]),
        *(one.low for one in shown),
        *(one.high for one in shown),
    ]
    along = scale(ends, box.left, box.right)
    marks = [_told(one, series[one.of], figures(one)) for one in shown]
    rows = [
        _row(name, [x for x in marks if x.one.name == name], top + step * place, step, along)
        for place, name in enumerate(names)
    ]
    bound = "" if against is None else _rule(along.at(against), box)
    words = "; ".join(one.words for one in marks)
    drawn = picture(
        "forest",
        title,
        f"{what}. {words}.",
        WIDE,
        box.bottom + _FOOT,
        keys,
        bound,
        *rows,
        level(box, along, unit),
    )
    return _file(drawn)


def _rule(x: float, box: Box) -> Markup:
    return line(x, box.top - 4, x, box.bottom, "bound")


def _told(one: Apart, series: Series, figures: str) -> _Mark:
    parts = (one.name, f"{series.name}: {figures}", one.says)
    return _Mark(one, series, figures, ", ".join(part for part in parts if part))


def _row(name: str, marks: Sequence[_Mark], y: float, high: float, along: Scale) -> Markup:
    drawn = []
    for place, each in enumerate(marks):
        at = y + high * (place + 1) / (len(marks) + 1)
        ends = along.at(each.one.low), along.at(each.one.high)
        drawn += [
            line(ends[0], at, ends[1], at, f"rod {each.series.class_}"),
            mark(each.series, along.at(each.one.mean), at, each.words),
            text(WIDE - _RIGHT + 10, at + 3.5, each.figures, "total"),
        ]
    rule = line(_LEFT, y + high, WIDE - _RIGHT, y + high, "grid")
    return group("row", rule, text(_LEFT - 10, y + high / 2 + 4, name, "key", "end"), *drawn)


def _file(drawn: Markup) -> Markup:
    """Put the styles behind the opening tag."""
    head, end, rest = drawn.partition(">")
    return head + end + tag("style", _STYLE) + rest
