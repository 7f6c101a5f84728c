"""Read `traces.db`: as the events that were told, while the run goes on or long after."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypedDict, Unpack

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
_VALUES = "SELECT id, text FROM calls JOIN texts ON hash = value_hash"
_SUMS = (
    "count(*), count(*) FILTER (WHERE source = 'replayed'),"
    " count(*) FILTER (WHERE status = 'failed'),"
    " coalesce(sum(coalesce(prompt_tokens, 0) + coalesce(completion_tokens, 0)), 0),"
    " count(*) FILTER (WHERE prompt_tokens IS NULL OR completion_tokens IS NULL),"
    " coalesce(sum(usd), 0.0), count(*) FILTER (WHERE usd IS NULL), coalesce(sum(seconds), 0.0)"
)


class CallsWanted(TypedDict, total=False):
    """Which calls; what is left out or None excludes none.

    Attributes:
        round: those of a round.
        sample_id: those for a sample, by its whole id.
        agent: those of an agent.
        failed: where true, those that got no answer.
        after: those with a larger number; numbers grow in the order in which calls ended.
        until: those with this number or a smaller one.
    """

    round: int | None
    sample_id: str | None
    agent: str | None
    failed: bool
    after: int
    until: int


@dataclass(frozen=True, slots=True)
class Sums:
    """What calls took together.

    Attributes:
        calls: how many they are.
        replayed: of these, those that a recording answered.
        failed: of these, those that got no answer.
        tokens: read and written, of those whose tokens are known.
        unmeasured: of these, those whose tokens are not known, or not all.
        usd: the price of those that have one.
        unpriced: of these, those whose price is not known.
        seconds: wall-clock time.
    """

    calls: int
    replayed: int
    failed: int
    tokens: int
    unmeasured: int
    usd: float
    unpriced: int
    seconds: float


def open_traces(path: Path) -> "TraceReader | None":
    """Open a trace store read-only; None where there is no file, or one that has no tables yet.

    Raises:
        MiddoError: the file is no trace store, or was written by a newer version.
    """
    if not path.is_file():
        return None
    database = read_database(path, TRACE_MIGRATIONS)
    # Its writer makes the file a moment before the tables.
    if database.query("PRAGMA user_version") == [(0,)]:
        database.close()
        return None
    return TraceReader(database)


def known_in(path: Path) -> tuple[set[str], set[tuple[int, str]]] | None:
    """Return which calls are in a trace store, by their keys, and which samples of which rounds.

    Both are empty where there is nothing. None: there is a file, and it can't be read.
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
    except MiddoError:
        return None


class TraceReader:
    """What a run told so far. Threads may share one; every question is answered afresh."""

    def __init__(self, database: Database) -> None:
        """Read from an open database; `open_traces` makes one."""
        self._database = database

    def calls(
        self, *, texts: bool = True, slowest: int | None = None, **wanted: Unpack[CallsWanted]
    ) -> list[Call]:
        """Return LLM calls in the order in which they ended.

        Args:
            texts: with messages, raw answers and the parsed answer, which are most of the file;
                without, they are empty and None.
            slowest: only so many, the slowest first.
            wanted: which calls.
        """
        where, values = _conditions(wanted)
        order = "id" if slowest is None else "seconds DESC, id LIMIT ?"
        rows: list[tuple[Any, ...]] = self._database.query(
            f"SELECT id, {', '.join(CALL_COLUMNS)} FROM calls WHERE {where} ORDER BY {order}",
            *values,
            *(() if slowest is None else (slowest,)),
        )
        if not texts:
            return [_call(row) for row in rows]
        found = []
        for start in range(0, len(rows), AT_ONCE):
            found += self._in_full(rows[start : start + AT_ONCE])
        return found

    def sums(self, **wanted: Unpack[CallsWanted]) -> Sums:
        """Return what calls took together."""
        where, values = _conditions(wanted)
        (row,) = self._database.query(f"SELECT {_SUMS} FROM calls WHERE {where}", *values)
        return Sums(*row)  # type: ignore[arg-type]  # the columns of _SUMS are its fields

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

    def _in_full(self, rows: list[tuple[Any, ...]]) -> list[Call]:
        """Return calls from rows of `calls`, the texts of all of them read together."""
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
        parsed: list[tuple[Any, ...]] = self._database.query(f"{_VALUES} WHERE id IN ({numbers})")
        values = {number: _parsed(text) for number, text in parsed}
        return [_call(row, messages[row[0]], answers[row[0]], values.get(row[0])) for row in rows]


def _conditions(wanted: CallsWanted) -> tuple[str, list[object]]:
    """Return what stands behind WHERE, and its values."""
    asked: list[tuple[str, object]] = [
        ("round = ?", wanted.get("round")),
        ("sample_id = ?", wanted.get("sample_id")),
        ("agent = ?", wanted.get("agent")),
        ("status = ?", "failed" if wanted.get("failed") else None),
        ("id > ?", wanted.get("after")),
        ("id <= ?", wanted.get("until")),
    ]
    given = [(condition, value) for condition, value in asked if value is not None]
    return " AND ".join([c for c, _ in given]) or "TRUE", [value for _, value in given]


def _call(
    row: tuple[Any, ...],
    messages: list[list[str]] | None = None,
    raw: list[str] | None = None,
    value: Any = None,
) -> Call:
    """Return a call from its number and `CALL_COLUMNS`."""
    fields = dict(zip(CALL_COLUMNS, row[1:], strict=True))
    del fields["value_hash"]
    for name in _TEXTS:
        fields[name] = None if fields[name] is None else text_from(fields[name])
    return Call(**fields, messages=messages or [], raw=raw or [], value=value)


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
