"""Teachers that mean well, and one that doesn't; each answers from the messages alone."""

import random
from collections.abc import Sequence
from typing import Any

from langchain_core.messages import BaseMessage

from middo.prompts.loader import FENCED
from middo.providers.line import PROBE
from middo.providers.scripted import Scripted, ScriptedChat
from tests.loop import ASKED, easy_answer


def repairing() -> ScriptedChat:
    """Return a teacher that answers every prompt as it should be answered."""
    return _answering(lambda answer: answer)


def spoiling() -> ScriptedChat:
    """Return a teacher that answers with the right words in a wrong order, and likes it."""
    return _answering(shuffled)


def shuffled(answer: str) -> str:
    """Return the words of a text in an order that depends on the text alone."""
    words = answer.split()
    random.Random(answer).shuffle(words)
    return " ".join(words)


def _answering(change: Any) -> ScriptedChat:
    def answer(messages: Sequence[BaseMessage], schema: dict[str, Any] | None) -> Scripted:
        if messages[-1].text == PROBE:
            return "ok"
        wanted = (schema or {}).get("properties", {})
        if "verdict" in wanted:
            return {"problems": [], "dropped": [], "feedback": "", "verdict": "accept"}
        texts = [text for _, text in FENCED.findall("\n".join(m.text for m in messages))]
        asked = [found for text in texts if (found := ASKED.match(text))]
        topic, place = asked[-1]["topic"], asked[-1]["place"]
        if "prompt" in wanted:
            return {"prompt": f"Tell me about {topic} in {place}."}
        return {"answer": change(easy_answer(topic, place))}

    return ScriptedChat(answer=answer)
