"""The histogram of an axis: bins that meet at the threshold, the flagged side marked."""

import math
from collections.abc import Sequence

from markupsafe import Markup

from ...core.amounts import several
from ...inspection.histogram import Bin
from .axes import LETTER, WIDTH, Box, counting, level, margin, scale, tick_labels, upright
from .svg import group, line, nothing, picture, tag, text

HEIGHT = 210.0
_TOP, _BOTTOM = 42.0, 168.0
_OPEN = 0.6
"""Share of a bin's width that an open end is drawn wider, to show that it goes on."""


def histogram_chart(
    axis: str, bins: Sequence[Bin], threshold: float, *, flags_high: bool, score: str
) -> Markup:
    """Draw the bins of `inspection.histogram`.

    Args:
        axis: its name.
        bins: lowest first, at most about twenty.
        threshold: where the flagged side begins.
        flags_high: whether that is the right side.
        score: what is counted along the horizontal axis.
    """
    title = f"Histogram of {axis}"
    if not bins:
        return nothing("histogram", title, "no row has a score", WIDTH)
    edges = _edges(bins)
    up = counting(max(one.count for one in bins), _BOTTOM, _TOP)
    box = Box(margin(up, whole=True), _TOP, WIDTH - 8, _BOTTOM)
    flat = [edge for pair in edges for edge in pair]
    along = scale([*flat, threshold], box.left, box.right, room=0.02)
    bars = [
        _bar(one, along.at(low), along.at(high), up.at(one.count), box)
        for one, (low, high) in zip(bins, edges, strict=True)
    ]
    return picture(
        "histogram",
        title,
        _told(axis, bins, threshold, flags_high),
        WIDTH,
        HEIGHT,
        upright(box, up, "rows", whole=True),
        group("bars", *bars),
        _threshold(along.at(threshold), threshold, box, flags_high),
        level(box, along, score),
    )


def _edges(bins: Sequence[Bin]) -> list[tuple[float, float]]:
    """Return finite ends of every bin: an open one is a little wider than its neighbour."""
    widths = [one.high - one.low for one in bins if math.isfinite(one.high - one.low)]
    wide = max(widths, default=0.0) or max(abs(bins[0].low), 1.0) * 0.1
    if not all(math.isfinite(edge) for edge in (bins[0].low, bins[-1].high)):
        wide *= 1 + _OPEN
    ends = []
    for one in bins:
        low = one.low if math.isfinite(one.low) else one.high - wide
        high = one.high if math.isfinite(one.high) else one.low + wide
        ends.append((low, high) if high > low else (low - wide / 2, high + wide / 2))
    return ends


def _bar(one: Bin, left: float, right: float, top: float, box: Box) -> Markup:
    """Draw a bin; a bin with any row at all is seen."""
    height = max(box.bottom - top, 1.5) if one.count else 0.0
    return tag(
        "rect",
        tag("title", f"{_range(one)}: {several(one.count, 'row')}"),
        x=left + 0.5,
        y=box.bottom - height,
        width=max(right - left - 1, 0.8),
        height=height,
        class_="bar beyond" if one.beyond else "bar",
    )


def _threshold(x: float, value: float, box: Box, flags_high: bool) -> Markup:
    """Draw the line with its value, and an arrow to the flagged side."""
    name = f"threshold {tick_labels([value])[0]}"
    side = "flagged \N{RIGHTWARDS ARROW}" if flags_high else "\N{LEFTWARDS ARROW} flagged"
    wide = max(len(name), len(side)) * LETTER + 6
    at_left = x - wide < box.left if flags_high is False else x + wide < WIDTH
    anchor, shift = ("start", 5.0) if at_left else ("end", -5.0)
    return group(
        "threshold",
        line(x, box.top - 26, x, box.bottom, "bound"),
        text(x + shift, box.top - 18, name, "bound-label", anchor),
        text(x + shift, box.top - 5, side, "bound-label", anchor),
    )


def _range(one: Bin) -> str:
    low, high = tick_labels([one.low])[0], tick_labels([one.high])[0]
    if math.isinf(one.low):
        return f"below {high}"
    if math.isinf(one.high):
        return f"above {low}"
    return low if one.low == one.high else f"{low} to {high}"


def _told(axis: str, bins: Sequence[Bin], threshold: float, flags_high: bool) -> str:
    total = sum(one.count for one in bins)
    beyond = sum(one.count for one in bins if one.beyond)
    most = max(bins, key=lambda one: one.count)
    side = "above" if flags_high else "below"
    return (
        f"{several(total, 'row')} with a score of {axis} in {several(len(bins), 'bin')}, most of"
        f" them ({most.count:,}) at {_range(most)}; {several(beyond, 'row')} {side} the threshold"
        f" of {tick_labels([threshold])[0]}."
    )
