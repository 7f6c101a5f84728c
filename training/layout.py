"""A conversation and what branches off it, laid out as rows for a forward pass.

The trunk is the conversation. A branch sees the first `after` tokens of the trunk and itself, not
its sisters: it is one continuation of a path that begins with the trunk. Position ids restart where
its prefix ends, so that the model can't tell the branch from the path written out in full.

Two layouts give the same numbers: `fused` puts everything into one row that needs attention of its
own; `separate` writes each path out as a row of its own, for models that can't do that.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Ids = NDArray[np.int32]
Indices = NDArray[np.int64]

SHORTEST = 0.92
"""Length of a padded row as a share of the longest beside it; keeps padding under 5 %."""


@dataclass(frozen=True, slots=True, eq=False)
class Segment:
    """Tokens that follow the first `after` tokens of the trunk; the trunk itself has `after` 0."""

    ids: Ids
    after: int = 0

    @property
    def path_length(self) -> int:
        """Tokens of the path from the trunk's start to the end of this segment."""
        return self.after + len(self.ids)


@dataclass(frozen=True, slots=True, eq=False)
class Row:
    """Segments side by side; the first is the trunk of the others."""

    segments: Sequence[Segment]

    def __len__(self) -> int:
        """Return the row's tokens."""
        return sum(len(segment.ids) for segment in self.segments)

    @property
    def ids(self) -> Ids:
        """The tokens."""
        return np.concatenate([segment.ids for segment in self.segments])

    @property
    def positions(self) -> Ids:
        """The index of each token in its path."""
        spans = [np.arange(one.after, one.path_length, dtype=np.int32) for one in self.segments]
        return np.concatenate(spans)

    @property
    def lengths(self) -> list[int]:
        """The tokens of each segment."""
        return [len(segment.ids) for segment in self.segments]

    @property
    def is_plain(self) -> bool:
        """True where ordinary causal attention is all the row needs."""
        return len(self.segments) == 1


@dataclass(frozen=True, slots=True, eq=False)
class Layout:
    """Rows of one conversation, and where in them each path's tokens stand.

    Attributes:
        rows: one row, or one per path.
        holders: per segment its row.
        starts: per segment the column of its first token.
        afters: per segment the tokens of its prefix.
    """

    rows: list[Row]
    holders: Indices
    starts: Indices
    afters: Indices

    def predictors(self, segments: Indices, indices: Indices) -> tuple[Indices, Indices]:
        """Return rows and columns whose hidden states predict tokens of the segments' paths.

        Args:
            segments: int64[n], segments.
            indices: int64[n], places of the predicted tokens in the paths, from 1.
        """
        after = self.afters[segments]
        own = self.starts[segments] + indices - 1 - after
        return self.holders[segments], np.where(indices <= after, indices - 1, own)


def fused(branches: Sequence[Segment]) -> Layout:
    """Put trunk and branches into one row."""
    starts = np.cumsum([0, *(len(segment.ids) for segment in branches[:-1])])
    return Layout([Row(branches)], np.zeros_like(starts), starts, _afters(branches))


def separate(branches: Sequence[Segment]) -> Layout:
    """Write each path out as a row of its own."""
    trunk = branches[0].ids
    paths = [Segment(np.concatenate([trunk[: one.after], one.ids])) for one in branches]
    afters = _afters(branches)
    return Layout([Row([path]) for path in paths], np.arange(len(paths)), afters, afters)


def _afters(branches: Sequence[Segment]) -> Indices:
    return np.array([segment.after for segment in branches], dtype=np.int64)


def shared_prefix(first: Sequence[int], second: Sequence[int]) -> int:
    """Return how many tokens two paths have in common at their start."""
    for index, (one, other) in enumerate(zip(first, second, strict=False)):
        if one != other:
            return index
    return min(len(first), len(second))


def padded_batches(lengths: Sequence[int], order: Sequence[int], budget: int) -> list[list[int]]:
    """Group indices, longest first, so that each group's padded size keeps within `budget` tokens.

    A group also ends where rows become shorter than `SHORTEST` of its first: in a small set a large
    budget would else be filled with padding.

    Args:
        lengths: tokens per index.
        order: the indices sorted by falling length.
        budget: tokens of a group, padding included; a longer index is a group of its own.
    """
    groups: list[list[int]] = []
    for index in order:
        longest = lengths[groups[-1][0]] if groups else 0
        fits = longest * (len(groups[-1]) + 1) <= budget if groups else False
        if fits and lengths[index] >= SHORTEST * longest:
            groups[-1].append(index)
        else:
            groups.append([index])
    return groups


def packed_batches(lengths: Sequence[int], order: Sequence[int], budget: int) -> list[list[int]]:
    """Group indices in order, so that each group's tokens keep within `budget`.

    Args:
        lengths: tokens per index.
        order: the indices.
        budget: tokens of a group; a longer index is a group of its own.
    """
    groups: list[list[int]] = []
    filled = 0
    for index in order:
        if groups and filled + lengths[index] <= budget:
            groups[-1].append(index)
            filled += lengths[index]
        else:
            groups.append([index])
            filled = lengths[index]
    return groups
