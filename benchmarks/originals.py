"""The teacher of `benchmarks/repair.py`: no model, but a table that looks the clean original up.

It knows the seeded rows and what each was before. Asked to rewrite a prompt or an answer, it hands
the original back; as critic it accepts originals and rejects all else. So it can't be wrong, and
what a run repairs with it is what the signals find and the gates let through. A sound row it hands
back as it is, and a check refuses that as no change: it can replace no sound row. A real model
always changes something; with `needless` it does too, and ends the answer of a sound row with a
sentence that nobody needs, for the gates to refuse or not.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from langchain_core.messages import BaseMessage

from benchmarks.seeding import read_lines
from benchmarks.shown import shown
from middo.providers.line import PROBE
from middo.providers.scripted import Scripted, ScriptedChat

NEEDLESS = "I hope that this is of some help to you, and please ask again if it is not."

_CRITIQUE = {"problems": [], "dropped": [], "feedback": "", "verdict": "accept"}

Texts = tuple[str, str]


class Originals:
    """What each seeded row was, looked up by what it is."""

    def __init__(self, rows: Sequence[dict[str, Any]]) -> None:
        """Take the lines of `rows.jsonl` that `seeding.write_rows` wrote."""
        self._prompts: dict[str, str] = {}
        self._answers: dict[Texts, str] = {}
        self._sound: set[Texts] = set()
        for row in rows:
            now = (row["messages"][-2]["content"].strip(), row["messages"][-1]["content"].strip())
            was = (row["was"]["prompt"].strip(), row["was"]["answer"].strip())
            for prompt in (now[0], was[0]):
                self._prompts[prompt] = was[0]
                for answer in (now[1], was[1]):
                    self._answers[prompt, answer] = was[1]
            if now == was:
                self._sound.add(now)

    def prompt(self, prompt: str) -> str:
        """Return the prompt that a row had; a prompt that no row has stays as it is."""
        return self._prompts.get(prompt.strip(), prompt)

    def answer(self, prompt: str, answer: str) -> str:
        """Return the answer that a row had; one that no row has stays as it is."""
        return self._answers.get((prompt.strip(), answer.strip()), answer)

    def is_sound(self, prompt: str, answer: str) -> bool:
        """Return whether a row was never damaged."""
        return (prompt.strip(), answer.strip()) in self._sound


def teacher(path: str, needless: bool = False) -> ScriptedChat:
    """Return the teacher of the rows in a file; what a configuration names."""
    return ScriptedChat(
        answer=script(Originals(read_lines(Path(path))), needless), model_name="originals"
    )


def script(
    originals: Originals, needless: bool
) -> Callable[[Sequence[BaseMessage], dict[str, Any] | None], Scripted]:
    """Return the function that answers; it depends on the messages alone."""

    def answer(messages: Sequence[BaseMessage], schema: dict[str, Any] | None) -> Scripted:
        if messages[-1].text == PROBE:
            return "ok"
        wanted = (schema or {}).get("properties", {})
        texts, _ = shown(messages[-1].text)
        if "verdict" in wanted:
            return _judged(originals, texts)
        if "prompt" in wanted:
            return {"prompt": originals.prompt(texts[-1])}
        prompt, old = texts[-2], texts[-1]
        new = originals.answer(prompt, old)
        if needless and originals.is_sound(prompt, old):
            new = f"{new} {NEEDLESS}"
        return {"answer": new}

    return answer


def _judged(originals: Originals, texts: Sequence[str]) -> dict[str, Any]:
    old_prompt, old_answer, new_prompt, new_answer = texts[:4]
    told = new_answer.removesuffix(NEEDLESS).strip()
    if (
        new_prompt.strip() == originals.prompt(old_prompt).strip()
        and told == originals.answer(old_prompt, old_answer).strip()
    ):
        return _CRITIQUE
    return {**_CRITIQUE, "problems": ["this is not the original"], "verdict": "reject"}
