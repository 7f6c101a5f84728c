"""Damage that the calibration does not build: what quality is tested on, not fitted to.

    nearest   the answer of the row whose prompt is most similar (TF-IDF)
    sentence  cut at the sentence end nearest to the middle
    fact      one number, or one name in mid-sentence, changed
    refusal   a boiler-plate refusal
    parrot    the prompt told back, with a polite frame

Each is one deterministic choice per row and seed.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

KINDS = ("nearest", "sentence", "fact", "refusal", "parrot")

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

_NUMBER = re.compile(r"\b\d+(?:[.,]\d+)*\b")
_NAME = re.compile(r"(?<=[a-z,;] )[A-Z][a-z]{2,}\b")
_SENTENCE_END = re.compile(r"[.!?](?=\s)")


@dataclass(frozen=True, slots=True)
class Pair:
    """One row's prompt and answer."""

    id: str
    prompt: str
    answer: str


def damage(rows: Sequence[Pair], pool: Sequence[Pair], seed: int) -> dict[str, dict[str, str]]:
    """Return kind -> row id -> damaged answer; a row without a number has no `fact`, and so on.

    Args:
        rows: the rows to damage.
        pool: the rows that `nearest` takes answers from; may hold `rows`.
        seed: of the choices.
    """
    found: dict[str, dict[str, str]] = {kind: {} for kind in KINDS}
    near = _nearest(rows, pool)
    for number, row in enumerate(rows):
        rng = np.random.default_rng([seed, number])
        broken = {
            "nearest": near[number],
            "sentence": _at_sentence_end(row.answer),
            "fact": _changed_fact(row.answer, rng),
            "refusal": REFUSALS[int(rng.integers(len(REFUSALS)))],
            "parrot": f"You are asking the following: {row.prompt} That is a good question about"
            " this topic.",
        }
        for kind, text in broken.items():
            if text is not None and text.split() != row.answer.split():
                found[kind][row.id] = text
    return found


def _nearest(rows: Sequence[Pair], pool: Sequence[Pair]) -> list[str | None]:
    from sklearn.feature_extraction.text import TfidfVectorizer

    usable = [one for one in pool if len(one.answer.split()) <= LONGEST_WORDS]
    vectorizer = TfidfVectorizer(sublinear_tf=True).fit([one.prompt for one in pool])
    candidates = vectorizer.transform([one.prompt for one in usable])
    answers: list[str | None] = []
    for row in rows:
        similar = (candidates @ vectorizer.transform([row.prompt]).T).toarray()[:, 0]
        others = (
            usable[i].answer
            for i in np.argsort(-similar, kind="stable")
            if usable[i].prompt != row.prompt and usable[i].answer.split() != row.answer.split()
        )
        answers.append(next(others, None))
    return answers


def _at_sentence_end(answer: str) -> str | None:
    ends = [match.end() for match in _SENTENCE_END.finditer(answer)]
    if not ends:
        return None
    cut = answer[: min(ends, key=lambda end: abs(end - len(answer) / 2))]
    return cut if len(cut.split()) >= 5 else None


def _changed_fact(answer: str, rng: np.random.Generator) -> str | None:
    numbers = list(_NUMBER.finditer(answer))
    if numbers:
        match = numbers[int(rng.integers(len(numbers)))]
        return answer[: match.start()] + _other_number(match.group(), rng) + answer[match.end() :]
    names = list(_NAME.finditer(answer))
    if not names:
        return None
    name = names[int(rng.integers(len(names)))].group()
    others = [other for other in NAMES if other != name]
    return re.sub(rf"\b{name}\b", others[int(rng.integers(len(others)))], answer)


def _other_number(text: str, rng: np.random.Generator) -> str:
    while True:
        digits = [str(rng.integers(10)) if sign.isdigit() else sign for sign in text]
        other = "".join(digits)
        if other != text and not (len(other) > 1 and other[0] == "0"):
            return other
