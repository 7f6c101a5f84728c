"""What waits for a person: each proposal beside its original, with what the gates said of it."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..core.records import Axis, Message, Sample
from ..stores.database import Database, intact
from ..stores.facts import Facts
from ..stores.ledger import Ledger, Outcome
from ..stores.reviews import Reviews, Word
from ..stores.samples import Version
from .attempts import messages_of
from .diagnoses import read_diagnosis
from .record import Record


@dataclass(frozen=True, slots=True)
class Waiting:
    """A proposal that passed every gate of its round.

    Attributes:
        round: the round.
        sample_id: the flagged sample.
        axis: what it was refined for.
        flagged: why it was flagged, one line per axis.
        source: where its row came from.
        old: the sample's conversation.
        new: the proposed conversation.
        adds: True where the proposal would stand beside the sample instead of replacing it.
        gates: what the gates said, a line each.
        row: the proposal with all verdicts, as a row of `proposals.parquet`.
        word: what counts of what people said; None while it waits.
    """

    round: int
    sample_id: str
    axis: Axis
    flagged: tuple[str, ...]
    source: str
    old: tuple[Message, ...]
    new: tuple[Message, ...]
    adds: bool
    gates: tuple[str, ...]
    row: Mapping[str, Any]
    word: Word | None


def waiting(record: Record) -> list[Waiting]:
    """Return the proposals that wait for a person, in order of sample id."""
    return [one for one in under_review(record.folder, record.ledger) if one.word is None]


def edited(word: Word, proposed: tuple[Message, ...]) -> tuple[Message, ...]:
    """Return the conversation that a person made of a proposal; empty where it was not edited."""
    if word.decision != "edit" or not proposed:
        return ()
    return Sample("", proposed, "").with_exchange(word.prompt or "", word.answer or "")


def under_review(folder: Path, database: Database) -> list[Waiting]:
    """Return the proposals of the open review in order of sample id, decided ones too.

    Args:
        folder: the run folder.
        database: its `ledger.db`, open for reading.
    """
    reviews = Reviews(database)
    number = reviews.open_round()
    if number is None:
        return []
    outcomes = [one for one in Ledger(database).outcomes(number) if one.fate == "accepted"]
    standing = reviews.standing(number)
    path = folder / "rounds" / str(number) / "diagnosis.json"
    diagnosis = read_diagnosis(path)
    reasons: dict[str, list[str]] = {}
    for flag in diagnosis["flags"]:
        reasons.setdefault(flag["id"], []).append(f"{flag['axis']}: {flag['reason']}")
    source = Facts(database).get(f"round.{number}.diagnosis")["source_round"]
    version = Version(folder / "rounds" / str(source) / "dataset")
    samples = version.take(outcome.sample_id for outcome in outcomes)
    found = []
    for one in outcomes:
        with intact(database.name):
            row = one.proposals[-1]
            found.append(
                Waiting(
                    round=number,
                    sample_id=one.sample_id,
                    axis=one.axis,
                    flagged=tuple(reasons.get(one.sample_id, ())),
                    source=samples[one.sample_id].source,
                    old=samples[one.sample_id].messages,
                    new=messages_of(row),
                    adds=bool(row["adds"]),
                    gates=gate_lines(one),
                    row=row,
                    word=standing.get(one.sample_id),
                )
            )
    return found


def gate_lines(outcome: Outcome) -> tuple[str, ...]:
    """Return what checks, critic and proof said of an accepted proposal, a line each."""
    row = outcome.proposals[-1]
    checks, critique, proof = row["checks"], row["critique"] or {}, row["proof"] or {}
    passed = sum(check["passed"] for check in checks)
    lines = [f"attempt {row['attempt']}: {passed} of {len(checks)} checks passed"]
    lines += [f"{check['name']}: {check['reason']}" for check in checks if check["reason"]]
    said = [*critique.get("problems", ()), *filter(None, [critique.get("feedback")])]
    lines.append(f"critic: {critique.get('verdict', 'not asked')}" + _after(said))
    numbers = proof.get("numbers", {})
    figures = [
        f"{name.removesuffix('_compared')} {numbers[name]}{_bounds(name, numbers)}"
        for name in ("loss_compared", "quality", "similarity")
        if numbers.get(name) is not None
    ]
    lines.append(f"{proof.get('name', 'proof')}: passed" + _after(figures))
    return tuple(lines)


def _after(parts: list[str]) -> str:
    return ": " + "; ".join(parts) if parts else ""


def _bounds(name: str, numbers: Mapping[str, Any]) -> str:
    stem = name.removesuffix("_compared")
    found = [
        f"{word} {numbers[key]}"
        for word, key in (
            ("at least", f"{stem}_at_least"),
            ("at most", f"{stem}_at_most"),
            ("original", f"original_{stem}"),
        )
        if numbers.get(key) is not None
    ]
    return f" ({', '.join(found)})" if found else ""
