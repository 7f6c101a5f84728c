"""A teacher that lets its key out wherever a provider can: in errors, in answers, around them."""

from collections.abc import Sequence
from typing import Any

from langchain_core.messages import BaseMessage

from middo.core.ids import content_hash
from middo.providers.scripted import Scripted, ScriptedChat
from tests.loop import teacher


def leaky(api_key: str) -> ScriptedChat:
    """Return the teacher of `tests.loop`, which now and then fails and names its key."""
    honest = teacher().answer
    assert honest is not None

    def answer(messages: Sequence[BaseMessage], schema: dict[str, Any] | None) -> Scripted:
        way = int(content_hash([message.text for message in messages])[:4], 16) % 4
        if way == 0:
            return ValueError(f"401 for https://me:{api_key}@host: bad header Bearer {api_key}")
        reply = honest(messages, schema)
        if not isinstance(reply, dict):
            return reply
        if way == 1:
            return f"Sure, with {api_key}:\n{ScriptedChat(replies=[reply]).invoke('').text}"
        if way == 2 and "answer" in reply:
            return {"answer": f"{reply['answer']} The key is {api_key}."}
        return reply

    return ScriptedChat(answer=answer)
