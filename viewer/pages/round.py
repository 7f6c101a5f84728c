"""The Round page: what the diagnosis saw, what it flagged and why, and what became of it."""

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
from markupsafe import Markup
from starlette.requests import Request

from ...core.amounts import several
from ...core.errors import UsageError
from ...inspection.diagnoses import understood
from ...inspection.figures import between, count, duration, loss
from ...inspection.pictures import AxisPicture, RoundPicture, round_picture
from ...inspection.points import Points
from ...inspection.record import Record
from ...inspection.sentences import gate_line
from ..charts.histogram import histogram_chart
from ..charts.map import cluster_map
from ..charts.points import Layout
from ..charts.scatter import scatter
from ..charts.share_curve import share_curve
from ..visible import plain
from .colours import COLOURS, Colour, coloured
from .frame import frame

FLAGGED_SHOWN = 25
_FATES = ("accepted", "rejected", "failed", "deferred")
_ROWS = ("kept", "replaced", "added", "dropped")


def page(record: Record, request: Request) -> tuple[str, dict[str, Any]]:
    """Return the page of the round that the address names.

    Raises:
        UsageError: there is no such round, or no such colour.
    """
    name, colour = request.path_params["round"], request.query_params.get("colour") or "cluster"
    known = {str(number): number for number in _rounds(record)}
    if name not in known:
        raise UsageError(f"this run has no round {name[:40]!r}; see the Run page for those it has")
    if colour not in COLOURS:
        raise UsageError(f"the map can't be coloured by {colour[:40]!r}: cluster, axis or fate")
    # Only the map is swapped, so only the map is made.
    template = "round_map.html" if request.headers.get("hx-target") == "map" else "round.html"
    return template, context(record, known[name], COLOURS[colour])


def context(record: Record, number: int, colour: Colour = "cluster") -> dict[str, Any]:
    """Return what `round.html` shows."""
    picture = round_picture(record, number)
    entry, points = picture.entry, picture.points
    around = frame(record, "round")
    with understood(record.round_folder(number) / "diagnosis.json"):
        diagnosed = {
            "axes": [(axis, *_charts(axis)) for axis in picture.axes],
            "proof": _proof(picture.proof),
            "plan": _plan(picture.plan),
        }
    return {
        **around,
        **diagnosed,
        "number": number,
        "rounds": _rounds(record),
        "picture": picture,
        "headline": _headline(picture, around["status"]),
        "gate": gate_line(entry, record.margin()),
        "figures": _figures(entry),
        "training": _training(entry),
        "fates": [(fate, entry.get(fate)) for fate in _FATES],
        "rows": [(name, entry.get(name)) for name in _ROWS],
        "reasons": _reasons(entry),
        **(_points(points, colour) if points is not None else {"scatter": None, "map": None}),
        "colour": colour,
        "colours": tuple(COLOURS),
        "flagged": _flagged(points) if points is not None else [],
    }


def _rounds(record: Record) -> list[int]:
    """Return the rounds that have a page: those of `run.json`."""
    return [entry["round"] for entry in record.document().get("rounds") or []]


_UNSETTLED = {
    "running": "they are being refined",
    "paused": "their proposals wait for a person's review",
}


def _headline(picture: RoundPicture, status: str) -> str:
    entry = picture.entry
    if picture.missing:
        return picture.missing
    rows = several(picture.rows or 0, "row")
    # The diagnosis is written a moment before `run.json` tells of it.
    flagged = picture.points.flagged if picture.points is not None else 0
    if not flagged:
        return f"{rows} {'was' if picture.rows == 1 else 'were'} looked at, and none is flagged."
    told = f"{rows} were looked at and {count(flagged)} of them flagged"
    if entry.get("accepted") is None:
        return f"{told}; {_UNSETTLED.get(status, 'the run stopped before all were refined')}."
    parts = [f"{count(entry[fate])} {fate}" for fate in _FATES if entry.get(fate)]
    return f"{told}: {', '.join(parts)}." if parts else f"{told}."


def _figures(entry: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """Return label, figure and a word on it."""
    found = []
    evaluation = entry.get("evaluation") or {}
    if evaluation:
        words = f"{between(evaluation.get('interval'))} on {several(evaluation['rows'], 'row')}"
        found.append(("Hold-out loss, nats per token", loss(evaluation.get("holdout_loss")), words))
    flagged = entry.get("flagged")
    if flagged:
        axes = ", ".join(f"{flagged[name]:,} {name}" for name in flagged if name != "samples")
        found.append(("Flagged", count(flagged["samples"]), axes))
    if entry.get("accepted") is not None:
        refused = (entry.get("rejected") or 0) + (entry.get("failed") or 0)
        found.append(("Rewrites accepted", count(entry["accepted"]), f"{refused:,} refused"))
    times = entry.get("times") or {}
    if times:
        longest = max(times, key=lambda name: times[name])
        words = f"{duration(times[longest])} of it in {longest}"
        found.append(("Time", duration(sum(times.values())), words))
    return found


def _training(entry: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return the figures of the training, for what is known."""
    training = entry.get("training") or {}
    device = " ".join(str(training[name]) for name in ("device", "dtype") if training.get(name))
    memory = training.get("peak_memory_mb")
    skipped = training.get("skipped") or {}
    left = ", ".join(f"{number:,} {why.replace('_', ' ')}" for why, number in skipped.items())
    pairs = (
        ("Rows", count(training.get("rows"))),
        ("Left out", left),
        ("Tokens", count(training.get("tokens"))),
        ("Optimizer steps", count(training.get("steps"))),
        ("Training loss", loss(training.get("train_loss"))),
        ("Time", "reused, not trained again" if training.get("reused") else _seconds(training)),
        ("On", device),
        ("Peak memory", f"{memory:,} MB" if memory else ""),
    )
    return [(name, text) for name, text in pairs if text and text != "-"]


def _seconds(training: Mapping[str, Any]) -> str:
    return duration(training.get("seconds"))


def _reasons(entry: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return why samples were not accepted: fate, gate and number, the most frequent first."""
    found = sorted((entry.get("reasons") or {}).items(), key=lambda item: (-item[1], item[0]))
    rows = []
    for key, number in found:
        fate, _, gate = key.partition(": ")
        rows.append({"fate": fate, "gate": gate, "count": number})
    return rows


def _charts(axis: AxisPicture) -> tuple[Markup, Markup]:
    if not axis.on:
        return Markup(""), Markup("")
    name = axis.view.name
    return (
        histogram_chart(
            name,
            axis.bins,
            axis.threshold,
            flags_high=axis.view.flags_high,
            score=axis.view.unit,
        ),
        share_curve(name, axis.curve, axis.k, axis.share),
    )


def _points(points: Points, colour: Colour) -> dict[str, Any]:
    """Return scatter and map, and what a pointer over them needs to know."""
    by_axis = coloured(points, "axis")
    scattered, places = scatter(
        by_axis.cloud(points.before, points.after), points.k, unit=points.unit
    )
    mapped, spots = cluster_map(coloured(points, colour).cloud(points.xs, points.ys), colour)
    outside = [layout.outside if layout else 0 for layout in (places, spots)]
    return {
        "scatter": scattered,
        "map": mapped,
        "outside": outside,
        "hints": _hints(points, places, spots),
        "drawn": _drawn(points),
    }


def _hints(points: Points, scattered: Layout | None, mapped: Layout | None) -> Markup:
    """Return what the script shows of a point, as JSON that can stand inside of a page."""
    told = [
        ", ".join(part for part in (axes.replace("+", " + "), fate) if part)
        for axes, fate in zip(points.axes, points.fates, strict=True)
    ]
    document = {
        "ids": points.ids,
        "prompts": [plain(prompt) for prompt in points.prompts],
        "told": told,
        "scatter": _spots(scattered),
        "map": _spots(mapped),
    }
    written = json.dumps(document, ensure_ascii=True, separators=(",", ":"), allow_nan=False)
    for sign in "<>&":
        written = written.replace(sign, f"\\u{ord(sign):04x}")
    return Markup(written)


def _spots(layout: Layout | None) -> list[float | None]:
    """Return x and y of every point in turn, None where it is not drawn.

    One list, since a list per point would be thousands of objects for the garbage collector.
    """
    if layout is None:
        return []
    spots = np.round(np.stack([layout.xs, layout.ys], axis=1), 1).ravel().tolist()
    return [spot if spot == spot else None for spot in spots]  # NaN differs from itself


def _drawn(points: Points) -> str:
    """Say which rows are drawn."""
    flagged = (
        "the one flagged row" if points.flagged == 1 else f"all {points.flagged:,} flagged rows"
    )
    if not points.flagged:
        flagged = "no flagged row, since there is none,"
    if points.others == points.of_others:
        return f"Drawn are {flagged} and all {points.others:,} others."
    return (
        f"Drawn are {flagged} and {points.others:,} of the {points.of_others:,} others, picked at"
        " random with the seed of the run."
    )


def _flagged(points: Points) -> list[dict[str, Any]]:
    """Return the first flagged rows, which are the keyboard's way to the points."""
    places = [place for place, axes in enumerate(points.axes) if axes][:FLAGGED_SHOWN]
    return [
        {
            "id": points.ids[place],
            "prompt": points.prompts[place],
            "axes": points.axes[place].split("+"),
            "fate": points.fates[place],
            "cluster": _cluster(float(points.clusters[place])),
            "before": _loss(float(points.before[place])),
            "after": _loss(float(points.after[place])),
        }
        for place in places
    ]


def _cluster(label: float) -> str:
    if not np.isfinite(label):
        return "-"
    return "none" if label < 0 else f"{label:.0f}"


def _loss(value: float) -> str:
    return f"{value:.2f}" if np.isfinite(value) else "-"


def _proof(proof: Mapping[str, Any] | None) -> list[tuple[str, str]]:
    """Return the bounds that proposals were held against, in words."""
    if not proof or not proof.get("terms"):
        return []
    terms = proof["terms"]
    pairs = (
        (
            "Memorisation offset",
            terms.get("offset"),
            "taken off a proposal's loss: what training lowers only on rows that it saw",
        ),
        (
            "Loss at least",
            terms.get("loss_floor"),
            "below the 10th percentile of the unflagged rows there is little to learn",
        ),
        (
            "Margin of quality",
            terms.get("margin"),
            "twice its standard error, by which a rewrite has to gain",
        ),
        ("Quality threshold", terms.get("quality_threshold"), "below it a row is flagged"),
        ("Median quality", terms.get("quality_median"), "of the rows that were measured"),
    )
    return [(name, f"{value:.4f}, {why}") for name, value, why in pairs if value is not None]


def _plan(plan: Mapping[str, Any] | None) -> dict[str, Any] | None:
    if plan is None:
        return None
    return {
        "rationale": plan.get("rationale", ""),
        "model": plan.get("model", ""),
        "selected": len(plan.get("selected") or []),
        "deferred": len(plan.get("deferred") or []),
        "k": plan.get("k") or {},
        "held": plan.get("held") or [],
        "shares": plan.get("shares") or {},
    }
