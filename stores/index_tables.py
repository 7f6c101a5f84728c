"""The tables of `index.db`, and how the file is opened.

The index is derived from the Parquet files of a run and can be made again from them at any time.
It exists for readers: to search texts, to fetch a few rows out of many, and for people with
Datasette or DuckDB.
"""

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ..core.errors import MiddoError
from .database import readable, reading

SCHEMA = 2
"""Raise it when a table changes: an index of another schema is made again."""
BUSY_SECONDS = 30

SIGNAL_COLUMNS = (
    *("loss_base", "loss_tuned", "answer_tokens", "complexity", "density", "cluster"),
    *("rating_prompt_clarity", "rating_prompt_completeness", "rating_prompt_factuality"),
    *("rating_answer_clarity", "rating_answer_completeness", "rating_answer_factuality"),
    *("gain", "recoverability", "quality", "unscored", "loss_prompt", "prompt_tokens"),
)
"""Columns of `signals.parquet` that are kept as they are, in the order of the table."""
_TYPES = {
    **{"answer_tokens": "INTEGER", "prompt_tokens": "INTEGER", "cluster": "INTEGER"},
    "unscored": "TEXT",
}

TABLES = (
    # `messages` is NULL where the conversation is prompt and answer and nothing else. In those two
    # a NUL is a space; `messages` then has it.
    """CREATE TABLE samples (
        number INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, prompt TEXT NOT NULL,
        answer TEXT NOT NULL, messages TEXT, source TEXT NOT NULL, origin TEXT NOT NULL,
        parent_id TEXT, round INTEGER NOT NULL)""",
    """CREATE TABLE versions (
        round INTEGER PRIMARY KEY, sha256 TEXT NOT NULL, rows INTEGER NOT NULL)""",
    """CREATE TABLE rows (
        round INTEGER NOT NULL, place INTEGER NOT NULL, sample INTEGER NOT NULL,
        origin TEXT NOT NULL, parent_id TEXT, PRIMARY KEY (round, place)) WITHOUT ROWID""",
    "CREATE INDEX rows_by_sample ON rows (sample, round)",
    "CREATE INDEX rows_by_parent ON rows (parent_id, round) WHERE parent_id IS NOT NULL",
    """CREATE TABLE diagnoses (
        round INTEGER PRIMARY KEY, source_round INTEGER NOT NULL, rows INTEGER NOT NULL,
        fingerprint TEXT NOT NULL, centre BLOB)""",
    f"""CREATE TABLE signals (
        round INTEGER NOT NULL, place INTEGER NOT NULL, sample INTEGER NOT NULL,
        {", ".join(f"{name} {_TYPES.get(name, 'REAL')}" for name in SIGNAL_COLUMNS)},
        neighbours TEXT NOT NULL, x REAL, y REAL, PRIMARY KEY (round, place)) WITHOUT ROWID""",
    "CREATE INDEX signals_by_sample ON signals (sample, round)",
    """CREATE TABLE flags (
        round INTEGER NOT NULL, sample INTEGER NOT NULL, axis TEXT NOT NULL,
        PRIMARY KEY (round, sample, axis)) WITHOUT ROWID""",
    # Parts of words and texts without spaces are found by their trigrams; words would find neither.
    # Without positions the table is about as large as the texts (with them four times), takes four
    # times as long to write as one of words, and a search takes the same few milliseconds: what the
    # trigrams find is compared with the texts, which `Index.search` does.
    """CREATE VIRTUAL TABLE texts USING fts5 (
        prompt, answer, content='samples', content_rowid='number', tokenize='trigram',
        detail='none')""",
    """CREATE VIEW measured AS
        SELECT s.round, t.id, t.prompt, t.answer, t.source, t.origin, t.parent_id, s.*,
            (SELECT group_concat(axis) FROM flags f
             WHERE f.round = s.round AND f.sample = s.sample) AS flags
        FROM signals s JOIN samples t ON t.number = s.sample""",
)


class Connection:
    """One SQLite connection that the threads of a process share, a query at a time."""

    def __init__(self, connection: sqlite3.Connection, path: Path) -> None:
        """Take an open connection to a file."""
        self.raw = connection
        self._path = path
        self._lock = threading.RLock()

    def query(self, sql: str, *values: object) -> list[tuple[object, ...]]:
        """Return all rows of a SELECT.

        Raises:
            MiddoError: the file is damaged or busy.
        """
        with self._lock, readable(self._path):
            return self.raw.execute(sql, values).fetchall()

    def close(self) -> None:
        """Close it."""
        with self._lock:
            self.raw.close()


def open_for_writing(path: Path) -> sqlite3.Connection:
    """Open an index, an empty one where there is none or one of another schema.

    Raises:
        sqlite3.Error: the file can't be written, or this SQLite can't index parts of words.
        OSError: the folder can't be made, or the old file not removed.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    connection = _connect(str(path))
    try:
        if _schema(connection) not in (0, SCHEMA):
            connection.close()
            for name in (path.name, path.name + "-wal", path.name + "-shm"):
                path.with_name(name).unlink(missing_ok=True)
            connection = _connect(str(path))
        connection.execute("PRAGMA journal_mode=WAL")
        # What is lost with the power is made again from the Parquet files.
        connection.execute("PRAGMA synchronous=NORMAL")
        if _schema(connection) == 0:
            connection.execute("BEGIN IMMEDIATE")
            if _schema(connection) == 0:
                for statement in TABLES:
                    connection.execute(statement)
                connection.execute(f"PRAGMA user_version={SCHEMA}")
            connection.execute("COMMIT")
    except BaseException:
        connection.close()
        raise
    return connection


def open_for_reading(path: Path) -> Connection | None:
    """Open an index read-only; None where there is none that this version can read."""
    if not path.is_file():
        return None
    try:
        connection = _connect(reading(path), uri=True)
    except (sqlite3.Error, MiddoError):
        return None
    try:
        connection.execute("PRAGMA query_only=ON")
        if _schema(connection) == SCHEMA:
            connection.execute("SELECT count(*) FROM versions").fetchone()
            return Connection(connection, path)
    except sqlite3.Error:
        pass
    connection.close()
    return None


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """Turn what SQLite says while an index is written into one line.

    Raises:
        MiddoError: instead of SQLite's errors.
    """
    try:
        yield
    except sqlite3.Error as error:
        raise MiddoError(
            f"{path}: can't be written ({error}); it takes SQLite 3.34 or newer with FTS5, and a"
            " folder with room"
        ) from error


def _connect(address: str, *, uri: bool = False) -> sqlite3.Connection:
    return sqlite3.connect(
        address, uri=uri, isolation_level=None, check_same_thread=False, timeout=BUSY_SECONDS
    )


def _schema(connection: sqlite3.Connection) -> int:
    return int(connection.execute("PRAGMA user_version").fetchone()[0])
