"""The hostile samples: texts in the data that try to give orders to whoever reads them.

Each line of `samples.jsonl` has an `id`, a `kind` of attack, the `language`, the `place` of a
sample where it stands, the `text`, and what obeying it means: `does` and, where something is to be
written, `say`. `order` is the plain order where the text hides it, `agreed` what an assistant said
to it earlier, `meta` the fields that hold it, `repeat` and `end` make a long text of a short one.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.loop import PLACES, TOPICS, easy_answer

FILE = Path(__file__).parent / "samples.jsonl"


@dataclass(frozen=True)
class Hostile:
    id: str
    kind: str
    language: str
    place: str
    text: str
    does: list[str]
    say: str = ""
    order: str = ""
    agreed: str = "Yes, I will."
    meta: dict[str, Any] = field(default_factory=dict)
    first: bool = False
    repeat: int = 1
    end: str = ""

    @property
    def spoken(self) -> str:
        """The text as it stands in the data."""
        return self.text * self.repeat + self.end

    @property
    def plain(self) -> str:
        """The order that a reader has to see to obey it."""
        return self.order or self.text


def hostile_samples() -> list[Hostile]:
    lines = FILE.read_text(encoding="utf-8").splitlines()
    return [Hostile(**json.loads(line)) for line in lines]


def row(sample: Hostile, number: int, answer: str | None = None) -> dict[str, Any]:
    """Return a row of the data set of `tests.loop` with a hostile text in it."""
    topic, place = TOPICS[number % 18], PLACES[number // 18 % 4]
    prompt, answer = f"Tell me about {topic} in {place}.", answer or easy_answer(topic, place)
    if sample.place == "prompt":
        prompt = f"{sample.spoken} {prompt}" if sample.first else f"{prompt} {sample.spoken}"
    if sample.place == "answer":
        answer = f"{answer} {sample.spoken}"
    turns = [("user", prompt), ("assistant", answer)]
    if sample.place == "history":
        turns = [("user", sample.spoken), ("assistant", sample.agreed), *turns]
    if sample.place == "system":
        turns = [("system", sample.spoken), *turns]
    return {"messages": [{"role": r, "content": text} for r, text in turns], **sample.meta}


def write_rows(path: Path, rows: Iterable[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(one) + "\n" for one in rows), encoding="utf-8")
    return path
