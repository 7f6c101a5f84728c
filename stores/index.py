"""`index.db` as its readers see it: texts, search, places; see `index_tables` for the tables."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..core.records import Message, Origin, Sample, message_from
from .index_tables import Connection, open_for_reading
from .search import Search

INDEX_DB = "index.db"


@dataclass(frozen=True, slots=True)
class Text:
    """A sample as the index has it; fields as in `core.records.Sample`.

    Where two rounds made the same conversation, `origin`, `parent_id` and `round` are of the first.
    """

    number: int
    id: str
    prompt: str
    answer: str
    messages: tuple[Message, ...]
    source: str
    origin: Origin
    parent_id: str | None
    round: int


@dataclass(frozen=True, slots=True, eq=False)
class Places:
    """The map of a round, in order of id.

    Attributes:
        ids: of the samples with an embedding.
        xy: float32[n, 2].
    """

    ids: list[str]
    xy: NDArray[np.float32]


class Index:
    """An open index, read-only. Its methods may be called from several threads."""

    def __init__(self, connection: Connection, searching: Connection) -> None:
        """Take two open connections; a search can be long, and nothing else waits for it."""
        self._connection = connection
        self._search = Search(searching)

    def close(self) -> None:
        """Close the file."""
        self._connection.close()
        self._search.close()

    def versions(self) -> dict[int, str]:
        """Return round -> hash of every data set that is there in full."""
        rows = self._connection.query("SELECT round, sha256 FROM versions ORDER BY round")
        return dict(rows)  # type: ignore[arg-type]

    def diagnoses(self) -> dict[int, str]:
        """Return round -> fingerprint of `signals.parquet` of every diagnosis that is there."""
        rows = self._connection.query("SELECT round, fingerprint FROM diagnoses ORDER BY round")
        return dict(rows)  # type: ignore[arg-type]

    def text(self, sample_id: str) -> Text | None:
        """Return a sample, or None."""
        return self.texts([sample_id]).get(sample_id)

    def texts(self, ids: Iterable[str]) -> dict[str, Text]:
        """Return those of some samples that are there."""
        rows = self._connection.query(
            "SELECT s.number, s.id, s.prompt, s.answer, s.messages, s.source, s.origin,"
            " s.parent_id, s.round FROM json_each(?) j JOIN samples s ON s.id = j.value",
            json.dumps(list(ids)),
        )
        return {str(row[1]): _text(row) for row in rows}

    def heads(self, ids: Sequence[str], width: int) -> dict[str, tuple[str, str]]:
        """Return the first characters of prompts and answers."""
        rows = self._connection.query(
            "SELECT s.id, substr(s.prompt, 1, ?), substr(s.answer, 1, ?)"
            " FROM json_each(?) j JOIN samples s ON s.id = j.value",
            *(width, width, json.dumps(list(ids))),
        )
        return {str(name): (str(prompt), str(answer)) for name, prompt, answer in rows}

    def from_source(self, source: str) -> list[str]:
        """Return the ids of the imported samples that came from a place, `file name:row`."""
        rows = self._connection.query(
            "SELECT id FROM samples WHERE source = ? AND origin = 'seed' ORDER BY id", source
        )
        return [str(name) for (name,) in rows]

    def starting(self, beginning: str, most: int) -> list[str]:
        """Return the first ids with a beginning, in their order."""
        rows = self._connection.query(
            "SELECT id FROM samples WHERE id >= ? AND id < ? ORDER BY id LIMIT ?",
            *(beginning, beginning + "\U0010ffff", most),
        )
        return [str(name) for (name,) in rows]

    def ids(self) -> list[str]:
        """Return every id, in order."""
        return [
            str(name) for (name,) in self._connection.query("SELECT id FROM samples ORDER BY id")
        ]

    def rows(self, round: int) -> tuple[list[str], NDArray[np.int64]]:
        """Return ids and numbers of a data set, in order of id."""
        rows = self._connection.query(
            "SELECT s.id, s.number FROM rows r JOIN samples s ON s.number = r.sample"
            " WHERE r.round = ? ORDER BY s.id",
            round,
        )
        return [str(name) for name, _ in rows], _integers(number for _, number in rows)

    def measured(self, round: int) -> NDArray[np.int64]:
        """Return the numbers of a diagnosis' samples, in the order of `signals.parquet`."""
        rows = self._connection.query(
            "SELECT sample FROM signals WHERE round = ? ORDER BY place", round
        )
        return _integers(number for (number,) in rows)

    def holds(self, round: int, sample_id: str) -> bool:
        """Return whether a data set has a sample."""
        return bool(
            self._connection.query(
                "SELECT 1 FROM samples s JOIN rows r ON r.sample = s.number"
                " WHERE s.id = ? AND r.round = ?",
                *(sample_id, round),
            )
        )

    def rounds_of(self, sample_id: str) -> dict[int, tuple[Origin, str | None]]:
        """Return round -> origin and parent of a sample, for the data sets that have it."""
        rows = self._connection.query(
            "SELECT r.round, r.origin, r.parent_id FROM samples s JOIN rows r"
            " ON r.sample = s.number WHERE s.id = ? ORDER BY r.round",
            sample_id,
        )
        return {int(str(number)): (origin, parent) for number, origin, parent in rows}  # type: ignore[misc]

    def made_of(self, parent_id: str) -> list[tuple[int, str, Origin]]:
        """Return round, id and origin of the rows that have a sample as parent, in that order."""
        rows = self._connection.query(
            "SELECT r.round, s.id, r.origin FROM rows r JOIN samples s ON s.number = r.sample"
            " WHERE r.parent_id = ? ORDER BY r.round, s.id",
            parent_id,
        )
        return rows  # type: ignore[return-value]

    def neighbours(self, round: int, sample_id: str) -> tuple[str, ...]:
        """Return the ids of a sample's neighbours in a round, nearest first."""
        rows = self._connection.query(
            "SELECT m.neighbours FROM samples s JOIN signals m ON m.sample = s.number"
            " WHERE s.id = ? AND m.round = ?",
            *(sample_id, round),
        )
        return tuple(json.loads(str(rows[0][0]))) if rows else ()

    def centre(self, round: int) -> NDArray[np.float64] | None:
        """Return float64[d], the mean of a round's embeddings; None where there were too few."""
        rows = self._connection.query("SELECT centre FROM diagnoses WHERE round = ?", round)
        blob: Any = rows[0][0] if rows else None
        return None if blob is None else np.frombuffer(blob, dtype=np.float64)

    def places(self, round: int, ids: Iterable[str] | None = None) -> Places:
        """Return the map of a round, of all samples or of those with some ids."""
        if ids is None:
            rows = self._connection.query(
                "SELECT s.id, m.x, m.y FROM signals m JOIN samples s ON s.number = m.sample"
                " WHERE m.round = ? AND m.x IS NOT NULL ORDER BY m.place",
                round,
            )
        else:
            # CROSS JOIN keeps this order: from the ids, instead of past every row of the round.
            rows = self._connection.query(
                "SELECT s.id, m.x, m.y FROM json_each(?) j CROSS JOIN samples s ON s.id = j.value"
                " CROSS JOIN signals m INDEXED BY signals_by_sample"
                " ON m.sample = s.number AND m.round = ?"
                " WHERE m.x IS NOT NULL ORDER BY m.place",
                *(json.dumps(list(ids)), round),
            )
        xy = np.array([row[1:] for row in rows], dtype=np.float32).reshape(-1, 2)
        return Places([str(row[0]) for row in rows], xy)

    def search(self, text: str) -> NDArray[np.int64] | None:
        """Return the numbers of the samples that hold a text's words, as `Search.found` does."""
        return self._search.found(text)


def open_index(path: Path) -> Index | None:
    """Open an index; None where there is none that this version can read."""
    connection = open_for_reading(path)
    if connection is None:
        return None
    searching = open_for_reading(path)
    if searching is None:  # removed or replaced just now
        connection.close()
        return None
    return Index(connection, searching)


def _integers(values: Iterable[object]) -> NDArray[np.int64]:
    return np.fromiter(values, dtype=np.int64)


def _text(row: tuple[Any, ...]) -> Text:
    number, name, prompt, answer, messages, source, origin, parent, made = row
    turns: tuple[Message, ...] = (Message("user", prompt), Message("assistant", answer))
    if messages is None:
        return Text(number, name, prompt, answer, turns, source, origin, parent, made)
    turns = tuple(message_from(plain) for plain in json.loads(messages))
    whole = Sample(name, turns, source)
    return Text(number, name, whole.prompt, whole.answer, turns, source, origin, parent, made)
