"""Base-model losses that runs share: a SQLite file in Middo's cache folder.

A base model's loss on a text depends on nothing that a run decides, so no second run has to measure
it again. Several processes may use the file at once. It is a cache and nothing more: where it can't
be opened, read or written, that is said once and the run goes on without it.
"""

import os
import sqlite3
from collections.abc import Callable, Iterable, Mapping
from dataclasses import fields
from pathlib import Path
from typing import TypeVar

from ..core.errors import MiddoError
from ..core.ids import short_hash
from ..core.measures import Measured
from .database import Database
from .scores import Scores

MEANING = 1
"""Raise it when a measured number comes to mean something else: what is in the cache is then
measured again."""
BUSY_SECONDS = 10

Result = TypeVar("Result")


def shared_scores_file() -> Path:
    """Return where the losses are kept: in `$MIDDO_CACHE`, else in `~/.cache/middo`."""
    root = os.environ.get("MIDDO_CACHE")
    return (Path(root) if root else Path.home() / ".cache" / "middo") / "scores.db"


class SharedScores:
    """The cache, opened on first use; after the first error it is empty and takes nothing in."""

    def __init__(self, file: Path, warn: Callable[[str], None]) -> None:
        """Name the file; `warn` is told, once, why the run goes on without it."""
        self._file = file
        self._warn = warn
        self._scores: Scores | None = None
        self._broken = False

    def known(self, model: str, items: Iterable[str]) -> dict[str, Measured]:
        """Return what is there of the wanted items."""
        wanted = list(items)
        return self._try(lambda scores: scores.known(_key(model), wanted), {})

    def add(self, model: str, measured: Mapping[str, Measured]) -> None:
        """Write one batch; what other processes wrote meanwhile stays."""
        self._try(lambda scores: scores.add(_key(model), measured), None)

    def close(self) -> None:
        """Close the file."""
        if self._scores is not None:
            self._scores.close()
        self._scores = None

    def _try(self, action: Callable[[Scores], Result], otherwise: Result) -> Result:
        if self._broken:
            return otherwise
        try:
            if self._scores is None:
                self._scores = _open(self._file)
            return action(self._scores)
        # ValueError: a row that is no measurement.
        except (sqlite3.Error, OSError, MiddoError, ValueError, TypeError) as error:
            self._broken = True
            self.close()
            self._warn(
                f"{self._file}: the cache of base-model losses can't be used ({error}); the run"
                " goes on without it"
            )
            return otherwise


def _key(model: str) -> str:
    """Return the model's key with the form of what is measured: another form is another key."""
    return short_hash([MEANING, [field.name for field in fields(Measured)], model])


def _open(file: Path) -> Scores:
    file.parent.mkdir(parents=True, exist_ok=True)
    connection = sqlite3.connect(
        file, isolation_level=None, check_same_thread=False, timeout=BUSY_SECONDS
    )
    try:
        connection.execute("PRAGMA journal_mode=WAL")
        # A cache may lose its last rows with the power; waiting for the disk would cost more.
        connection.execute("PRAGMA synchronous=NORMAL")
        connection.execute(
            """CREATE TABLE IF NOT EXISTS scores (
                model TEXT NOT NULL, item TEXT NOT NULL, measured TEXT NOT NULL, embedding BLOB,
                PRIMARY KEY (model, item)) WITHOUT ROWID"""
        )
    except BaseException:
        connection.close()
        raise
    return Scores(Database(connection))
