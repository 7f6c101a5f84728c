"""Loss before training against loss after it, with the quadrant that complexity flags."""

from markupsafe import Markup

from ...core.amounts import several
from .axes import WIDTH, Box, level, margin, tick_labels, upright
from .marks import legend
from .points import Cloud, Layout, clouds, lay_out, used
from .svg import group, line, nothing, picture, tag, text

HEIGHT = 326.0
_TOP, _BOTTOM = 22.0, 284.0


def scatter(cloud: Cloud, k: float | None, *, unit: str) -> tuple[Markup, Layout | None]:
    """Draw the points, and return where they lie too.

    Args:
        cloud: x is the loss under the base model, y under the tuned one.
        k: where the flagged quadrant begins on both axes; None where there is none.
        unit: of the losses.
    """
    title = "Loss before training against loss after"
    if not cloud.finite.any():
        return nothing("scatter", title, "no row has both losses", WIDTH), None
    also = [] if k is None else [k]
    rough = lay_out(cloud, Box(0, _TOP, WIDTH, _BOTTOM), also=also, square=True)
    box = Box(margin(rough.up), _TOP, WIDTH - 8, _BOTTOM)
    layout = lay_out(cloud, box, also=also, square=True)
    keys, high = legend(used(cloud), HEIGHT)
    chart = picture(
        "scatter points-chart",
        title,
        _told(cloud, layout, k),
        WIDTH,
        HEIGHT + high,
        _quadrant(layout, box, k) if k is not None else "",
        upright(box, layout.up, f"after (tuned model), {unit}"),
        _diagonal(layout),
        clouds(cloud, layout),
        level(box, layout.along, f"before (base model), {unit}"),
        keys,
    )
    return chart, layout


def _quadrant(layout: Layout, box: Box, k: float) -> Markup:
    x, y = layout.along.at(k), layout.up.at(k)
    name = f"k {tick_labels([k])[0]}"
    return group(
        "quadrant",
        tag("rect", x=x, y=box.top, width=box.right - x, height=y - box.top, class_="flagged-side"),
        line(x, y, x, box.top, "bound"),
        line(x, y, box.right, y, "bound"),
        text(box.right - 4, y - 5, name, "bound-label", "end"),
        text(box.right - 4, box.top + 12, "beyond k under both", "bound-label", "end"),
    )


def _diagonal(layout: Layout) -> Markup:
    """Draw where a loss is the same before and after."""
    low, high = max(layout.along.low, layout.up.low), min(layout.along.high, layout.up.high)
    return line(
        layout.along.at(low), layout.up.at(low), layout.along.at(high), layout.up.at(high), "even"
    )


def _told(cloud: Cloud, layout: Layout, k: float | None) -> str:
    drawn = cloud.finite
    xs, ys = cloud.xs[drawn], cloud.ys[drawn]
    below = int((ys < xs).sum())
    told = (
        f"{several(int(drawn.sum()), 'point')}; training lowered the loss of {below:,}, which lie"
        " below the diagonal."
    )
    if k is not None:
        told += f" {int(((xs > k) & (ys > k)).sum()):,} lie above k {k:.2f} under both models."
    if layout.outside:
        told += f" {layout.outside:,} lie farther out and are drawn on the edge."
    return told
