"""The rounds of a run as text: a table of trainings, and what each refinement did."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ..core.amounts import several
from ..inspection.figures import DASH, aligned, between, count, duration, loss
from .output import clean, shortened

Round = Mapping[str, Any]
_AXES = ("complexity", "diversity", "quality")
_FATES = ("accepted", "rejected", "failed", "deferred")
_REASONS_SHOWN = 8
_FAILURES_SHOWN = 5
_TEXT_WIDTH = 72
_PLAN_WIDTH = 160


def round_table(rounds: Sequence[Round], base_loss: float | None = None) -> list[str]:
    """Return one line per training, after a header and the untuned base."""
    if not rounds:
        return []
    head = [
        "Round",
        "Rows",
        "Training",
        "Hold-out loss",
        "95% interval",
        "Against round 0",
        "Gate",
    ]
    table = [head]
    if base_loss is not None:
        table.append(["untuned", DASH, DASH, loss(base_loss), DASH, DASH, DASH])
    table += [_row(entry) for entry in rounds]
    return aligned(table, [True, True, True, True, False, False, False])


def _row(entry: Round) -> list[str]:
    training = entry.get("training") or {}
    evaluation = entry.get("evaluation") or {}
    trained = duration(training.get("seconds"))
    if training.get("reused"):
        trained = "reused"
    difference = entry.get("difference")
    against = f"{difference['mean']:+.4f}" if difference and entry["round"] else DASH
    return [
        str(entry["round"]),
        count((entry.get("dataset") or {}).get("rows")),
        trained,
        loss(evaluation.get("holdout_loss")),
        between(evaluation.get("interval")),
        against,
        clean(entry.get("gate") or DASH),
    ]


def round_steps(rounds: Sequence[Round]) -> Iterator[str]:
    """Yield a paragraph for every round that was diagnosed: flags, fates, reasons, cautions."""
    for entry in rounds:
        if entry.get("flagged") is not None:
            yield "\n".join(_step(entry))


def _step(entry: Round) -> Iterator[str]:
    number, samples = entry["round"], entry["flagged"].get("samples") or 0
    verb = "was" if samples == 1 else "were"
    yield f"Round {number} to {number + 1}: {several(samples, 'sample')} {verb} flagged"
    yield from axis_lines(entry.get("axes") or {}, entry["flagged"])
    yield from _plan(entry.get("plan"))
    if entry.get("review"):
        yield f"  review      {review_line(entry['review'])}"
    yield from _fates(entry)
    for caution in entry.get("cautions") or []:
        yield f"  caution     {clean(caution)}"


def _plan(plan: Mapping[str, Any] | None) -> Iterator[str]:
    """Say what a model planned and why, and what of it was not granted."""
    if plan is None:
        return
    moves = [f"k of {axis} {k:.2f}" for axis, k in plan["k"].items()]
    if plan["weights"]:
        parts = ", ".join(f"{axis} {part:.0%}" for axis, part in plan["weights"].items())
        moves.append(f"shares {parts}")
    what = ", ".join(moves) or "as it is"
    yield "  plan        " + shortened(f"{what}: {plan['rationale']}", _PLAN_WIDTH)
    for line in plan["held"]:
        yield f"  held        {clean(line)}"


def axis_lines(axes: Mapping[str, Any], flagged: Mapping[str, Any]) -> list[str]:
    """Return a line per axis: its flags and threshold, or why it is off or flags nothing."""
    return [_axis(name, axes.get(name), flagged.get(name)) for name in _AXES]


def _axis(name: str, axis: Mapping[str, Any] | None, flags: int | None) -> str:
    start = f"  {name:<12}"
    if axis is None:
        return start + ("not configured" if not flags else f"{flags:,} flagged")
    reason = clean(axis.get("reason") or "")
    if not axis.get("on"):
        return start + "off" + (f": {reason}" if reason else "")
    found = flags if flags is not None else axis.get("flagged", 0)
    reason = reason or ("" if found else "no sample is beyond the threshold")
    text = f"{found:,} flagged"
    if axis.get("threshold") is not None:
        factor = "" if axis.get("k") is None else f", k {axis['k']:.2f}"
        text += f" (threshold {axis['threshold']:.4f}{factor})"
    return start + text + (f": {reason}" if reason else "")


def review_line(review: Mapping[str, Any]) -> str:
    """Say what people decided on a round's proposals, and what waits or went on without them."""
    if not review["asked"]:
        return "no proposal to review"
    text = f"{several(review['asked'], 'proposal')}: " + ", ".join(
        f"{review[name]:,} {name}" for name in ("accepted", "rejected", "edited")
    )
    if not review["undecided"]:
        return text
    what = "waiting" if review["open"] else "not decided, taken as the gates left them"
    return f"{text}, {review['undecided']:,} {what}"


def waiting(rounds: Sequence[Round]) -> int:
    """Return how many proposals wait for a person."""
    reviews = [entry.get("review") or {} for entry in rounds]
    return sum(review["undecided"] for review in reviews if review.get("open"))


def _fates(entry: Round) -> Iterator[str]:
    if entry.get("accepted") is None:
        return
    fates = ", ".join(f"{count(entry.get(fate))} {fate}" for fate in _FATES)
    yield f"  fates       {fates}"
    yield (
        f"  rows        {count(entry.get('kept'))} kept, {count(entry.get('replaced'))} replaced, "
        f"{count(entry.get('added'))} added, {count(entry.get('dropped'))} dropped"
    )
    reasons = sorted((entry.get("reasons") or {}).items(), key=lambda item: (-item[1], item[0]))
    for number, (reason, times) in enumerate(reasons[:_REASONS_SHOWN]):
        label = "reasons" if number == 0 else ""
        yield f"  {label:<12}{times:>3} x {shortened(reason, _TEXT_WIDTH)}"
    if len(reasons) > _REASONS_SHOWN:
        yield f"  {'':<12}and {several(len(reasons) - _REASONS_SHOWN, 'other reason')}"
    failures = list((entry.get("failures") or {}).items())
    for number, (name, reason) in enumerate(failures[:_FAILURES_SHOWN]):
        label = "failures" if number == 0 else ""
        yield f"  {label:<12}{clean(name)}: {shortened(reason, _TEXT_WIDTH)}"
    if len(failures) > _FAILURES_SHOWN:
        left = len(failures) - _FAILURES_SHOWN
        yield f"  {'':<12}and {left} more, all with their reasons in run.json"
