"""What the agents' calls of each round took, from the ledger."""

from dataclasses import dataclass
from functools import partial
from typing import Any

from .record import Record


@dataclass(frozen=True, slots=True)
class Spending:
    """The calls of one round.

    Attributes:
        round: its number.
        calls: how many were answered, by a model or a recording.
        replayed: of these, by a recording.
        prompt_tokens: tokens read, where they are known.
        completion_tokens: tokens written, where they are known.
        unknown: calls whose tokens are not known.
        usd: what they cost; None where the price of one is not known.
    """

    round: int
    calls: int
    replayed: int
    prompt_tokens: int
    completion_tokens: int
    unknown: int
    usd: float | None


def spending(record: Record) -> list[Spending]:
    """Return a line per round that asked agents; only rounds with new calls are summed again."""
    rounds = record.ledger.query(
        "SELECT round, count(*), max(rowid) FROM units GROUP BY round ORDER BY round"
    )
    return [
        record.remembered(
            ("spending", k), (count, last), partial(_sum, record, int(str(k))), most=None
        )
        for k, count, last in rounds
    ]


def _sum(record: Record, k: int) -> Spending:
    (row,) = record.ledger.query(
        "SELECT count(*), sum(source = 'replayed'), total(prompt_tokens), total(completion_tokens),"
        " sum(prompt_tokens IS NULL OR completion_tokens IS NULL),"
        " CASE WHEN count(*) = count(usd) THEN total(usd) END"
        " FROM units WHERE round = ?",
        k,
    )
    figures: tuple[Any, ...] = row
    calls, replayed, read, written, unknown, usd = figures
    return Spending(k, calls, replayed or 0, int(read), int(written), unknown or 0, usd)
