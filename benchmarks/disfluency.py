"""How people stumble in a question, learned from pairs of a disfluent and a clean question.

The pairs are those of Disfl-QA (Gupta et al. 2021, "Disfl-QA: A Benchmark Dataset for Understanding
Disfluencies in Question Answering"): a JSON object of `{original, disfluent}`. Its questions have
no answers, so they can't be rows themselves. Of each pair that differs by one insertion is kept
where it stands, how many words the false start has, and the words that end it ("no sorry", "I
mean"). A question is disturbed in the same way, with words of another question as the false start.
"""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from pathlib import Path

import numpy as np

FEWEST_WORDS = 5
"""Of a question that is disturbed."""

_ENDINGS = frozenset(
    (
        *("actually", "better", "er", "err", "i", "instead", "let", "like", "make", "me", "mean"),
        *("meant", "neigh", "no", "oh", "or", "rather", "say", "scratch", "should", "sorry"),
        *("tell", "that", "ugh", "uh", "um", "umm", "wait", "yet"),
    )
)
"""Words that take a false start back, as they stand in the pairs."""

_QUESTION = re.compile(r"[^\s.!?][^.!?\n]*\?")


@dataclass(frozen=True, slots=True)
class Interruption:
    """One false start.

    Attributes:
        place: where it stands in the question, 0 at its beginning, under 1.
        length: words of the false start.
        ending: the words that take it back.
    """

    place: float
    length: int
    ending: tuple[str, ...]


def read_pairs(path: str | Path) -> list[tuple[str, str]] | None:
    """Return (clean, disfluent) questions; None where the file holds no such pairs."""
    path = Path(path)
    if path.suffix != ".json" or not path.is_file():
        return None
    document = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(document, dict):
        return None
    rows = [one for one in document.values() if isinstance(one, dict) and "disfluent" in one]
    return [(one["original"].strip(), one["disfluent"].strip()) for one in rows] or None


def interruption(clean: str, disfluent: str) -> Interruption | None:
    """Return the one false start in which two questions differ; None where it is not that plain."""
    before, said = clean.split(), disfluent.split()
    matcher = SequenceMatcher(
        None, [word.lower() for word in before], [word.lower() for word in said], autojunk=False
    )
    changes = [change for change in matcher.get_opcodes() if change[0] != "equal"]
    if len(changes) != 1 or changes[0][0] != "insert" or changes[0][1] == len(before):
        return None
    _, place, _, start, end = changes[0]
    inserted = said[start:end]
    cut = len(inserted)
    while cut and inserted[cut - 1].strip(",.?!").lower() in _ENDINGS:
        cut -= 1
    if cut in (0, len(inserted)):
        return None
    return Interruption(round(place / len(before), 3), cut, tuple(inserted[cut:]))


def interruptions(pairs: Sequence[tuple[str, str]]) -> list[Interruption]:
    """Return the false starts of all pairs that have a plain one."""
    found = (interruption(*pair) for pair in pairs)
    return [one for one in found if one is not None]


def interrupted(
    prompt: str, others: Sequence[str], ways: Sequence[Interruption], rng: np.random.Generator
) -> str | None:
    """Return the prompt with a false start in its question, or in its first line if it has none.

    None where that has fewer than five words, or there is no other prompt or way to learn from.

    Args:
        prompt: to disturb.
        others: prompts that the words of the false start come from.
        ways: false starts of real questions, one of which is followed.
        rng: draws the way and the other prompt.
    """
    start, end = _question(prompt)
    words = prompt[start:end].split()
    told = _another(prompt, others, rng) if ways and others else []
    if len(words) < FEWEST_WORDS or not told:
        return None
    way = ways[int(rng.integers(len(ways)))]
    place = min(round(way.place * len(words)), len(words) - 1)
    begin = min(round(way.place * len(told)), max(len(told) - way.length, 0))
    false = [word.strip("?!.") for word in told[begin : begin + way.length]]
    new = " ".join([*words[:place], *false, *way.ending, *words[place:]])
    return prompt[:start] + new + prompt[end:]


def _another(prompt: str, others: Sequence[str], rng: np.random.Generator) -> list[str]:
    """Return the words of another prompt's question; a few are looked at, one may be too short."""
    for place in rng.integers(len(others), size=20):
        other = others[int(place)]
        start, end = _question(other)
        words = other[start:end].split()
        if other != prompt and len(words) >= FEWEST_WORDS:
            return words
    return []


def _question(prompt: str) -> tuple[int, int]:
    """Return where the last question of a prompt stands, or its first line."""
    found = list(_QUESTION.finditer(prompt))
    if found:
        return found[-1].span()
    end = prompt.find("\n")
    return 0, len(prompt) if end < 0 else end
