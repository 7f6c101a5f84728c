"""The map of a data set: prompts that the model sees as alike lie near each other."""

from markupsafe import Markup

from ...core.amounts import several
from .axes import WIDTH, Box
from .marks import legend
from .points import Cloud, Layout, clouds, lay_out, used
from .svg import nothing, picture, tag

HEIGHT = 320.0


def cluster_map(cloud: Cloud, colour: str) -> tuple[Markup, Layout | None]:
    """Draw the map, and return where the points lie too.

    Args:
        cloud: coordinates of a projection to two dimensions; its axes have no unit.
        colour: what the groups stand for, in words.
    """
    title = f"Map of the prompts, coloured by {colour}"
    if not cloud.finite.any():
        return nothing("map", title, "no sample has coordinates", WIDTH), None
    box = Box(2, 2, WIDTH - 2, HEIGHT - 8)
    layout = lay_out(cloud, box)
    keys, high = legend(used(cloud), HEIGHT)
    frame = tag(
        "rect",
        x=box.left,
        y=box.top,
        width=box.right - box.left,
        height=box.bottom - box.top,
        rx=4,
        class_="frame",
    )
    told = f"{several(int(cloud.finite.sum()), 'point')}: " + ", ".join(
        series.name for series in used(cloud)
    )
    if layout.outside:
        told += f"; {layout.outside:,} lie farther out and are drawn on the edge"
    chart = picture(
        "map points-chart",
        title,
        f"{told}.",
        WIDTH,
        HEIGHT + high,
        frame,
        clouds(cloud, layout),
        keys,
    )
    return chart, layout
