"""Proposals whose right verdict is known, for `critic.py`: made from three data sets.

Each case has a parent, and two proposals to it that differ in the one thing that a gate should see:

- `mr_gsm8k` (MR-GSM8K, Zeng et al. 2023): a question that stands beside the solution of another one
  gets its true solution (`sound`), or the wrong one that people have marked (`bad`).
- `self_instruct` (Wang et al. 2022): an instruction that stands beside the answer to another one
  gets the expert's answer (`sound`), or that answer damaged as in `damage.py` (`bad`).
- `disfl_qa` (Gupta et al. 2021): a disfluent question becomes its clean form (`sound`), or the
  clean form of another question, one drawn or the most similar one (`bad`). These questions have no
  answers, so old and new answer are one fixed sentence that fits any of them: what a critic says of
  the answer falls on both sides alike, and no proof is asked.

The other answer that a parent has is the one nearest in length: an answer that belongs elsewhere is
what a diagnosis finds best, and a proof is asked only of what was flagged.
"""

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from benchmarks.counting import chosen
from benchmarks.damage import Pair, Surroundings, damaged
from benchmarks.disfluency import read_pairs
from middo.core.records import Axis, Message, Proposal, Sample, sample_id
from middo.signals.controls import FEWEST_WORDS

Side = Literal["sound", "bad"]

UNTOLD = "The answer stands in the passage that the question is about."
BAD_KINDS = ("other", "nearest", "sentence", "run-on", "name", "refusal")
"""How experts' answers are damaged, in turn; one that doesn't fit is passed over."""

_STEP = re.compile(r"^Step \d+:\s*")


@dataclass(frozen=True, slots=True)
class Case:
    """One proposal with the verdict that it should get.

    Attributes:
        id: of the case.
        data: the data set.
        side: `sound` should be accepted, `bad` refused.
        kind: what is wrong with a bad one; empty for a sound one.
        proposal: to judge.
        provable: whether its answer is one that a trainee can be asked about.
    """

    id: str
    data: str
    side: Side
    kind: str
    proposal: Proposal
    provable: bool = True

    @property
    def sample(self) -> Sample:
        """The parent."""
        return self.proposal.parent


def read_cases(files: Sequence[str], limit: int | None, seed: int) -> list[Case]:
    """Return the cases of every file, `limit` parents of each evenly spread.

    Raises:
        ValueError: a file holds none of the three data sets.
    """
    found: list[Case] = []
    for file in files:
        pairs = read_pairs(file)
        if pairs is not None:
            found += _disfluent(pairs, limit, seed)
            continue
        rows = _rows(Path(file))
        first = rows[0] if rows else {}
        if "ground_truth_solution" in first:
            found += _solutions(rows, limit)
        elif "reference" in first and "instruction" in first:
            found += _experts(rows, limit, seed)
        else:
            raise ValueError(f"{file}: is none of mr_gsm8k, self_instruct and disfl_qa")
    return found


def _rows(path: Path) -> list[dict[str, Any]]:
    lines = path.read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines if line.startswith("{")]


def _solutions(rows: Sequence[dict[str, Any]], limit: int | None) -> Iterator[Case]:
    pairs = [Pair(row["uuid"], row["question"], row["ground_truth_solution"]) for row in rows]
    for number, pair in chosen(list(enumerate(pairs)), limit):
        steps = rows[number]["model_output_steps"]
        wrong = "\n".join(_STEP.sub("", step).strip() for step in steps)
        yield from _both(
            *("mr_gsm8k", pair.id, Axis.QUALITY, (pair.prompt, _elsewhere(pair, pairs))),
            *((pair.prompt, pair.answer), (pair.prompt, wrong), "wrong solution"),
        )


def _experts(rows: Sequence[dict[str, Any]], limit: int | None, seed: int) -> Iterator[Case]:
    pairs = [
        Pair(row["id"], f"{row['instruction']}\n\n{row['input']}".strip(), row["reference"].strip())
        for row in rows
    ]
    usable = [pair for pair in pairs if len(pair.answer.split()) >= FEWEST_WORDS]
    around = Surroundings(usable)
    for number, pair in enumerate(chosen(usable, limit)):
        turn = number % len(BAD_KINDS)
        old = _elsewhere(pair, usable)
        for kind in (*BAD_KINDS[turn:], *BAD_KINDS[:turn]):
            broken = damaged(kind, pair, around, seed)
            if broken is None or broken.answer == old:
                continue
            yield from _both(
                *("self_instruct", pair.id, Axis.QUALITY, (pair.prompt, old)),
                *((pair.prompt, pair.answer), (pair.prompt, broken.answer), kind),
            )
            break


def _elsewhere(pair: Pair, pairs: Sequence[Pair]) -> str:
    """Return the answer to another prompt that is nearest in length, the first of equal ones."""
    own = len(pair.answer.split())
    others = (one for one in pairs if one.prompt != pair.prompt and one.answer != pair.answer)
    return min(others, key=lambda one: abs(len(one.answer.split()) - own)).answer


def _disfluent(pairs: Sequence[tuple[str, str]], limit: int | None, seed: int) -> Iterator[Case]:
    """Take another question at random and, every second time, the one most like it (TF-IDF)."""
    rows = [Pair(str(number), clean, clean) for number, (clean, _) in enumerate(pairs)]
    around = Surroundings(rows)
    for turn, row in enumerate(chosen(rows, limit)):
        kind, what = (("nearest", "nearest question"), ("other", "another question"))[turn % 2]
        other = damaged(kind, row, around, seed)
        if other is None:
            continue
        disfluent = pairs[int(row.id)][1]
        yield from _both(
            *("disfl_qa", row.id, Axis.COMPLEXITY, (disfluent, UNTOLD)),
            *((row.prompt, UNTOLD), (other.answer, UNTOLD), what),
            provable=False,
        )


def _both(
    data: str,
    name: str,
    axis: Axis,
    old: tuple[str, str],
    sound: tuple[str, str],
    bad: tuple[str, str],
    kind: str,
    *,
    provable: bool = True,
) -> Iterator[Case]:
    messages = (Message("user", old[0]), Message("assistant", old[1]))
    parent = Sample(sample_id(messages), messages, data)
    sides: tuple[tuple[Side, str, tuple[str, str]], ...] = (
        ("sound", "", sound),
        ("bad", kind, bad),
    )
    for side, wrong, exchange in sides:
        proposal = Proposal(parent, axis, 1, parent.with_exchange(*exchange), adds=False)
        yield Case(f"{data} {name} {side}", data, side, wrong, proposal, provable)
