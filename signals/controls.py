"""Control answers: real answers broken on purpose, which quality is calibrated on.

Each kind breaks an answer in a way that data sets really hold, and does it to the run's own rows,
so that the calibration learns what broken looks like in this data, for this model. Pure text; the
random choices of a row depend on the seed and the row's id only.
"""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

Kind = Literal["other", "cut", "repeated", "shuffled", "echo"]
KINDS: tuple[Kind, ...] = get_args(Kind)

FEWEST_WORDS = 12
SIMILAR_LENGTHS = 5
"""Another row's answer is drawn from this many that are nearest in length."""

_WORD = re.compile(r"\S+")


@dataclass(frozen=True, slots=True)
class Control:
    """An answer to the prompt of `row_id` that is broken in the way that `kind` names."""

    kind: Kind
    row_id: str
    answer: str


def build_controls(rows: Sequence[tuple[str, str, str]], seed: int) -> list[Control]:
    """Build up to one control of each kind per row, in order of row id, then kind.

    Rows whose answer has fewer than 12 words are left out. A control that would equal the real
    answer is left out (the prompt echoed where the answer is the prompt), and so is the answer of
    another row where no other answer differs.

    Args:
        rows: (id, prompt, answer).
        seed: of the run.
    """
    usable = sorted(row for row in rows if words(row[2]) >= FEWEST_WORDS)
    controls: list[Control] = []
    for name, prompt, answer in usable:
        rng = np.random.default_rng([seed, int(hashlib.sha256(name.encode()).hexdigest()[:8], 16)])
        broken: dict[Kind, str | None] = {
            "other": _other(name, answer, usable, rng),
            "cut": _cut(answer),
            "repeated": _repeated(answer),
            "shuffled": _shuffled(answer, rng),
            "echo": prompt.strip() or None,
        }
        controls += [
            Control(kind, name, text)
            for kind, text in broken.items()
            if text is not None and text.split() != answer.split()
        ]
    return controls


def choose_calibration_rows(
    train: Sequence[tuple[str, int]], holdout: Sequence[tuple[str, int]], count: int, seed: int
) -> list[str]:
    """Choose the rows to calibrate on, half of them from the hold-out where it has as many.

    Trained rows favour the true answer by memory, which is why the hold-out takes part. Returns
    at most `count` ids, sorted; rows with answers of fewer than 12 words are never among them.

    Args:
        train: (id, words of the answer).
        holdout: (id, words of the answer).
        count: rows wanted.
        seed: of the run.
    """
    rng = np.random.default_rng([seed, 1])
    pools = []
    for rows in (holdout, train):
        usable = sorted(name for name, length in rows if length >= FEWEST_WORDS)
        pools.append([usable[i] for i in rng.permutation(len(usable))])
    held, trained = pools
    from_train = min(len(trained), count - min(len(held), count // 2))
    from_held = min(len(held), count - from_train)
    return sorted(held[:from_held] + trained[:from_train])


def words(text: str) -> int:
    """Return the number of words of a text, split at white space."""
    return len(text.split())


def _other(
    name: str, answer: str, rows: Sequence[tuple[str, str, str]], rng: np.random.Generator
) -> str | None:
    others = [row for row in rows if row[0] != name and row[2].split() != answer.split()]
    others.sort(key=lambda row: (abs(words(row[2]) - words(answer)), row[0]))
    near = others[:SIMILAR_LENGTHS]
    return near[int(rng.integers(len(near)))][2] if near else None


def _cut(answer: str) -> str:
    """Return the first third of the words, one less where it would end a sentence."""
    spans = list(_WORD.finditer(answer))
    keep = max(4, round(len(spans) / 3))
    while keep > 2 and spans[keep - 1].group()[-1] in ".!?:;。！？":
        keep -= 1
    return answer[: spans[keep - 1].end()]


def _repeated(answer: str) -> str:
    """Return the first words over and over, as many words as the answer has."""
    parts = answer.split()
    phrase = parts[: min(8, max(3, len(parts) // 4))]
    return " ".join((phrase * (len(parts) // len(phrase) + 1))[: len(parts)])


def _shuffled(answer: str, rng: np.random.Generator) -> str:
    parts = answer.split()
    return " ".join(parts[i] for i in rng.permutation(len(parts)))
