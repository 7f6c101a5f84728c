"""From the beginning of an id, as people type it, to the id.

Whoever asks words the error: only they know what the ids are of, and where to find them.
"""

from collections.abc import Iterable
from difflib import get_close_matches

NEAR = 4
"""Ids that an error names at most."""
LIKE = 0.5
"""Share of characters in common that makes an id a near one, as `difflib` counts."""


def beginning(text: str, ids: Iterable[str]) -> list[str]:
    """Return the ids that `text` may mean: the one that it is, else all that begin with it.

    Exactly one: it is meant. Case and the space around it do not count.
    """
    start = text.strip().lower()
    found = [name for name in ids if name.startswith(start)]
    return [start] if start in found else found


def near(text: str, ids: Iterable[str]) -> list[str]:
    """Return a few ids whose beginnings are like `text`, the nearest first."""
    start = text.strip().lower()
    cut: dict[str, str] = {}
    for name in ids:
        cut.setdefault(name[: max(len(start), 1)], name)
    return [cut[one] for one in get_close_matches(start, cut, NEAR, cutoff=LIKE)]


def some(ids: list[str]) -> str:
    """Return the first few ids as a line names them."""
    return ", ".join(ids[:NEAR]) + (" and more" if len(ids) > NEAR else "")
