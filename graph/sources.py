"""Who answers a question: a model behind its limits, or a recording of earlier answers.

A role names one source and those to ask where it can't answer. Which one did is in the ledger.
"""

from dataclasses import dataclass
from typing import Protocol

from ..core.chat import Answer, Prompt, Usage
from ..core.config import TeacherConfig
from ..core.errors import ProviderError
from ..core.records import Axis
from ..providers.ladder import Memory
from ..providers.line import Line
from ..providers.structured import NoAnswer, Reply, ask
from ..stores.recording import Question, Recording


@dataclass(frozen=True, slots=True)
class Case:
    """The work that a call is part of, for the record.

    Attributes:
        role: rewriter, critic or diagnostician.
        round: the round whose diagnosis led to it.
        sample_id: the sample; empty where the call belongs to none.
        axes: every axis that flagged it, the one that it is refined for first.
    """

    role: str
    round: int
    sample_id: str = ""
    axes: tuple[Axis, ...] = ()

    @property
    def axis(self) -> str:
        """What the sample is refined for; empty where the call belongs to none."""
        return str(self.axes[0]) if self.axes else ""


class NoRecord(ProviderError):
    """A recording that holds no answer to a question."""


class Source(Protocol):
    """Something that answers."""

    teacher: TeacherConfig

    async def answer(
        self, case: Case, prompt: Prompt, schema: type[Answer], attempt: int
    ) -> Reply[Answer]:
        """Return the checked answer.

        Raises:
            NoAnswer: this one question got no usable answer.
            ProviderError: no answer is to be had here; the next source may have one.
        """
        ...


class Live:
    """A chat model."""

    def __init__(self, teacher: TeacherConfig, line: Line, memory: Memory) -> None:
        """Ask through a line; `memory` keeps what was learned of the model's way to JSON."""
        self.teacher = teacher
        self._line = line
        self._memory = memory

    async def answer(
        self, case: Case, prompt: Prompt, schema: type[Answer], attempt: int
    ) -> Reply[Answer]:
        """Ask the model; see `Source`."""
        return await ask(self._line, prompt, schema, memory=self._memory)


class Replayed:
    """A recording: no model, no key, no network."""

    def __init__(self, teacher: TeacherConfig, recording: Recording) -> None:
        """Answer from a recording that is read already."""
        self.teacher = teacher
        self._recording = recording

    async def answer(
        self, case: Case, prompt: Prompt, schema: type[Answer], attempt: int
    ) -> Reply[Answer]:
        """Look the answer up; see `Source`."""
        question = Question(
            case.role, case.sample_id, joined(case.axes), attempt, prompt.name, prompt.version
        )
        found = self._recording.answer(question)
        if found is None:
            raise NoRecord(
                f"{self.teacher.model} holds no answer for sample {case.sample_id!r}"
                f" ({case.role}, {question.axes}, attempt {attempt}, prompt {prompt.name!r} version"
                f" {prompt.version}); name a model in agents.{case.role}.fallbacks, or record anew"
            )
        nothing = Usage(0, 0)
        if found.value is None:
            why = found.error or "no answer"
            raise NoAnswer(why, raw=[], usage=nothing, model=found.model, seconds=0.0)
        value = schema.model_validate(found.value)
        return Reply(value, nothing, found.model, 0.0, [], repaired=False, method="replay")


def joined(axes: tuple[Axis, ...]) -> str:
    """Return axes as the ledger and recordings write them."""
    return "+".join(str(axis) for axis in axes)
