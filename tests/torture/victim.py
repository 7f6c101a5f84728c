"""A process that works on a run, names what it does to the disk as it does it, and dies on request.

It runs the command line of `middo` as it is. Around it, in this process alone, Python's audit hook
and thin wrappers see every effect that outlives the process. Each has a name: the node and round of
the moment, what is done, and the file, counted from 1, as `merge 0: rename rounds/1/dataset #1`.
"""

import contextlib
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TextIO

from middo.core.progress import Event, Finished, Progress, Report, Started

WRITING = os.O_WRONLY | os.O_RDWR
PASSING = {  # audit events of a path, told before they happen
    "os.mkdir": "make folder",
    "os.remove": "remove",
    "os.rmdir": "remove",
}
HEARTBEAT = "run.lock"


class Watch:
    """Names every effect on a run folder, and sends this process a signal at the wanted ones."""

    def __init__(self, folder: Path, wanted: Mapping[str, int], seen: Path, calls: Path) -> None:
        self._folder, self._wanted, self._calls = str(folder.resolve()), wanted, str(calls)
        self._seen = os.open(seen, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        self._place = "start"
        self._counts: Counter[str] = Counter()
        self._lock = threading.RLock()

    def reach(self, what: str) -> None:
        """Note the point, and die there if that is wanted."""
        with self._lock:
            point = f"{self._place}: {what}"
            self._counts[point] += 1
            name = f"{point} #{self._counts[point]}"
            number = self._wanted.get(name)
            os.write(self._seen, f"{'' if number is None else 'HIT '}{name}\n".encode())
        if number is not None:
            self._wanted = {}  # asked to stop: how it does that is its own affair
            os.kill(os.getpid(), number)

    def told(self, event: Event) -> None:
        """Take over the node of an event."""
        if isinstance(event, Started):
            self._place = f"{event.node} {event.round}"
            self.reach("started")
        elif isinstance(event, Progress):
            self.reach("progress")
        elif isinstance(event, Finished):
            self.reach("finished")
            self._place = f"after {event.node} {event.round}"

    def on_path(self, what: str, path: object) -> None:
        """Note an effect on a file of the run."""
        name = self.inside(path)
        if name is not None and name != HEARTBEAT:
            self.reach(f"{what} {name}")

    def inside(self, path: object) -> str | None:
        """Return a path within the run folder, None for all others."""
        if isinstance(path, bytes):
            path = os.fsdecode(path)
        if not isinstance(path, str | os.PathLike):
            return None
        text = os.fspath(path).removeprefix("file://").partition("?")[0]
        text = os.path.abspath(text)
        if text == self._folder:
            return "."
        return text[len(self._folder) + 1 :] if text.startswith(self._folder + "/") else None

    def audit(self, event: str, arguments: tuple[Any, ...]) -> None:
        """See what Python is about to do (audit hook)."""
        if event == "open":
            path, mode, flags = arguments
            writes = bool(set(mode or "") & set("wax+")) or bool(flags & WRITING)
            if writes and path == self._calls:
                self.reach("question")
            elif writes:
                self.on_path("open", path)
        elif event in PASSING:
            self.on_path(PASSING[event], arguments[0])
        elif event == "sqlite3.connect":
            self.on_path("connect", arguments[0])

    def install(self) -> None:
        """Begin to watch this process."""
        watch = self

        class Connection(sqlite3.Connection):
            file = ""

            def execute(self, sql: str, *values: Any) -> sqlite3.Cursor:
                if sql != "COMMIT" or not self.file:
                    return super().execute(sql, *values)
                with watch._around("commit", self.file):
                    return super().execute(sql, *values)

            def commit(self) -> None:
                with watch._around("commit", self.file) if self.file else contextlib.nullcontext():
                    super().commit()

        plain_connect, plain_fsync = sqlite3.connect, os.fsync

        def connect(database: Any, *arguments: Any, **options: Any) -> Any:
            connection = plain_connect(database, *arguments, factory=Connection, **options)
            connection.file = watch.inside(database) or ""
            return connection

        def fsync(handle: Any) -> None:
            plain_fsync(handle)
            number = handle if isinstance(handle, int) else handle.fileno()
            watch.on_path("synced", os.readlink(f"/proc/self/fd/{number}"))

        vars(sqlite3)["connect"], vars(os)["fsync"] = connect, fsync
        for module, name in ((os, "rename"), (os, "replace"), (shutil, "rmtree")):
            setattr(module, name, self._wrapped(name, getattr(module, name)))
        start = subprocess.Popen.__init__

        def started(process: Any, words: Any, *arguments: Any, **options: Any) -> None:
            with watch._around("start", "training"):
                start(process, words, *arguments, **options)

        subprocess.Popen.__init__ = started  # type: ignore[method-assign,assignment]
        sys.addaudithook(self.audit)

    def _wrapped(self, name: str, plain: Callable[..., Any]) -> Callable[..., Any]:
        def wrapper(path: Any, *arguments: Any, **options: Any) -> Any:
            target = path if name == "rmtree" else arguments[0]
            place = self.inside(target)
            if place is None:
                return plain(path, *arguments, **options)
            with self._around(name, place):
                return plain(path, *arguments, **options)

        return wrapper

    @contextlib.contextmanager
    def _around(self, what: str, place: str) -> Iterator[None]:
        self.reach(f"before {what} {place}")
        yield
        self.reach(f"after {what} {place}")


def work(
    words: Sequence[str],
    folder: Path,
    wanted: Mapping[str, int],
    seen: Path,
    said: Path,
    calls: Path,
    scratch: Path,
) -> None:
    """Carry out `middo WORDS` in this process, which is new and its own to do with as it likes.

    Args:
        words: the command line.
        folder: the run folder that is watched.
        wanted: signals by the name of the point where this process sends them to itself.
        seen: file that takes the names of all points; one that was wanted has `HIT ` before it.
        said: file that takes stdout and stderr.
        calls: file in which the teacher notes its calls.
        scratch: folder for temporary files.
    """
    os.setsid()
    handle = os.open(said, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(handle, 1)
    os.dup2(handle, 2)
    os.environ["TMPDIR"] = tempfile.tempdir = str(scratch)
    for number in (signal.SIGINT, signal.SIGTERM):
        default = signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL
        signal.signal(number, default)
    from middo.cli import loop
    from middo.cli.main import main

    watch = Watch(folder, wanted, seen, calls)
    shown = vars(loop)["display"]

    @contextlib.contextmanager
    def display(stream: TextIO) -> Iterator[Report]:
        with shown(stream) as report:

            def both(event: Event) -> None:
                report(event)
                watch.told(event)

            yield both

    vars(loop)["display"] = display
    watch.install()
    sys.argv = ["middo", *words]
    main()
