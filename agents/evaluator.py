"""The hold-out under one model: per-row losses for the gate, and the figure that people read."""

from dataclasses import dataclass
from typing import Any

from .measuring import Advance, Conversations, Measuring


@dataclass(frozen=True, slots=True)
class HoldoutRow:
    """One hold-out row: answer loss in nats per token, and the tokens it is a mean of."""

    id: str
    loss: float
    tokens: int


@dataclass(frozen=True, slots=True)
class Holdout:
    """The rows that a model could be scored on, in order of id, and how many could not."""

    rows: tuple[HoldoutRow, ...]
    unscored: int

    def without(self, ids: frozenset[str]) -> "Holdout":
        """Return the hold-out without rows that are set aside."""
        return Holdout(tuple(row for row in self.rows if row.id not in ids), self.unscored)

    @property
    def losses(self) -> list[float]:
        """Losses in order of id."""
        return [row.loss for row in self.rows]

    @property
    def tokens(self) -> list[int]:
        """Tokens per row in order of id."""
        return [row.tokens for row in self.rows]

    def as_dict(self) -> dict[str, Any]:
        """Return JSON types; `holdout_from` is the inverse."""
        return {
            "rows": [{"id": r.id, "loss": r.loss, "tokens": r.tokens} for r in self.rows],
            "unscored": self.unscored,
        }


def holdout_from(plain: dict[str, Any]) -> Holdout:
    """Rebuild a hold-out from `Holdout.as_dict`."""
    return Holdout(tuple(HoldoutRow(**row) for row in plain["rows"]), plain["unscored"])


def evaluate(measuring: Measuring, stage: str, samples: Conversations, advance: Advance) -> Holdout:
    """Score the hold-out with one model.

    Raises:
        Interrupted: the run was asked to stop.
    """
    measured = measuring.measure(stage, samples, advance=advance)
    scored = sorted((key, one) for key, one in measured.items() if one.unscored is None)
    rows = tuple(HoldoutRow(key, one.loss, one.answer_tokens) for key, one in scored)
    return Holdout(rows, len(measured) - len(rows))
