"""What was read or worked out before: kept while it is still true, and the last few of each kind.

A round's columns take some hundred bytes per sample, and much is made of them; a reader who goes
through the rounds of a long run must not keep all of it.
"""

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Any, TypeVar

MOST_ROUNDS = 6
"""Rounds that are kept of a kind. Pages of a sample read every round that has it."""
Value = TypeVar("Value")


class Memory:
    """Values by kind and key. Its methods may be called from several threads."""

    def __init__(self) -> None:
        """Know nothing."""
        self._kinds: dict[str, OrderedDict[Hashable, tuple[Any, Any]]] = {}
        self._lock = threading.Lock()

    def remembered(
        self,
        kind: str,
        key: Hashable,
        state: Any,
        look: Callable[[], Value],
        *,
        most: int | None = MOST_ROUNDS,
    ) -> Value:
        """Return what was found before, unless `state` has changed since; else look.

        Args:
            kind: of what is kept together.
            key: which one of its kind.
            state: what it was made of, compared by `==`.
            look: finds it; two threads may do so at once.
            most: values of the kind that are kept, those asked for last; None for all.
        """
        with self._lock:
            kept = self._kinds.setdefault(kind, OrderedDict())
            known = kept.get(key)
            if known is not None:
                kept.move_to_end(key)
        if known is not None and known[0] == state:
            value: Value = known[1]
            return value
        value = look()
        with self._lock:
            kept[key] = (state, value)
            kept.move_to_end(key)
            while most is not None and len(kept) > most:
                kept.popitem(last=False)
        return value
