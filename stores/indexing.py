"""Write `index.db`: texts when a data set is published, signals when a round is diagnosed.

Both may be done twice and interrupted anywhere: what is there stays, and a round is named in
`versions` or `diagnoses` only when all of it is there. Rows are streamed.
"""

import hashlib
import json
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray

from ..core.errors import DataError
from ..core.records import Sample
from .index_tables import SIGNAL_COLUMNS, explained, open_for_writing
from .samples import Version
from .tables import Vectors, count_embeddings, stream_embeddings

BATCH_ROWS = 5_000
"""Rows of one transaction: what is in memory, and what a reader may have to wait for."""
FOOTER_BYTES = 65_536

_ADD_SIGNALS = (
    f"INSERT INTO signals (round, place, sample, {', '.join(SIGNAL_COLUMNS)},"
    f" neighbours, x, y) VALUES ({', '.join('?' * (len(SIGNAL_COLUMNS) + 6))})"
)


def fingerprint(path: Path) -> str:
    """Return a hash of a Parquet file's size and footer, which holds statistics of each column."""
    size = path.stat().st_size
    with path.open("rb") as file:
        file.seek(max(size - FOOTER_BYTES, 0))
        return hashlib.sha256(str(size).encode() + file.read()).hexdigest()[:16]


class Projecting(Protocol):
    """A fitted projection: `signals.projection.Projection`."""

    @property
    def centre(self) -> NDArray[np.float64]:
        """float64[d], mean of the embeddings, to compare two of them later."""
        ...

    def __call__(self, vectors: Vectors) -> Vectors:
        """Return the places, float32[n, 2], of embeddings, float32[n, d]."""
        ...


Fit = Callable[[Callable[[], Iterable[Vectors]], int], Projecting | None]
"""From blocks of embeddings and their number to a projection; None where there are too few."""


@contextmanager
def index_writer(path: Path) -> Iterator["IndexWriter"]:
    """Open or make an index for writing, and close it.

    Raises:
        MiddoError: it can't be written, or this SQLite has no trigram index.
        OSError: its folder can't be made.
    """
    with explained(path):
        connection = open_for_writing(path)
        try:
            yield IndexWriter(connection)
        finally:
            connection.close()


class IndexWriter:
    """An index open for writing; `index_writer` opens one. One process writes a file at a time."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        """Take an open connection."""
        self._connection = connection

    def settle(self) -> None:
        """Leave the file without a log beside it, so that it can be moved."""
        self._connection.execute("PRAGMA journal_mode=DELETE")

    def add_version(self, round: int, version: Version) -> None:
        """Add the texts of a round's data set, unless they are there."""
        known = self._connection.execute("SELECT sha256 FROM versions WHERE round = ?", (round,))
        if known.fetchone() == (version.sha256,):
            return
        with _committed(self._connection):
            self._connection.execute("DELETE FROM versions WHERE round = ?", (round,))
            self._connection.execute("DELETE FROM rows WHERE round = ?", (round,))
        place = 0
        for batch in _batches(version):
            with _committed(self._connection):
                self._add_samples(batch)
                numbers = self._numbers(sample.id for sample in batch)
                self._connection.executemany(
                    "INSERT INTO rows VALUES (?, ?, ?, ?, ?)",
                    (
                        (round, place + n, numbers[s.id], s.origin, s.parent_id)
                        for n, s in enumerate(batch)
                    ),
                )
            place += len(batch)
        with _committed(self._connection):
            self._connection.execute(
                "INSERT INTO versions VALUES (?, ?, ?)", (round, version.sha256, place)
            )
        self._count()

    def add_diagnosis(
        self,
        round: int,
        source_round: int,
        folder: Path,
        fit: Fit,
    ) -> None:
        """Add a round's signals and places on the map, unless they are there.

        Args:
            round: the round that was diagnosed.
            source_round: the round whose data it looked at; its version is there already.
            folder: holds `signals.parquet` and `embeddings.parquet`.
            fit: finds the projection of the embeddings to two dimensions.

        Raises:
            DataError: the two files are not in order of id, or of different samples, or a sample is
                in none of the data sets that were added.
        """
        signals = folder / "signals.parquet"
        mark = fingerprint(signals)
        if (round, mark) in self.diagnosed():
            return
        with _committed(self._connection):
            for table in ("diagnoses", "signals", "flags"):
                self._connection.execute(f"DELETE FROM {table} WHERE round = ?", (round,))
        embeddings = folder / "embeddings.parquet"
        projection = fit(
            lambda: (vectors for _, vectors in stream_embeddings(embeddings)),
            count_embeddings(embeddings),
        )
        centre = None if projection is None else projection.centre.tobytes()
        places = _Places(embeddings, projection)
        total = 0
        for rows in _rows_of(signals):
            with _committed(self._connection):
                self._add_signals(round, total, rows, places)
            total += len(rows)
        places.refuse_leftover()
        with _committed(self._connection):
            self._connection.execute(
                "INSERT INTO diagnoses VALUES (?, ?, ?, ?, ?)",
                (round, source_round, total, mark, centre),
            )
        self._count()

    def _count(self) -> None:
        """Let SQLite count what the tables hold: without that, some joins take minutes."""
        self._connection.execute("PRAGMA analysis_limit=1000")
        self._connection.execute("ANALYZE")

    def diagnosed(self) -> set[tuple[int, str]]:
        """Return round and fingerprint of every diagnosis that is there."""
        return set(self._connection.execute("SELECT round, fingerprint FROM diagnoses"))

    def _add_samples(self, batch: list[Sample]) -> None:
        (last,) = self._connection.execute(
            "SELECT coalesce(max(number), 0) FROM samples"
        ).fetchone()
        self._connection.executemany(
            "INSERT OR IGNORE INTO samples (id, prompt, answer, messages, source, origin,"
            " parent_id, round) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (
                (
                    *(s.id, _searchable(s.prompt), _searchable(s.answer), _messages(s)),
                    *(s.source, s.origin, s.parent_id, s.round),
                )
                for s in batch
            ),
        )
        self._connection.execute(
            "INSERT INTO texts (rowid, prompt, answer)"
            " SELECT number, prompt, answer FROM samples WHERE number > ?",
            (last,),
        )

    def _numbers(self, ids: Iterable[str]) -> dict[str, int]:
        wanted = json.dumps(list(ids))
        return dict(
            self._connection.execute(
                "SELECT s.id, s.number FROM json_each(?) j JOIN samples s ON s.id = j.value",
                (wanted,),
            )
        )

    def _add_signals(
        self, round: int, start: int, rows: list[dict[str, Any]], places: "_Places"
    ) -> None:
        numbers = self._numbers(row["id"] for row in rows)
        for row in rows:
            if row["id"] not in numbers:
                raise DataError(
                    f"signals.parquet of round {round}: {row['id']!r} is in no data set of the run;"
                    " diagnose the round again"
                )
        self._connection.executemany(
            _ADD_SIGNALS,
            (
                (
                    *(round, start + n, numbers[row["id"]]),
                    *(row.get(name) for name in SIGNAL_COLUMNS),
                    json.dumps(row.get("neighbours") or []),
                    *places.of(row["id"]),
                )
                for n, row in enumerate(rows)
            ),
        )
        self._connection.executemany(
            "INSERT INTO flags VALUES (?, ?, ?)",
            ((round, numbers[row["id"]], axis) for row in rows for axis in row.get("flags") or []),
        )


def _rows_of(path: Path) -> Iterator[list[dict[str, Any]]]:
    """Yield rows of a Parquet file, as many as a transaction takes.

    Raises:
        DataError: the file can't be read.
    """
    try:
        with pq.ParquetFile(path) as file:
            for batch in file.iter_batches(batch_size=BATCH_ROWS):
                yield batch.to_pylist()
    except (OSError, ValueError) as error:  # pyarrow's errors are ValueErrors
        reason = str(error).partition("\n")[0]
        raise DataError(f"{path}: not a readable Parquet file ({reason})") from error


class _Places:
    """Places on the map, read along with the signals: both files are in order of id."""

    def __init__(self, path: Path, project: Projecting | None) -> None:
        self._path = path
        self._rows = iter(()) if project is None else self._projected(project)
        self._next = next(self._rows, None)

    def of(self, name: str) -> tuple[float | None, float | None]:
        """Return where a sample is; it is asked for in order of id."""
        if self._next is None or self._next[0] != name:
            return None, None
        _, x, y = self._next
        self._next = next(self._rows, None)
        return x, y

    def refuse_leftover(self) -> None:
        if self._next is not None:
            raise DataError(
                f"{self._path}: {self._next[0]!r} is out of order or has no row in signals.parquet;"
                " both are in order of id"
            )

    def _projected(self, project: Projecting) -> Iterator[tuple[str, float, float]]:
        for ids, vectors in stream_embeddings(self._path):
            yield from (
                (name, round(float(x), 5), round(float(y), 5))
                for name, (x, y) in zip(ids, project(vectors), strict=True)
            )


@contextmanager
def _committed(connection: sqlite3.Connection) -> Iterator[None]:
    """Hold a transaction: all of it is written, or none."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def _batches(samples: Iterable[Sample]) -> Iterator[list[Sample]]:
    rows = iter(samples)
    while batch := list(islice(rows, BATCH_ROWS)):
        yield batch


def _searchable(text: str) -> str:
    """Return a text without NUL, at which SQLite would stop comparing."""
    return text.replace("\0", " ")


def _messages(sample: Sample) -> str | None:
    """Return the conversation as JSON; None where it is the two columns and nothing else."""
    plain = len(sample.messages) == 2 and not any(message.name for message in sample.messages)
    if plain and not any("\0" in message.content for message in sample.messages):
        return None
    return json.dumps([message.as_dict() for message in sample.messages], ensure_ascii=False)
