"""What a run tells about its work, in full: nodes, LLM calls, verdicts, fates of samples.

Events are facts that have happened; whoever takes them (the trace store, an OpenTelemetry exporter)
redacts them before they leave the process. Nothing is decided by them, and a run without takers
does the same.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from .records import Fate

GateNode = Literal["checks", "critique", "proof"]


@dataclass(frozen=True, slots=True)
class NodeBegan:
    """A node of the loop begins; `at` is in seconds since the epoch, as in all events."""

    node: str
    round: int
    at: float


@dataclass(frozen=True, slots=True)
class NodeEnded:
    """A node has ended.

    Attributes:
        node: its name.
        round: the round that it worked on.
        began: when, the same number as in its `NodeBegan`.
        seconds: wall-clock time.
        status: `done`; `stopped` on a cap, a signal or a pause; `failed` on any other error.
        summary: one line of figures, or what ended it.
    """

    node: str
    round: int
    began: float
    seconds: float
    status: Literal["done", "stopped", "failed"]
    summary: str


@dataclass(frozen=True, slots=True)
class Call:
    """One LLM call with its result, a repair turn included.

    Attributes:
        key: the ledger's key of the call.
        round: the round whose diagnosis led to it.
        sample_id: the sample; empty where the call belongs to none.
        axes: every axis that flagged it, joined by `+`, the one it is refined for first.
        agent: rewriter, critic or diagnostician.
        attempt: number of the attempt, from 1.
        source: `live` where a model was asked, `replayed` where a recording answered.
        model: who answered, as the provider says.
        prompt: name of the prompt.
        prompt_version: its version.
        prompt_hash: hash of its template.
        messages: (role, text) pairs as they were sent.
        status: `answered`, or `failed` where no answer fitted the schema.
        value: the parsed answer as JSON types; None where it failed.
        raw: the model's own texts, the one that needed a repair included.
        error: why it failed; None where it was answered.
        prompt_tokens: tokens read; None where the provider did not say, as `completion_tokens`.
        completion_tokens: tokens written.
        usd: what it cost; None where price or usage are not known.
        began: when it began.
        seconds: wall-clock time, pauses for rate limits included.
    """

    key: str
    round: int
    sample_id: str
    axes: str
    agent: str
    attempt: int
    source: Literal["live", "replayed"]
    model: str
    prompt: str
    prompt_version: int
    prompt_hash: str
    messages: list[list[str]]
    status: Literal["answered", "failed"]
    value: Mapping[str, Any] | None
    raw: list[str]
    error: str | None
    prompt_tokens: int | None
    completion_tokens: int | None
    usd: float | None
    began: float
    seconds: float


@dataclass(frozen=True, slots=True)
class Judged:
    """What one gate said of one proposal.

    Attributes:
        round: the round.
        sample_id: the sample that the proposal was made for.
        attempt: number of the attempt, from 1.
        proposal_id: hash of the proposed messages.
        node: the node that holds the gate.
        gate: the gate's name, such as `numbers`, `critic`, `proof.quality`.
        passed: whether the proposal may go on.
        numbers: what was measured, with the bounds it was held to.
        reason: in words.
        at: when.
    """

    round: int
    sample_id: str
    attempt: int
    proposal_id: str
    node: GateNode
    gate: str
    passed: bool
    numbers: Mapping[str, Any]
    reason: str
    at: float


@dataclass(frozen=True, slots=True)
class Settled:
    """A flagged sample has its fate for this round; `attempts` proposals were made for it."""

    round: int
    sample_id: str
    axis: str
    fate: Fate
    reason: str
    attempts: int
    began: float
    seconds: float


TraceEvent = NodeBegan | NodeEnded | Call | Judged | Settled
Trace = Callable[[TraceEvent], None]


def untraced(event: TraceEvent) -> None:
    """Ignore an event: the trace of a run that keeps none."""
