"""Read `traces.db`: as the events that were told, while the run goes on or long after."""

import json
import sqlite3
from pathlib import Path
from typing import Any

from ..core.errors import MiddoError
from ..core.trace import Call, Judged, NodeBegan, NodeEnded, Settled
from .database import Database, read_database
from .trace_rows import CALL_COLUMNS, text_from
from .trace_schema import TRACE_MIGRATIONS

AT_ONCE = 500
"""Calls whose texts are read with one statement."""

_TEXTS = frozenset({"sample_id", "axes", "agent", "model", "prompt", "error"})
_MESSAGES = "call_id, role, text FROM call_messages JOIN texts ON hash = text_hash"
_ANSWERS = "call_id, text FROM call_answers JOIN texts ON hash = text_hash"


def open_traces(path: Path) -> "TraceReader | None":
    """Open a trace store read-only; None where there is no file.

    Raises:
        MiddoError: the file is no trace store, or was written by a newer version.
    """
    return TraceReader(read_database(path, TRACE_MIGRATIONS)) if path.is_file() else None


def known_in(path: Path) -> tuple[set[str], set[tuple[int, str]]] | None:
    """Return which calls are in a trace store, by their keys, and which samples of which rounds.

    Both are empty where there is no file. None: there is one, and it can't be read.
    """
    try:
        reader = open_traces(path)
        if reader is None:
            return set(), set()
        try:
            settled = {(event.round, event.sample_id) for event in reader.settled()}
            return reader.call_keys(), settled
        finally:
            reader.close()
    except (MiddoError, sqlite3.Error):
        return None


class TraceReader:
    """What a run told so far. Threads may share one; every question is answered afresh."""

    def __init__(self, database: Database) -> None:
        """Read from an open database; `open_traces` makes one."""
        self._database = database

    def calls(
        self,
        *,
        round: int | None = None,
        sample_id: str | None = None,
        agent: str | None = None,
        failed: bool = False,
        slower_than: float | None = None,
        after: int = 0,
        limit: int | None = None,
    ) -> list[Call]:
        """Return LLM calls in the order in which they ended; arguments as `numbered_calls`."""
        found = self.numbered_calls(
            round=round,
            sample_id=sample_id,
            agent=agent,
            failed=failed,
            slower_than=slower_than,
            after=after,
            limit=limit,
        )
        return [call for _, call in found]

    def numbered_calls(
        self,
        *,
        round: int | None = None,
        sample_id: str | None = None,
        agent: str | None = None,
        failed: bool = False,
        slower_than: float | None = None,
        after: int = 0,
        limit: int | None = None,
    ) -> list[tuple[int, Call]]:
        """Return LLM calls with their numbers, which grow in the order in which they ended.

        Args:
            round: only those of a round.
            sample_id: only those for a sample, by its whole id.
            agent: only those of an agent.
            failed: only those that got no answer.
            slower_than: only those that took more seconds.
            after: only those with a larger number.
            limit: at most so many.
        """
        wanted: list[tuple[str, object]] = [("id > ?", after)]
        wanted += [("round = ?", round)] if round is not None else []
        wanted += [("sample_id = ?", sample_id)] if sample_id is not None else []
        wanted += [("agent = ?", agent)] if agent is not None else []
        wanted += [("status = ?", "failed")] if failed else []
        wanted += [("seconds > ?", slower_than)] if slower_than is not None else []
        rows: list[tuple[Any, ...]] = self._database.query(
            f"SELECT id, {', '.join(CALL_COLUMNS)}, text FROM calls"
            " LEFT JOIN texts ON hash = value_hash"
            f" WHERE {' AND '.join(condition for condition, _ in wanted)} ORDER BY id LIMIT ?",
            *(value for _, value in wanted),
            -1 if limit is None else limit,
        )
        found = []
        for start in range(0, len(rows), AT_ONCE):
            found += self._in_full(rows[start : start + AT_ONCE])
        return found

    def newest(self) -> int:
        """Return the number of the last call; 0 where there is none."""
        ((number,),) = self._database.query("SELECT coalesce(max(id), 0) FROM calls")
        return int(str(number))

    def call_keys(self) -> set[str]:
        """Return the ledger's keys of all calls."""
        return {str(key) for (key,) in self._database.query("SELECT key FROM calls")}

    def sample_ids(self) -> list[str]:
        """Return the samples that calls were made for, in order of id."""
        rows = self._database.query(
            "SELECT DISTINCT sample_id FROM calls WHERE sample_id != '' ORDER BY sample_id"
        )
        return [text_from(row[0]) for row in rows]

    def judged(self, round: int | None = None, sample_id: str | None = None) -> list[Judged]:
        """Return what the gates said, in the order in which they said it."""
        rows: list[tuple[Any, ...]] = self._database.query(
            "SELECT round, sample_id, attempt, proposal_id, node, gate, passed, numbers, reason, at"
            " FROM verdicts WHERE round = coalesce(?, round) AND"
            f" {'sample_id = ?' if sample_id is not None else '? IS NULL'} ORDER BY id",
            *(round, sample_id),
        )
        return [
            Judged(
                *(round, text_from(sample), attempt, proposal, node, text_from(gate)),
                *(bool(passed), _parsed(numbers), text_from(reason), at),
            )
            for round, sample, attempt, proposal, node, gate, passed, numbers, reason, at in rows
        ]

    def nodes(self) -> list[NodeBegan | NodeEnded]:
        """Return one event per time that a node ran, in their order.

        A `NodeBegan` is one that is running, or was when its process was killed.
        """
        rows: list[tuple[Any, ...]] = self._database.query(
            "SELECT node, round, began, seconds, status, summary FROM nodes ORDER BY id"
        )
        return [
            NodeBegan(node, round, began)
            if status is None
            else NodeEnded(node, round, began, seconds, status, text_from(summary))
            for node, round, began, seconds, status, summary in rows
        ]

    def settled(self, round: int | None = None) -> list[Settled]:
        """Return the fates of flagged samples, in the order in which they were decided."""
        rows: list[tuple[Any, ...]] = self._database.query(
            "SELECT round, sample_id, axis, fate, reason, attempts, began, seconds FROM settled"
            " WHERE round = coalesce(?, round) ORDER BY rowid",
            round,
        )
        return [
            Settled(round, text_from(sample), axis, fate, text_from(reason), *rest)
            for round, sample, axis, fate, reason, *rest in rows
        ]

    def close(self) -> None:
        """Close the file."""
        self._database.close()

    def _in_full(self, rows: list[tuple[Any, ...]]) -> list[tuple[int, Call]]:
        """Return calls from rows of `calls` with the text of their value, all texts read in one."""
        numbers = ", ".join(str(int(row[0])) for row in rows)
        messages: dict[int, list[list[str]]] = {row[0]: [] for row in rows}
        answers: dict[int, list[str]] = {row[0]: [] for row in rows}
        within = f"WHERE call_id IN ({numbers}) ORDER BY call_id, place"
        sent: list[tuple[Any, ...]] = self._database.query(f"SELECT {_MESSAGES} {within}")
        for number, role, text in sent:
            messages[number].append([text_from(role), text_from(text)])
        answered: list[tuple[Any, ...]] = self._database.query(f"SELECT {_ANSWERS} {within}")
        for number, text in answered:
            answers[number].append(text_from(text))
        calls = []
        for number, *values, value in rows:
            fields = dict(zip(CALL_COLUMNS, values, strict=True))
            del fields["value_hash"]
            for name in _TEXTS:
                fields[name] = None if fields[name] is None else text_from(fields[name])
            call = Call(
                **fields,
                messages=messages[number],
                raw=answers[number],
                value=None if value is None else _parsed(value),
            )
            calls.append((number, call))
        return calls


def _parsed(text: Any) -> Any:
    """Return the JSON that a column holds.

    Raises:
        MiddoError: it holds none.
    """
    try:
        return json.loads(text_from(text))
    except (ValueError, RecursionError) as error:
        raise MiddoError(
            "traces.db holds a text that is no JSON: it is damaged; move it away to go on without"
        ) from error
