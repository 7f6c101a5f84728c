"""Ask a chat model for an answer that fits a pydantic model.

The question goes out in the form of the rung that the model serves (`ladder`), through the line
that keeps its limits (`line`). Whatever comes back is parsed and checked in one way (`fitting`); an
answer that does not fit gets one repair turn with the reason, and then it has failed.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Generic

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage
from pydantic import BaseModel

from ..core.chat import Answer, AnswerFailed, Prompt, Usage
from .fitting import fitting, reply_text
from .fitting import json_schema as json_schema
from .ladder import Memory, request, rung_of, rungs
from .line import Line, Lost, Refused

LONGEST_REPLY = 1_000_000
"""Characters of a reply that is read: the longest answer that a schema takes has 16,000, with
reasoning before it. A longer one is a server's fault; it is neither read nor sent back for repair.
"""
KEPT_OF_IT = 2_000
"""Characters that are kept of such a reply, for the ledger."""


@dataclass(frozen=True, slots=True)
class Reply(Generic[Answer]):
    """An answer and what it took.

    Attributes:
        value: the checked answer.
        usage: tokens of all calls: a repair turn, and probes that this call caused, included.
        model: the name by which the provider says who answered.
        seconds: wall-clock time, pauses included.
        raw: the texts as they came, the first answer first.
        repaired: True where the first answer did not fit and the second did.
        method: the rung of the ladder that was used.
    """

    value: Answer
    usage: Usage
    model: str | None
    seconds: float
    raw: list[str]
    repaired: bool
    method: str


class NoAnswer(AnswerFailed):
    """No answer fitted; `raw`, `usage`, `model` and `seconds` tell what was spent on it."""

    def __init__(
        self, message: str, *, raw: list[str], usage: Usage, model: str | None, seconds: float
    ) -> None:
        """Keep what a ledger row of the failure needs."""
        super().__init__(message)
        self.raw = raw
        self.usage = usage
        self.model = model
        self.seconds = seconds


async def ask(
    line: Line, prompt: Prompt, schema: type[Answer], *, memory: Memory | None = None
) -> Reply[Answer]:
    """Return the model's answer as the schema's type.

    `memory` keeps what is learned about the line's model, empty at first; by default the line's.
    Once an answer has come, its repair is asked for even where the run is to stop, unless that call
    would have to wait: what was paid for is kept only as a whole.

    Raises:
        NoAnswer: no answer fitted, repair included, or the provider refused this one prompt.
        ProviderError: the provider is down or refuses whatever is sent.
        Interrupted: the run is to stop.
    """
    line.heed()
    memory = line.learned if memory is None else memory
    started = time.monotonic()
    replies: list[AIMessage] = []
    rung, probes = await rung_of(line, memory)

    def gone(reason: str) -> NoAnswer:
        return NoAnswer(
            f"prompt {prompt.name!r}: {reason}",
            raw=[_kept(reply) for reply in replies],
            usage=_usage([*probes, *replies]),
            model=_name(replies),
            seconds=time.monotonic() - started,
        )

    turns = _messages(prompt)
    problem = ""
    for _ in range(2):
        try:
            reply, rung = await _send(line, turns, schema, memory, rung)
        except AnswerFailed as error:
            if isinstance(error, Lost) and error.probe is not None:
                probes.append(error.probe)
            raise gone(str(error)) from error
        replies.append(reply)
        if (length := len(reply_text(reply))) > LONGEST_REPLY:
            raise gone(f"the answer has {length:,} characters, at most {LONGEST_REPLY:,} are read")
        try:
            value = fitting(reply, schema)
        except ValueError as error:
            problem = str(error)
            if (ending := _ending(reply)) is not None:
                raise gone(f"{ending} ({problem})") from error
            turns = [*turns, AIMessage(reply_text(reply) or "-"), HumanMessage(_repair(problem))]
            continue
        return Reply(
            value=value,
            usage=_usage([*probes, *replies]),
            model=_name(replies),
            seconds=time.monotonic() - started,
            raw=[reply_text(one) for one in replies],
            repaired=len(replies) > 1,
            method=rung,
        )
    raise gone(f"no usable {schema.__name__} after a repair turn: {problem}")


async def _send(
    line: Line, turns: list[BaseMessage], schema: type[BaseModel], memory: Memory, rung: str
) -> tuple[AIMessage, str]:
    """Return a reply and the rung it came from: the model's, or the next that takes the request.

    A schema that is refused at the model's own rung is asked for lower down from then on.
    """
    key = f"rung of {schema.__name__}"
    possible = rungs(line.model)
    start = memory.get(key) or rung
    first = possible.index(start) if start in possible else 0
    refusal = ""
    for method in possible[first:]:
        try:
            reply = await line.send(partial(request, line.model, method, turns, schema))
        except Refused as error:
            refusal = str(error)
            continue
        if method != start:
            memory[key] = method
        return reply, method
    raise AnswerFailed(f"the provider refused the request: {refusal}")


def _kept(reply: AIMessage) -> str:
    """Return the text of a reply that was lost, the beginning of one that is too long."""
    text = reply_text(reply)
    if len(text) <= LONGEST_REPLY:
        return text
    return f"{text[:KEPT_OF_IT]}… ({len(text):,} characters)"


def _repair(problem: str) -> str:
    return (
        f"That reply can't be used: {problem}. "
        "Reply again with one JSON object that fits, and nothing else."
    )


def _messages(prompt: Prompt) -> list[BaseMessage]:
    kinds = {"system": SystemMessage, "user": HumanMessage, "assistant": AIMessage}
    return [kinds[role](text) for role, text in prompt.messages]


def _ending(reply: AIMessage) -> str | None:
    """Return why asking again is of no use: with the reply in view, it would end the same way."""
    said = reply.response_metadata
    names = ("finish_reason", "stop_reason", "done_reason")
    reason = next((str(said[name]) for name in names if said.get(name)), "").lower()
    if reason in {"length", "max_tokens"}:
        return "the answer was cut at the token limit"
    if reply.additional_kwargs.get("refusal"):
        return f"the model declined: {' '.join(str(reply.additional_kwargs['refusal']).split())}"
    if reason in {"refusal", "content_filter", "safety"}:
        return f"the provider withheld the answer: {reason}"
    return None


def _usage(replies: Sequence[AIMessage]) -> Usage:
    """Sum the tokens; one call that did not say makes the sum unknown."""
    told = [reply.usage_metadata for reply in replies]
    known = [usage for usage in told if usage is not None]
    if len(known) < len(told):
        return Usage(None, None)
    return Usage(
        sum(usage["input_tokens"] for usage in known),
        sum(usage["output_tokens"] for usage in known),
    )


def _name(replies: Sequence[AIMessage]) -> str | None:
    for reply in reversed(replies):
        name = reply.response_metadata.get("model_name") or reply.response_metadata.get("model")
        if name:
            return str(name)
    return None
