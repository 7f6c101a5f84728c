"""The teacher of `benchmarks/loop.py`: a scripted chat model, instant or with calls of some length.

It changes the text that it is shown in a small, fixed way, so that the proposals are real texts and
pass through every gate. One first attempt in five is made to be refused, by the checks, the critic
or the proof in turn; the second attempt is sound. Answers depend on the messages alone.
"""

import asyncio
import hashlib
import json
from collections.abc import Sequence
from typing import Any

from langchain_core.callbacks import AsyncCallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.messages.ai import UsageMetadata
from langchain_core.outputs import ChatGeneration, ChatResult

from benchmarks.shown import shown
from middo.providers.ladder import Mooring

FRAME = "Another side of the same subject would help me here. "
"""What a new prompt puts before the rare one that inspired it."""

EASIER = ("Please use plain words.", "Please use plain and everyday words.")
SOUND = ("That is the heart of the matter.", "In short, that is what was asked for.")
UNPROVEN = "That much is known about it so far."
REVISED = "Much more could be added to this."
WRAPPER = "Sure! Here is the improved answer: "
NEW = (
    "It helps to look at the question from more than one side. First see what is known about it,"
    " then ask what follows from that in daily life, and keep to the points that matter to you."
)

_ACCEPT = {"problems": [], "dropped": [], "feedback": "", "verdict": "accept"}
_REVISE = {**_ACCEPT, "problems": ["the end says nothing"], "verdict": "revise"}


class Teacher(BaseChatModel):
    """Answers after `seconds`, and keeps no record of it: a long run measures no growing list."""

    seconds: float

    @property
    def _llm_type(self) -> str:
        return "benchmark-teacher"

    def _generate(self, *_: Any, **__: Any) -> ChatResult:
        raise NotImplementedError("the refine loop asks asynchronously")

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        await asyncio.sleep(self.seconds)
        text = json.dumps(_answer(messages, kwargs["response_format"]["json_schema"]["schema"]))
        sent, said = _tokens(messages), len(text) // 4
        message = AIMessage(
            text,
            usage_metadata=UsageMetadata(
                input_tokens=sent, output_tokens=said, total_tokens=sent + said
            ),
            response_metadata={"model_name": "teacher", "finish_reason": "stop"},
        )
        return ChatResult(generations=[ChatGeneration(message=message)])


def teacher(seconds: float) -> Teacher:
    """Return a model that answers after so many seconds; what the configuration names."""
    return Teacher(seconds=seconds)


def _tokens(messages: Sequence[BaseMessage]) -> int:
    return sum(len(message.text) for message in messages) // 4


def _answer(messages: Sequence[BaseMessage], schema: dict[str, Any]) -> dict[str, Any]:
    wanted = schema["properties"]
    if wanted.keys() == Mooring.model_fields.keys():  # how the model takes a schema is found out
        return {"harbour_name": "Lisbon", "boats_counted": 7}
    texts, again = shown(messages[-1].text)
    told = str(messages[0].text)
    if "verdict" in wanted:
        return _REVISE if texts[-1].endswith(REVISED) else _ACCEPT
    if "prompt" in wanted:
        rare = told.startswith("You write new prompts")
        prompt = texts[0]
        return {"prompt": FRAME + prompt if rare else f"{prompt}\n\n{EASIER[again]}"}
    new = told.startswith("You write answers") and "old answer" not in told
    answer = NEW if new else texts[-1]
    if again:
        return {"answer": f"{answer} {SOUND[1]}"}
    bucket = hashlib.sha256(texts[0].encode("utf-8", "surrogatepass")).digest()[0] % 15
    endings = {0: REVISED, 1: UNPROVEN}
    opening = WRAPPER if bucket == 2 else ""
    return {"answer": f"{opening}{answer} {endings.get(bucket, SOUND[0])}"}
