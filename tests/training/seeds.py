"""The tiny model trained on the same rows with many seeds: what chance alone does to a hold-out.

    python -m tests.training.seeds --record

records, in 10 minutes, the losses that tests/curation/test_gate_on_noise.py judges, in seeds.json
beside it. Without `--record` it prints what the gate says of those that are recorded, as
docs/signals.md has it.
"""

import json
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from middo.core.ids import content_hash
from middo.core.measures import Item
from middo.core.records import Message
from middo.curation.gate import Gate, Judgement, judge
from middo.training.checkpoints import UNFINISHED
from middo.training.job import TrainingJob
from tests.loop import PLACES, TOPICS, easy_answer

RECORDED = Path(__file__).parents[1] / "curation" / "seeds.json"
TRIALS, TRAININGS = 20, 6
"""Trainings of a trial: three seeds for what stands, three others for what is judged against it."""
HELD = 64
MARGIN = 0.005


def judged(seeds: int, better_by: float = 0.0) -> list[Judgement]:
    """Judge recorded trainings with some seeds against others; only chance tells them apart.

    Args:
        seeds: of either side; the trials are as many as the recorded trainings allow.
        better_by: taken off the losses of one side, in standard deviations of a seed's mean.
    """
    found = json.loads(RECORDED.read_text(encoding="utf-8"))
    losses, tokens = np.array(found["losses"]), np.array(found["tokens"])
    of_a_seed = np.average(losses, axis=1, weights=tokens).std(ddof=1)
    trials = losses[: len(losses) // (2 * seeds) * 2 * seeds].reshape(-1, 2, seeds, HELD)
    return [
        judge(now - better_by * of_a_seed, before, before, tokens, margin=MARGIN, seed=7)
        for before, now in trials
    ]


def table() -> str:
    """Return what the gate says of noise, in Markdown."""
    lines = [
        "| trainings of each side | trials | `tie` | `better` | `rolled_back` | half the interval,"
        " nats | a true gain of 3 and of 5 deviations is seen |",
        "|---|---|---|---|---|---|---|",
    ]
    for seeds in (1, 2, 3, 4, 5):
        found = judged(seeds)
        counted = Counter[Gate](one.gate for one in found)
        half = np.mean([(one.against_first.high - one.against_first.low) / 2 for one in found])
        gates = " | ".join(str(counted[gate]) for gate in ("tie", "better", "rolled_back"))
        seen = (sum(one.gate == "better" for one in judged(seeds, by)) for by in (3, 5))
        told = " and ".join(map(str, seen))
        lines.append(f"| {seeds} | {len(found)} | {gates} | {half:.3f} | {told} |")
    return "\n".join(lines)


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
    if "--record" in sys.argv[1:]:
        record()
    sys.stdout.write(table() + "\n")
