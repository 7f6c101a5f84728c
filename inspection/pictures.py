"""A round's page as data: axes, points, calibration, clusters; what is missing, in words.

`round_picture` reads what is there. A part that is not there says why, in a line for people.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..core.amounts import several
from . import axis as words
from .axis import VIEWS, View
from .calibrated import Kind, kinds, ratings
from .clusters import ClusterTable, cluster_table
from .columns import Columns
from .diagnoses import understood
from .histogram import Bin, histogram
from .points import Points, drawn_points, with_fates
from .record import Record


@dataclass(frozen=True, slots=True)
class AxisPicture:
    """One axis of a round.

    Attributes:
        view: how its scores are read.
        on: whether it was diagnosed.
        reason: why it is off, or what is special about it; may be empty.
        bins: of its scores.
        threshold: where the flagged side begins.
        k: the factor that stands.
        curve: (k, share) at the fit.
        share: what k flagged when it was set.
        flagged: samples flagged here.
        suppressed: samples beyond the threshold that were not flagged again.
        facts: name -> words: what lies beyond, how threshold and k came about, who has no score.
    """

    view: View
    on: bool
    reason: str
    bins: tuple[Bin, ...] = ()
    threshold: float = 0.0
    k: float = 0.0
    curve: tuple[tuple[float, float], ...] = ()
    share: float = 0.0
    flagged: int = 0
    suppressed: int = 0
    facts: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class RoundPicture:
    """A round as its page shows it.

    Attributes:
        round: its number.
        source_round: whose data set it looked at.
        entry: the round in `run.json`.
        missing: why there is no diagnosis, in words; empty where there is one.
        rows: rows of the data set that was looked at; None where there is no diagnosis.
        axes: in their order.
        points: what scatter and map draw; None where there is no diagnosis.
        no_map: why there is no map; empty where there is one.
        kinds: of the calibration.
        calibration: what was done and what is used, a line each.
        clusters: None where there are none.
        cautions: of the diagnostician.
        plan: in `diagnosis.json`; None where there is no diagnosis.
        proof: what proposals were held against; None where there was nothing to prove.
    """

    round: int
    source_round: int
    entry: Mapping[str, Any]
    missing: str
    rows: int | None = None
    axes: tuple[AxisPicture, ...] = ()
    points: Points | None = None
    no_map: str = ""
    kinds: tuple[Kind, ...] = ()
    calibration: tuple[str, ...] = ()
    clusters: ClusterTable | None = None
    cautions: tuple[str, ...] = ()
    plan: Mapping[str, Any] | None = None
    proof: Mapping[str, Any] | None = None


def round_picture(record: Record, k: int) -> RoundPicture:
    """Return what the page of a round shows.

    Raises:
        DataError: the round's signals can't be read.
    """
    document = record.document()
    rounds = document.get("rounds") or []
    entry: dict[str, Any] = next((one for one in rounds if one["round"] == k), {})
    diagnosis, columns = record.diagnosis(k), record.signals(k)
    if diagnosis is None or columns is None:
        return RoundPicture(k, k, entry, _missing(k, entry, document))
    with understood(record.round_folder(k) / "diagnosis.json"):
        return _whole(record, k, entry, diagnosis, columns)


def _whole(
    record: Record,
    k: int,
    entry: dict[str, Any],
    diagnosis: dict[str, Any],
    columns: Columns,
) -> RoundPicture:
    axes, drawn, clusters = _measured(record, k, diagnosis, columns)
    points = with_fates(drawn, record.fates(k))
    calibration = diagnosis["calibration"]
    return RoundPicture(
        round=k,
        source_round=diagnosis["source_round"],
        entry=entry,
        missing="",
        rows=len(columns["id"]),
        axes=axes,
        points=points,
        no_map="" if np.isfinite(points.xs).any() else "too few rows have an embedding for a map",
        kinds=kinds(calibration),
        calibration=_calibration(calibration),
        clusters=clusters,
        cautions=tuple(diagnosis["cautions"]),
        plan=diagnosis.get("plan"),
        proof=diagnosis.get("proof"),
    )


_Measured = tuple[tuple[AxisPicture, ...], Points, ClusterTable | None]


def _measured(record: Record, k: int, diagnosis: Mapping[str, Any], columns: Columns) -> _Measured:
    """Return what does not change once a round is diagnosed, made once."""
    before = record.signals(k - 1) if k else None
    # A run that goes on indexes a diagnosis a moment after writing it.
    indexed = record.index.diagnoses().get(k)
    held = (diagnosis, columns, before)

    def look() -> tuple[_Measured, tuple[object, ...]]:
        axes = tuple(_axis(view, diagnosis, columns) for view in VIEWS)
        points = drawn_points(record, k, diagnosis, record.seed())
        return (axes, points, cluster_table(record, k, diagnosis, points)), held

    # The objects are kept beside what was made of them, so that their ids stay theirs.
    state = (indexed, *(id(one) for one in held))
    found, _ = record.remembered(("pictures", k), state, look)
    return found


def _missing(k: int, entry: Mapping[str, Any], document: Mapping[str, Any]) -> str:
    """Say why a round has no diagnosis."""
    status, last = (
        document.get("status"),
        max((one["round"] for one in document.get("rounds") or []), default=0),
    )
    if k < last:
        return f"Round {k} has no diagnosis in this folder."
    if status == "running":
        done = "evaluated" if entry.get("evaluation") else "trained"
        return f"The run is still going on: round {k} is diagnosed once it is {done} and judged."
    if status == "finished":
        stopped = document.get("stopped")
        why = f": {stopped}" if stopped else ""
        return f"Round {k} was the last one and was not diagnosed{why}."
    return f"The run is {status}: round {k} was not diagnosed yet. `middo resume` goes on with it."


def _axis(view: View, diagnosis: Mapping[str, Any], columns: Columns) -> AxisPicture:
    axis, thresholds = diagnosis["axes"].get(view.name), diagnosis["thresholds"]
    if axis is None or not axis["on"]:
        return AxisPicture(view, False, axis["reason"] if axis else "not among signals.axes")
    values = columns[view.column]
    scored = np.isfinite(values)
    # Sorted here, since the histogram sorts a list of numbers much faster when it is sorted.
    ordered = np.sort(values[scored]).tolist()
    bins = histogram(ordered, axis["threshold"], flags_high=view.flags_high, bounds=view.bounds)
    beyond = sum(one.count for one in bins if one.beyond)
    chosen = words.choice(view, thresholds)
    facts = (
        ("Score", words.meaning(view, thresholds)),
        ("Beyond", words.beyond(axis, beyond, len(ordered))),
        ("Threshold", _typeset(words.threshold(view, axis, thresholds))),
        ("k", words.origin(chosen)),
        ("No score", _unscored(view, ~scored, columns)),
    )
    return AxisPicture(
        view,
        True,
        axis["reason"],
        tuple(bins),
        axis["threshold"],
        axis["k"],
        tuple((float(k), float(share)) for k, share in chosen["curve"]),
        chosen["share"],
        axis["flagged"],
        axis["suppressed"],
        tuple((name, text) for name, text in facts if text),
    )


def _typeset(formula: str) -> str:
    """Return a formula with the signs that a page has and a terminal may not."""
    return formula.replace(" - ", " \N{MINUS SIGN} ").replace(" x ", " \N{MULTIPLICATION SIGN} ")


def _unscored(view: View, out: Any, columns: Columns) -> str:
    reasons = words.missing(
        view,
        [False] * int(out.sum()),
        columns["unscored"][out].tolist(),
        columns["answer_tokens"][out].tolist(),
    )
    ordered = sorted(reasons.items(), key=lambda item: (-item[1], item[0]))
    told = ", ".join(f"{number:,} × {why.replace('_', ' ')}" for why, number in ordered)
    if len(ordered) == 1:
        told = ordered[0][0].replace("_", " ")
    return f"{several(reasons.total(), 'row')}: {told}" if reasons else ""


def _calibration(found: Mapping[str, Any]) -> tuple[str, ...]:
    if not found["kinds"]:
        return (f"There is none: {found['reason']}.",)
    used = ", ".join(found["signals"]) if found["on"] else "none, since no way counts"
    lines = (
        f"{several(found['rows'], 'true answer')} of this data set were broken on purpose in each"
        " of these ways. The area under the ROC curve says how well the broken ones are told from"
        " the true ones: 0.5 is guessing, 1 is perfect. A way counts where its interval lies above"
        " 0.6.",
        f"Signals used: {used}.",
    )
    told = ratings(found["ratings"])
    return (*lines, f"{told}.") if told else lines
