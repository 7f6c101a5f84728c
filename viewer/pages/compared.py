"""Proposed turns beside the old ones, as word diffs."""

from collections.abc import Sequence
from typing import Any

from ...core.records import Message
from ...inspection.diff import Piece, word_diff

LONG = 2_000
"""Characters from which a text scrolls in a box of its own."""
LONG_LINES = 24


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
                "pieces": pieces,
                "is_same": is_same,
                "text": message.content,
                "has_both": len({piece.kind for piece in pieces} - {"same"}) == 2,
                "is_long": is_long("".join(piece.text for piece in pieces)),
            }
        )
    return found
