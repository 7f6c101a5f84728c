"""What LangGraph checkpoints of a run: the phase, in JSON types, a few hundred bytes.

Figures live in the run's database (`stores/facts.py`), rows in Parquet; the state only says where
the loop stands. Paths are relative to the run folder.
"""

from typing import Any, TypedDict


class LoopState(TypedDict):
    """Where the loop stands."""

    round: int
    """The round being worked on: its data set is `rounds/<round>/dataset`."""

    source_round: int
    """The round whose data and model are diagnosed: `round`, or the best one after a rollback."""

    stop: str
    """Why the run ends; empty while it goes on."""


class RefineState(TypedDict):
    """One flagged sample on its way through `rewrite -> checks -> critique -> proof`."""

    attempt: int
    """Number of the current attempt, from 1."""

    feedback: str
    """What was wrong with the last proposal, for the next one."""

    remarks: list[str]
    """Everything that was said of the proposals so far; none may come back as a text."""

    row: dict[str, Any]
    """The current proposal as a row of `proposals.parquet`, filled in gate by gate."""

    tried: list[dict[str, Any]]
    """The rows of all finished attempts."""

    fate: str
    """`accepted`, `rejected` or `failed`; empty while under way."""

    reason: str
    """Why it was not accepted: the last gate that refused it, and what it said."""
