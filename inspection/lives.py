"""Put the life of one sample together, from all that a run folder tells of it."""

from collections.abc import Mapping, Sequence
from typing import Any

from ..core.errors import UsageError
from ..core.records import Axis, Fate
from ..stores.database import intact
from ..stores.reviews import Reviews
from .attempts import attempts_of, calls_of, verdicts_of
from .columns import Columns
from .endings import ending
from .life import Life, Neighbour, RoundOfLife
from .lines import Line, line_of
from .readings import axis_readings, measured_values, place_of
from .record import Record
from .similarity import similarities

NEIGHBOUR_CHARACTERS = 400


def life(record: Record, sample_id: str) -> Life:
    """Return the life of a sample by its full id, as far as it has been lived.

    Raises:
        UsageError: the run has no such sample; a held-out row has no life.
    """
    text = record.index.text(sample_id)
    if text is None:
        raise UsageError(f"{sample_id!r}: no sample of {record.name} has this id")
    line = line_of(record, sample_id)
    document = record.document()
    gates = {entry["round"]: entry.get("gate") for entry in document.get("rounds") or []}
    rounds = []
    for number in record.rounds():
        told = _round(record, line, number, gates)
        if told is not None:
            rounds.append(told)
    return Life(
        sample_id=sample_id,
        lineage=line.ids,
        source=text.source,
        origin=text.origin,
        rounds=tuple(rounds),
        ending=ending(sample_id, line, rounds, document),
        made=line.made,
        beside=line.beside,
    )


def _round(record: Record, line: Line, number: int, gates: Mapping[int, Any]) -> RoundOfLife | None:
    source = record.source_round(number)
    name = line.at.get(source)
    text = None if name is None else record.index.text(name)
    if name is None or text is None:
        return None
    signals = record.signals(number)
    place = None if signals is None else place_of(signals, name)
    outcome = record.outcomes.outcome(number, name)
    calls = calls_of(record, number, name)
    fate, reason = record.fates(number).get(name, (None, ""))
    values = {} if signals is None or place is None else measured_values(signals, place)
    verdicts = verdicts_of(record, number, name)
    with intact(record.ledger.name):
        attempts = attempts_of(outcome, calls, verdicts, merged=(fate, reason))
    return RoundOfLife(
        round=number,
        sample_id=name,
        messages=text.messages,
        values=values,
        readings=axis_readings(record, number, name),
        unscored=None if signals is None or place is None else signals["unscored"][place],
        cluster=_cluster(signals, place),
        neighbours=_neighbours(record, number, name, signals, place),
        axis=_axis(outcome.axis if outcome else None, [call.axes for call in calls]),
        fate=_fate(fate),
        reason=reason,
        attempts=attempts,
        note=_note(line, number, source, gates),
        words=tuple(Reviews(record.ledger).words(number, name)),
    )


def _axis(planned: Axis | None, asked: Sequence[str]) -> Axis | None:
    """Return what a sample is refined for: as settled, else as its calls under way say."""
    if planned is not None:
        return planned
    first = next((axes.partition("+")[0] for axes in asked if axes), "")
    return Axis(first) if first in set(Axis) else None


def _fate(fate: str | None) -> Fate | None:
    return fate  # type: ignore[return-value]  # written by the run


def _cluster(signals: Columns | None, place: int | None) -> int | None:
    if signals is None or place is None:
        return None
    label = signals["cluster"][place]
    return None if label != label else int(label)


def _neighbours(
    record: Record, number: int, name: str, signals: Columns | None, place: int | None
) -> tuple[Neighbour, ...]:
    if signals is None or place is None:
        return ()
    ids = record.index.neighbours(number, name)
    heads = record.index.heads(ids, NEIGHBOUR_CHARACTERS)
    near = similarities(record, number, name, ids)
    return tuple(Neighbour(one, heads.get(one, ("", ""))[0], near.get(one)) for one in ids)


def _note(line: Line, number: int, source: int, gates: Mapping[int, Any]) -> str:
    if gates.get(number) != "rolled_back":
        return ""
    if source == number:
        return f"round {number} was rolled back: its data made the model worse"
    note = f"round {number} was rolled back, and the data of round {source} was looked at again"
    there = line.at.get(number)
    if there is not None and there != line.at.get(source):
        note += f"; {there}, which had taken its place, was set aside"
    return note
