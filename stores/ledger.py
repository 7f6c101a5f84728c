"""The ledger: every LLM call and every decision on a flagged sample, durable before it is used.

LangGraph runs a node again after a crash; the ledger makes that harmless. A unit of work is keyed
by everything that its result depends on and looked up before each call, so it is also the response
cache: what was answered once is never asked again.
"""

import asyncio
import json
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar

from ..core.ids import canonical_json
from ..core.records import Axis, Fate
from .commits import Commits
from .database import Database, intact

Source = Literal["live", "replayed"]
Row = TypeVar("Row")

_COLUMNS = (
    *("key", "role", "round", "sample_id", "axis", "axes", "attempt", "source", "model"),
    *("prompt", "prompt_version", "prompt_hash", "messages", "status", "value", "raw", "error"),
    *("prompt_tokens", "completion_tokens", "usd", "held_tokens", "held_usd", "seconds"),
    "created",
)
_JSON = frozenset({"messages", "value", "raw"})
_UNITS = f"SELECT {', '.join(_COLUMNS)} FROM units"
_ADD_UNIT = (
    f"INSERT OR IGNORE INTO units ({', '.join(_COLUMNS)}) VALUES ({', '.join('?' * len(_COLUMNS))})"
)
_ADD_OUTCOME = "INSERT OR IGNORE INTO outcomes VALUES (?, ?, ?, ?, ?, ?)"


@dataclass(frozen=True, slots=True)
class Unit:
    """One LLM call with its result.

    Attributes:
        key: hash of role, models, rendered messages, schema, parameters and attempt.
        axis: what the sample is refined for; empty where the call belongs to no sample.
        axes: every axis that flagged it, joined by `+`, that one first.
        source: `live` where a model was asked, `replayed` where a recording answered.
        model: who answered, as the provider says.
        status: `answered`, or `failed` where no answer fitted the schema.
        value: the answer as JSON types; None where it failed.
        raw: the model's own texts, the one that needed a repair included.
        prompt_tokens: tokens read; None where the provider did not say, as `completion_tokens`.
        usd: what the call cost; None where price or usage are not known.
        held_tokens: what counts against `budget.max_tokens`: as measured, else by length.
        held_usd: what counts against `budget.max_usd`, in the same way.
        seconds: wall-clock time of the call.
        created: when the result was there, in seconds since the epoch.
    """

    key: str
    role: str
    round: int
    sample_id: str
    axis: str
    axes: str
    attempt: int
    source: Source
    model: str
    prompt: str
    prompt_version: int
    prompt_hash: str
    messages: list[list[str]]
    status: Literal["answered", "failed"]
    value: dict[str, Any] | None
    raw: list[str]
    error: str | None
    prompt_tokens: int | None
    completion_tokens: int | None
    usd: float | None
    held_tokens: int
    held_usd: float
    seconds: float
    created: float = field(default_factory=time.time, compare=False)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one flagged sample in one round.

    `proposals` holds a dict per attempt, as rows of `proposals.parquet`; an accepted one is last.
    Where the critic had checks done again, `excused` holds what they said before.
    """

    round: int
    sample_id: str
    axis: Axis
    fate: Fate
    reason: str
    proposals: list[dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Spent:
    """What all LLM calls took.

    Attributes:
        calls: questions to models and recordings.
        replayed: those that a recording answered.
        prompt_tokens: tokens read, where the provider said so; as `completion_tokens`.
        unknown_calls: calls whose provider gave no usage.
        usd: their price, where it is known.
        unpriced_calls: calls whose price is not known.
        held_tokens: what counts against `budget.max_tokens`.
        held_usd: what counts against `budget.max_usd`.
        seconds: the sum of their wall-clock times.
    """

    calls: int = 0
    replayed: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    unknown_calls: int = 0
    usd: float = 0.0
    unpriced_calls: int = 0
    held_tokens: int = 0
    held_usd: float = 0.0
    seconds: float = 0.0

    @property
    def tokens(self) -> int:
        """Prompt and completion tokens together."""
        return self.prompt_tokens + self.completion_tokens

    def plus(self, unit: Unit) -> "Spent":
        """Return the sum with one more call."""
        return Spent(
            self.calls + 1,
            self.replayed + (unit.source == "replayed"),
            self.prompt_tokens + (unit.prompt_tokens or 0),
            self.completion_tokens + (unit.completion_tokens or 0),
            self.unknown_calls + (unit.prompt_tokens is None or unit.completion_tokens is None),
            self.usd + (unit.usd or 0.0),
            self.unpriced_calls + (unit.usd is None),
            self.held_tokens + unit.held_tokens,
            self.held_usd + unit.held_usd,
            self.seconds + unit.seconds,
        )


class Ledger:
    """Units and outcomes in the run's database. A process writes through one ledger only."""

    def __init__(self, database: Database) -> None:
        """Use the `units` and `outcomes` tables of an open database."""
        self._database = database
        self._commits = Commits(database)
        self._spent: Spent | None = None
        self._counted = True
        self._keys: set[str] = set()

    def unit(self, key: str) -> Unit | None:
        """Return the finished unit with this key, or None."""
        if self._spent is not None and key not in self._keys:
            return None
        rows = self._database.query(f"{_UNITS} WHERE key = ?", key)
        return self._read(_unit, rows)[0] if rows else None

    async def add_unit(self, unit: Unit) -> Unit:
        """Write a finished unit and return, once it is durable, the one that stands.

        That is the first with its key: two who ask the same at once hear the same.
        """
        if self._spent is None:
            self._begin()
        row = tuple(_stored(name, getattr(unit, name)) for name in _COLUMNS)
        try:
            added = await self._commits.write(_ADD_UNIT, row)
        except asyncio.CancelledError:
            self._counted = False  # it may be written, and nobody is left to count it
            raise
        self._keys.add(unit.key)
        if not added:
            return self.unit(unit.key) or unit
        if self._spent is not None:
            self._spent = self._spent.plus(unit)
        return unit

    def spent(self) -> Spent:
        """Return what all calls used so far."""
        return self._spent if self._spent and self._counted else self._sum()

    def _begin(self) -> None:
        """Read sums and keys before the first write; from then on they are kept along."""
        self._keys = {str(key) for (key,) in self._database.query("SELECT key FROM units")}
        self._spent = self._sum()

    def _sum(self) -> Spent:
        rows: list[Any] = self._database.query(
            "SELECT count(*), coalesce(sum(source = 'replayed'), 0),"
            " coalesce(sum(prompt_tokens), 0), coalesce(sum(completion_tokens), 0),"
            " coalesce(sum(prompt_tokens IS NULL OR completion_tokens IS NULL), 0),"
            " coalesce(sum(usd), 0.0), coalesce(sum(usd IS NULL), 0),"
            " coalesce(sum(held_tokens), 0), coalesce(sum(held_usd), 0.0),"
            " coalesce(sum(seconds), 0.0) FROM units"
        )
        return Spent(*rows[0])

    def units(self) -> list[Unit]:
        """Return all finished units in the order in which they were written."""
        return self._read(_unit, self._database.query(f"{_UNITS} ORDER BY rowid"))

    def unit_keys(self) -> list[str]:
        """Return the keys of all finished units in the order in which they were written."""
        return [str(key) for (key,) in self._database.query("SELECT key FROM units ORDER BY rowid")]

    def worked(self, round: int, sample_id: str) -> tuple[float, float] | None:
        """Return when a sample's first call in a round began and its last one ended."""
        rows: list[Any] = self._database.query(
            "SELECT min(created - seconds), max(created) FROM units"
            " WHERE round = ? AND sample_id = ?",
            *(round, sample_id),
        )
        began, ended = rows[0]
        return None if began is None else (began, ended)

    def outcomes(self, round: int) -> list[Outcome]:
        """Return a round's outcomes in order of sample id."""
        rows = self._database.query(
            "SELECT round, sample_id, axis, fate, reason, proposals FROM outcomes"
            " WHERE round = ? ORDER BY sample_id",
            round,
        )
        return self._read(_outcome, rows)

    def outcome(self, round: int, sample_id: str) -> Outcome | None:
        """Return what became of one sample in a round, or None."""
        rows = self._database.query(
            "SELECT round, sample_id, axis, fate, reason, proposals FROM outcomes"
            " WHERE round = ? AND sample_id = ?",
            *(round, sample_id),
        )
        return self._read(_outcome, rows)[0] if rows else None

    def units_of(self, round: int, sample_id: str) -> list[Unit]:
        """Return a sample's units in a round, in the order in which they were written."""
        rows = self._database.query(
            f"{_UNITS} WHERE round = ? AND sample_id = ? ORDER BY rowid", round, sample_id
        )
        return self._read(_unit, rows)

    def _read(
        self, made: Callable[[tuple[Any, ...]], Row], rows: list[tuple[Any, ...]]
    ) -> list[Row]:
        with intact(self._database.name):
            return [made(row) for row in rows]

    def fates(self, round: int) -> dict[str, Fate]:
        """Return the fate of each sample that has an outcome in a round; no proposal is read."""
        rows = self._database.query("SELECT sample_id, fate FROM outcomes WHERE round = ?", round)
        return dict(rows)  # type: ignore[arg-type]  # written by `add_outcome`

    async def add_outcome(self, outcome: Outcome) -> None:
        """Write what became of a sample; the first word stands. It is durable on return."""
        await self._commits.write(_ADD_OUTCOME, _outcome_row(outcome))

    def add_outcomes(self, outcomes: Iterable[Outcome]) -> None:
        """Write outcomes that are known without any work, in one transaction."""
        rows = [_outcome_row(outcome) for outcome in outcomes]
        with self._database.transaction() as connection:
            connection.executemany(_ADD_OUTCOME, rows)


def _stored(name: str, value: Any) -> Any:
    return canonical_json(value) if name in _JSON and value is not None else value


def _unit(row: tuple[Any, ...]) -> Unit:
    values = zip(_COLUMNS, row, strict=True)
    return Unit(
        **{
            name: json.loads(value) if name in _JSON and value is not None else value
            for name, value in values
        }
    )


def _outcome(row: tuple[Any, ...]) -> Outcome:
    round, sample_id, axis, fate, reason, proposals = row
    rows = json.loads(proposals)
    if not (isinstance(rows, list) and all(isinstance(one, dict) for one in rows)):
        raise ValueError(f"proposals of {sample_id} are no list of rows")
    return Outcome(round, sample_id, Axis(axis), fate, reason, rows)


def _outcome_row(outcome: Outcome) -> tuple[object, ...]:
    return (
        *(outcome.round, outcome.sample_id, str(outcome.axis), outcome.fate),
        *(outcome.reason, canonical_json(outcome.proposals)),
    )
