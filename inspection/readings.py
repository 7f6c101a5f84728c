"""What a round measured of one sample, held against the thresholds and all other samples."""

from bisect import bisect_left
from collections.abc import Mapping
from typing import Any

import numpy as np

from ..core.records import Axis
from .life import Reading
from .record import Columns, Record

SCORES: dict[Axis, tuple[str, bool]] = {
    Axis.COMPLEXITY: ("complexity", True),
    Axis.DIVERSITY: ("density", False),
    Axis.QUALITY: ("quality", False),
}
"""Axis -> column that is compared, and whether high values are flagged."""
_NO_NUMBERS = frozenset({"cluster"})


def place_of(signals: Columns, name: str) -> int | None:
    """Return the row of a sample; they are in order of id."""
    ids = signals["id"]
    place = bisect_left(ids, name)
    return place if place < len(ids) and ids[place] == name else None


def measured_values(signals: Columns, place: int) -> dict[str, float]:
    """Return the numbers of a row by column, without those that were not measured."""
    return {
        name: float(column[place])
        for name, column in signals.items()
        if column.dtype == np.float64 and name not in _NO_NUMBERS and np.isfinite(column[place])
    }


def axis_readings(record: Record, number: int, name: str) -> tuple[Reading, ...]:
    """Return a reading per axis; none where the round was not diagnosed."""
    signals, diagnosis = record.signals(number), record.diagnosis(number)
    if signals is None or diagnosis is None:
        return ()
    place = place_of(signals, name)
    if place is None:
        return ()
    flags = record.remembered(("flags", number), id(diagnosis), lambda: _by_sample(diagnosis)).get(
        name, {}
    )
    return tuple(
        _reading(record, number, name, axis, signals, place, diagnosis, flags.get(str(axis)))
        for axis in Axis
    )


def _by_sample(diagnosis: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for flag in diagnosis["flags"]:
        found.setdefault(flag["id"], {})[flag["axis"]] = flag
    return found


def _reading(
    record: Record,
    number: int,
    name: str,
    axis: Axis,
    signals: Columns,
    place: int,
    diagnosis: Mapping[str, Any],
    flag: Mapping[str, Any] | None,
) -> Reading:
    column, flags_high = SCORES[axis]
    report = diagnosis["axes"].get(str(axis)) or {}
    values = signals[column]
    finite = values[np.isfinite(values)]
    score = float(values[place]) if np.isfinite(values[place]) else None
    threshold = report.get("threshold")
    rank = None
    if score is not None:
        rank = 1 + int((finite > score).sum() if flags_high else (finite < score).sum())
    on = bool(report.get("on"))
    if flag is not None:
        reason = str(flag["reason"])
    elif not on:
        reason = str(report.get("reason") or "not diagnosed")
    elif score is None or threshold is None:
        reason = ""
    else:
        beyond = score > threshold if flags_high else score < threshold
        reason = _spared(record, number, name, axis, signals, place) if beyond else ""
    return Reading(
        axis=axis,
        on=on,
        score=score,
        threshold=threshold,
        flags_high=flags_high,
        rank=rank,
        of=len(finite),
        flagged=flag is not None,
        reason=reason,
    )


def _spared(
    record: Record, number: int, name: str, axis: Axis, signals: Columns, place: int
) -> str:
    """Return why a sample beyond the threshold is not flagged."""
    for earlier in range(number):
        outcome = record.outcomes.outcome(earlier, name)
        if outcome is None or outcome.axis is not axis:
            continue
        fate, _ = record.fates(earlier).get(name, (outcome.fate, ""))
        if fate == "rejected":
            return f"not flagged again: every proposal for it was refused in round {earlier}"
        if fate == "accepted":
            return f"not flagged again: what round {earlier} made of it was rolled back"
    quality = signals["quality"]
    if axis is Axis.DIVERSITY and np.isfinite(quality[place]):
        median = float(np.median(quality[np.isfinite(quality)]))
        if quality[place] < median:
            return "not flagged: its quality is below the median, so it is no seed for a new sample"
    return ""
