"""What a point's colour stands for: its cluster, the axis that flagged it, or its fate."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ...inspection.points import Floats, Points
from ..charts.curves import AXES
from ..charts.marks import Series, Shape
from ..charts.points import CALM, Cloud

Colour = Literal["cluster", "axis", "fate"]
COLOURS: dict[str, Colour] = {"cluster": "cluster", "axis": "axis", "fate": "fate"}

_SHAPES: tuple[Shape, ...] = ("circle", "square", "triangle", "diamond", "kite", "plus", "cross")
NAMED_CLUSTERS = len(_SHAPES)
_FATES = (
    Series("accepted", "circle", "accepted"),
    Series("rejected", "cross", "rejected"),
    Series("failed", "kite", "failed"),
    Series("deferred", "square", "deferred"),
    Series("pending", "plus", "not settled"),
)


@dataclass(frozen=True, slots=True, eq=False)
class Groups:
    """The group of every point: int[n], places in `series`."""

    groups: NDArray[np.int64]
    series: tuple[Series, ...]

    def cloud(self, xs: Floats, ys: Floats) -> Cloud:
        """Return the points as they are drawn."""
        return Cloud(xs, ys, self.groups, self.series)


def coloured(points: Points, colour: Colour) -> Groups:
    """Return the groups that a colour stands for; the later ones are drawn above."""
    if colour == "cluster":
        return _by_cluster(points.clusters)
    if colour == "axis":
        series = (CALM, *AXES.values(), Series("several", "plus", "several axes"))
        places = {"": 0, **{name: place for place, name in enumerate(AXES, 1)}}
        return Groups(_placed([places.get(axes, 4) for axes in points.axes]), series)
    names = {series.name: place for place, series in enumerate(_FATES, 1)}
    settled = [
        names.get(fate, len(_FATES)) if axes else 0
        for axes, fate in zip(points.axes, points.fates, strict=True)
    ]
    return Groups(_placed(settled), (CALM, *_FATES))


def _by_cluster(labels: Floats) -> Groups:
    """Give the largest clusters a colour each: labels are numbered by size."""
    series = (
        Series("noise", "dot", "in no cluster"),
        Series("rest", "dot", "in smaller clusters"),
        *(Series(f"c{n}", shape, f"cluster {n}") for n, shape in enumerate(_SHAPES)),
    )
    known = np.where(np.isfinite(labels), labels, -1).astype(np.int64)
    groups = np.where(known < 0, 0, np.where(known < NAMED_CLUSTERS, known + 2, 1))
    return Groups(groups, series)


def _placed(places: Sequence[int]) -> NDArray[np.int64]:
    return np.asarray(places, dtype=np.int64)
