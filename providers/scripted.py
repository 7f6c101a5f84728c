"""A chat model that answers from a script: for tests, and for trying a configuration offline.

Two ways to say what it answers:

    ScriptedChat(replies=[{"prompt": "Name a river."}, TimeoutError("down"), "not JSON"])
    ScriptedChat(answer=lambda messages, schema: {"prompt": messages[-1].text.upper()})

A reply is a text, a dict or pydantic model (sent as JSON), or an exception (raised). A queue is
used up in the order of the calls; a function sees the messages and the JSON schema that was asked
for (None without one). Runs that are killed and resumed in another process need a function that
depends on its arguments alone, since a new process starts a queue anew.

From a configuration, through a factory of your own that returns one:

    agents: {rewriter: {model: "import:my_tests.models:rewriter"}}
"""

import asyncio
import json
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.messages.ai import UsageMetadata
from langchain_core.outputs import ChatGeneration, ChatResult
from pydantic import BaseModel, ConfigDict, Field, PrivateAttr, model_validator

from ..core.errors import ProviderError

Scripted = str | dict[str, Any] | BaseModel | Exception
Script = Callable[[Sequence[BaseMessage], dict[str, Any] | None], Scripted]


@dataclass(frozen=True, slots=True)
class Call:
    """One request as the model saw it; `schema` is the JSON schema asked for, if any."""

    messages: tuple[BaseMessage, ...]
    schema: dict[str, Any] | None
    arguments: dict[str, Any]


class ScriptedChat(BaseChatModel):
    """Answer from a queue or a function, record every call, report usage: words, or `count`.

    Safe to share between threads and coroutines. A queue that has run out raises `ProviderError`.
    """

    model_config = ConfigDict(arbitrary_types_allowed=True, extra="forbid")

    structured_rung: ClassVar[str | None] = "json_schema"
    """It is shown every schema, so that a script sees no probes."""

    replies: list[Any] = Field(default_factory=list, description="answers in the order of calls")
    answer: Script | None = Field(None, description="function of messages and schema, no queue")
    delay: float = Field(0.0, ge=0, description="seconds before each answer")
    count: Callable[[str], int] | None = Field(
        None, description="tokens of a text; by default its words"
    )
    model_name: str = Field("scripted", description="the name it answers under")

    _calls: list[Call] = PrivateAttr(default_factory=list)
    _lock: threading.Lock = PrivateAttr(default_factory=threading.Lock)

    @model_validator(mode="after")
    def _one_script(self) -> "ScriptedChat":
        if bool(self.replies) == (self.answer is not None):
            raise ValueError("give either `replies` or `answer`")
        return self

    @property
    def calls(self) -> list[Call]:
        """The requests so far, in the order in which they came."""
        with self._lock:
            return list(self._calls)

    @property
    def _llm_type(self) -> str:
        return "middo-scripted"

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        reply = self._next(messages, kwargs)
        time.sleep(self.delay)
        return self._result(messages, reply)

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        reply = self._next(messages, kwargs)
        await asyncio.sleep(self.delay)
        return self._result(messages, reply)

    def _next(self, messages: list[BaseMessage], arguments: dict[str, Any]) -> Scripted:
        schema = arguments.get("response_format", {}).get("json_schema", {}).get("schema")
        with self._lock:
            number = len(self._calls)
            self._calls.append(Call(tuple(messages), schema, dict(arguments)))
            if self.answer is None and number < len(self.replies):
                scripted: Scripted = self.replies[number]
                return scripted
        if self.answer is None:
            raise ProviderError(f"the script has {number} replies and was asked for one more")
        return self.answer(messages, schema)

    def _result(self, messages: list[BaseMessage], reply: Scripted) -> ChatResult:
        if isinstance(reply, Exception):
            raise reply
        text = _as_text(reply)
        count = self.count or _words
        sent, received = sum(count(message.text) for message in messages), count(text)
        message = AIMessage(
            text,
            usage_metadata=UsageMetadata(
                input_tokens=sent,
                output_tokens=received,
                total_tokens=sent + received,
            ),
            response_metadata={"model_name": self.model_name, "finish_reason": "stop"},
        )
        return ChatResult(generations=[ChatGeneration(message=message)])


def _words(text: str) -> int:
    return len(text.split())


def _as_text(reply: str | dict[str, Any] | BaseModel) -> str:
    if isinstance(reply, BaseModel):
        return reply.model_dump_json()
    return reply if isinstance(reply, str) else json.dumps(reply, ensure_ascii=False)
