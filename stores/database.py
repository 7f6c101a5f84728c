"""A run's SQLite files: how they are opened, and the numbered migrations of `ledger.db`.

Each has one writer, the process that owns the run folder. The ledger is written in WAL with
`synchronous=FULL`: a committed row survives the loss of power. Readers (status, viewer) open the
files read-only.
"""

import os
import sqlite3
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Literal

from ..core.disk import disk_error
from ..core.errors import MiddoError, StorageError
from .lock import is_locked

Migration = Callable[[sqlite3.Connection], None]

BUSY_SECONDS = 30.0

_LOCKED = {5, 6}
"""SQLITE_BUSY and LOCKED; the finer codes are above the lowest byte."""
_DAMAGED = {11, 26}
"""SQLITE_CORRUPT and NOTADB."""
_ADVICE = {
    "ledger.db": "restore it, with its -wal file, from a copy: what models answered and what was"
    " decided is nowhere else, and a new run (--out) would ask and pay for it again",
    "traces.db": "move it away: nothing is decided by it, and `middo resume` of an unfinished run"
    " tells the calls again from the ledger",
    "checkpoints.db": "move it away: `middo resume` then finds what is finished in the ledger and"
    " pays for nothing twice",
    "index.db": "move it away: it is made again from the Parquet files",
}
"""What is lost with a file, and what to do about it."""


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


def _m005_sources_and_prices(connection: sqlite3.Connection) -> None:
    """Say of each call who answered, for which axes and prompt version, and what it cost."""
    for column in (
        "axes TEXT NOT NULL DEFAULT ''",
        "prompt_version INTEGER NOT NULL DEFAULT 0",
        "source TEXT NOT NULL DEFAULT 'live'",
        "usd REAL",
        "held_tokens INTEGER NOT NULL DEFAULT 0",
        "held_usd REAL NOT NULL DEFAULT 0",
    ):
        connection.execute(f"ALTER TABLE units ADD COLUMN {column}")
    connection.execute(
        "UPDATE units SET axes = axis,"
        " held_tokens = coalesce(prompt_tokens, 0) + coalesce(completion_tokens, 0),"
        " usd = CASE WHEN model LIKE 'llamacpp:%' THEN 0.0 END"
    )


def _m006_reviews(connection: sqlite3.Connection) -> None:
    """Keep every word of a person on a proposal; `number` orders them."""
    connection.execute(
        """CREATE TABLE reviews (
            number INTEGER PRIMARY KEY, round INTEGER NOT NULL,
            sample_id TEXT NOT NULL, proposal_id TEXT NOT NULL, decision TEXT NOT NULL,
            prompt TEXT, answer TEXT, reason TEXT NOT NULL, checks TEXT NOT NULL,
            reviewer TEXT NOT NULL, at REAL NOT NULL)"""
    )
    connection.execute("CREATE INDEX reviews_by_sample ON reviews (round, sample_id)")


MIGRATIONS: list[Migration] = [
    _m001_facts,
    _m002_units,
    _m003_outcomes,
    _m004_scores,
    _m005_sources_and_prices,
    _m006_reviews,
]


class Database:
    """A run's SQLite file, shared by the threads of one process.

    What is read does not wait for what is being written: a commit takes as long as the disk does,
    and lookups happen between all other work of an event loop.
    """

    def __init__(
        self,
        connection: sqlite3.Connection,
        reader: sqlite3.Connection | None = None,
        *,
        name: object = "the database",
    ) -> None:
        """Take open connections; `open_database` and `read_database` make them.

        Args:
            connection: for writing; also for reading where there is no other.
            reader: sees what is committed.
            name: the file, for errors.
        """
        self._name = name
        self._connection = connection
        self._lock = threading.RLock()
        self._reader = reader or connection
        self._read_lock = threading.RLock() if reader else self._lock
        self._refused: MiddoError | None = None

    @property
    def name(self) -> object:
        """The file, for errors."""
        return self._name

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Hold the write lock for a short transaction: all of it is durable, or none.

        Raises:
            StorageError: the disk refuses it.
            MiddoError: the file is damaged, or another process holds it for too long.
        """
        with self._lock:
            try:
                self._connection.execute("BEGIN IMMEDIATE")
                yield self._connection
                self._connection.execute("COMMIT")
            except BaseException as error:
                self._roll_back()
                if not isinstance(error, sqlite3.Error):
                    raise
                refused = disk_error(error, self._name) or trouble(self._name, error)
                if refused is None:
                    raise
                self._refused = refused
                raise refused from error

    def check(self) -> None:
        """Raise where a write was refused: what is paid for from then on could be lost.

        It stays so, also where a later write goes well, until the file is opened anew.

        Raises:
            MiddoError: that of the last write that was refused.
        """
        if self._refused is not None:
            raise type(self._refused)(str(self._refused)) from self._refused

    def query(self, sql: str, *values: object) -> list[tuple[object, ...]]:
        """Return all rows of a SELECT over what is committed.

        Raises:
            MiddoError: the file is damaged, busy, or lacks a table of this version.
        """
        with self._read_lock, readable(self._name):
            return self._reader.execute(sql, values).fetchall()

    def _roll_back(self) -> None:
        """End a transaction; on a broken disk that may fail too, and the first error counts."""
        with suppress(sqlite3.Error):
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")

    def close(self) -> None:
        """Close the file; the last writer leaves no log behind."""
        with self._read_lock:
            self._reader.close()
        with self._lock:
            self._connection.close()


def open_database(
    path: Path,
    migrations: Sequence[Migration] = MIGRATIONS,
    *,
    synchronous: Literal["FULL", "NORMAL"] = "FULL",
    busy_seconds: float = BUSY_SECONDS,
) -> Database:
    """Open a run's database for writing and bring its tables up to date.

    Args:
        path: the file; it is made where it does not exist.
        migrations: what makes the tables, the ledger's by default; the n-th leads to schema n.
        synchronous: `NORMAL` may lose the last rows with the power, never the file.
        busy_seconds: how long a write waits for another process that holds the file.

    Raises:
        MiddoError: the file was written by a newer version, or is no database.
        StorageError: the disk refuses what opening it takes.
    """
    with _connected(path, str(path), "is the folder writable?", busy_seconds) as connection:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute(f"PRAGMA synchronous={synchronous}")
        _migrate(connection, path, migrations)
    with _connected(path, str(path), "is the folder writable?") as reader:
        reader.execute("PRAGMA query_only=ON")
    return Database(connection, reader, name=path)


def read_database(path: Path, migrations: Sequence[Migration] = MIGRATIONS) -> Database:
    """Open a run's database read-only, also where its folder can't be written.

    A reader that outlives a living run does what that would have done on closing: it moves the
    log's rows into the file and removes the log.

    Raises:
        MiddoError: the file does not exist, is no database, or was written by a newer version.
    """
    with _connected(path, reading(path), "is it a run folder?") as connection:
        connection.execute("PRAGMA query_only=ON")
        _schema(connection, path, migrations)
    return Database(connection, name=path)


@contextmanager
def usable(name: object) -> Iterator[None]:
    """Turn what SQLite says of a damaged or a locked file into one line.

    Raises:
        MiddoError: instead of SQLite's errors, but for all others.
    """
    try:
        yield
    except sqlite3.DatabaseError as error:
        problem = trouble(name, error)
        if problem is None:
            raise
        raise problem from error


def trouble(name: object, error: sqlite3.Error) -> MiddoError | None:
    """Return in one line what to do about a damaged or locked file; None for other errors."""
    code = getattr(error, "sqlite_errorcode", None)
    if code is None:
        return None
    if code & 0xFF in _LOCKED:
        return MiddoError(
            f"{name}: another program holds it ({error}); close that program (or wait for it), then"
            " go on with `middo resume`"
        )
    if code & 0xFF in _DAMAGED:
        return MiddoError(f"{name}: not a readable SQLite file ({error}); {_advice(name)}")
    return None


@contextmanager
def intact(name: object) -> Iterator[None]:
    """Turn what comes of a row that was changed behind Middo's back into one line.

    Raises:
        MiddoError: a row is not what was written.
    """
    try:
        yield
    except (ValueError, TypeError, LookupError, AttributeError, RecursionError) as error:
        said = str(error).partition("\n")[0][:100]
        raise MiddoError(
            f"{name}: holds a row that is not what was written ({type(error).__name__}: {said});"
            f" {_advice(name)}"
        ) from error


def _advice(name: object) -> str:
    """Return what a person can do about a damaged file, and what is lost with it."""
    own = _ADVICE.get(Path(str(name)).name)
    return own or "restore it from a copy"


@contextmanager
def readable(name: object) -> Iterator[None]:
    """Turn what SQLite says of a file that is read into one line.

    Raises:
        MiddoError: instead of SQLite's errors, but for those that a caller made.
    """
    try:
        yield
    except sqlite3.ProgrammingError:
        raise
    except sqlite3.DatabaseError as error:
        raise trouble(name, error) or MiddoError(
            f"{name}: can't be read ({error}); it is damaged, busy, or of another version of Middo"
        ) from error


def reading(path: Path) -> str:
    """Return the address that reads a file without changing it; `query_only` belongs to it.

    SQLite reads a WAL file through a log and an index beside it, which it makes where they are
    missing, and which only a connection that might write removes again. One of those also moves the
    rows of a log into the file, so that the log of a killed run is read without it.
    Where nothing can be made, the file must be taken as one that nobody writes; what still lies in
    a log would then be missing without a word.

    Raises:
        MiddoError: the last rows are in a log that can't be read here.
    """
    # An address, not the bare path: a "?" or "#" in a folder's name would end the path.
    address = f"{path.absolute().as_uri()}?mode="
    log, index = (path.with_name(path.name + ending) for ending in ("-wal", "-shm"))
    logged = log.exists() and log.stat().st_size > 0
    if os.access(path.parent, os.W_OK):
        return address + ("ro" if logged and not is_locked(path.parent) else "rw")
    address += "ro"
    if index.exists():
        return address
    if logged:
        raise MiddoError(
            f"{path}: its last rows are in {log.name}, which can't be read in a folder that can't"
            " be written; copy the run folder to a place of your own and read it there"
        )
    return f"{address}&immutable=1"


@contextmanager
def _connected(
    path: Path, address: str, question: str, busy_seconds: float = BUSY_SECONDS
) -> Iterator[sqlite3.Connection]:
    """Open a connection and set it up; it is closed again where that fails.

    Raises:
        MiddoError: in one line, with the path and what to look at.
    """
    try:
        connection = sqlite3.connect(
            address,
            uri=address.startswith("file:"),
            isolation_level=None,
            check_same_thread=False,
            timeout=busy_seconds,
        )
    except sqlite3.OperationalError as error:
        kind = MiddoError if address.startswith("file:") else StorageError
        raise kind(f"{path}: can't be opened ({error}); {question}") from error
    try:
        yield connection
    except sqlite3.DatabaseError as error:
        connection.close()
        raise (
            disk_error(error, path)
            or trouble(path, error)
            or MiddoError(f"{path}: not a readable SQLite file ({error}); {_advice(path)}")
        ) from error
    except MiddoError:
        connection.close()
        raise


def _schema(connection: sqlite3.Connection, path: Path, migrations: Sequence[Migration]) -> int:
    version = int(connection.execute("PRAGMA user_version").fetchone()[0])
    if version > len(migrations):
        raise MiddoError(f"{path}: written by a newer Middo (schema {version}); upgrade Middo")
    return version


def _migrate(connection: sqlite3.Connection, path: Path, migrations: Sequence[Migration]) -> None:
    if _schema(connection, path, migrations) == len(migrations):
        return
    # The version is read again once nobody else can be changing it.
    connection.execute("BEGIN IMMEDIATE")
    version = _schema(connection, path, migrations)
    for migration in migrations[version:]:
        migration(connection)
    connection.execute(f"PRAGMA user_version={len(migrations)}")
    connection.execute("COMMIT")
