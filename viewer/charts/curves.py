"""The curves of a run: a point per round for losses, differences and flags, a bar for the rest."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from ...core.amounts import several
from .axes import WIDTH, Box, Scale, level, margin, scale, signed, upright
from .marks import Series, legend, mark
from .svg import group, line, nothing, picture, polyline, text

HEIGHT = 208.0
_TOP, _BOTTOM = 26.0, 166.0
_CAP = 4.0
_FAR = 3.0
"""How many times the range of the rounds a base model may lie away and still be drawn to scale."""

GATES: dict[str, Series] = {
    "baseline": Series("baseline", "diamond", "first round"),
    "better": Series("better", "circle", "better"),
    "tie": Series("tie", "square", "no measurable difference"),
    "undecided": Series("undecided", "plus", "too few rows"),
    "rolled_back": Series("rolled-back", "cross", "rolled back"),
}
_UNJUDGED = Series("undecided", "dot", "not judged yet")
AXES: dict[str, Series] = {
    "complexity": Series("complexity", "triangle", "complexity"),
    "diversity": Series("diversity", "square", "diversity"),
    "quality": Series("quality", "diamond", "quality"),
}


@dataclass(frozen=True, slots=True)
class Estimate:
    """A figure of a round with its 95 % interval.

    Attributes:
        round: its number.
        value: nats per token; None where there is none yet.
        low: lower end; None without an interval.
        high: upper end.
        gate: the gate's word; empty where it has not spoken.
    """

    round: int
    value: float | None
    low: float | None = None
    high: float | None = None
    gate: str = ""

    @property
    def drawn(self) -> float | None:
        """The value, where it can be drawn."""
        return self.value if self.value is not None and math.isfinite(self.value) else None

    @property
    def interval(self) -> tuple[float, float] | None:
        """The interval, where it can be drawn."""
        if self.low is None or self.high is None:
            return None
        return (self.low, self.high) if math.isfinite(self.low + self.high) else None


def loss_curve(estimates: Sequence[Estimate], base: float | None) -> Markup:
    """Draw the hold-out loss of every round with its interval, and that of the base model.

    Args:
        estimates: in order of round.
        base: loss of the base model before any training, nats per token; None if not known.
    """
    return _estimates(
        "loss-curve",
        "Hold-out loss of each round",
        "nats per token, 95% interval",
        estimates,
        base if base is not None and math.isfinite(base) else None,
        "base model",
    )


def difference_curve(estimates: Sequence[Estimate]) -> Markup:
    """Draw the paired difference of every round to round 0; below zero a round is better."""
    return _estimates(
        "difference-curve",
        "Hold-out loss against round 0, paired by row",
        "nats per token against round 0, 95% interval",
        estimates,
        0.0,
        "round 0",
    )


def _estimates(
    kind: str,
    title: str,
    label: str,
    estimates: Sequence[Estimate],
    against: float | None,
    against_name: str,
) -> Markup:
    known = [(one, value) for one in estimates if (value := one.drawn) is not None]
    if not known:
        return nothing(kind, title, "no round is evaluated yet", WIDTH)
    values = [value for _, value in known]
    values += [end for one, _ in known for end in one.interval or ()]
    span = max(values) - min(values)
    near = against is not None and (
        not span or min(values) - _FAR * span <= against <= max(values) + _FAR * span
    )
    up = scale([*values, *([against] if near and against is not None else [])], _BOTTOM, _TOP)
    series = _gates_of([one for one, _ in known])
    box = Box(margin(up), _TOP, WIDTH - 12, _BOTTOM)
    along = _rounds([one.round for one in estimates], box)
    marks = []
    for one, value in known:
        x = along.at(one.round)
        if one.interval is not None:
            marks.append(_whisker(x, up.at(one.interval[0]), up.at(one.interval[1])))
        marks.append(mark(GATES.get(one.gate, _UNJUDGED), x, up.at(value), _said(one), 4.0))
    keys, high = legend(series, HEIGHT)
    return picture(
        kind,
        title,
        _told(known, against, against_name),
        WIDTH,
        HEIGHT + high,
        upright(box, up, label),
        line(box.left, up.at(against), box.right, up.at(against), "bound")
        if near and against is not None
        else "",
        polyline([(along.at(one.round), up.at(value)) for one, value in known], "curve"),
        group("marks", *marks),
        "" if against is None else _named(box, up, against, near, against_name, known[-1][1]),
        level(box, along, "round", at=_whole(along), named=lambda at: f"{at:.0f}"),
        keys,
    )


def _named(box: Box, up: Scale, value: float, near: bool, name: str, last: float) -> Markup:
    """Name what the rounds are held against, away from the last one; say so where it is far off."""
    if near:
        y = up.at(value) + (13 if value < last else -5)
        return text(box.right, min(max(y, box.top + 8), box.bottom - 3), name, "bound-label", "end")
    where = "above" if value > up.high else "below"
    said = f"{name} {signed(f'{value:.4g}')}, far {where}"
    y = box.top + 10 if value > up.high else box.bottom - 5
    return text(box.right, y, said, "bound-label", "end")


def flag_curve(rounds: Sequence[int], flags: Mapping[str, Sequence[int | None]]) -> Markup:
    """Draw how many samples each axis flagged, round by round.

    Args:
        rounds: their numbers, in order.
        flags: per axis a number per round; None where the axis was off or there is none yet.
    """
    title = "Flagged samples of each round"
    drawn = {name: _paired(rounds, counts) for name, counts in flags.items()}
    drawn = {name: pairs for name, pairs in drawn.items() if pairs}
    if not drawn:
        return nothing("flag-curve", title, "no round is diagnosed yet", WIDTH)
    most = max(number for pairs in drawn.values() for _, number in pairs)
    up = Scale(0.0, max(most * 1.08, 1.0), _BOTTOM, _TOP)
    box = Box(margin(up, whole=True), _TOP, WIDTH - 12, _BOTTOM)
    along = _rounds(rounds, box)
    series = [AXES[name] for name in drawn]
    lines = [
        polyline([(along.at(k), up.at(n)) for k, n in pairs], f"curve {AXES[name].class_}")
        for name, pairs in drawn.items()
    ]
    marks = [
        mark(AXES[name], along.at(k), up.at(n), f"round {k}: {n:,} flagged for {name}", 4.0)
        for name, pairs in drawn.items()
        for k, n in pairs
    ]
    keys, high = legend(series, HEIGHT)
    told = "; ".join(
        f"{name} " + ", ".join(f"{n:,} in round {k}" for k, n in pairs)
        for name, pairs in drawn.items()
    )
    return picture(
        "flag-curve",
        title,
        f"Flagged for {told}.",
        WIDTH,
        HEIGHT + high,
        upright(box, up, "samples", whole=True),
        *lines,
        group("marks", *marks),
        level(box, along, "round", at=_whole(along), named=lambda at: f"{at:.0f}"),
        keys,
    )


def _paired(rounds: Sequence[int], counts: Sequence[int | None]) -> list[tuple[int, int]]:
    return [(k, n) for k, n in zip(rounds, counts, strict=True) if n is not None]


def _rounds(rounds: Sequence[int], box: Box) -> Scale:
    """Return a scale of round numbers with half a round of room at both ends."""
    first, last = min(rounds), max(rounds)
    return Scale(first - 0.5, last + 0.5, box.left, box.right)


def _whole(along: Scale) -> list[float]:
    """Return the rounds that get a label: all of them, or every so many."""
    first, last = math.ceil(along.low), math.floor(along.high)
    step = max(1, math.ceil((last - first + 1) / 12))
    return [float(number) for number in range(first, last + 1, step)]


def _whisker(x: float, low: float, high: float) -> Markup:
    return group(
        "whisker",
        line(x, low, x, high, "rod"),
        line(x - _CAP, low, x + _CAP, low, "rod"),
        line(x - _CAP, high, x + _CAP, high, "rod"),
    )


def _gates_of(estimates: Sequence[Estimate]) -> list[Series]:
    """Return the legend: what the gate said, each word once."""
    found = [GATES.get(one.gate, _UNJUDGED) for one in estimates]
    return [series for series in (*GATES.values(), _UNJUDGED) if series in found]


def _said(one: Estimate) -> str:
    said = f"round {one.round}: {signed(f'{one.value:.4f}')}"
    if one.interval is not None:
        low, high = (signed(f"{end:.4f}") for end in one.interval)
        said += f" ({low} to {high})"
    return f"{said}, {GATES.get(one.gate, _UNJUDGED).name}"


def _told(known: Sequence[tuple[Estimate, float]], against: float | None, name: str) -> str:
    said = "; ".join(_said(one) for one, _ in known)
    base = "" if against is None else f" Held against {name}: {signed(f'{against:.4f}')}."
    return f"{several(len(known), 'round')}: {said}.{base}"
