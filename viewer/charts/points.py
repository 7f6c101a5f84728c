"""Many points in groups: what scatter and map share.

Points that lie far out are drawn on the edge of the picture, so that a few of them don't press all
others into a corner.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from .axes import Box, Scale, scale
from .marks import SIZE, Series, core, many
from .svg import group

Floats = NDArray[np.float64]

CALM = Series("calm", "dot", "not flagged")
SMALL = 2.6
_CROWD = 600


@dataclass(frozen=True, slots=True)
class Cloud:
    """Points in groups.

    Attributes:
        xs: float64[n]; points with a coordinate that is not finite are not drawn.
        ys: float64[n].
        groups: int[n], places in `series`.
        series: the groups; the later ones are drawn above the earlier.
    """

    xs: Floats
    ys: Floats
    groups: NDArray[np.int64]
    series: tuple[Series, ...]

    @property
    def finite(self) -> NDArray[np.bool_]:
        """bool[n]: the points that can be drawn."""
        return np.isfinite(self.xs) & np.isfinite(self.ys)

    def counts(self) -> list[int]:
        """Return the drawn points of each group."""
        found = np.bincount(self.groups[self.finite], minlength=len(self.series))
        return [int(number) for number in found]


@dataclass(frozen=True, slots=True)
class Layout:
    """Where the points of a cloud lie.

    Attributes:
        along: horizontal scale.
        up: vertical scale.
        xs: float64[n], units; NaN where a point is not drawn.
        ys: float64[n], units.
        outside: points that were moved to the edge.
    """

    along: Scale
    up: Scale
    xs: Floats
    ys: Floats
    outside: int


def lay_out(cloud: Cloud, box: Box, *, also: Sequence[float] = (), square: bool = False) -> Layout:
    """Place the points of a cloud in a box.

    Args:
        cloud: the points.
        box: in units.
        also: values that both axes must hold, such as a threshold.
        square: one scale for both axes, so that the diagonal means equal.
    """
    drawn = cloud.finite
    wide, high = core(cloud.xs[drawn].tolist()), core(cloud.ys[drawn].tolist())
    if square:
        wide = high = (min(wide[0], high[0]), max(wide[1], high[1]))
    along = scale([*wide, *also], box.left + 4, box.right - 4)
    up = scale([*high, *also], box.bottom - 4, box.top + 4)
    out = drawn & ~(_inside(cloud.xs, along) & _inside(cloud.ys, up))
    return Layout(
        along, up, _units(cloud.xs, along, drawn), _units(cloud.ys, up, drawn), int(out.sum())
    )


def clouds(cloud: Cloud, layout: Layout) -> Markup:
    """Return the marks, a path per group; smaller ones where there are many."""
    drawn = cloud.finite
    size = SMALL if int(drawn.sum()) > _CROWD else SIZE
    paths = []
    for place, series in enumerate(cloud.series):
        chosen = drawn & (cloud.groups == place)
        paths.append(many(series, layout.xs[chosen].tolist(), layout.ys[chosen].tolist(), size))
    return group("points", *paths)


def used(cloud: Cloud) -> list[Series]:
    """Return the legend of the groups that have points, with their numbers."""
    return [
        Series(series.class_, series.shape, f"{series.name} ({number:,})")
        for series, number in zip(cloud.series, cloud.counts(), strict=True)
        if number
    ]


def _inside(values: Floats, along: Scale) -> NDArray[np.bool_]:
    with np.errstate(invalid="ignore"):
        return np.asarray((values >= along.low) & (values <= along.high))


def _units(values: Floats, along: Scale, drawn: NDArray[np.bool_]) -> Floats:
    inside = np.clip(np.where(drawn, values, np.nan), along.low, along.high)
    share = (inside - along.low) / (along.high - along.low)
    return np.asarray(along.start + share * (along.end - along.start), dtype=np.float64)
