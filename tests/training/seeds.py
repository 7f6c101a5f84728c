"""The tiny model trained on the same rows with many seeds: what chance alone does to a hold-out.

    python -m tests.training.seeds

records the losses that tests/curation/test_gate_on_noise.py judges, in seeds.json beside it.
"""

import json
import random
import tempfile
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from middo.core.ids import content_hash
from middo.core.measures import Item
from middo.core.records import Message
from middo.training.checkpoints import UNFINISHED
from middo.training.job import TrainingJob
from tests.loop import PLACES, TOPICS, easy_answer

RECORDED = Path(__file__).parents[1] / "curation" / "seeds.json"
TRIALS, TRAININGS = 20, 6
"""Trainings of a trial: three seeds for what stands, three others for what is judged against it."""
HELD = 64


def rows() -> list[tuple[str, str]]:
    """Return 144 prompts with answers, in some of which words are others than one would guess."""
    chance = random.Random(1)
    found = []
    for place in (*PLACES, "Rome", "the north", "my street", "a valley"):
        for topic in TOPICS:
            words = easy_answer(topic, place).split()
            for _ in range(chance.randrange(4)):
                words[chance.randrange(len(words))] = chance.choice(TOPICS)
            found.append((f"Tell me about {topic} in {place}.", " ".join(words)))
    chance.shuffle(found)
    return found


def trained(base: Path, folder: Path, seeds: Iterable[int]) -> Iterator[tuple[list[float], Any]]:
    """Yield the losses of the held-out rows and their tokens, under a training with each seed.

    It trains in this process, since starting one takes as long as the training.
    """
    from middo.training.scorer import Scorer
    from middo.training.sft import fine_tune

    file = folder / "rows.jsonl"
    lines = [
        {"id": content_hash(row), "messages": [m.as_dict() for m in _messages(row)]}
        for row in rows()[HELD:]
    ]
    file.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    held = [Item(str(number), _messages(row)) for number, row in enumerate(rows()[:HELD])]
    for seed in seeds:
        job = TrainingJob(
            base=base,
            base_digest="tiny",
            rows=file,
            dataset_sha256="rows",
            output=folder / f"seed-{seed}",
            learning_rate=0.005,
            epochs=2,
            batch_tokens=512,
            max_length=256,
            seed=seed,
        )
        (job.output / UNFINISHED).mkdir(parents=True)
        fine_tune(
            job,
            on_step=lambda done, total: None,
            should_stop=lambda: False,
            started=time.monotonic(),
        )
        scorer = Scorer(base, adapter=job.output, dtype="float32", device="cpu", max_length=256)
        measured = scorer.score(held)
        scorer.close()
        yield [one.loss for one in measured], [one.answer_tokens for one in measured]


def _messages(row: tuple[str, str]) -> tuple[Message, ...]:
    return Message("user", row[0]), Message("assistant", row[1])


def record() -> None:
    """Train with as many seeds as the trials take, and write down the losses."""
    from tests.tiny import tiny_model

    losses, tokens = [], []
    with tempfile.TemporaryDirectory() as place:
        base = tiny_model(Path(place) / "tiny")
        for found, counted in trained(base, Path(place), range(TRIALS * TRAININGS)):
            losses.append(found)
            tokens = counted
            body = json.dumps({"tokens": tokens, "losses": losses})
            RECORDED.write_text(body.replace("], [", "],\n[") + "\n", encoding="utf-8")


if __name__ == "__main__":
    record()
