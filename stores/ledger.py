"""The ledger: every LLM call and every decision on a flagged sample, durable before it is used.

LangGraph runs a node again after a crash; the ledger makes that harmless. A unit of work is keyed
by everything that its result depends on and looked up before each call, so it is also the response
cache: what was answered once is never asked again.
"""

import json
import time
from dataclasses import dataclass
from typing import Any, Literal

from ..core.ids import canonical_json
from ..core.records import Axis, Fate
from .database import Database


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


class Ledger:
    """Units and outcomes in the run's database."""

    def __init__(self, database: Database) -> None:
        """Use the `units` and `outcomes` tables of an open database."""
        self._database = database

    def unit(self, key: str) -> Unit | None:
        """Return the finished unit with this key, or None."""
        rows = self._database.query(
            "SELECT key, role, round, sample_id, axis, attempt, model, prompt, prompt_hash,"
            " messages, status, value, raw, error, prompt_tokens, completion_tokens, seconds"
            " FROM units WHERE key = ?",
            key,
        )
        return _unit(rows[0]) if rows else None

    def add_unit(self, unit: Unit) -> None:
        """Write a finished unit."""
        with self._database.transaction() as connection:
            connection.execute(
                f"INSERT OR IGNORE INTO units VALUES ({', '.join('?' * 18)})",
                (
                    *(unit.key, unit.role, unit.round, unit.sample_id, unit.axis, unit.attempt),
                    *(unit.model, unit.prompt, unit.prompt_hash, canonical_json(unit.messages)),
                    *(unit.status, None if unit.value is None else canonical_json(unit.value)),
                    *(canonical_json(unit.raw), unit.error, unit.prompt_tokens),
                    *(unit.completion_tokens, unit.seconds, time.time()),
                ),
            )

    def spent(self) -> Spent:
        """Return what all calls used so far."""
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

    def add_outcome(self, outcome: Outcome) -> None:
        """Write what became of a sample; the first word stands."""
        with self._database.transaction() as connection:
            connection.execute(
                "INSERT OR IGNORE INTO outcomes VALUES (?, ?, ?, ?, ?, ?)",
                (
                    *(outcome.round, outcome.sample_id, str(outcome.axis), outcome.fate),
                    *(outcome.reason, canonical_json(outcome.proposals)),
                ),
            )


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
