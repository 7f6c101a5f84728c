"""What the checks of one flagged sample are held against."""

from collections.abc import Callable, Set
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..core.records import Axis, Proposal
from .decontamination import EvaluationIndex
from .words import contains_words, normalise, words

Embed = Callable[[list[str]], NDArray[np.float32]]
"""Sentence embeddings: n texts to float32[n, d], rows of unit length."""

COMPLEXITY_SLACK = 0.15
"""How much lower the similarity band begins for complexity: 0.45 where it is 0.60 elsewhere."""

COMPLEXITY_LENGTH = (0.5, 0.6)
"""Factors on the length bounds for complexity: 0.1 to 3 where they are 0.2 to 5 elsewhere."""


@dataclass(frozen=True, slots=True)
class CheckContext:
    """The bounds and the surroundings of one flagged sample.

    Attributes:
        similarity: cosine band for old and new prompt, `checks.similarity`.
        length_ratio: bounds for the words of the new answer over those of the old one.
        embed: sentence embeddings; called only after every check without them has passed.
        flagged: all axes on which the parent is flagged.
        decontamination: what no proposal may repeat.
        known_prompts: `normalise`d prompts of the whole store, for new samples.
        neighbours: prompts of the samples nearest to the parent, for new samples.
        instructions: texts that the rewriter was shown as instructions, examples or remarks; small
            models, and those that were talked into it, hand them back as their own.
        dropped: details of the prompt that the critic named as dropped on purpose; they count for
            complexity only.
    """

    similarity: tuple[float, float]
    length_ratio: tuple[float, float]
    embed: Embed
    flagged: frozenset[Axis]
    decontamination: EvaluationIndex
    known_prompts: Set[str] = frozenset()
    neighbours: tuple[str, ...] = ()
    instructions: tuple[str, ...] = ()
    dropped: tuple[str, ...] = ()

    def similarity_band(self, axis: Axis) -> tuple[float, float]:
        """Return the cosine band that holds for an axis."""
        low, high = self.similarity
        return (round(low - COMPLEXITY_SLACK, 4) if axis is Axis.COMPLEXITY else low, high)

    def length_band(self, axis: Axis) -> tuple[float, float]:
        """Return the bounds of the length ratio that hold for an axis."""
        low, high = self.length_ratio
        if axis is not Axis.COMPLEXITY:
            return low, high
        return round(low * COMPLEXITY_LENGTH[0], 4), round(high * COMPLEXITY_LENGTH[1], 4)

    def excuses(self, proposal: Proposal, detail: str) -> bool:
        """Return whether the critic named this detail as dropped on purpose.

        Names are free text: a detail is meant where it stands in the name, or where the name is a
        run of words that makes up at least half of it.
        """
        if not may_drop(proposal.axis):
            return False
        wanted = words(detail)
        for name in map(words, self.dropped):
            if wanted and contains_words(name, wanted):
                return True
            if name and 2 * len(name) >= len(wanted) and contains_words(wanted, name):
                return True
        return False


def may_drop(axis: Axis) -> bool:
    """Return whether a refinement on this axis may leave a detail of the prompt out on purpose."""
    return axis is Axis.COMPLEXITY


def prompt_unchanged(proposal: Proposal) -> bool:
    """Return whether the prompts differ by no more than case and white space."""
    return normalise(proposal.prompt) == normalise(proposal.parent.prompt)
