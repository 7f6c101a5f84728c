"""The run's SQLite file: how it is opened, and its numbered migrations.

`ledger.db` has one writer, the process that owns the run folder. WAL with `synchronous=FULL`: a
committed row survives the loss of power. Readers (status, viewer) open it read-only.
"""

import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from ..core.errors import MiddoError


def _m001_facts(connection: sqlite3.Connection) -> None:
    connection.execute("CREATE TABLE facts (name TEXT PRIMARY KEY, value TEXT NOT NULL)")


def _m002_units(connection: sqlite3.Connection) -> None:
    connection.execute(
        """CREATE TABLE units (
            key TEXT PRIMARY KEY, role TEXT NOT NULL, round INTEGER NOT NULL,
            sample_id TEXT NOT NULL, axis TEXT NOT NULL, attempt INTEGER NOT NULL,
            model TEXT NOT NULL, prompt TEXT NOT NULL, prompt_hash TEXT NOT NULL,
            messages TEXT NOT NULL, status TEXT NOT NULL, value TEXT, raw TEXT NOT NULL,
            error TEXT, prompt_tokens INTEGER, completion_tokens INTEGER,
            seconds REAL NOT NULL, created REAL NOT NULL)"""
    )
    connection.execute("CREATE INDEX units_by_sample ON units (round, sample_id)")


def _m003_outcomes(connection: sqlite3.Connection) -> None:
    connection.execute(
        """CREATE TABLE outcomes (
            round INTEGER NOT NULL, sample_id TEXT NOT NULL, axis TEXT NOT NULL,
            fate TEXT NOT NULL, reason TEXT NOT NULL, proposals TEXT NOT NULL,
            PRIMARY KEY (round, sample_id))"""
    )


def _m004_scores(connection: sqlite3.Connection) -> None:
    connection.execute(
        """CREATE TABLE scores (
            model TEXT NOT NULL, item TEXT NOT NULL, measured TEXT NOT NULL, embedding BLOB,
            PRIMARY KEY (model, item)) WITHOUT ROWID"""
    )


MIGRATIONS: list[Callable[[sqlite3.Connection], None]] = [
    _m001_facts,
    _m002_units,
    _m003_outcomes,
    _m004_scores,
]


class Database:
    """One SQLite connection, shared by threads of the owning process one at a time."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        """Take an open connection; `open_database` and `read_database` make one."""
        self._connection = connection
        self._lock = threading.RLock()

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Hold the write lock for a short transaction: all of it is durable, or none."""
        with self._lock:
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield self._connection
                self._connection.execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise

    def query(self, sql: str, *values: object) -> list[tuple[object, ...]]:
        """Return all rows of a SELECT."""
        with self._lock:
            return self._connection.execute(sql, values).fetchall()

    def close(self) -> None:
        """Close the connection."""
        with self._lock:
            self._connection.close()


def open_database(path: Path) -> Database:
    """Open a run's database for writing and bring its tables up to date.

    Raises:
        MiddoError: the file was written by a newer version, or is no database.
    """
    try:
        connection = sqlite3.connect(
            path, isolation_level=None, check_same_thread=False, timeout=30
        )
    except sqlite3.OperationalError as error:
        raise MiddoError(f"{path}: can't be opened ({error}); is the folder writable?") from error
    try:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")
        _migrate(connection, path)
    except sqlite3.DatabaseError as error:
        connection.close()
        raise MiddoError(f"{path}: not a readable SQLite file ({error}); restore it") from error
    except MiddoError:
        connection.close()
        raise
    return Database(connection)


def read_database(path: Path) -> Database:
    """Open a run's database read-only.

    Raises:
        MiddoError: the file does not exist, is no database, or was written by a newer version.
    """
    # An address, not the bare path: a "?" or "#" in a folder's name would end the path.
    address = f"{path.absolute().as_uri()}?mode=ro"
    try:
        connection = sqlite3.connect(
            address, uri=True, isolation_level=None, check_same_thread=False
        )
    except sqlite3.OperationalError as error:
        raise MiddoError(f"{path}: can't be opened ({error}); is it a run folder?") from error
    try:
        _schema(connection, path)
    except sqlite3.DatabaseError as error:
        connection.close()
        raise MiddoError(f"{path}: not a readable SQLite file ({error}); restore it") from error
    except MiddoError:
        connection.close()
        raise
    return Database(connection)


def _schema(connection: sqlite3.Connection, path: Path) -> int:
    version = int(connection.execute("PRAGMA user_version").fetchone()[0])
    if version > len(MIGRATIONS):
        raise MiddoError(f"{path}: written by a newer Middo (schema {version}); upgrade Middo")
    return version


def _migrate(connection: sqlite3.Connection, path: Path) -> None:
    version = _schema(connection, path)
    for number, migration in enumerate(MIGRATIONS[version:], start=version + 1):
        connection.execute("BEGIN IMMEDIATE")
        migration(connection)
        connection.execute(f"PRAGMA user_version={number}")
        connection.execute("COMMIT")
