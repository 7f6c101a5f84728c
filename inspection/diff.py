"""What changed between two texts, word by word.

A word is a run of letters and digits; scripts that write without spaces are compared character by
character, and so are punctuation and symbols. White space belongs to no word and is kept as it is:
the pieces put together again are the two texts.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Literal

MOST_PARTS = 4_000
"""Words and spaces of the changed middle that are compared one by one; beyond, lines are, and of
more than so many lines the whole middle counts as replaced."""

# Han, kana and their kin, Thai, Lao, Khmer, Burmese, Tibetan: no spaces between words.
_UNSPACED = (
    "\u0e00-\u0eff\u0f00-\u0fff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u31f0-\u31ff"
    "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\uff66-\uff9d\U00020000-\U0003ffff"
)
_PART = re.compile(rf"[{_UNSPACED}]|[^\W{_UNSPACED}]+|\s+|.", re.DOTALL)
_LINE = re.compile(r"[^\n]*\n|[^\n]+")

Kind = Literal["same", "removed", "added"]


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of one text or of both."""

    kind: Kind
    text: str


def word_diff(old: str, new: str) -> tuple[Piece, ...]:
    """Return the pieces that lead from one text to the other, removed ones before added ones.

    The same and removed pieces put together are `old`, the same and added ones `new`. What is equal
    at both ends is set aside first, so the time grows with what lies between; of a middle of more
    than `MOST_PARTS` parts lines are compared, and of one with more lines nothing.
    """
    if old == new:
        return (Piece("same", old),) if old else ()
    before, after = _PART.findall(old), _PART.findall(new)
    start = _common(before, after)
    end = _common(before[start:][::-1], after[start:][::-1])
    left, right = before[start : len(before) - end], after[start : len(after) - end]
    pieces = [Piece("same", "".join(before[:start])), *_middle(left, right)]
    pieces.append(Piece("same", "".join(before[len(before) - end :])))
    return tuple(_joined(pieces))


def _common(one: Sequence[str], other: Sequence[str]) -> int:
    for place, (a, b) in enumerate(zip(one, other, strict=False)):
        if a != b:
            return place
    return min(len(one), len(other))


def _middle(left: Sequence[str], right: Sequence[str]) -> list[Piece]:
    if max(len(left), len(right)) > MOST_PARTS:
        left, right = _LINE.findall("".join(left)), _LINE.findall("".join(right))
        if max(len(left), len(right)) > MOST_PARTS:
            return [Piece("removed", "".join(left)), Piece("added", "".join(right))]
    pieces = []
    matcher = SequenceMatcher(None, left, right, autojunk=False)
    for _, a, b, c, d in matcher.get_opcodes():
        if left[a:b] == right[c:d]:
            pieces.append(Piece("same", "".join(left[a:b])))
        else:
            pieces += [Piece("removed", "".join(left[a:b])), Piece("added", "".join(right[c:d]))]
    return pieces


def _joined(pieces: Sequence[Piece]) -> list[Piece]:
    """Merge neighbours of a kind and take single spaces between changes into the change.

    `[-a-]{+b+} [-c-]{+d+}` reads worse than `[-a c-]{+b d+}`.
    """
    found: list[Piece] = []
    removed = added = ""

    def flush() -> None:
        nonlocal removed, added
        found.extend(Piece(k, t) for k, t in (("removed", removed), ("added", added)) if t)
        removed = added = ""

    kept = [piece for piece in pieces if piece.text]
    for place, piece in enumerate(kept):
        changes = place + 1 < len(kept) and kept[place + 1].kind != "same"
        if piece.kind == "removed":
            removed += piece.text
        elif piece.kind == "added":
            added += piece.text
        elif (removed or added) and changes and piece.text.isspace() and "\n" not in piece.text:
            removed += piece.text
            added += piece.text
        else:
            flush()
            if found and found[-1].kind == "same":
                found[-1] = Piece("same", found[-1].text + piece.text)
            else:
                found.append(piece)
    flush()
    return found
