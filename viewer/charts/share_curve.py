"""The curve k -> share: what every other k would have flagged, with the one that was chosen."""

import math
from collections.abc import Sequence

from markupsafe import Markup

from ...inspection.figures import percent
from .axes import WIDTH, Box, Scale, level, margin, scale, upright
from .marks import Series, mark
from .svg import group, line, nothing, picture, polyline, text

HEIGHT = 176.0
_TOP, _BOTTOM = 24.0, 134.0
_CHOSEN = Series("chosen", "circle", "")


def share_curve(axis: str, curve: Sequence[tuple[float, float]], k: float, share: float) -> Markup:
    """Draw the share of the rows beyond the threshold against k.

    Args:
        axis: its name.
        curve: (k, share between 0 and 1) at the fit; points that are not finite are left out.
        k: the one that stands.
        share: what it flagged when it was set.
    """
    title = f"Share of the rows that each k flags, {axis}"
    points = [(x, 100 * y) for x, y in curve if math.isfinite(x) and math.isfinite(y)]
    if not points or not math.isfinite(k) or not math.isfinite(share):
        return nothing("share-curve", title, "no curve was recorded", WIDTH)
    up = _percents(max([100 * share, *(y for _, y in points)]))
    box = Box(margin(up, 4), _TOP, WIDTH - 12, _BOTTOM)
    along = scale([k, *(x for x, _ in points)], box.left, box.right, room=0.0)
    x, y = along.at(k), up.at(100 * share)
    name = f"k {k:.2f}: {percent(share)}"
    anchor, shift = ("start", 8.0) if x < (box.left + box.right) / 2 else ("end", -8.0)
    low, high = points[0], points[-1]
    told = (
        f"The share falls from {percent(low[1] / 100)} at k {low[0]:g} to {percent(high[1] / 100)}"
        f" at k {high[0]:g}; {percent(share)} at the k of {k:.2f} that stands."
    )
    return picture(
        "share-curve",
        title,
        told,
        WIDTH,
        HEIGHT,
        upright(box, up, "% of the rows", 4),
        polyline([(along.at(a), up.at(b)) for a, b in points], "curve"),
        group(
            "threshold",
            line(x, box.top, x, box.bottom, "bound"),
            mark(_CHOSEN, x, y, size=4.2),
            text(x + shift, max(y - 8, box.top + 8), name, "bound-label", anchor),
        ),
        level(box, along, "k, in spreads from the usual"),
    )


def _percents(most: float) -> Scale:
    """Return a scale of percents from 0 that leaves some room above."""
    return Scale(0.0, max(most * 1.08, 0.1), _BOTTOM, _TOP)
