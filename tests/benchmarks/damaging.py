"""Small data for the benchmarks of seeded defects: rows that every kind of damage can meet."""

import json
from pathlib import Path
from typing import Any

from benchmarks.damage import Pair
from tests.loop import PLACES, TOPICS

SETTINGS: dict[str, Any] = {
    "training": {"epochs": 1, "learning_rate": 0.005, "batch_tokens": 512},
    "signals": {"share": 0.2, "calibration": 24},
    "checks": {"similarity": (0.0, 0.995), "embedder": "trainee"},
    "gate": {"margin": 5.0, "on_worse": "continue", "seeds": 1},
    "traces": {"store": False},
}
"""Keys of a configuration with which a tiny model is through in seconds."""


def pairs() -> list[Pair]:
    """Return 144 rows of two sentences or sums; all questions have five words or more."""
    found = []
    for number in range(144):
        topic, place = TOPICS[number % 18], PLACES[number // 18 % 4]
        if number < 72:
            prompt = f"What can you tell me about {topic} in {place}?"
            answer = (
                f"There are many {topic} in {place}. People who live with Maria see {topic} every"
                f" day and like to talk about {topic} when the sky is blue."
            )
        else:
            prompt = f"How many {topic} do {number} people buy in {place} in a week?"
            answer = (
                f"Each of the {number} people buys 2 {topic} in {place} in a week.\n"
                f"So they buy 2*{number}={2 * number} {topic} in a week.\n#### {2 * number}"
            )
        found.append(Pair(f"row-{number}", prompt, answer))
    return found


def write_pairs(path: Path) -> Path:
    """Write the rows as a data set of questions and answers."""
    lines = (json.dumps({"question": one.prompt, "answer": one.answer}) for one in pairs())
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return path


def write_disfluent(path: Path) -> Path:
    """Write questions in the form of Disfl-QA."""
    rows = {
        "1": {
            "original": "What was the old town's first name?",
            "disfluent": "What was the old town's first river no sorry name?",
        },
        "2": {
            "original": "Who do the people meet at the sea?",
            "disfluent": "When do we or wait Who do the people meet at the sea?",
        },
        "3": {
            "original": "Which of the boats came first?",
            "disfluent": "Which of the letters came last?",
        },
    }
    path.write_text(json.dumps(rows), encoding="utf-8")
    return path
