"""Ask a chat model for an answer that fits a pydantic model.

One ladder: JSON schema (grammar or vendor's structured output), JSON mode, plain text with the
schema in words. The first form that the model serves is kept in `method_memory`. Whatever comes
back is parsed and checked here, in one way; an answer that does not fit gets one repair turn. Rate
limits and time-outs are retried here and nowhere else.
"""

import asyncio
import json
import random
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Generic

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage
from pydantic import BaseModel, ValidationError

from ..core.chat import Answer, AnswerFailed, Prompt, Usage
from ..core.errors import MiddoError, ProviderError
from .extraction import json_objects
from .failures import in_one_line, meaning, retry_after

METHODS = ("json_schema", "json_object", "text")
TRIES = 3
"""Calls per request before a rate limit or time-out counts as a provider that is down."""

Pause = Callable[[float], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Reply(Generic[Answer]):
    """An answer and what it took.

    Attributes:
        value: the checked answer.
        usage: tokens of all calls, a repair turn included.
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
    model: BaseChatModel,
    prompt: Prompt,
    schema: type[Answer],
    *,
    method_memory: dict[str, str] | None = None,
    pause: Pause = asyncio.sleep,
) -> Reply[Answer]:
    """Return the model's answer as the schema's type.

    `method_memory` is one dict per model, empty at first; `pause` waits before a retry.

    Raises:
        NoAnswer: no answer fitted, repair included, or the provider refused this one prompt.
        ProviderError: the provider is down or refuses whatever is sent.
    """
    memory = {} if method_memory is None else method_memory
    started = time.monotonic()
    replies: list[AIMessage] = []
    problem = ""
    method = ""

    def gone(reason: str) -> NoAnswer:
        return NoAnswer(
            f"prompt {prompt.name!r}: {reason}",
            raw=[_text(reply) for reply in replies],
            usage=_usage(replies),
            model=_name(replies),
            seconds=time.monotonic() - started,
        )

    turns = _messages(prompt)
    for _ in range(2):
        try:
            reply, method = await _climb(model, turns, schema, memory, pause)
        except AnswerFailed as error:
            raise gone(str(error)) from error
        replies.append(reply)
        try:
            value = _fitting(reply, schema)
        except ValueError as error:
            problem = str(error)
            if _cut(reply):  # asking again, with the overlong text in view, is cut again
                raise gone(f"the answer was cut at the token limit ({problem})") from error
            turns = [*turns, AIMessage(_text(reply)), HumanMessage(_repair(problem))]
            continue
        return Reply(
            value=value,
            usage=_usage(replies),
            model=_name(replies),
            seconds=time.monotonic() - started,
            raw=[_text(one) for one in replies],
            repaired=len(replies) > 1,
            method=method,
        )
    raise gone(f"no usable {schema.__name__} after a repair turn: {problem}")


def json_schema(schema: type[BaseModel]) -> dict[str, Any]:
    """Return the JSON schema of a model, a fresh one: SDKs write into what they are given."""
    plain: dict[str, Any] = json.loads(_schema_text(schema))
    return plain


@cache
def _schema_text(schema: type[BaseModel]) -> str:
    return json.dumps(schema.model_json_schema())  # takes pydantic longer than a local call


async def _climb(
    model: BaseChatModel,
    turns: list[BaseMessage],
    schema: type[BaseModel],
    memory: dict[str, str],
    pause: Pause,
) -> tuple[AIMessage, str]:
    """Return the reply of the first rung that the model serves, and the rung's name."""
    known = memory.get("method")
    refusal = ""
    for method in (known,) if known else METHODS:
        try:
            reply = await _send(model, turns, schema, method, pause)
        except _Refused as error:
            refusal = str(error)
            continue
        memory["method"] = method
        return reply, method
    raise AnswerFailed(f"the provider refused the request: {refusal}")


class _Refused(Exception):
    """A request that the model does not take in this form."""


async def _send(
    model: BaseChatModel,
    turns: list[BaseMessage],
    schema: type[BaseModel],
    method: str,
    pause: Pause,
) -> AIMessage:
    """Send one request, again where the failure may pass."""
    for tried in range(1, TRIES + 1):
        try:
            return await _invoke(model, turns, schema, method)
        except MiddoError:
            raise
        except Exception as error:
            match meaning(error):
                case "answer":
                    raise AnswerFailed(in_one_line(error)) from error
                case "refused":
                    raise _Refused(in_one_line(error)) from error
                case "provider":
                    raise ProviderError(
                        f"{_label(model)}: {in_one_line(error)}; check key, quota and model name"
                    ) from error
            if tried == TRIES:
                raise ProviderError(
                    f"{_label(model)}: no answer in {TRIES} tries ({in_one_line(error)}); "
                    "check the network and the provider's limits, then resume"
                ) from error
            # Jitter keeps callers that failed together from coming back together.
            usual = 2.0 ** (tried - 1) * random.uniform(0.5, 1.5)
            await pause(max(retry_after(error) or 0.0, usual))
    raise AssertionError("unreachable: the last try returns or raises")


async def _invoke(
    model: BaseChatModel, turns: list[BaseMessage], schema: type[BaseModel], method: str
) -> AIMessage:
    plain = json_schema(schema)
    if method == "json_schema":
        if type(model).with_structured_output is not BaseChatModel.with_structured_output:
            # A dict, not the class: some SDKs would check, and raise, in a place of their own.
            described = {"description": schema.__name__, **plain}
            chain = model.with_structured_output(described, method="json_schema", include_raw=True)
            both: Any = await chain.ainvoke(turns)
            return _message(both["raw"])
        form = {"name": schema.__name__, "schema": plain}
        wanted = {"type": "json_schema", "json_schema": form}
        return _message(await model.ainvoke(turns, response_format=wanted))
    told = _tell(turns, plain)
    if method == "json_object":
        return _message(await model.ainvoke(told, response_format={"type": "json_object"}))
    return _message(await model.ainvoke(told))


def _tell(turns: list[BaseMessage], plain: dict[str, Any]) -> list[BaseMessage]:
    """Return the messages with the schema added to the instructions."""
    words = (
        "Reply with one JSON object and nothing else. Its JSON schema:\n"
        f"{json.dumps(plain, ensure_ascii=False)}"
    )
    if turns and isinstance(turns[0], SystemMessage):
        return [SystemMessage(f"{turns[0].content}\n\n{words}"), *turns[1:]]
    return [SystemMessage(words), *turns]


def _fitting(reply: AIMessage, schema: type[Answer]) -> Answer:
    """Return the one object of a reply that fits the schema.

    Raises:
        ValueError: none fits, or several different ones do; the message says so in words.
    """
    fitting: list[Answer] = []
    problems: list[str] = []
    for plain in json_objects(_text(reply)):
        try:
            value = schema.model_validate(plain)
        except ValidationError as error:
            problems.append(_in_words(error))
        else:
            if value not in fitting:
                fitting.append(value)
    if len(fitting) == 1:
        return fitting[0]
    if fitting:
        raise ValueError("the reply holds several different JSON objects")
    raise ValueError(problems[0] if problems else "the reply holds no complete JSON object")


def _in_words(error: ValidationError) -> str:
    return "; ".join(
        f"{'.'.join(str(part) for part in item['loc']) or 'object'}: {item['msg']}"
        for item in error.errors(include_url=False, include_input=False)
    )


def _repair(problem: str) -> str:
    return (
        f"That reply can't be used: {problem}. "
        "Reply again with one JSON object that fits, and nothing else."
    )


def _messages(prompt: Prompt) -> list[BaseMessage]:
    kinds = {"system": SystemMessage, "user": HumanMessage, "assistant": AIMessage}
    return [kinds[role](text) for role, text in prompt.messages]


def _message(reply: Any) -> AIMessage:
    if not isinstance(reply, AIMessage):
        raise AnswerFailed(f"the model returned a {type(reply).__name__}, no message")
    return reply


def _text(reply: AIMessage) -> str:
    """Return the text of a reply, or the arguments of a tool call in its place."""
    text = str(reply.text)
    if not text.strip() and reply.tool_calls:
        return json.dumps(reply.tool_calls[0]["args"], ensure_ascii=False)
    return text


def _cut(reply: AIMessage) -> bool:
    said = reply.response_metadata
    return (said.get("finish_reason") or said.get("stop_reason")) in {"length", "max_tokens"}


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


def _label(model: BaseChatModel) -> str:
    name = getattr(model, "model_name", None) or getattr(model, "model", None)
    return f"{type(model).__name__} {name!r}" if name else type(model).__name__
