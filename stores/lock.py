"""One process per run folder: a file lock that dies with its owner, with pid and heartbeat inside.

The lock itself is the kernel's (`flock`), so a killed process leaves nothing stale behind; pid and
time are there for people.
"""

import fcntl
import json
import os
import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Thread
from typing import TextIO

from ..core.disk import writing
from ..core.errors import RunLocked

NAME = "run.lock"
HEARTBEAT_SECONDS = 5.0
LOOKING_SECONDS = 2.0
"""How long those who only look may keep an owner waiting."""


@contextmanager
def run_lock(folder: Path, note: Callable[[str], None] = lambda text: None) -> Iterator[None]:
    """Own a run folder while the context lasts.

    Args:
        folder: the run folder.
        note: told, once, where the heartbeat can't be written; the lock holds without it.

    Raises:
        RunLocked: a living process owns it; the message names its pid and last heartbeat.
        StorageError: the lock file can't be made.
    """
    path = folder / NAME
    with _opened(path) as file:
        if not _taken(file):
            raise _locked(folder)
        stop = Event()
        heart = Thread(target=_beat, args=(path, stop, note), daemon=True)
        heart.start()
        try:
            yield
        finally:
            stop.set()
            heart.join()


def refuse_owned(folder: Path) -> None:
    """Raise where a living process owns the run folder.

    Raises:
        RunLocked: as `run_lock`.
    """
    if is_locked(folder):
        raise _locked(folder)


def is_locked(folder: Path) -> bool:
    """Say whether a living process owns the run folder."""
    path = folder / NAME
    if not path.exists():
        return False
    # Shared and for reading: two who look don't take each other for an owner, and one may look
    # into a folder that one may not write to.
    with path.open("r", encoding="utf-8") as file:
        return not _flock(file, fcntl.LOCK_SH)


def _taken(file: TextIO) -> bool:
    """Take the lock, and let those pass first who only look; False where another one owns it."""
    until = time.monotonic() + LOOKING_SECONDS
    while not _flock(file, fcntl.LOCK_EX):
        # Who looks shares the lock for a moment; an owner shares it with nobody.
        if not _flock(file, fcntl.LOCK_SH) or time.monotonic() > until:
            return False
        fcntl.flock(file, fcntl.LOCK_UN)
        time.sleep(random.uniform(0.005, 0.02))  # two who start together must not stay in step
    return True


def _flock(file: TextIO, kind: int) -> bool:
    try:
        fcntl.flock(file, kind | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _opened(path: Path) -> TextIO:
    with writing(path):
        return path.open("a+", encoding="utf-8")


def _beat(path: Path, stop: Event, note: Callable[[str], None]) -> None:
    told = False
    while True:
        text = json.dumps({"pid": os.getpid(), "heartbeat": time.time()})
        try:
            path.write_text(text + "\n", encoding="utf-8")
        except OSError as error:  # the next one may go well
            if not told:
                note(
                    f"{path}: the heartbeat can't be written ({error.strerror}); the run goes on,"
                    " and owns its folder without it"
                )
            told = True
        if stop.wait(HEARTBEAT_SECONDS):
            return


def _locked(folder: Path) -> RunLocked:
    return RunLocked(f"{folder}: {_owner(folder / NAME)}; wait for it, or stop it first")


def _owner(path: Path) -> str:
    try:
        plain = json.loads(path.read_text(encoding="utf-8"))
        age = time.time() - float(plain["heartbeat"])
        # Where the clock was set back since, the beat lies ahead of it and says nothing.
        told = f" (last heartbeat {age:.0f} s ago)" if age >= 0 else ""
        return f"process {plain['pid']} is working on this run{told}"
    except (ValueError, KeyError, TypeError):
        return "another process is working on this run"
