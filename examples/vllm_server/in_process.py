"""Ask vLLM's in-process engine 16 questions of the demo's rows, all at once, under a schema.

Runs in the environment of vLLM, where langchain-core is all that Middo needs beside it:

    PYTHONPATH=. VLLM-ENVIRONMENT/bin/python examples/vllm_server/in_process.py MODEL-FOLDER
"""

import asyncio
import json
import sys
import time
from collections import Counter
from pathlib import Path

from pydantic import BaseModel, Field

from middo.core.chat import Prompt
from middo.providers.local.vllm import VllmChat
from middo.providers.structured import NoAnswer, Reply, ask

ROWS = 16
DEMO = Path(__file__).parents[2] / "formats" / "demo"


class Answered(BaseModel):
    """What the model is asked for."""

    answer: str = Field(max_length=600)


def questions() -> list[Prompt]:
    """Return a prompt for each of the first rows of the demo."""
    lines = next(iter(sorted(DEMO.glob("*.jsonl")))).read_text(encoding="utf-8").splitlines()
    rows = [json.loads(line) for line in lines[:ROWS]]
    told = "Answer the user's question in one or two sentences."
    return [
        Prompt("answer", 1, "0" * 64, (("system", told), ("user", text_of(row)))) for row in rows
    ]


def text_of(row: dict[str, str]) -> str:
    """Return a row's question."""
    return "\n\n".join(row[key] for key in ("instruction", "input") if row.get(key))


async def main(folder: str) -> None:
    """Ask and print what it took."""
    model = VllmChat(
        model=folder, context=2048, slots=ROWS, max_tokens=300, repeat_penalty=1.1, cache_gib=1
    )
    started = time.monotonic()
    await model.ainvoke("Hello.", max_tokens=1)
    loaded = time.monotonic()
    replies = await asyncio.gather(
        *(ask(model, prompt, Answered) for prompt in questions()), return_exceptions=True
    )
    asked = time.monotonic()
    model.close()
    good = [reply for reply in replies if isinstance(reply, Reply)]
    failed = [reply for reply in replies if isinstance(reply, NoAnswer)]
    for reply in replies:
        if not isinstance(reply, Reply | NoAnswer):
            raise reply
    usages = [reply.usage for reply in [*good, *failed]]
    print(
        json.dumps(
            {
                "rows": len(replies),
                "rungs": Counter(reply.method for reply in good),
                "repaired": sum(reply.repaired for reply in good),
                "failed": [str(failure) for failure in failed],
                "prompt_tokens": sum(usage.prompt or 0 for usage in usages),
                "completion_tokens": sum(usage.completion or 0 for usage in usages),
                "seconds_to_load": round(loaded - started, 1),
                "seconds": round(asked - loaded, 1),
                "seconds_to_close": round(time.monotonic() - asked, 1),
            },
            indent=1,
        )
    )


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
