"""One axis of a diagnosis as text: histogram with threshold, curve of k, and who has no score."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from ..core.amounts import several
from ..inspection.axis import View, beyond, choice, meaning, missing, origin, threshold
from ..inspection.figures import aligned, percent
from ..inspection.histogram import Bin, drawn, histogram
from .output import clean, labelled, wrapped

Rows = Sequence[Mapping[str, Any]]
INDENT = "  "
WIDTH = 80
_LABEL = 13
_CURVE_STEP = 0.5


def axis_section(view: View, document: Mapping[str, Any], rows: Rows) -> list[str]:
    """Return the lines of an axis.

    Args:
        view: of the axis.
        document: of `diagnosis.json`.
        rows: of `signals.parquet`.
    """
    axis, thresholds = document["axes"][view.name], document["thresholds"]
    title = view.name.capitalize()
    if not axis["on"]:
        return wrapped(f"{title}: off, {axis['reason']}", hanging=INDENT)
    values = [row[view.column] for row in rows if row[view.column] is not None]
    bins = histogram(values, axis["threshold"], flags_high=view.flags_high, bounds=view.bounds)
    chosen = choice(view, thresholds)
    lines = [
        *wrapped(f"Score: {meaning(view, thresholds)}."),
        "",
        *drawn(bins, axis["threshold"], flags_high=view.flags_high),
        "",
        *labelled("Beyond", _beyond(axis, bins), _LABEL),
        *labelled("Threshold", threshold(view, axis, thresholds), _LABEL),
        *labelled("k", origin(chosen), _LABEL),
        *labelled("No score", _missing(view, rows), _LABEL),
        "",
        *_curve(chosen),
    ]
    return [f"{title}: {view.question}", *(INDENT + line if line else "" for line in lines)]


def _beyond(axis: Mapping[str, Any], bins: Sequence[Bin]) -> str:
    scored = sum(one.count for one in bins)
    return beyond(axis, sum(one.count for one in bins if one.beyond), scored)


def _missing(view: View, rows: Rows) -> str:
    """Say how many rows have no score, and why; empty where all have one."""
    reasons = missing(
        view,
        [row[view.column] is not None for row in rows],
        [row["unscored"] for row in rows],
        [row["answer_tokens"] for row in rows],
    )
    return f"{several(reasons.total(), 'row')} ({times(reasons)})" if reasons else ""


def times(reasons: Counter[str]) -> str:
    """Return `3 x too long, 1 x no answer`, the most frequent first."""
    ordered = sorted(reasons.items(), key=lambda item: (-item[1], item[0]))
    return ", ".join(f"{number:,} x {clean(why).replace('_', ' ')}" for why, number in ordered)


def _curve(chosen: Mapping[str, Any]) -> list[str]:
    """Return k and the share of the rows that lies beyond it, as two lines."""
    points = [
        (k, share) for k, share in chosen["curve"] if math.isclose(k % _CURVE_STEP, 0, abs_tol=1e-6)
    ]
    table = [
        ["if k were", *(f"{k:.1f}" for k, _ in points)],
        ["rows beyond", *(percent(share) for _, share in points)],
    ]
    return aligned(table, [False] + [True] * len(points))
