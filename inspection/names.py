"""From what a person types to a sample's full id."""

import json
import re

from ..core.errors import UsageError
from ..core.prefixes import NEAR, beginning, near, some
from .record import Record

LONGEST = 400
"""Characters: a place may be a long file name."""
MOST_COMPARED = 20_000
"""Ids that near ones are looked for among; of more, those that begin alike."""
_HELD_OUT = (
    "this row is held out: it is never trained on, diagnosed or rewritten, so it has no life to"
    " tell"
)
_PLACE = re.compile(r".+:[1-9][0-9]*")
_HEX = re.compile(r"[0-9a-f]+(?:-[0-9]+)?")


def resolve(record: Record, text: str) -> str:
    """Return the id that `text` is, or is the only one to begin with.

    A place in the input, `file name:row`, names the sample that was imported from there.

    Raises:
        UsageError: none or several; the message names some, and says so of a held-out row.
    """
    wanted = text.strip().lower()
    if not wanted:
        raise UsageError("a sample id is missing; `middo view` lists them")
    if len(wanted) > LONGEST:
        raise UsageError(f"{wanted[:16]!r}...: no id is that long; `middo view` lists them")
    if _PLACE.fullmatch(text.strip()) and text.strip().isprintable():
        return _from_place(record, text.strip())
    known = record.index.starting(wanted, NEAR + 1) if _HEX.fullmatch(wanted) else []
    found = beginning(wanted, known)
    if len(found) == 1:
        return found[0]
    if found:
        raise UsageError(f"{text!r}: several samples begin so: {some(found)}; give more digits")
    held = record.holdout()
    if held is not None and _HEX.fullmatch(wanted):
        apart = [name for name in held.ids() if name.startswith(wanted)]
        if apart:
            raise UsageError(f"{apart[0]}: {_HELD_OUT}")
    like = near(wanted, _candidates(record, wanted))
    hint = f"; near it: {some(like)}" if like else "; `middo view` lists the samples"
    raise UsageError(f"{text!r}: no sample of {record.name} has this id{hint}")


def _from_place(record: Record, place: str) -> str:
    """Return the id of the row that came from a place in the input."""
    found = record.index.from_source(place)
    if found:
        return found[0]
    held = record.holdout()
    if held is not None:
        apart = next((sample.id for sample in held if sample.source == place), None)
        if apart is not None:
            raise UsageError(f"{place}: {_HELD_OUT}")
    quarantine = record.folder / "quarantine.jsonl"
    if quarantine.is_file():
        with quarantine.open(encoding="utf-8") as file:
            for line in file:
                row = json.loads(line)
                if row.get("source") == place:
                    raise UsageError(
                        f"{place}: this row is quarantined and has no life to tell: {row['reason']}"
                    )
    raise UsageError(
        f"{place!r}: no sample of {record.name} came from there; a row left out by"
        " data.limit is not in the run"
    )


def _candidates(record: Record, wanted: str) -> list[str]:
    """Return the ids to compare with: all, or of many those that begin alike."""
    found: list[str] = []
    for digits in range(5 if _HEX.fullmatch(wanted) else 1):
        found = record.index.starting(wanted[:digits], MOST_COMPARED + 1)
        if len(found) <= MOST_COMPARED:
            break
    return found[:MOST_COMPARED]
