"""One axis of a diagnosis as text: histogram with threshold, curve of k, and who has no score."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..inspection.figures import aligned, count, percent, several
from ..inspection.histogram import Bin, drawn, histogram
from ..signals.complexity import SHORTEST_ANSWER
from .output import clean, labelled, wrapped

Rows = Sequence[Mapping[str, Any]]
INDENT = "  "
WIDTH = 80
_LABEL = 13
_CURVE_STEP = 0.5


@dataclass(frozen=True, slots=True)
class View:
    """How the scores of an axis are read.

    Attributes:
        name: of the axis.
        column: of `signals.parquet`.
        question: what the axis asks of a row.
        meaning: what the score is.
        flags_high: whether high scores are flagged, or low ones.
        bounds: lowest and highest possible score.
    """

    name: str
    column: str
    question: str
    meaning: str
    flags_high: bool
    bounds: tuple[float, float] = (-math.inf, math.inf)


VIEWS = (
    View(
        "complexity",
        "complexity",
        "is the answer harder for the model than usual?",
        "the loss above the median of answers of similar length, in robust standard deviations",
        True,
    ),
    View(
        "diversity",
        "density",
        "does the prompt stand alone?",
        "the mean cosine similarity to the nearest other prompts",
        False,
        (-1.0, 1.0),
    ),
    View(
        "quality",
        "quality",
        "is the answer broken?",
        "the chance that it is sound, by the calibration below",
        False,
        (0.0, 1.0),
    ),
)


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
    choice = _choice(view, thresholds)
    lines = [
        *wrapped(f"Score: {_meaning(view, document)}."),
        "",
        *drawn(bins, axis["threshold"], flags_high=view.flags_high),
        "",
        *labelled("Beyond", _beyond(axis, bins), _LABEL),
        *labelled("Threshold", _threshold(view, axis, thresholds), _LABEL),
        *labelled("k", _origin(choice), _LABEL),
        *labelled("No score", _missing(view, rows), _LABEL),
        "",
        *_curve(choice),
    ]
    return [f"{title}: {view.question}", *(INDENT + line if line else "" for line in lines)]


def _meaning(view: View, document: Mapping[str, Any]) -> str:
    if view.name != "complexity":
        return view.meaning
    if document["thresholds"]["complexity"]["tuned"] is None:
        return f"{view.meaning}; the base model's loss alone, since there is no tuned model"
    return f"{view.meaning}; the smaller one of base and tuned model"


def _beyond(axis: Mapping[str, Any], bins: Sequence[Bin]) -> str:
    scored = sum(one.count for one in bins)
    beyond = sum(one.count for one in bins if one.beyond)
    share = f" ({percent(beyond / scored)})" if scored else ""
    text = f"{count(beyond)} of {several(scored, 'row')} with a score{share}"
    if beyond == axis["flagged"]:
        return text
    return (
        f"{text}, {count(axis['flagged'])} of them flagged: where an answer is below the median"
        " of quality, its prompt is no seed for a new row"
    )


def _threshold(view: View, axis: Mapping[str, Any], thresholds: Mapping[str, Any]) -> str:
    if view.name == "complexity":
        return f"{axis['threshold']:.2f} = k"
    bound = thresholds[view.name]
    plain = bound["mean"] - bound["k"] * bound["std"]
    parts = f"mean {bound['mean']:.4f} - k {bound['k']:.2f} x std {bound['std']:.4f}"
    if axis["threshold"] < round(plain, 4):
        return (
            f"{axis['threshold']:.4f}, since a row above that is more likely sound than broken;"
            f" {parts} would be {plain:.4f}"
        )
    return f"{axis['threshold']:.4f} = {parts}"


def _origin(choice: Mapping[str, Any]) -> str:
    k = f"{choice['k']:.2f}"
    if choice["fixed"]:
        return f"{k}, fixed by signals.k"
    return f"{k}, chosen to come nearest to the share in signals.share"


def _choice(view: View, thresholds: Mapping[str, Any]) -> Mapping[str, Any]:
    found: Mapping[str, Any] = (
        thresholds["complexity_k"] if view.name == "complexity" else thresholds[view.name]["choice"]
    )
    return found


def _missing(view: View, rows: Rows) -> str:
    """Say how many rows have no score, and why; empty where all have one."""
    reasons: Counter[str] = Counter()
    for row in rows:
        if row[view.column] is not None:
            continue
        if row["unscored"]:
            reasons[row["unscored"]] += 1
        elif view.name == "complexity" and row["answer_tokens"] < SHORTEST_ANSWER:
            reasons[f"answer under {SHORTEST_ANSWER} tokens"] += 1
        else:
            reasons["a signal is missing"] += 1
    if not reasons:
        return ""
    return f"{several(reasons.total(), 'row')} ({times(reasons)})"


def times(reasons: Counter[str]) -> str:
    """Return `3 x too long, 1 x no answer`, the most frequent first."""
    ordered = sorted(reasons.items(), key=lambda item: (-item[1], item[0]))
    return ", ".join(f"{number:,} x {clean(why).replace('_', ' ')}" for why, number in ordered)


def _curve(choice: Mapping[str, Any]) -> list[str]:
    """Return k and the share of the rows that lies beyond it, as two lines."""
    points = [
        (k, share) for k, share in choice["curve"] if math.isclose(k % _CURVE_STEP, 0, abs_tol=1e-6)
    ]
    table = [
        ["if k were", *(f"{k:.1f}" for k, _ in points)],
        ["rows beyond", *(percent(share) for _, share in points)],
    ]
    return aligned(table, [False] + [True] * len(points))
