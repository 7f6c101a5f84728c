"""Real rows with seeded defects: which row gets which damage, and what it was before."""

import argparse
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.damage import SEEDED, Pair, Surroundings, damaged
from benchmarks.disfluency import Interruption, interruptions, read_pairs
from middo.formats.importing import import_data
from middo.signals.controls import FEWEST_WORDS

LONGEST_ANSWER, LONGEST_PROMPT = 110, 120
"""Words: long rows cost most and tell no more."""

RAREST_FIRST = ("number", "name", "sentence", "disfluent", "run-on", "nearest", "other", "refusal")
"""Order in which kinds choose their rows, so that those which few rows fit find theirs."""


@dataclass(frozen=True, slots=True)
class Seeded:
    """A row as the run gets it.

    Attributes:
        now: prompt and answer.
        original: prompt and answer before; the same for a clean row.
        kind: of damage; empty for a clean row.
    """

    now: Pair
    original: Pair
    kind: str = ""


def add_source(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of what makes seeded rows and trains on them."""
    parser.add_argument("--data", nargs="+", required=True, help="files with real rows")
    parser.add_argument("--model", default="smollm2-135m", help="the trainee")


def usable_pairs(data: str) -> list[Pair]:
    """Return the single-turn rows of a data set with prompts and answers of usual length."""
    return [
        Pair(sample.id, sample.prompt, sample.answer)
        for sample in import_data(data).samples
        if [message.role for message in sample.messages] == ["user", "assistant"]
        and FEWEST_WORDS <= len(sample.answer.split()) <= LONGEST_ANSWER
        and len(sample.prompt.split()) <= LONGEST_PROMPT
    ]


def read_rows(files: Sequence[str]) -> tuple[list[Pair], list[Interruption]]:
    """Return the rows of all data sets, one per prompt, and the false starts of disfluent pairs."""
    by_prompt: dict[str, Pair] = {}
    ways: list[Interruption] = []
    for file in files:
        pairs = read_pairs(file)
        if pairs is not None:
            ways += interruptions(pairs)
            continue
        for row in usable_pairs(file):
            by_prompt.setdefault(" ".join(row.prompt.casefold().split()), row)
    return list(by_prompt.values()), ways


def seed_defects(
    rows: Sequence[Pair], around: Surroundings, *, clean: int, counts: Mapping[str, int], seed: int
) -> list[Seeded]:
    """Return clean and damaged rows in random order; no row is there twice.

    A kind that too few rows fit gets what there is.

    Args:
        rows: to choose from.
        around: what damage is made of.
        clean: rows left as they are.
        counts: kind -> rows wanted.
        seed: of all choices.

    Raises:
        ValueError: too few rows are left for the clean ones.
    """
    rng = np.random.default_rng([seed, 11])
    left = [rows[i] for i in rng.permutation(len(rows))]
    chosen: list[Seeded] = []
    for kind in RAREST_FIRST:
        taken: set[str] = set()
        for row in left:
            if len(taken) == counts.get(kind, 0):
                break
            broken = damaged(kind, row, around, seed)
            if broken is not None:
                chosen.append(Seeded(broken, row, kind))
                taken.add(row.id)
        left = [row for row in left if row.id not in taken]
    if len(left) < clean:
        raise ValueError(
            f"{len(left)} rows are left for {clean} clean ones; give more --data or smaller sizes"
        )
    chosen += [Seeded(row, row) for row in left[:clean]]
    return [chosen[i] for i in rng.permutation(len(chosen))]


def split_off(rows: Sequence[Seeded], counts: Mapping[str, int]) -> tuple[list[Seeded], ...]:
    """Return the rows without the last few of each kind, and those; `""` counts clean rows."""
    kept: list[Seeded] = []
    apart: list[Seeded] = []
    left = dict(counts)
    for row in reversed(rows):
        if left.get(row.kind, 0):
            left[row.kind] -= 1
            apart.append(row)
        else:
            kept.append(row)
    return kept[::-1], apart[::-1]


def evenly(total: int, kinds: Sequence[str] = SEEDED) -> dict[str, int]:
    """Return a total shared among kinds, the first ones getting one more where it doesn't fit."""
    return {
        kind: total // len(kinds) + (number < total % len(kinds))
        for number, kind in enumerate(kinds)
    }


def fitting_kinds(row: Pair, around: Surroundings, seed: int) -> list[str]:
    """Return the kinds of damage that could have met a row."""
    return [kind for kind in SEEDED if damaged(kind, row, around, seed) is not None]


def write_rows(path: Path, rows: Iterable[Seeded], more: Sequence[Mapping[str, Any]] = ()) -> None:
    """Write rows as JSON Lines that Middo imports, with what they were in fields of their own.

    `more` holds further fields for each row.
    """
    lines = []
    for number, row in enumerate(rows):
        turns = [
            {"role": "user", "content": row.now.prompt},
            {"role": "assistant", "content": row.now.answer},
        ]
        was = {"id": row.original.id, "prompt": row.original.prompt, "answer": row.original.answer}
        extra = more[number] if more else {}
        lines.append(json.dumps({"messages": turns, "kind": row.kind, "was": was, **extra}) + "\n")
    path.write_text("".join(lines), encoding="utf-8")


def read_lines(path: Path) -> list[dict[str, Any]]:
    """Return the objects of a JSON Lines file; a last line that was cut by a kill is left out."""
    found = []
    for line in path.read_text(encoding="utf-8").splitlines(keepends=True):
        if line.endswith("\n") and line.strip():
            found.append(json.loads(line))
    return found
