"""Control answers: real answers broken on purpose, which quality is calibrated on.

Each kind breaks an answer in a way that data sets really hold, and does it to the run's own rows,
so that the calibration learns what broken looks like in this data, for this model. Pure text; the
random choices of a row depend on the seed and the row's id only.
"""

import hashlib
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Literal, get_args

import numpy as np

Kind = Literal["other", "cut", "repeated", "shuffled", "echo", "reworded"]
KINDS: tuple[Kind, ...] = get_args(Kind)

FEWEST_WORDS = 12
MOST_OF_A_KIND = 30
"""Controls of one kind at most: scoring them is most of a calibration's cost."""
SIMILAR_LENGTHS = 5
"""Another row's answer is drawn from this many that are nearest in length."""

LONG_WORD = 5
"""Letters from which a word is taken to carry content."""
LONGEST_PHRASE = 20
"""Words that a repeated control goes round in, at most."""
REPLACED = 10
"""One in so many words that carry content is replaced."""

_WORD = re.compile(r"\S+")
_CONTENT = re.compile(rf"[^\W\d_]{{{LONG_WORD},}}")


@dataclass(frozen=True, slots=True)
class Control:
    """An answer to the prompt of `row_id` that is broken in the way that `kind` names."""

    kind: Kind
    row_id: str
    answer: str


def build_controls(
    rows: Sequence[tuple[str, str, str]], seed: int, most: int = MOST_OF_A_KIND
) -> list[Control]:
    """Build up to `most` controls of each kind, in order of row id, then kind.

    Each kind starts at another row of one seeded order, so that the rows share the load. Rows whose
    answer has fewer than 12 words are left out. A control that would equal the real answer is left
    out (the prompt echoed where the answer is the prompt), and so is the answer of another row
    where no other answer differs, and new words where no long word can be replaced.

    Args:
        rows: (id, prompt, answer).
        seed: of the run.
        most: controls of a kind; rows beyond them go without.
    """
    usable = sorted(row for row in rows if words(row[2]) >= FEWEST_WORDS)
    order = np.random.default_rng([seed, 5]).permutation(len(usable)).tolist()
    controls: list[Control] = []
    for number, kind in enumerate(KINDS):
        start = number * len(order) // len(KINDS)
        made = (_control(kind, usable[row], usable, seed) for row in order[start:] + order[:start])
        controls += islice((control for control in made if control is not None), most)
    return sorted(controls, key=lambda control: (control.row_id, KINDS.index(control.kind)))


def _control(
    kind: Kind, row: tuple[str, str, str], rows: Sequence[tuple[str, str, str]], seed: int
) -> Control | None:
    name, prompt, answer = row
    digest = hashlib.sha256(f"{kind} {name}".encode()).hexdigest()
    rng = np.random.default_rng([seed, int(digest[:8], 16)])
    text: str | None
    match kind:
        case "other":
            text = _other(name, answer, rows, rng)
        case "cut":
            text = _cut(answer)
        case "repeated":
            text = _repeated(answer, rng)
        case "shuffled":
            text = _shuffled(answer, rng)
        case "echo":
            text = prompt.strip() or None
        case "reworded":
            text = _reworded(name, answer, rows, rng)
    if text is None or text.split() == answer.split():
        return None
    return Control(kind, name, text)


def choose_calibration_rows(
    train: Sequence[tuple[str, int]],
    holdout: Sequence[tuple[str, int]],
    count: int,
    seed: int,
    fits: Callable[[str], bool] = lambda name: True,
) -> list[str]:
    """Choose the rows to calibrate on, half of them from the hold-out where it has as many.

    Trained rows favour the true answer by memory, which is why the hold-out takes part. Returns
    at most `count` ids, sorted; rows with answers of fewer than 12 words are never among them.

    Args:
        train: (id, words of the answer).
        holdout: (id, words of the answer).
        count: rows wanted.
        seed: of the run.
        fits: asked of a row that would be taken, whether the model can score it; the next one is
            taken where it can't.
    """
    rng = np.random.default_rng([seed, 1])

    def draw(rows: Sequence[tuple[str, int]]) -> Iterator[str]:
        usable = sorted(name for name, length in rows if length >= FEWEST_WORDS)
        return (name for i in rng.permutation(len(usable)) if fits(name := usable[i]))

    held = draw(holdout)
    chosen = list(islice(held, count // 2))
    chosen += islice(draw(train), count - len(chosen))
    return sorted([*chosen, *islice(held, count - len(chosen))])


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


def _repeated(answer: str, rng: np.random.Generator) -> str:
    """Return the first words over and over, as many words as the answer has.

    Some go round in a phrase, others in a sentence: 3 to 20 words, at most half of the answer.
    """
    parts = answer.split()
    phrase = parts[: int(rng.integers(3, min(LONGEST_PHRASE, len(parts) // 2) + 1))]
    return " ".join((phrase * (len(parts) // len(phrase) + 1))[: len(parts)])


def _shuffled(answer: str, rng: np.random.Generator) -> str:
    parts = answer.split()
    return " ".join(parts[i] for i in rng.permutation(len(parts)))


def _reworded(
    name: str, answer: str, rows: Sequence[tuple[str, str, str]], rng: np.random.Generator
) -> str | None:
    """Return the answer with a tenth of its long words, at least one, from another row's answer."""
    own = list(_CONTENT.finditer(answer))
    donors = [row for row in rows if row[0] != name and _CONTENT.search(row[2])]
    if not own or not donors:
        return None
    pool = _CONTENT.findall(donors[int(rng.integers(len(donors)))][2])
    chosen = rng.permutation(len(own))[: max(1, len(own) // REPLACED)]
    for place in sorted(chosen.tolist(), reverse=True):
        word = own[place]
        new = pool[int(rng.integers(len(pool)))]
        answer = answer[: word.start()] + new + answer[word.end() :]
    return answer
