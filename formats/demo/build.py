"""Build the demo set from the experts' instructions and answers of Self-Instruct.

    python -m middo.formats.demo.build --data user_oriented_252_with_responses.jsonl

The data file is the join, by line, of `human_eval/user_oriented_instructions.jsonl` with model
answers; only id, instruction, input and `reference` (the expert's answer) are used. 150 rows are
chosen, and 18 of them damaged by code, so that it is known which rows are bad and how. Everything
depends on the data and `SEED` alone. NOTICE.txt says where the data is from.
"""

import argparse
import json
import os
import random
from pathlib import Path
from typing import Any

SEED = 20250828
MEDIUM, SHORT = 120, 30
"""Rows with answers of 12 to 120 words, and rows with shorter ones."""

ANSWER_WORDS = (12, 120)
TOTAL_WORDS = 180
DAMAGE = {"swapped": 5, "truncated": 5, "repeated": 4, "shuffled": 4}
DAMAGED_WORDS = 20
REPEATED_WORDS = 5

Row = dict[str, Any]


def words(text: str) -> int:
    """Return the number of words."""
    return len(text.split())


def choose(tasks: list[Row], draw: random.Random) -> list[Row]:
    """Return 150 tasks with short texts, in their order, as Alpaca rows."""
    low, high = ANSWER_WORDS
    medium, short = [], []
    for task in tasks:
        row = {
            "instruction": task["instruction"],
            "input": task["input"],
            "output": task["reference"].strip(),
            "task": task["id"],
        }
        size = words(row["output"])
        if words(row["instruction"]) + words(row["input"]) + size >= TOTAL_WORDS or not size:
            continue
        if size < low:
            short.append(row)
        elif size <= high:
            medium.append(row)
    chosen = draw.sample(medium, MEDIUM) + draw.sample(short, SHORT)
    names = {row["task"] for row in chosen}
    by_task = {row["task"]: row for row in (*medium, *short)}
    return [by_task[task["id"]] for task in tasks if task["id"] in names]


def damage(rows: list[Row], draw: random.Random) -> list[Row]:
    """Return the rows with 18 answers broken; the kind of damage is in the field `damage`."""
    count = sum(DAMAGE.values())
    long = [row for row in rows if words(row["output"]) >= DAMAGED_WORDS and is_prose(row)]
    victims = {row["task"] for row in draw.sample(long, count)}
    kinds = [kind for kind, times in DAMAGE.items() for _ in range(times)]
    draw.shuffle(kinds)
    donors = [row for row in long if row["task"] not in victims]
    damaged = []
    for row in rows:
        if row["task"] not in victims:
            damaged.append(row)
            continue
        kind = kinds.pop()
        damaged.append({**row, "output": _broken(kind, row, donors, draw), "damage": kind})
    return damaged


def is_prose(row: Row) -> bool:
    """Return whether an answer is running text: cutting tables and code may leave no sentence."""
    parts = str(row["output"]).split()
    return sum(part[0].isalpha() for part in parts) >= 0.9 * len(parts)


def _broken(kind: str, row: Row, donors: list[Row], draw: random.Random) -> str:
    answer = str(row["output"])
    if kind == "swapped":
        donor = min(donors, key=lambda other: abs(words(other["output"]) - words(answer)))
        donors.remove(donor)
        return str(donor["output"])
    if kind == "truncated":
        return truncated(answer)
    return repeated(answer) if kind == "repeated" else shuffled(answer, draw)


def truncated(answer: str) -> str:
    """Cut an answer near a third of its length, between two words of a sentence."""
    cut = answer[: answer.index(" ", len(answer) // 3)].rstrip()
    while not cut[-1].isalnum():
        cut = cut.rpartition(" ")[0].rstrip()
    return cut


def repeated(answer: str) -> str:
    """Repeat an answer's first words up to about its length."""
    start = answer.split()[:REPEATED_WORDS]
    return " ".join(start * round(words(answer) / len(start)))


def shuffled(answer: str, draw: random.Random) -> str:
    """Put an answer's words in random order."""
    parts = answer.split()
    draw.shuffle(parts)
    return " ".join(parts)


def main() -> None:
    """Write `demo.jsonl`."""
    parser = argparse.ArgumentParser(description="Build Middo's demo set.")
    parser.add_argument("--data", type=Path, required=True, help="the JSON Lines file to draw from")
    parser.add_argument("--to", type=Path, default=Path(__file__).with_name("demo.jsonl"))
    args = parser.parse_args()
    tasks = [json.loads(line) for line in args.data.read_text(encoding="utf-8").splitlines()]
    draw = random.Random(SEED)
    rows = damage(choose(tasks, draw), draw)
    text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    part = args.to.with_suffix(".part")
    part.write_text(text, encoding="utf-8")
    os.replace(part, args.to)


if __name__ == "__main__":
    main()
