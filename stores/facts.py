"""Small facts of a run: what nodes found out, by name, as JSON.

LangGraph's checkpoint holds the phase; a fact holds a node's figures, so that the state stays a few
hundred bytes and `run.json` can be composed at any time. Names are dotted: `round.0.training`.
"""

import json
from typing import Any

from ..core.ids import canonical_json
from .database import Database, intact


class Facts:
    """Named JSON values in the run's database."""

    def __init__(self, database: Database) -> None:
        """Use the `facts` table of an open database."""
        self._database = database

    def get(self, name: str, default: Any = None) -> Any:
        """Return a fact's value, or the default, whose type the value has then.

        Raises:
            MiddoError: the fact is not what was written.
        """
        rows = self._database.query("SELECT value FROM facts WHERE name = ?", name)
        if not rows:
            return default
        with intact(self._database.name):
            value = json.loads(str(rows[0][0]))
            if not _is_like(value, default):
                raise TypeError(f"{name} is a {type(value).__name__}")
        return value

    def put(self, name: str, value: Any) -> None:
        """Write a fact; a second value replaces the first."""
        with self._database.transaction() as connection:
            connection.execute(
                "INSERT OR REPLACE INTO facts VALUES (?, ?)", (name, canonical_json(value))
            )

    def put_once(self, name: str, value: Any) -> Any:
        """Write a fact unless it is there, and return what stands: choices that must not move."""
        with self._database.transaction() as connection:
            connection.execute(
                "INSERT OR IGNORE INTO facts VALUES (?, ?)", (name, canonical_json(value))
            )
        return self.get(name)

    def under(self, prefix: str) -> dict[str, Any]:
        """Return the facts whose names start with `prefix.`, without that prefix."""
        rows = self._database.query(
            "SELECT name, value FROM facts WHERE substr(name, 1, ?) = ?",
            len(prefix) + 1,
            prefix + ".",
        )
        with intact(self._database.name):
            return {str(name)[len(prefix) + 1 :]: json.loads(str(value)) for name, value in rows}


def _is_like(value: Any, default: Any) -> bool:
    """Return whether a value has the type of a default; None stands for any."""
    if isinstance(default, int | float) and not isinstance(default, bool):
        return isinstance(value, int | float) and not isinstance(value, bool)
    return default is None or isinstance(value, type(default))
