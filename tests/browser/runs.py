"""Runs to look at: a finished one with hostile rows, and one that is held while agents work.

As a program it starts a run and ends with it:

    python -m tests.browser.runs DATA MODEL FOLDER GATE
"""

import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from langchain_core.messages import BaseMessage

from middo import run
from middo.core.config import RunConfig
from middo.prompts.loader import FENCED
from middo.providers.line import PROBE
from middo.providers.scripted import Scripted, ScriptedChat
from tests.loop import ASKED, config, rows, teacher

ATTACKS = (
    "<script>window.hacked = 1; alert(1)</script>",
    "<img src=x onerror=\"window.hacked = 2\"><svg onload='alert(2)'>",
    '" onfocus=alert(3) autofocus x="\'><iframe src=https://example.com/></iframe>',
    "{{ 7 * 7 }} {% raw %} ${alert(4)} </textarea></title><base href=//example.com/>",
    "reversed \u202egpj.exe\u202c and hidden \u200b\u2060\ufeff, NUL \x00, escape \x1b[31m",
    "javascript:alert(5) file:///etc/passwd https://example.com/pixel.png",
)
HIDDEN = "\u202e"
LONG = "w" * 40_000


def write_hostile(path: Path) -> Path:
    """Write the data set of `tests.loop` with rows that attack whoever shows them."""
    attacks = [
        {"instruction": f"{attack} in attack{HIDDEN} {number}", "output": f"{attack} {attack}"}
        for number, attack in enumerate(ATTACKS)
    ]
    # One of them at least is not held out.
    attacks += [{"instruction": f"{LONG}{number}", "output": LONG} for number in range(3)]
    text = "".join(json.dumps(row) + "\n" for row in [*rows(), *attacks])
    path.write_text(text, encoding="utf-8")
    return path


def settings(data: Path, model: Path, gate: Path | None = None) -> RunConfig:
    """Return a configuration; its agents wait until the file `gate` is there."""
    params = {} if gate is None else {"gate": str(gate)}
    spec = {"model": "import:tests.browser.runs:hostile_teacher", "params": params}
    return config(data, model, agents={"rewriter": spec}, rounds=1 if gate else 2)


def hostile_teacher(gate: str | None = None) -> ScriptedChat:
    """Return the teacher of `tests.loop`, which answers an attack with another one."""
    usual = teacher()

    def answer(messages: Sequence[BaseMessage], schema: dict[str, Any] | None) -> Scripted:
        is_probe = messages[-1].text == PROBE
        while gate is not None and not is_probe and not Path(gate).exists():
            time.sleep(0.05)
        texts = [text for _, text in FENCED.findall(messages[-1].text)]
        wanted = (schema or {}).get("properties", {})
        if is_probe or "verdict" in wanted or any(ASKED.match(text) for text in texts):
            assert usual.answer is not None
            return usual.answer(messages, schema)
        attack = next((text for text in texts if text), "nothing")[:300]
        changed = {"answer": f"{attack} <b onclick=alert(6)>changed</b>"}
        return {**changed, "prompt": f"{attack} <i>again</i>"} if "prompt" in wanted else changed

    return ScriptedChat(answer=answer)


if __name__ == "__main__":
    data, model, folder, gate = map(Path, sys.argv[1:])
    run(settings(data, model, gate), folder)
