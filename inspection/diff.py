"""What changed between two texts, word by word.

A word is a run of letters and digits; scripts that write without spaces are compared character by
character, and so are punctuation and symbols. White space belongs to no word and is kept as it is:
the pieces put together again are the two texts.
"""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Literal

MOST_PARTS = 2_000
"""Words and spaces of a changed middle that are compared one by one; of a longer one sentences and
lines are, and then the words of those that changed. Of more sentences than that, all count as
replaced."""
MOST_PAIRS = 30_000
"""Pairs of equal words among them, which is what the comparison's time grows with."""

# Han, kana and their kin, Thai, Lao, Khmer, Burmese, Tibetan: no spaces between words.
_UNSPACED = (
    "\u0e00-\u0eff\u0f00-\u0fff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u31f0-\u31ff"
    "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\uff66-\uff9d\U00020000-\U0003ffff"
)
_PART = re.compile(rf"[{_UNSPACED}]|[^\W{_UNSPACED}]+|\s+|.", re.DOTALL)
_SENTENCE = re.compile(r"[^.!?。！？\n]*(?:[.!?。！？\n]+\s*|$)")

Kind = Literal["same", "removed", "added"]


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of one text or of both."""

    kind: Kind
    text: str


def word_diff(old: str, new: str) -> tuple[Piece, ...]:
    """Return the pieces that lead from one text to the other, removed ones before added ones.

    The same and removed pieces put together are `old`, the same and added ones `new`. What is equal
    at both ends is set aside first, so the time grows with what lies between, up to `MOST_PARTS`
    and `MOST_PAIRS`.
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
    if _is_light(left, right):
        return _compared(left, right)
    one, other = (_SENTENCE.findall("".join(words)) for words in (left, right))
    if not _is_light(one, other):
        return [Piece("removed", "".join(left)), Piece("added", "".join(right))]
    pieces: list[Piece] = []
    for removed, added, same in _blocks(one, other):
        words = _PART.findall(removed), _PART.findall(added)
        if same:
            pieces.append(Piece("same", removed))
        elif _is_light(*words):
            pieces += _compared(*words)
        else:
            pieces += [Piece("removed", removed), Piece("added", added)]
    return pieces


def _is_light(left: Sequence[str], right: Sequence[str]) -> bool:
    """Return whether two lists can be compared in a moment."""
    if max(len(left), len(right)) > MOST_PARTS:
        return False
    counts = Counter(part for part in right if not part.isspace())
    return sum(counts[part] for part in left) <= MOST_PAIRS


def _compared(left: Sequence[str], right: Sequence[str]) -> list[Piece]:
    pieces: list[Piece] = []
    for removed, added, same in _blocks(left, right):
        if same:
            pieces.append(Piece("same", removed))
        else:
            pieces += [Piece("removed", removed), Piece("added", added)]
    return pieces


def _blocks(left: Sequence[str], right: Sequence[str]) -> Iterator[tuple[str, str, bool]]:
    """Yield stretches of both lists, and whether they are the same."""
    # A space is the same everywhere: to begin a match with it would cost most of the time and tell
    # nothing. One beside a word that stays does stay with it.
    matcher = SequenceMatcher(str.isspace, left, right, autojunk=False)
    for tag, a, b, c, d in matcher.get_opcodes():
        yield "".join(left[a:b]), "".join(right[c:d]), tag == "equal"


def _joined(pieces: Sequence[Piece]) -> list[Piece]:
    """Merge neighbours of a kind and take single spaces between changes into the change.

    `[-a-]{+b+} [-c-]{+d+}` reads worse than `[-a c-]{+b d+}`.
    """
    found: list[Piece] = []
    removed = added = ""

    def flush() -> None:
        nonlocal removed, added
        both = (Piece("removed", removed), Piece("added", added))
        found.extend(piece for piece in both if piece.text)
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
