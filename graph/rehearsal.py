"""Rehearse the agents on sampled rows: their own prompts, a chat that counts and never sends.

The rewriter and the critic are the ones of a run. What a model would answer is not known, so the
rehearsed answers are as long as the sample's own texts.
"""

import asyncio
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from ..agents.critic import Critic, Critique
from ..agents.rewriter import (
    ANSWER_LIMIT,
    PROMPT_LIMIT,
    Rewriter,
    RewrittenAnswer,
    RewrittenPrompt,
)
from ..core.chat import Answer, Prompt
from ..core.records import Axis, Sample
from ..curation.estimate import PerSample, Traffic, total

FRAME = 4
"""Tokens that a chat template puts around a message, about."""

PROBLEM = "a part of the question is left unanswered"
ADVICE = "Answer each part of the prompt, and leave out what the original does not say."
"""Stand for what a critic finds, and what the next proposal is told of it."""

Count = Callable[[str], int]
"""Text -> tokens."""


@dataclass(frozen=True, slots=True)
class Asked:
    """One call that would have been made."""

    prompt: Prompt
    schema: type[Any]
    traffic: Traffic


class RehearsedChat:
    """Answers with a sample's own texts and keeps what it was asked; a `core.chat.Chat`."""

    def __init__(self, sample: Sample, count: Count, *, refuses: bool = False) -> None:
        """Take the sample, the unit of counting, and whether a critique finds something."""
        self.asked: list[Asked] = []
        self._count = count
        problems: list[str] = []
        feedback, verdict = "", "accept"
        if refuses:
            problems, feedback, verdict = [PROBLEM], ADVICE, "revise"
        self._answers: dict[type[Any], dict[str, Any]] = {
            RewrittenPrompt: {"prompt": _within(sample.prompt, PROMPT_LIMIT)},
            RewrittenAnswer: {"answer": _within(sample.answer, ANSWER_LIMIT)},
            Critique: {
                "problems": problems,
                "dropped": [],
                "feedback": feedback,
                "verdict": verdict,
            },
        }

    async def __call__(self, prompt: Prompt, schema: type[Answer], *, attempt: int) -> Answer:
        """Count the prompt and return the rehearsed answer."""
        value = schema.model_validate(self._answers[schema])
        sent = sum(self._count(text) + FRAME for _, text in prompt.messages) + FRAME
        traffic = Traffic(1.0, sent, self._count(value.model_dump_json()))
        self.asked.append(Asked(prompt, schema, traffic))
        return value

    @property
    def traffic(self) -> Traffic:
        """All calls so far."""
        return total(asked.traffic for asked in self.asked)


def rehearse(
    samples: Sequence[Sample], count: Count, *, neighbours: int, seed: int
) -> dict[Axis, PerSample]:
    """Return the mean traffic of a sample per axis; other sampled rows stand in as neighbours."""
    counted = cache(count)  # instructions and examples are the same in every prompt
    return {axis: asyncio.run(_mean(samples, axis, counted, neighbours, seed)) for axis in Axis}


async def _mean(
    samples: Sequence[Sample], axis: Axis, count: Count, neighbours: int, seed: int
) -> PerSample:
    picks = random.Random(seed)
    parts: list[tuple[Traffic, Traffic, Traffic, Traffic]] = []
    for sample in samples:
        near = tuple(other.prompt for other in picks.sample(samples, min(neighbours, len(samples))))
        chats = [
            RehearsedChat(sample, count, refuses=refuses) for refuses in (False,) * 3 + (True,)
        ]
        first, again, approval, refusal = chats
        proposal = await Rewriter(first).propose(sample, axis, attempt=1, neighbours=near)
        await Rewriter(again).propose(
            sample, axis, attempt=2, neighbours=near, feedback=f"{PROBLEM}; {ADVICE}"
        )
        for critic in (approval, refusal):
            await Critic(critic).judge(sample, proposal, [], attempt=1)
        parts.append((first.traffic, again.traffic, approval.traffic, refusal.traffic))
    return PerSample(
        *(total(column).times(1 / len(samples)) for column in zip(*parts, strict=True))
    )


def opening(sample: Sample, axis: Axis, count: Count) -> Asked:
    """Return the first call that refining a sample makes, for a real model to be timed with."""
    chat = RehearsedChat(sample, count)
    asyncio.run(Rewriter(chat).propose(sample, axis, attempt=1))
    return chat.asked[0]


def _within(text: str, limit: int) -> str:
    """Return a text that fits a schema: the longest that a model could answer."""
    return (text.strip() or "-")[: limit - 1]
