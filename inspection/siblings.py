"""The other runs beside a run: found by their exact name in a listing, never by a path."""

import threading
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from ..core.errors import UsageError
from ..stores.runs import runs_in
from .record import Record, open_record

MOST_OPEN = 2
"""Runs that stay open although no page reads them."""


@dataclass(slots=True, eq=False)
class _Held:
    """An open run, and how many pages read it now."""

    record: Record
    pages: int = 0


class Siblings:
    """The runs in the folder that holds a run. Methods may be called from several threads."""

    def __init__(self, folder: Path) -> None:
        """Name the run folder whose neighbours these are."""
        self._folder = folder.resolve()
        self._open: OrderedDict[str, _Held] = OrderedDict()
        self._lock = threading.Lock()

    def names(self) -> list[str]:
        """Return the folders of the other runs that can be read, in order."""
        return [
            folder.name
            for folder, document in runs_in(self._folder.parent)
            if document["status"] != "unreadable" and folder.name != self._folder.name
        ]

    @contextmanager
    def open(self, name: str) -> Iterator[Record]:
        """Lend another run, open for reading; the last ones stay open for the next page.

        Raises:
            UsageError: there is no such run.
        """
        if name not in self.names():
            raise UsageError(f"no run {name[:80]!r} beside this one; choose one of the list")
        with self._lock:
            held = self._open.pop(name, None) or _Held(open_record(self._folder.parent / name))
            self._open[name] = held
            held.pages += 1
            dropped = []
            if len(self._open) > MOST_OPEN:
                dropped.append(self._open.popitem(last=False)[1])
        _close_unread(dropped)
        try:
            yield held.record
        finally:
            with self._lock:
                held.pages -= 1
                dropped = [] if self._open.get(name) is held else [held]
            _close_unread(dropped)

    def close(self) -> None:
        """Close all of them; one that a page still reads is closed after that page."""
        with self._lock:
            dropped = list(self._open.values())
            self._open.clear()
        _close_unread(dropped)


def _close_unread(dropped: list[_Held]) -> None:
    """Close runs that were dropped, but for those that the page which reads them will close."""
    for held in dropped:
        if held.pages == 0:
            held.record.close()
