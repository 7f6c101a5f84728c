"""A whole run in seconds: a tiny model, a small data set, and a teacher that follows a script.

The teacher depends on the messages alone, so that a killed and resumed run hears the same.
"""

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from langchain_core.messages import BaseMessage

from middo.core.config import RunConfig
from middo.core.ids import content_hash
from middo.prompts.loader import FENCED
from middo.providers.line import PROBE
from middo.providers.scripted import Scripted, ScriptedChat

TOPICS = (
    *("apples", "rivers", "clouds", "trains", "music", "bread", "stones", "birds", "winter"),
    *("paper", "glass", "horses", "islands", "lamps", "doors", "letters", "boats", "gardens"),
)
PLACES = ("Paris", "the sea", "the hills", "a small town")
ASKED = re.compile(r"Tell me about (?:old )?(?P<topic>\w+) in (?P<place>.*?)(?: long ago)?\.$")


def rows() -> list[dict[str, str]]:
    """Return 72 rows; every sixth answer is harder than the rest."""
    found = []
    for number in range(72):
        topic, place = TOPICS[number % 18], PLACES[number // 18]
        answer = easy_answer(topic, place)
        if number % 6 == 5:
            answer = (
                f"Quixotic jazzy {topic} vex my bold zephyr of {place}; sphinx waltz, fjord"
                f" glyphs hum, and the dwarf kvetch about {topic} whom buff nymphs jinx."
            )
        found.append({"instruction": f"Tell me about {topic} in {place}.", "output": answer})
    return found


def easy_answer(topic: str, place: str) -> str:
    """Return what most rows answer."""
    return (
        f"There are many {topic} in {place}. People who live there see {topic} every day"
        f" and like to talk about {topic} when the sky is blue."
    )


def write_rows(path: Path) -> Path:
    """Write the data set as JSON Lines."""
    path.write_text("".join(json.dumps(row) + "\n" for row in rows()), encoding="utf-8")
    return path


def config(data: Path, model: Path, **changes: Any) -> RunConfig:
    """Return a configuration for two refinements of the small data set."""
    plain: dict[str, Any] = {
        "data": {"path": str(data)},
        # One precision on every machine: a flag can hang on the third decimal.
        "model": {"base": str(model), "max_length": 256, "dtype": "float32"},
        "training": {"epochs": 2, "learning_rate": 0.005, "batch_tokens": 512},
        "signals": {"share": 0.2, "calibration": 24},
        "refinement": {"attempts": 2, "concurrency": 4, "added_share": 0.1},
        "agents": {"rewriter": {"model": "import:tests.loop:teacher"}},
        "gate": {"margin": 5.0, "seeds": 1},  # one training a round: tests have little time
        "evaluation": {"rows": 20},
        "rounds": 2,
    }
    return RunConfig.model_validate({**plain, **changes})


def teacher(log: str | None = None, delay: float = 0.0) -> ScriptedChat:
    """Return the scripted teacher; what a configuration names as `import:tests.loop:teacher`.

    Every call is noted in the file `log`, whichever process makes it, and answered after `delay`
    seconds.
    """

    def answer(messages: Sequence[BaseMessage], schema: dict[str, Any] | None) -> Scripted:
        if log is not None:
            line = content_hash([[m.text for m in messages], schema]) + "\n"
            with Path(log).open("a", encoding="utf-8") as file:
                file.write(line)
        if messages[-1].text == PROBE:
            return "ok"
        repairing = messages[-1].text.startswith("That reply can't be used")
        return _answer(messages[:-2] if repairing else messages, schema)

    return ScriptedChat(answer=answer, delay=delay)


def _answer(messages: Sequence[BaseMessage], schema: dict[str, Any] | None) -> dict[str, Any]:
    wanted = (schema or {}).get("properties", {})
    texts = [text for _, text in FENCED.findall(messages[-1].text)]
    if "verdict" in wanted:
        return {"problems": [], "dropped": [], "feedback": "", "verdict": "accept"}
    asked = [found for text in texts if (found := ASKED.match(text))]
    topic, place = asked[0]["topic"], asked[0]["place"]
    if "prompt" not in wanted:
        answer = easy_answer(topic, place)
        shorter = answer.replace(f" and like to talk about {topic}", " and like to talk")
        return {"answer": shorter if answer in texts else answer}
    if len(asked) > 1:  # the sparse sample comes with its neighbours
        return {"prompt": f"Tell me about old {topic} in {place} long ago."}
    return {"prompt": f"Tell me about {topic} in {place}."}
