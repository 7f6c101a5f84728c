"""Measurements as they are made: batches that an interrupted scoring has already finished.

Keyed by what was scored (`item`: a sample id or a control's key) and by the model with all that
bears on the numbers (`model`: weights, adapter, template, dtype, what was asked). Base-model losses
stay valid over rounds, since that key does not change.

Embeddings stay in the file until they are asked for, and come as one array: as Python numbers they
would take ten times the memory of everything else that is known of a sample.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from ..core.ids import canonical_json
from ..core.measures import Measured, measured_from
from .database import Database, intact

Vectors = NDArray[np.float32]

BLOCK = 500
"""Ids per SELECT: every SQLite takes that many variables."""


class Scores:
    """Measurements in a database."""

    def __init__(self, database: Database) -> None:
        """Use the `scores` table of an open database."""
        self._database = database

    def known(self, model: str, items: Iterable[str]) -> dict[str, Measured]:
        """Return what is there of the wanted items, without embeddings."""
        with intact(self._database.name):
            return {
                str(item): measured_from(json.loads(str(text)))
                for block in _blocks(items)
                for item, text in self._rows("measured", model, block)
            }

    def vectors(self, model: str, items: Sequence[str]) -> tuple[list[str], Vectors]:
        """Return the embeddings of the wanted items that have one.

        Returns:
            Their keys, in the order asked for, and float32[n, d].
        """
        names: list[str] = []
        found: Vectors = np.empty((0, 0), dtype=np.float32)
        for block in _blocks(items):
            blobs = {str(item): blob for item, blob in self._rows("embedding", model, block)}
            for name in block:
                if not isinstance(blob := blobs.get(name), bytes):
                    continue
                vector = np.frombuffer(blob, dtype=np.float32)
                if not names:
                    # Pages that no vector is written to take no memory.
                    found = np.empty((len(items), len(vector)), dtype=np.float32)
                found[len(names)] = vector
                names.append(name)
        return names, found[: len(names)]

    def add(self, model: str, measured: Mapping[str, Measured]) -> None:
        """Write one batch, whole."""
        rows = []
        for item, one in measured.items():
            vector = one.embedding
            blob = None if vector is None else np.asarray(vector, dtype=np.float32).tobytes()
            text = canonical_json(replace(one, embedding=None).as_dict())
            rows.append((model, item, text, blob))
        with self._database.transaction() as connection:
            connection.executemany("INSERT OR REPLACE INTO scores VALUES (?, ?, ?, ?)", rows)

    def adopt(self, model: str, other: str, items: Iterable[str]) -> None:
        """Take over what `other` has of the wanted items and `model` has not, embeddings too."""
        with self._database.transaction() as connection:
            for block in _blocks(items):
                marks = ", ".join("?" * len(block))
                connection.execute(
                    "INSERT OR IGNORE INTO scores SELECT ?, item, measured, embedding FROM scores"
                    f" WHERE model = ? AND item IN ({marks})",
                    (model, other, *block),
                )

    def take(self, other: "Scores", model: str, items: Iterable[str]) -> None:
        """Take over what another run measured of the wanted items with the same model."""
        for block in _blocks(items):
            rows = [(model, *row) for row in other._rows("measured, embedding", model, block)]
            with self._database.transaction() as connection:
                connection.executemany("INSERT OR IGNORE INTO scores VALUES (?, ?, ?, ?)", rows)

    def close(self) -> None:
        """Close the database."""
        self._database.close()

    def _rows(self, columns: str, model: str, block: Sequence[str]) -> list[tuple[object, ...]]:
        """Return the item and the columns of what is there of a block."""
        marks = ", ".join("?" * len(block))
        return self._database.query(
            f"SELECT item, {columns} FROM scores WHERE model = ? AND item IN ({marks})",
            model,
            *block,
        )


def _blocks(items: Iterable[str]) -> Iterator[list[str]]:
    rest = iter(items)
    while block := list(islice(rest, BLOCK)):
        yield block
