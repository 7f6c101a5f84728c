"""From what a person types to a sample's full id."""

import re
from difflib import get_close_matches

from ..core.errors import UsageError
from .record import Record

SHOWN = 4
MOST_COMPARED = 20_000
"""Ids that near ones are looked for among; of more, those that begin alike."""
_HEX = re.compile(r"[0-9a-f]+(?:-[0-9]+)?")


def resolve(record: Record, text: str) -> str:
    """Return the id that `text` is, or is the only one to begin with.

    Raises:
        UsageError: none or several; the message names some, and says so of a held-out row.
    """
    wanted = text.strip().lower()
    if not wanted:
        raise UsageError("a sample id is missing; `middo view` lists them")
    index = record.index
    found = index.starting(wanted, SHOWN + 1)
    if wanted in found:
        return wanted
    if len(found) == 1:
        return found[0]
    if found:
        some = ", ".join(found[:SHOWN]) + (" and more" if len(found) > SHOWN else "")
        raise UsageError(f"{text!r}: more than one sample begins so: {some}; give more digits")
    held = record.holdout()
    if held is not None and _HEX.fullmatch(wanted):
        apart = [name for name in held.ids() if name.startswith(wanted)]
        if apart:
            raise UsageError(
                f"{apart[0]}: this row is held out: it is never trained on, diagnosed or rewritten,"
                " so it has no life to tell"
            )
    near = get_close_matches(wanted, _candidates(record, wanted), SHOWN, cutoff=0.6)
    hint = f"; near it: {', '.join(near)}" if near else "; `middo view` lists the samples"
    raise UsageError(f"{text!r}: no sample of {record.name} has this id{hint}")


def _candidates(record: Record, wanted: str) -> list[str]:
    """Return the ids to compare with, cut to the length of what was typed where that is short."""
    for digits in range(1, 5):
        found = record.index.starting(wanted[:digits], MOST_COMPARED + 1)
        if len(found) <= MOST_COMPARED:
            break
    return found[:MOST_COMPARED]
