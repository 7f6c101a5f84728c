"""The ledger: every LLM call and every decision on a flagged sample, durable before it is used.

LangGraph runs a node again after a crash; the ledger makes that harmless. A unit of work is keyed
by everything that its result depends on and looked up before each call, so it is also the response
cache: what was answered once is never asked again.
"""

import asyncio
import json
import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

from ..core.ids import canonical_json
from ..core.records import Axis, Fate
from .commits import Commits
from .database import Database

_ADD_UNIT = f"INSERT OR IGNORE INTO units VALUES ({', '.join('?' * 18)})"
_ADD_OUTCOME = "INSERT OR IGNORE INTO outcomes VALUES (?, ?, ?, ?, ?, ?)"


@dataclass(frozen=True, slots=True)
class Unit:
    """One LLM call with its result.

    Attributes:
        key: hash of role, model, rendered messages, schema, parameters and attempt.
        status: `answered`, or `failed` where no answer fitted the schema.
        value: the answer as JSON types; None where it failed.
        raw: the model's own texts, the one that needed a repair included.
    """

    key: str
    role: str
    round: int
    sample_id: str
    axis: str
    attempt: int
    model: str
    prompt: str
    prompt_hash: str
    messages: list[list[str]]
    status: Literal["answered", "failed"]
    value: dict[str, Any] | None
    raw: list[str]
    error: str | None
    prompt_tokens: int | None
    completion_tokens: int | None
    seconds: float


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one flagged sample in one round.

    `proposals` holds a dict per attempt, as rows of `proposals.parquet`; an accepted one is last.
    """

    round: int
    sample_id: str
    axis: Axis
    fate: Fate
    reason: str
    proposals: list[dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Spent:
    """Tokens of all LLM calls; `unknown_calls` counts those whose provider gave no usage."""

    calls: int
    prompt_tokens: int
    completion_tokens: int
    unknown_calls: int
    seconds: float

    @property
    def tokens(self) -> int:
        """Prompt and completion tokens together."""
        return self.prompt_tokens + self.completion_tokens

    def plus(self, unit: Unit) -> "Spent":
        """Return the sum with one more call."""
        return Spent(
            self.calls + 1,
            self.prompt_tokens + (unit.prompt_tokens or 0),
            self.completion_tokens + (unit.completion_tokens or 0),
            self.unknown_calls + (unit.prompt_tokens is None or unit.completion_tokens is None),
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
        rows = self._database.query(
            "SELECT key, role, round, sample_id, axis, attempt, model, prompt, prompt_hash,"
            " messages, status, value, raw, error, prompt_tokens, completion_tokens, seconds"
            " FROM units WHERE key = ?",
            key,
        )
        return _unit(rows[0]) if rows else None

    async def add_unit(self, unit: Unit) -> Unit:
        """Write a finished unit and return, once it is durable, the one that stands.

        That is the first with its key: two who ask the same at once hear the same.
        """
        if self._spent is None:
            self._begin()
        row = (
            *(unit.key, unit.role, unit.round, unit.sample_id, unit.axis, unit.attempt),
            *(unit.model, unit.prompt, unit.prompt_hash, canonical_json(unit.messages)),
            *(unit.status, None if unit.value is None else canonical_json(unit.value)),
            *(canonical_json(unit.raw), unit.error, unit.prompt_tokens),
            *(unit.completion_tokens, unit.seconds, time.time()),
        )
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
        rows = self._database.query(
            "SELECT count(*), coalesce(sum(prompt_tokens), 0), coalesce(sum(completion_tokens), 0),"
            " coalesce(sum(prompt_tokens IS NULL OR completion_tokens IS NULL), 0),"
            " coalesce(sum(seconds), 0.0) FROM units"
        )
        calls, prompt, completion, unknown, seconds = rows[0]
        return Spent(
            int(str(calls)),
            int(str(prompt)),
            int(str(completion)),
            int(str(unknown)),
            float(str(seconds)),
        )

    def outcomes(self, round: int) -> list[Outcome]:
        """Return a round's outcomes in order of sample id."""
        rows = self._database.query(
            "SELECT round, sample_id, axis, fate, reason, proposals FROM outcomes"
            " WHERE round = ? ORDER BY sample_id",
            round,
        )
        return [_outcome(row) for row in rows]

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


def _unit(row: tuple[Any, ...]) -> Unit:
    key, role, round, sample, axis, attempt, model, prompt, prompt_hash, messages, status, *rest = (
        row
    )
    value, raw, error, prompt_tokens, completion_tokens, seconds = rest
    return Unit(
        *(key, role, round, sample, axis, attempt, model, prompt, prompt_hash),
        *(json.loads(messages), status, None if value is None else json.loads(value)),
        *(json.loads(raw), error, prompt_tokens, completion_tokens, seconds),
    )


def _outcome(row: tuple[Any, ...]) -> Outcome:
    round, sample_id, axis, fate, reason, proposals = row
    return Outcome(round, sample_id, Axis(axis), fate, reason, json.loads(proposals))


def _outcome_row(outcome: Outcome) -> tuple[object, ...]:
    return (
        *(outcome.round, outcome.sample_id, str(outcome.axis), outcome.fate),
        *(outcome.reason, canonical_json(outcome.proposals)),
    )
