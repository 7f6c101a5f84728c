"""The records that move through a run: messages, samples, flags, proposals, verdicts.

All are frozen. A sample is one conversation; signals and agents look at its **last exchange**: the
last user turn (`prompt`) and the final assistant turn (`answer`), given everything before
(`history`). Between the two there may be tool turns.
"""

from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any, Literal

from .ids import content_hash, short_hash

Role = Literal["system", "user", "assistant", "tool"]
Origin = Literal["seed", "rewritten", "added"]


class Axis(StrEnum):
    """The three ways in which a sample can need work."""

    COMPLEXITY = "complexity"
    DIVERSITY = "diversity"
    QUALITY = "quality"


@dataclass(frozen=True, slots=True)
class Message:
    """One turn.

    `name` keeps the source's own word for a role that Middo folds into another: a ShareGPT
    `function_call` is an assistant turn with the name `function_call`.
    """

    role: Role
    content: str
    name: str | None = None

    def as_dict(self) -> dict[str, str]:
        """Return role and content, and the name where there is one."""
        plain = {"role": str(self.role), "content": self.content}
        return plain if self.name is None else {**plain, "name": self.name}


def message_from(plain: dict[str, Any]) -> Message:
    """Rebuild a message from `Message.as_dict`."""
    return Message(plain["role"], plain["content"], plain.get("name"))


@dataclass(frozen=True, slots=True)
class Sample:
    """One conversation of the data set.

    Attributes:
        id: hash of the messages; the n-th exact copy in a data set has `-n` appended.
        messages: ends with an assistant turn and holds a user turn before it.
        source: where the row came from, `file name:row`, rows counted from 1.
        origin: `seed` as imported, `rewritten` in place of its parent, `added` beside it.
        parent_id: the sample it was made from; None for a seed sample.
        round: the round whose refinement made it; 0 for a seed sample.
        meta: every input field that Middo does not use, verbatim. The key `_middo` is reserved for
            what an exporter needs to write the row back in its own form.
    """

    id: str
    messages: tuple[Message, ...]
    source: str
    origin: Origin = "seed"
    parent_id: str | None = None
    round: int = 0
    meta: dict[str, Any] = field(default_factory=dict)

    @property
    def prompt_index(self) -> int:
        """Index of the last user turn before the final assistant turn."""
        return _prompt_index(self.messages)

    @property
    def prompt(self) -> str:
        """Text of the last user turn."""
        return self.messages[self.prompt_index].content

    @property
    def answer(self) -> str:
        """Text of the final assistant turn."""
        return self.messages[-1].content

    @property
    def history(self) -> tuple[Message, ...]:
        """Every turn before the last user turn, a system turn included."""
        return self.messages[: self.prompt_index]

    @property
    def prompt_is_fixed(self) -> bool:
        """True where tool turns stand between prompt and answer: they belong to that prompt."""
        return self.prompt_index != len(self.messages) - 2

    def with_exchange(self, prompt: str, answer: str) -> tuple[Message, ...]:
        """Return the messages with another last exchange; history and tool turns stay."""
        index = self.prompt_index
        asked = replace(self.messages[index], content=prompt)
        answered = replace(self.messages[-1], content=answer)
        return (*self.messages[:index], asked, *self.messages[index + 1 : -1], answered)

    def as_dict(self) -> dict[str, Any]:
        """Return the row as JSON types; `sample_from` is the inverse."""
        return {
            "id": self.id,
            "messages": [message.as_dict() for message in self.messages],
            "source": self.source,
            "origin": self.origin,
            "parent_id": self.parent_id,
            "round": self.round,
            "meta": self.meta,
        }


def sample_from(plain: dict[str, Any]) -> Sample:
    """Rebuild a sample from `Sample.as_dict`."""
    return Sample(**{**plain, "messages": tuple(message_from(m) for m in plain["messages"])})


def sample_id(messages: tuple[Message, ...]) -> str:
    """Return the id of a conversation: 16 hex digits of the hash of its messages."""
    return short_hash([message.as_dict() for message in messages])


def row_hash(sample: Sample) -> str:
    """Return the hash of the whole row, what a version's hash is built from."""
    return content_hash(sample.as_dict())


@dataclass(frozen=True, slots=True)
class Quarantined:
    """A row that can't be used: the raw row, its place, and why."""

    source: str
    reason: str
    row: Any


@dataclass(frozen=True, slots=True)
class Flag:
    """One sample that the diagnosis sends to refinement on one axis, and why.

    `score` is the signal that was compared with `threshold`.
    """

    sample_id: str
    axis: Axis
    score: float
    threshold: float
    reason: str

    def as_dict(self) -> dict[str, Any]:
        """Return the flag as JSON types, as `diagnosis.json` has it."""
        return {
            "id": self.sample_id,
            "axis": str(self.axis),
            "score": self.score,
            "threshold": self.threshold,
            "reason": self.reason,
        }


@dataclass(frozen=True, slots=True)
class Proposal:
    """A rewritten or new sample that nothing has accepted yet.

    `adds` is True where the proposal stands beside its parent instead of replacing it (diversity).
    """

    parent: Sample
    axis: Axis
    attempt: int
    messages: tuple[Message, ...]
    adds: bool

    @property
    def id(self) -> str:
        """Hash of the proposed messages."""
        return sample_id(self.messages)

    @property
    def prompt(self) -> str:
        """Text of the proposed last user turn."""
        return self.messages[_prompt_index(self.messages)].content

    @property
    def answer(self) -> str:
        """Text of the proposed final assistant turn."""
        return self.messages[-1].content

    @property
    def keeps_prompt(self) -> bool:
        """True where the last user turn is the parent's."""
        return self.prompt == self.parent.prompt

    @property
    def keeps_answer(self) -> bool:
        """True where the final assistant turn is the parent's."""
        return self.answer == self.parent.answer


def _prompt_index(messages: tuple[Message, ...]) -> int:
    for index in range(len(messages) - 2, -1, -1):
        if messages[index].role == "user":
            return index
    raise ValueError("no user turn stands before the answer")


@dataclass(frozen=True, slots=True)
class Verdict:
    """What one check, the critic or the proof said of a proposal.

    Attributes:
        name: the gate, such as `numbers`, `similarity`, `critic`, `proof.quality`.
        passed: whether the proposal may go on.
        numbers: what was measured, with the bounds it was held to.
        reason: in words, for the rewriter's next attempt and for the reader; no measured numbers.
    """

    name: str
    passed: bool
    numbers: dict[str, Any]
    reason: str = ""

    def as_dict(self) -> dict[str, Any]:
        """Return the verdict as JSON types."""
        return {
            "name": self.name,
            "passed": self.passed,
            "numbers": self.numbers,
            "reason": self.reason,
        }


Fate = Literal["accepted", "rejected", "failed", "deferred"]
