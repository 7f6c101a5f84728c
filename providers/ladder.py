"""The ways to ask for an answer with a schema, and which of them a model serves.

From the top: the vendor's structured output or a grammar, a forced tool call, JSON mode, and plain
text with the schema in words. What a server advertises, refuses or silently ignores differs from
what it does, so a model gets one small known question at each rung until a reply fits, and the rung
is remembered. The question does not name its fields: only who applies the schema can answer it.
"""

import asyncio
import json
from collections.abc import Sequence
from functools import partial
from typing import Any, Protocol
from weakref import WeakKeyDictionary

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage
from langchain_core.messages.ai import UsageMetadata
from pydantic import BaseModel, ValidationError

from ..core.chat import AnswerFailed
from .failures import UnreadableReply, in_one_line, unreadable
from .fitting import fitting, json_schema
from .line import Line, Lost, Refused

RUNGS = ("json_schema", "function_calling", "json_object", "text")
KEY = "rung"
"""Under which a memory holds the rung."""


class Memory(Protocol):
    """What was learned about one model; a dict is one."""

    def get(self, key: str, /) -> str | None:
        """Return what is known under a key, or None."""
        ...

    def __setitem__(self, key: str, value: str, /) -> None:
        """Keep a value under a key."""
        ...


class Mooring(BaseModel):
    """The form of the known question."""

    harbour_name: str
    boats_counted: int


QUESTION = (
    SystemMessage("Fill in the form you are given."),
    HumanMessage("In Lisbon there are 7 boats at anchor today."),
)

_locks: WeakKeyDictionary[Line, tuple[asyncio.AbstractEventLoop, asyncio.Lock]] = (
    WeakKeyDictionary()
)


def rungs(model: BaseChatModel) -> tuple[str, ...]:
    """Return the rungs that can be tried with a model; tools only where its class binds them."""
    if type(model).bind_tools is BaseChatModel.bind_tools:
        return tuple(rung for rung in RUNGS if rung != "function_calling")
    return RUNGS


async def rung_of(line: Line, memory: Memory) -> tuple[str, list[AIMessage]]:
    """Return the rung that a line's model serves, and the replies that finding out took.

    A chat model whose class has `structured_rung` says so itself; others are asked once, while
    who else needs to know waits.

    Raises:
        ProviderError: the provider is down, or answers the known question in no form.
        Interrupted: the run is to stop.
    """
    declared = getattr(line.model, "structured_rung", None)
    if declared in RUNGS:
        return str(declared), []
    async with _lock(line):
        known = memory.get(KEY)
        if known in RUNGS:
            return str(known), []
        line.heed()
        return await _climb(line, memory)


async def request(
    model: BaseChatModel, rung: str, turns: Sequence[BaseMessage], schema: type[BaseModel]
) -> AIMessage:
    """Send one question in the form of a rung; what comes back is not looked into.

    Raises:
        UnreadableReply: a reply came that holds no message; it may be another one next time.
        Exception: whatever the integration raises; `failures.meaning` reads it.
    """
    try:
        return await _request(model, rung, turns, schema)
    except Exception as error:
        reply = _cut_off(error) or _spoilt(error)
        if reply is not None:
            return reply
        if unreadable(error):
            said = f"the reply can't be read, it may hold no choices ({in_one_line(error)})"
            raise UnreadableReply(said) from error
        raise


async def _climb(line: Line, memory: Memory) -> tuple[str, list[AIMessage]]:
    spent: list[AIMessage] = []
    answering: str | None = None
    problem = ""
    for rung in rungs(line.model):
        try:
            reply = await line.send(partial(request, line.model, rung, QUESTION, Mooring))
        except Refused as error:
            problem = str(error)
            continue
        except AnswerFailed as error:
            problem = str(error)
            if isinstance(error, Lost) and error.probe is not None:
                spent.append(error.probe)
            continue
        spent.append(reply)
        answering = answering or rung
        try:
            fitting(reply, Mooring)
        except ValueError:
            continue
        memory[KEY] = rung
        return rung, spent
    if answering is None:
        raise line.open(
            f"{line.name} answers a small known question in no form ({problem}); check the model's "
            "name and params, then `middo resume`"
        )
    memory[KEY] = answering
    return answering, spent


async def _request(
    model: BaseChatModel, rung: str, turns: Sequence[BaseMessage], schema: type[BaseModel]
) -> AIMessage:
    plain = json_schema(schema)
    # A dict, not the class: some SDKs would check, and raise, in a place of their own.
    described = {"description": schema.__name__, **plain}
    own = type(model).with_structured_output is not BaseChatModel.with_structured_output
    if rung in {"json_schema", "function_calling"} and own:
        chain = model.with_structured_output(described, method=rung, include_raw=True)
        both: Any = await chain.ainvoke(list(turns))
        return _message(both["raw"])
    if rung == "json_schema":
        form = {"name": schema.__name__, "schema": plain}
        wanted = {"type": "json_schema", "json_schema": form}
        return _message(await model.ainvoke(list(turns), response_format=wanted))
    if rung == "function_calling":
        forced = model.bind_tools([described], tool_choice="any")
        return _message(await forced.ainvoke(list(turns)))
    told = _told(turns, plain)
    if rung == "json_object":
        return _message(await model.ainvoke(told, response_format={"type": "json_object"}))
    return _message(await model.ainvoke(told))


def _told(turns: Sequence[BaseMessage], plain: dict[str, Any]) -> list[BaseMessage]:
    """Return the messages with the schema added to the instructions."""
    words = (
        "Reply with one JSON object and nothing else. Its JSON schema:\n"
        f"{json.dumps(plain, ensure_ascii=False)}"
    )
    if turns and isinstance(turns[0], SystemMessage):
        return [SystemMessage(f"{turns[0].content}\n\n{words}"), *turns[1:]]
    return [SystemMessage(words), *turns]


def _message(reply: Any) -> AIMessage:
    if not isinstance(reply, AIMessage):
        raise AnswerFailed(f"the model returned a {type(reply).__name__}, no message")
    return reply


def _cut_off(error: Exception) -> AIMessage | None:
    """Return the reply that OpenAI's SDK raises where it was cut, so that its tokens count."""
    completion: Any = getattr(error, "completion", None)
    if type(error).__name__ != "LengthFinishReasonError" or completion is None:
        return None
    usage = completion.usage
    return AIMessage(
        completion.choices[0].message.content or "",
        usage_metadata=usage
        and UsageMetadata(
            input_tokens=usage.prompt_tokens,
            output_tokens=usage.completion_tokens,
            total_tokens=usage.total_tokens,
        ),
        response_metadata={"finish_reason": "length", "model_name": completion.model},
    )


def _spoilt(error: Exception) -> AIMessage | None:
    """Return the reply whose tool call's arguments LangChain can't hold; its tokens are unknown.

    They were an object, or text in text, in place of the text of an object.
    """
    if not isinstance(error, ValidationError) or error.title != "AIMessage":
        return None
    found = [item["input"] for item in error.errors() if item["loc"][-1:] == ("args",)]
    if len(found) != 1:
        return None
    return AIMessage("", additional_kwargs={"function_call": {"arguments": found[0]}})


def _lock(line: Line) -> asyncio.Lock:
    """Return the lock of a line in this event loop; one of an ended loop can't be waited for."""
    loop = asyncio.get_running_loop()
    held = _locks.get(line)
    if held is None or held[0] is not loop:
        held = _locks[line] = (loop, asyncio.Lock())
    return held[1]
