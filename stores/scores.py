"""Measurements as they are made: batches that an interrupted scoring has already finished.

Keyed by what was scored (`item`: a sample id or a control's key) and by the model with all that
bears on the numbers (`model`: weights, adapter, template, dtype, what was asked). Base-model losses
stay valid over rounds, since that key does not change.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import replace

import numpy as np

from ..core.ids import canonical_json
from ..core.measures import Measured, measured_from
from .database import Database


class Scores:
    """Measurements in the run's database."""

    def __init__(self, database: Database) -> None:
        """Use the `scores` table of an open database."""
        self._database = database

    def known(self, model: str, items: Iterable[str]) -> dict[str, Measured]:
        """Return what is there of the wanted items."""
        wanted = set(items)
        rows = self._database.query(
            "SELECT item, measured, embedding FROM scores WHERE model = ?", model
        )
        return {
            str(item): _measured(str(text), blob) for item, text, blob in rows if item in wanted
        }

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


def _measured(text: str, blob: object) -> Measured:
    measured = measured_from(json.loads(text))
    if not isinstance(blob, bytes):
        return measured
    vector = np.frombuffer(blob, dtype=np.float32)
    return replace(measured, embedding=tuple(float(x) for x in vector))
