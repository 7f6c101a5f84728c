"""The life of one sample: what each round measured, why it was flagged, what agents made of it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ..core.records import Axis, Fate, Message
from ..core.trace import Call, GateNode
from ..stores.reviews import Word


@dataclass(frozen=True, slots=True)
class Reading:
    """One axis of one sample in one round.

    Attributes:
        axis: the axis.
        on: whether the axis was diagnosed in this round.
        score: the signal that is compared; None where it was not measured.
        threshold: what it was compared with; None where the axis is off.
        flags_high: whether higher scores are flagged, as for complexity, or lower ones.
        rank: place among all measured rows, 1 the farthest on the flagged side.
        of: rows with a score.
        flagged: whether the sample was flagged.
        reason: why it was flagged, or why the axis is off; empty otherwise.
    """

    axis: Axis
    on: bool
    score: float | None
    threshold: float | None
    flags_high: bool
    rank: int | None
    of: int
    flagged: bool
    reason: str


@dataclass(frozen=True, slots=True)
class Neighbour:
    """A sample near another; `similarity` is the cosine of their prompts' embeddings."""

    sample_id: str
    prompt: str
    similarity: float | None


@dataclass(frozen=True, slots=True)
class Gate:
    """What one gate said of a proposal; fields as in `core.trace.Judged`."""

    node: GateNode
    gate: str
    passed: bool
    numbers: Mapping[str, Any]
    reason: str


@dataclass(frozen=True, slots=True)
class Attempt:
    """One proposal and what was said of it.

    Attributes:
        number: from 1.
        proposal_id: hash of the proposed messages; empty where none was made.
        messages: the proposed conversation; empty where none was made.
        adds: True where it stands beside its parent instead of replacing it.
        gates: in the order in which they were asked.
        verdict: accepted, rejected or failed; empty while under way.
        reason: why it was not accepted.
        calls: the LLM calls behind it; empty where no traces were kept.
    """

    number: int
    proposal_id: str
    messages: tuple[Message, ...]
    adds: bool
    gates: tuple[Gate, ...]
    verdict: str
    reason: str
    calls: tuple[Call, ...] = ()


@dataclass(frozen=True, slots=True)
class RoundOfLife:
    """One round of a sample's life.

    Attributes:
        round: its number.
        sample_id: the id of the row that stood in this round's data.
        messages: its conversation.
        values: what was measured, by column name of `signals.parquet`; only numbers.
        readings: one per axis; empty where the round was not diagnosed.
        unscored: why it was not measured; None where it was.
        cluster: label, -1 for noise; None where there is none.
        neighbours: nearest first.
        axis: what it was refined for; None where it was not.
        fate: None where it was not flagged, or is not settled yet.
        reason: why it was not accepted.
        attempts: proposals in their order; those under way too, where traces were kept.
        words: what people said of its proposal, the earliest first; the last one counts.
        note: what is unusual about the round, such as that it was rolled back; empty otherwise.
    """

    round: int
    sample_id: str
    messages: tuple[Message, ...]
    values: Mapping[str, float]
    readings: tuple[Reading, ...]
    unscored: str | None
    cluster: int | None
    neighbours: tuple[Neighbour, ...]
    axis: Axis | None
    fate: Fate | None
    reason: str
    attempts: tuple[Attempt, ...]
    words: tuple[Word, ...] = ()
    note: str = ""

    @property
    def calls(self) -> tuple[Call, ...]:
        """The LLM calls of all attempts."""
        return tuple(call for attempt in self.attempts for call in attempt.calls)


@dataclass(frozen=True, slots=True)
class Life:
    """A sample from its import to the last round.

    Attributes:
        sample_id: the id that was asked for.
        lineage: ids of the line it belongs to, the seed sample first; where a round was rolled
            back, what came out of it too.
        source: where the row came from, `file name:row`.
        origin: seed, rewritten or added.
        rounds: in order; those in whose data the line was not are left out.
        ending: one line that says what became of it.
    """

    sample_id: str
    lineage: tuple[str, ...]
    source: str
    origin: str
    rounds: tuple[RoundOfLife, ...]
    ending: str
    made: tuple[str, ...] = field(default=())
    """Ids of samples that were added beside it."""
    beside: str | None = None
    """The sample that it was added beside; None for one that was not added."""
