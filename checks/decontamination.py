"""No evaluation data may be trained on: neither rows of the input nor proposals may carry it.

Overlap is measured as in "Language Models are Few-Shot Learners" (arXiv 2005.14165, appendix C):
n-grams of 13 words. Shorter evaluation texts count only as a whole, and only from five words on,
so that "yes" blocks nothing; a prompt with its answer counts however short the two are.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from ..core.records import Proposal, Sample, Verdict
from .words import shortened, words

NGRAM = 13
SHORTEST = 5
COMMON = 10
"""Evaluation rows that may share an n-gram; what stands in more of them is their template."""

Exchange = tuple[str, str]
"""The prompt and the answer of an evaluation row; one that has no answer has an empty one."""


@dataclass(frozen=True, slots=True)
class EvaluationIndex:
    """The n-grams of the hold-out and the evaluation data, as 64-bit hashes.

    Hashes keep 13-grams of a large test set in memory, about 100 bytes each, text not included.
    They are those of this process; an index is never stored.
    """

    hashes: frozenset[int]

    @classmethod
    def build(cls, texts: Iterable[str]) -> "EvaluationIndex":
        """Index the prompts and answers of the evaluation data, each as a text of its own."""
        return cls(frozenset(hash(gram) for text in texts for gram in _grams(text)))

    @classmethod
    def of(cls, samples: Iterable[Sample]) -> "EvaluationIndex":
        """Index evaluation rows: prompts, answers, and the two of a row together."""
        return cls.of_exchanges((sample.prompt, sample.answer) for sample in samples)

    @classmethod
    def of_exchanges(cls, rows: Iterable[Exchange]) -> "EvaluationIndex":
        """Index evaluation rows, as `of`."""
        found: set[int] = set()
        for row in rows:
            found.update(_hashes(row))
            found.add(hash(_exchange(*row)))
        return cls(frozenset(found))

    @classmethod
    def without_templates(cls, rows: Iterable[Exchange]) -> "EvaluationIndex":
        """Index evaluation rows, n-grams left out that stand in more than `COMMON` of them.

        Such an n-gram tells that two rows ask in the same words, not that they are the same.
        """
        counts: Counter[int] = Counter()
        whole: set[int] = set()
        for row in rows:
            counts.update(_hashes(row))
            whole.add(hash(_exchange(*row)))
        return cls(frozenset(whole.union(key for key, n in counts.items() if n <= COMMON)))

    def __or__(self, other: "EvaluationIndex") -> "EvaluationIndex":
        """Return both indexes as one."""
        return EvaluationIndex(self.hashes | other.hashes)

    def overlaps(self, text: str) -> Iterator[str]:
        """Yield every part of a text that evaluation data holds too, in order."""
        return (" ".join(gram) for gram in _grams(text) if hash(gram) in self.hashes)

    def overlap(self, text: str) -> str | None:
        """Return the first part of a text that evaluation data holds too."""
        return next(self.overlaps(text), None)


def overlap_of(sample: Sample, index: EvaluationIndex) -> str | None:
    """Return the first words of a row that evaluation data holds too, None where there are none.

    All turns are looked at, as all of them are trained on or seen in training.
    """
    for message in sample.messages:
        if (found := index.overlap(message.content)) is not None:
            return found
    whole = _exchange(sample.prompt, sample.answer)
    return " ".join(whole) if hash(whole) in index.hashes else None


def check_decontamination(proposal: Proposal, index: EvaluationIndex) -> Verdict:
    """Refuse evaluation text that the parent doesn't hold.

    An overlap that stands in the parent word for word is no news to the training data, often a
    template that many rows share, and must not block a repair: it passes and is noted.
    """
    found = [gram for text in (proposal.prompt, proposal.answer) for gram in index.overlaps(text)]
    whole = _exchange(proposal.prompt, proposal.answer)
    if hash(whole) in index.hashes:
        found.append(" ".join(whole))
    if not found:
        return Verdict("decontamination", True, {"overlaps": 0})
    parent = proposal.parent
    own = {" ".join(gram) for text in (parent.prompt, parent.answer) for gram in _grams(text)}
    own.add(" ".join(_exchange(parent.prompt, parent.answer)))
    new = [gram for gram in found if gram not in own]
    numbers = {"overlaps": len(found), "inherited": len(found) - len(new), "words": NGRAM}
    if not new:
        return Verdict(
            "decontamination", True, numbers, "overlaps evaluation data, as the original does"
        )
    return Verdict(
        "decontamination",
        False,
        {**numbers, "first": shortened(new[0])},
        "The text repeats evaluation data. Write something of your own.",
    )


def _hashes(row: Exchange) -> set[int]:
    return {hash(gram) for text in row for gram in _grams(text)}


def _exchange(prompt: str, answer: str) -> tuple[str, ...]:
    return (*words(prompt), "->", *words(answer))


def _grams(text: str) -> Iterator[tuple[str, ...]]:
    spoken = words(text)
    if len(spoken) < NGRAM:
        if len(spoken) >= SHORTEST:
            yield spoken
        return
    for start in range(len(spoken) - NGRAM + 1):
        yield spoken[start : start + NGRAM]
