"""The trace store of a run: what its agents were asked and said, and what became of it, in SQLite.

Whoever tells an event goes on at once: a thread of the store's own redacts and writes, many events
in one transaction. Nothing depends on what is written here, so nothing that goes wrong here stops a
run: it is told once, and at the end how many events are missing. `traces.db` is written in WAL with
`synchronous=NORMAL`, and can be read while the run goes on.
"""

import sqlite3
import threading
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from ..core.errors import MiddoError, StorageError
from ..core.redaction import redact
from ..core.trace import Call, TraceEvent
from .database import Database, open_database
from .trace_rows import TraceRows
from .trace_schema import TRACE_MIGRATIONS

GATHER_SECONDS = 0.2
"""Events of this time go into one transaction, which is what a kill can lose."""
BATCH = 500
MAX_WAITING = 100_000
"""Events that wait at most: about 5,000 refined samples, or 30 MB without the texts of calls."""
MAX_CHARACTERS = 64_000_000
"""Characters in the texts of waiting calls at most."""
WAIT_SECONDS = 0.05
"""So long a full queue holds up an event, once, before events are left out."""
BUSY_SECONDS = 5.0
"""So long a write waits for another process that holds the file."""
AGAIN_SECONDS = 1.0
"""Between two tries to write where the disk is full or the file locked."""


class TraceStore:
    """Takes events from any thread and writes them; the file is made with the first one."""

    def __init__(self, path: Path, note: Callable[[str], None]) -> None:
        """Name the file; `note` is told in one line what is missing, from whatever thread."""
        self._path = path
        self._note = note
        self._rows = TraceRows()
        self._database: Database | None = None
        self._thread: threading.Thread | None = None
        self._changed = threading.Condition()
        # Below: only with the lock of `_changed` held.
        self._waiting: deque[TraceEvent] = deque()
        self._characters = 0
        self._taken = 0  # events that came
        self._done = 0  # of these, those that are written or lost
        self._lost = 0
        self._failures = 0
        self._hurry = False
        self._full = False
        self._broken = False
        self._closing = False
        self._told = False

    def __call__(self, event: TraceEvent) -> None:
        """Take an event; it is written within a moment."""
        size = _characters(event)
        with self._changed:
            if self._closing or not self._room_for(size):
                self._lost += 1
                return
            self._waiting.append(event)
            self._characters += size
            self._taken += 1
            if self._thread is None and not self._started():
                return
            if len(self._waiting) in {1, BATCH}:
                self._changed.notify_all()

    @property
    def waiting(self) -> int:
        """Events that came and are not in the file yet."""
        return len(self._waiting)

    def flush(self) -> None:
        """Return once all events that came so far are in the file, or could not be written."""
        with self._changed:
            wanted, failures = self._taken, self._failures
            while self._done < wanted and self._failures == failures:
                self._hurry = True
                self._changed.notify_all()
                self._changed.wait(AGAIN_SECONDS)

    def close(self) -> None:
        """Write what waits, close the file, and tell how many events are missing, if any are."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        if self._database is not None:
            self._database.close()
            self._database = None
        if self._lost:
            events = "1 event is" if self._lost == 1 else f"{self._lost:,} events are"
            self._note(f"{self._path}: {events} missing from the traces; the data is not affected")
            self._lost = 0

    def _started(self) -> bool:
        """Start the thread; where the system gives none, no event is taken any more."""
        thread = threading.Thread(target=self._work, name="traces", daemon=True)
        try:
            thread.start()
        except RuntimeError as error:
            self._broken = True
            self._settle(len(self._waiting), lost=True)
            self._tell(f"no traces are kept, as no thread can be started ({error})")
            return False
        self._thread = thread
        return True

    def _room_for(self, size: int) -> bool:
        """Return whether an event may wait; a full queue is given a moment, once."""
        if self._broken:
            return False
        if self._fits(size):
            self._full = False
            return True
        if not self._full:
            self._full = True
            self._changed.notify_all()
            self._changed.wait_for(lambda: self._fits(size), WAIT_SECONDS)
        return self._fits(size)

    def _fits(self, size: int) -> bool:
        few = len(self._waiting) < MAX_WAITING
        return few and (not self._waiting or self._characters + size <= MAX_CHARACTERS)

    def _work(self) -> None:
        """Write until the store is closed: the body of its thread."""
        while (batch := self._gathered()) is not None:
            problem = self._write(batch)
            with self._changed:
                if problem is not None:
                    self._failures += 1
                if problem is None or self._broken or self._closing:
                    self._settle(len(batch), lost=problem is not None)
                else:
                    self._changed.wait_for(lambda: self._closing, AGAIN_SECONDS)
                self._changed.notify_all()

    def _gathered(self) -> list[TraceEvent] | None:
        """Return the next events to write, which stay in the queue; None at the end."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._closing)
            self._changed.wait_for(self._enough, GATHER_SECONDS)
            self._hurry = self._hurry and len(self._waiting) > BATCH
            return [event for event, _ in zip(self._waiting, range(BATCH), strict=False)] or None

    def _enough(self) -> bool:
        return self._closing or self._hurry or len(self._waiting) >= BATCH

    def _settle(self, count: int, *, lost: bool) -> None:
        """Take the first events off the queue; after a failure at the end, all of them."""
        count = len(self._waiting) if lost else count
        for _ in range(count):
            self._characters -= _characters(self._waiting.popleft())
        self._done += count
        self._lost += count if lost else 0

    def _write(self, batch: Sequence[TraceEvent]) -> Exception | None:
        """Write events; return what stands in the way of all of them, told the first time."""
        error = self._tried(batch)
        if isinstance(error, (sqlite3.OperationalError, MiddoError)):
            # The disk is full, or the file is locked: that may pass. A file that is none of ours
            # stays so.
            full = isinstance(error, StorageError)
            self._broken = self._database is None and not full
            said = error.__cause__ if full else error
            self._tell(f"can't be written ({said}); {self._advice()}")
            return error
        if error is not None:  # one of them has no form in the file: the others are kept
            self._one_by_one(batch)
        return None

    def _one_by_one(self, batch: Sequence[TraceEvent]) -> None:
        """Write each event on its own: those that can't be kept are lost, no others."""
        for place, event in enumerate(batch):
            error = self._tried([event])
            if error is None:
                continue
            # Where the file itself can't be written, waiting again for each of them is no use.
            stuck = isinstance(error, (sqlite3.OperationalError, MiddoError))
            with self._changed:
                self._lost += len(batch) - place if stuck else 1
            self._tell(f"a record can't be kept ({type(error).__name__}: {error})")
            if stuck:
                return

    def _tried(self, batch: Sequence[TraceEvent]) -> Exception | None:
        """Write events in one transaction; return what is in the way, and then none is there."""
        try:
            if self._database is None:
                self._database = open_database(
                    self._path, TRACE_MIGRATIONS, synchronous="NORMAL", busy_seconds=BUSY_SECONDS
                )
            self._commit(batch)
        except Exception as error:  # the thread has to live on: whoever flushes waits for it
            # Of an open file SQLite's own words are enough: what to do is not `middo resume`.
            cause = error.__cause__ if self._database is not None else None
            return cause if isinstance(cause, sqlite3.Error) else error
        return None

    def _commit(self, batch: Sequence[TraceEvent]) -> None:
        assert self._database is not None
        try:
            with self._database.transaction() as connection:
                self._rows.write(connection, batch)
        except BaseException:
            self._rows.forget()
            raise

    def _tell(self, text: str) -> None:
        """Tell the first problem; at the end comes the number of what is missing."""
        if self._told:
            return
        self._told = True
        with suppress(Exception):  # whoever would show it is gone; the thread lives on
            self._note(redact(f"{self._path}: {text}; the run goes on"))

    def _advice(self) -> str:
        if self._broken:
            return "no traces are kept until it is moved away and the run resumed"
        return "free space on the disk, or close the program that holds the file"


def _characters(event: TraceEvent) -> int:
    """Return about how long the texts of an event are."""
    if not isinstance(event, Call):
        return 0
    return sum(len(text) for _, text in event.messages) + sum(map(len, event.raw))
