"""A teacher that fails in every known way, decided by what it is asked and how often it was."""

import random
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from langchain_core.messages import BaseMessage

from middo.core.ids import content_hash
from middo.providers.line import PROBE
from middo.providers.scripted import Scripted, ScriptedChat
from tests.loop import teacher as reliable

KINDS = ("rate limit", "overload", "time-out", "half an answer", "wrong schema", "empty", "poison")
FAILING = 0.3
TRIED: defaultdict[str, list[str]] = defaultdict(list)
"""What happened to each question, try by try."""


class Refusal(Exception):
    """An HTTP error as the vendors' SDKs raise it."""

    def __init__(self, status: int) -> None:
        super().__init__(f"Error code: {status}")
        self.status_code = status


def teacher() -> ScriptedChat:
    """Return the teacher of `tests.loop` behind an unreliable line."""
    good = reliable().answer
    assert good is not None

    def answer(messages: Sequence[BaseMessage], schema: dict[str, Any] | None) -> Scripted:
        if messages[-1].text == PROBE:  # the provider is up, it is the question that it can't take
            return "ok"
        question = content_hash([[m.text for m in messages], schema])
        kind = _kind(question, TRIED[question])
        TRIED[question].append(kind)
        match kind:
            case "rate limit":
                return Refusal(429)
            case "overload" | "poison":
                return Refusal(500)
            case "time-out":
                return TimeoutError("no answer in 300 s")
            case "half an answer":
                return '{"answer": "There are many'
            case "wrong schema":
                return {"reply": 4}
            case "empty":
                return ""
        return good(messages, schema)

    return ScriptedChat(answer=answer)


def _kind(question: str, before: list[str]) -> str:
    """Return what happens to the next try; poison stays poison, all else is drawn anew."""
    if "poison" in before:
        return "poison"
    draw = random.Random(f"{question} {len(before)}")
    return draw.choice(KINDS) if draw.random() < FAILING else "fine"
