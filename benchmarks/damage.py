"""Ways to damage a row, each a pure function of its texts and a seeded generator.

    other      the answer of another row, drawn at random
    run-on     the answer, then its last words over and over, cut somewhere
    nearest    the answer of the row whose prompt is most similar (TF-IDF)
    sentence   the answer cut at the sentence end nearest to its middle
    number     another final number, where the answer ends as GSM8K's do: `#### 42`
    disfluent  a false start in the question, as people speak (`disfluency.py`)
    name       a name in mid-sentence swapped for another one
    refusal    a boiler-plate refusal
    fact       one number, or one name in mid-sentence, changed
    parrot     the prompt told back, with a polite frame

Of two of them Middo's calibration builds a like itself (`middo.signals.controls`), and so may be
expected to find them: `BUILT` names it. It never builds the others.
"""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from benchmarks.disfluency import Interruption, interrupted

SEEDED = ("other", "run-on", "nearest", "sentence", "number", "disfluent", "name", "refusal")
"""What `defects.py` puts into data."""

KINDS = ("nearest", "sentence", "fact", "refusal", "parrot")
"""What `quality.py` asks about: damage of the answer alone that calibration doesn't build."""

BUILT = {"other": "other", "run-on": "repeated"}
"""Kind -> the control that Middo's calibration builds in its likeness."""

REFUSALS = (
    "I'm sorry, but I can't help with that request.",
    "I apologize, but as an AI language model I am not able to answer this. Please ask a qualified"
    " professional for further assistance.",
    "Sorry, I cannot assist with this. If you have any other questions, feel free to ask and I will"
    " do my best to help you.",
    "As an AI assistant, I don't have enough information to answer this question.",
)
NAMES = ("Thomas", "Berlin", "Maria", "Canada", "Jupiter", "Oxford", "Egypt", "Tokyo", "Lincoln",
         "Amazon", "Sweden", "Peter", "Chicago")  # fmt: skip
LONGEST_WORDS = 150
LAST_WORDS = 12
"""Words that a run-on goes round in, at most."""

_NUMBER = re.compile(r"\b\d+(?:[.,]\d+)*\b")
_FINAL = re.compile(r"####\s*-?(\d+(?:[.,]\d+)*)\s*$")
_NAME = re.compile(r"(?<=[a-z,;] )[A-Z][a-z]{2,}\b")
_SENTENCE_END = re.compile(r"[.!?](?=\s)")


@dataclass(frozen=True, slots=True)
class Pair:
    """One row's prompt and answer."""

    id: str
    prompt: str
    answer: str


class Surroundings:
    """What damage is made of beside the row itself: the other rows, and how people stumble."""

    def __init__(self, pool: Sequence[Pair], ways: Sequence[Interruption] = ()) -> None:
        """Take answers and false starts from `pool`, which may hold the row; `ways` may be none."""
        self.pool = [one for one in pool if len(one.answer.split()) <= LONGEST_WORDS]
        self.prompts = [one.prompt for one in self.pool]
        self.ways = ways

    def other(self, row: Pair, rng: np.random.Generator) -> str | None:
        """Return the answer of a row drawn at random; None where twenty draws find no other."""
        drawn: list[int] = rng.integers(len(self.pool), size=20).tolist() if self.pool else []
        others = (self.pool[place] for place in drawn)
        return next((one.answer for one in others if _differs(one, row)), None)

    def nearest(self, row: Pair) -> str | None:
        """Return the answer to the most similar other prompt."""
        vectorizer, vectors = self._index
        similar = (vectors @ vectorizer.transform([row.prompt]).T).toarray()[:, 0]
        order = (self.pool[i] for i in np.argsort(-similar, kind="stable"))
        return next((one.answer for one in order if _differs(one, row)), None)

    @cached_property
    def _index(self) -> tuple[Any, Any]:
        from sklearn.feature_extraction.text import TfidfVectorizer

        vectorizer = TfidfVectorizer(sublinear_tf=True).fit(self.prompts)
        return vectorizer, vectorizer.transform(self.prompts)


def damaged(kind: str, row: Pair, around: Surroundings, seed: int) -> Pair | None:
    """Return the row damaged in one way, the same for the same seed and row.

    None where it can't be: an answer without a number has no wrong one.
    """
    rng = _generator(kind, row, seed)
    if kind == "disfluent":
        prompt = interrupted(row.prompt, around.prompts, around.ways, rng)
        return None if prompt is None else replace(row, prompt=prompt)
    answer: str | None
    match kind:
        case "other":
            answer = around.other(row, rng)
        case "run-on":
            answer = run_on(row.answer, rng)
        case "nearest":
            answer = around.nearest(row)
        case "sentence":
            answer = cut_at_sentence_end(row.answer)
        case "number":
            answer = wrong_final_number(row.answer, rng)
        case "name":
            answer = swapped_name(row.answer, rng)
        case "refusal":
            answer = REFUSALS[int(rng.integers(len(REFUSALS)))]
        case "fact":
            answer = changed_fact(row.answer, rng)
        case "parrot":
            answer = (
                f"You are asking the following: {row.prompt} That is a good question about this"
                " topic."
            )
        case _:
            raise ValueError(
                f"no kind of damage {kind!r}; there are {', '.join((*SEEDED, *KINDS))}"
            )
    if answer is None or answer.split() == row.answer.split():
        return None
    return replace(row, answer=answer)


def damage(rows: Sequence[Pair], pool: Sequence[Pair], seed: int) -> dict[str, dict[str, str]]:
    """Return kind of `KINDS` -> row id -> damaged answer, for every row that can be damaged so."""
    around = Surroundings(pool)
    found: dict[str, dict[str, str]] = {}
    for kind in KINDS:
        broken = (damaged(kind, row, around, seed) for row in rows)
        found[kind] = {one.id: one.answer for one in broken if one is not None}
    return found


def run_on(answer: str, rng: np.random.Generator) -> str | None:
    """Return the answer followed by its last words three to six times, the last time cut short."""
    words = answer.split()
    tail = words[-min(LAST_WORDS, max(len(words) // 2, 3)) :]
    if len(words) < 3:
        return None
    again = tail * int(rng.integers(3, 7))
    return " ".join([answer, *again[: len(again) - int(rng.integers(1, len(tail)))]])


def cut_at_sentence_end(answer: str) -> str | None:
    """Return the answer up to the sentence end nearest to its middle; at least five words."""
    ends = [match.end() for match in _SENTENCE_END.finditer(answer)]
    if not ends:
        return None
    cut = answer[: min(ends, key=lambda end: abs(end - len(answer) / 2))]
    return cut if len(cut.split()) >= 5 else None


def wrong_final_number(answer: str, rng: np.random.Generator) -> str | None:
    """Return the answer with other digits after its closing `####`, and nothing else changed."""
    final = _FINAL.search(answer)
    if final is None:
        return None
    return answer[: final.start(1)] + _other_number(final[1], rng) + answer[final.end(1) :]


def swapped_name(answer: str, rng: np.random.Generator) -> str | None:
    """Return the answer with one of its names, wherever it stands, replaced by another one."""
    names = list(_NAME.finditer(answer))
    if not names:
        return None
    name = names[int(rng.integers(len(names)))].group()
    others = [other for other in NAMES if other != name]
    return re.sub(rf"\b{name}\b", others[int(rng.integers(len(others)))], answer)


def changed_fact(answer: str, rng: np.random.Generator) -> str | None:
    """Return the answer with any one of its numbers changed, or a name where it has no number."""
    numbers = list(_NUMBER.finditer(answer))
    if not numbers:
        return swapped_name(answer, rng)
    match = numbers[int(rng.integers(len(numbers)))]
    return answer[: match.start()] + _other_number(match.group(), rng) + answer[match.end() :]


def _differs(one: Pair, row: Pair) -> bool:
    return one.prompt != row.prompt and one.answer.split() != row.answer.split()


def _generator(kind: str, row: Pair, seed: int) -> np.random.Generator:
    digest = hashlib.sha256(f"{kind} {row.id}".encode()).hexdigest()
    return np.random.default_rng([seed, int(digest[:8], 16)])


def _other_number(text: str, rng: np.random.Generator) -> str:
    while True:
        digits = [str(rng.integers(10)) if sign.isdigit() else sign for sign in text]
        other = "".join(digits)
        if other != text and not (len(other) > 1 and other[0] == "0"):
            return other
