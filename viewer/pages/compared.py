"""Proposed turns beside the old ones, as word diffs."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ...core.records import Message
from ...inspection.diff import Kind, Piece, word_diff
from ..visible import MOST_SHOWN

LONG = 2_000
"""Characters from which a text scrolls in a box of its own."""
LONG_LINES = 24

_AROUND = 1_000
"""Characters of an unchanged stretch beside a change, in a diff that is too long to be shown."""
_CHANGED = 8_000
"""Characters of one change there: what was removed and what came instead have room together."""


@dataclass(frozen=True, slots=True)
class Shown:
    """What a page shows of a piece: `left_out` characters between `text` and `tail` are not."""

    kind: Kind
    text: str
    left_out: int = 0
    tail: str = ""


def is_long(text: str) -> bool:
    """Return whether a text gets a box that scrolls."""
    return len(text) > LONG or text.count("\n") > LONG_LINES


def compared(old: Sequence[Message], new: Sequence[Message], *, adds: bool) -> list[dict[str, Any]]:
    """Return the new turns as pieces against the old ones; a system turn that stays is left out.

    Args:
        old: the conversation that stands.
        new: the proposed one; empty where none was made.
        adds: whether it would stand beside the old one: then nothing is compared.
    """
    found = []
    for place, message in enumerate(new):
        before = "" if adds or place >= len(old) else old[place].content
        is_same = not adds and before == message.content
        if is_same and message.role == "system":
            continue
        pieces: tuple[Piece, ...] = (Piece("same", message.content),)
        if not adds:
            pieces = word_diff(before, message.content)
        found.append(
            {
                "role": message.role,
                "pieces": shown(pieces),
                "is_same": is_same,
                "text": message.content,
                "has_both": len({piece.kind for piece in pieces} - {"same"}) == 2,
                "is_long": is_long("".join(piece.text for piece in pieces)),
            }
        )
    return found


def shown(pieces: Sequence[Piece]) -> list[Shown]:
    """Return what a page shows of the pieces of one text: `MOST_SHOWN` characters at most.

    What changed goes before what did not, and the first changes before the last.
    """
    total = sum(len(piece.text) for piece in pieces)
    if total <= MOST_SHOWN:
        return [Shown(piece.kind, piece.text) for piece in pieces]
    if len(pieces) == 1:
        return [_cut(pieces[0], MOST_SHOWN, 0)]
    found: list[Shown] = []
    room = MOST_SHOWN
    for piece in pieces:
        if not room:
            found.append(Shown("same", "", total))
            break
        cut = _cut(piece, _AROUND, _AROUND) if piece.kind == "same" else _cut(piece, _CHANGED, 0)
        if len(cut.text) + len(cut.tail) > room:
            cut = _cut(piece, room, 0)
        found.append(cut)
        room -= len(cut.text) + len(cut.tail)
        total -= len(piece.text)
    return found


def _cut(piece: Piece, head: int, tail: int) -> Shown:
    """Return a piece without its middle, where it is longer than both ends."""
    text = piece.text
    if len(text) <= head + tail:
        return Shown(piece.kind, text)
    end = len(text) - tail
    return Shown(piece.kind, text[:head], end - head, text[end:])
