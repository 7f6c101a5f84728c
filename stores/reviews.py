"""What people said of proposals in a paused run: every word is kept, the last one counts.

Words are written while no run owns the folder, and only as long as the round's review is open; so
what merging reads can't change under it.
"""

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from ..core.ids import canonical_json
from .database import Database, intact
from .facts import Facts

Decision = Literal["accept", "reject", "edit"]

_COLUMNS = (
    *("round", "sample_id", "proposal_id", "decision", "prompt", "answer", "reason", "checks"),
    *("reviewer", "at"),
)
_ADD = f"INSERT INTO reviews ({', '.join(_COLUMNS)}) VALUES ({', '.join('?' * len(_COLUMNS))})"
_ASKED = "SELECT sample_id FROM outcomes WHERE round = ? AND fate = 'accepted' ORDER BY sample_id"


@dataclass(frozen=True, slots=True)
class Word:
    """What a person said of one proposal.

    Attributes:
        round: the round that the proposal was made in.
        sample_id: the flagged sample.
        proposal_id: the proposal that the person saw.
        decision: accept it as it is, keep the original, or take the edited text.
        prompt: the edited prompt; None where nothing was edited, as `answer`.
        answer: the edited answer.
        reason: the person's own words; may be empty.
        checks: verdicts of the checks on the edited text, as JSON types.
        reviewer: who said it.
        at: when, in seconds since the epoch.
    """

    round: int
    sample_id: str
    proposal_id: str
    decision: Decision
    prompt: str | None
    answer: str | None
    reason: str
    reviewer: str
    at: float
    checks: list[dict[str, Any]] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        """Return the word as JSON types."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Tally:
    """How far the review of a round is: `asked` proposals passed every gate."""

    asked: int
    accepted: int
    rejected: int
    edited: int

    @property
    def undecided(self) -> int:
        """Proposals that nobody has said a word about."""
        return self.asked - self.accepted - self.rejected - self.edited

    def as_dict(self, *, open: bool) -> dict[str, Any]:
        """Return what `run.json` says of it; `open` while words are still taken."""
        return {"open": open, **asdict(self), "undecided": self.undecided}


class Reviews:
    """The words on proposals in the run's database."""

    def __init__(self, database: Database) -> None:
        """Use the `reviews` table of a database; one of an older run may lack it."""
        self._database = database

    def add(self, words: Iterable[Word]) -> None:
        """Write words in one transaction; all are durable on return, or none is there."""
        rows = [
            tuple(
                canonical_json(word.checks) if name == "checks" else getattr(word, name)
                for name in _COLUMNS
            )
            for word in words
        ]
        with self._database.transaction() as connection:
            connection.executemany(_ADD, rows)

    def words(self, round: int, sample_id: str | None = None) -> list[Word]:
        """Return every word on a round's proposals, the earliest first."""
        if not self._database.query("SELECT 1 FROM sqlite_master WHERE name = 'reviews'"):
            return []
        rows = self._database.query(
            f"SELECT {', '.join(_COLUMNS)} FROM reviews"
            " WHERE round = ? AND sample_id = coalesce(?, sample_id) ORDER BY number",
            round,
            sample_id,
        )
        with intact(self._database.name):
            return [_word(row) for row in rows]

    def standing(self, round: int) -> dict[str, Word]:
        """Return the word that counts for each sample: the last one."""
        return {word.sample_id: word for word in self.words(round)}

    def tally(self, round: int) -> Tally:
        """Count a round's proposals that passed every gate by what was said of them."""
        asked = [str(name) for (name,) in self._database.query(_ASKED, round)]
        standing = self.standing(round)
        said = [standing[name].decision for name in asked if name in standing]
        return Tally(len(asked), said.count("accept"), said.count("reject"), said.count("edit"))

    def open_round(self) -> int | None:
        """Return the round whose review takes words, or None."""
        facts = Facts(self._database)
        latest: int = facts.get("rounds_seen", 0) - 1
        return latest if facts.get(review_fact(latest), {}).get("open") else None


def review_fact(round: int) -> str:
    """Return the name of the fact that holds a round's `Tally.as_dict`."""
    return f"round.{round}.review"


def _word(row: tuple[Any, ...]) -> Word:
    values = dict(zip(_COLUMNS, row, strict=True))
    return Word(**{**values, "checks": json.loads(values["checks"])})
