"""The other runs beside a run: found by their exact name in a listing, never by a path."""

import threading
from collections import OrderedDict
from pathlib import Path

from ..core.errors import UsageError
from ..stores.runs import list_runs
from .record import Record, open_record

MOST_OPEN = 2


class Siblings:
    """The runs in the folder that holds a run. Methods may be called from several threads."""

    def __init__(self, folder: Path) -> None:
        """Name the run folder whose neighbours these are."""
        self._folder = folder.resolve()
        self._open: OrderedDict[str, Record] = OrderedDict()
        self._retired: list[Record] = []
        self._lock = threading.Lock()

    def names(self) -> list[str]:
        """Return the folders of the other runs that can be read, in order."""
        runs = list_runs(self._folder.parent)
        found = zip(sorted(self._folder.parent.glob("*/run.json")), runs, strict=False)
        return [
            path.parent.name
            for path, document in found
            if document["status"] != "unreadable" and path.parent.name != self._folder.name
        ]

    def open(self, name: str) -> Record:
        """Return another run, open for reading; it stays open for the next page.

        Raises:
            UsageError: there is no such run.
        """
        if name not in self.names():
            raise UsageError(f"no run {name[:80]!r} beside this one; choose one of the list")
        with self._lock:
            record = self._open.pop(name, None) or open_record(self._folder.parent / name)
            self._open[name] = record
            if len(self._open) > MOST_OPEN:
                # A page that is being made may still be reading it.
                self._retired.append(self._open.popitem(last=False)[1])
        return record

    def close(self) -> None:
        """Close all of them."""
        with self._lock:
            for record in (*self._open.values(), *self._retired):
                record.close()
            self._open.clear()
            self._retired.clear()
