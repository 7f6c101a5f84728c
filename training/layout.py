"""A conversation and what branches off it, laid out as rows for a forward pass.

The trunk is the conversation. A branch sees the first `after` tokens of the trunk and itself, not
its sisters: it is one continuation of a path that begins with the trunk. Position ids restart where
its prefix ends, so that the model can't tell the branch from the path written out in full.

Two layouts give the same numbers: `fused` puts everything into one row that needs a special mask;
`separate` writes each path out as a row of its own, for models that take such masks wrongly.
"""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Segment:
    """Tokens that follow the first `after` tokens of the trunk; the trunk itself has `after` 0."""

    ids: Sequence[int]
    after: int = 0

    @property
    def path_length(self) -> int:
        """Tokens of the path from the trunk's start to the end of this segment."""
        return self.after + len(self.ids)


@dataclass(frozen=True, slots=True)
class Row:
    """One row of a batch, each list of the row's length.

    Attributes:
        ids: tokens.
        positions: index of each token in its path.
        segments: which segment each token is from; 0 is what later segments can see.
        visible: how many of the row's first tokens a token sees beside its own segment.
    """

    ids: list[int]
    positions: list[int]
    segments: list[int]
    visible: list[int]

    @property
    def is_plain(self) -> bool:
        """True where ordinary causal attention is all the row needs."""
        return not any(self.segments)


@dataclass(frozen=True, slots=True)
class Layout:
    """Rows of one conversation, and where in them each path's tokens stand.

    Attributes:
        rows: one row, or one per path.
        places: per segment the row, and the column of the segment's first token.
        branches: the segments, the trunk first.
    """

    rows: list[Row]
    places: list[tuple[int, int]]
    branches: Sequence[Segment]

    def predictor(self, segment: int, index: int) -> tuple[int, int]:
        """Return row and column whose hidden state predicts token `index` of a segment's path."""
        row, start = self.places[segment]
        after = self.branches[segment].after
        column = index - 1 if index <= after else start + index - 1 - after
        return row, column


def fused(branches: Sequence[Segment]) -> Layout:
    """Put trunk and branches into one row."""
    row = Row([], [], [], [])
    places = []
    for number, segment in enumerate(branches):
        places.append((0, len(row.ids)))
        row.ids.extend(segment.ids)
        row.positions.extend(range(segment.after, segment.path_length))
        row.segments.extend([number] * len(segment.ids))
        row.visible.extend([segment.after] * len(segment.ids))
    return Layout([row], places, branches)


def separate(branches: Sequence[Segment]) -> Layout:
    """Write each path out as a row of its own."""
    trunk = list(branches[0].ids)
    rows = []
    places = []
    for number, segment in enumerate(branches):
        ids = [*trunk[: segment.after], *segment.ids]
        places.append((number, segment.after))
        rows.append(Row(ids, list(range(len(ids))), [0] * len(ids), [0] * len(ids)))
    return Layout(rows, places, branches)


def shared_prefix(first: Sequence[int], second: Sequence[int]) -> int:
    """Return how many tokens two paths have in common at their start."""
    for index, (one, other) in enumerate(zip(first, second, strict=False)):
        if one != other:
            return index
    return min(len(first), len(second))


def batches(lengths: Sequence[int], order: Sequence[int], budget: int) -> list[list[int]]:
    """Group indices, longest first, so that each group's padded size keeps within `budget` tokens.

    Args:
        lengths: tokens per index.
        order: the indices sorted by falling length.
        budget: tokens of a group, padding included; a longer index is a group of its own.
    """
    groups: list[list[int]] = []
    for index in order:
        if groups and lengths[groups[-1][0]] * (len(groups[-1]) + 1) <= budget:
            groups[-1].append(index)
        else:
            groups.append([index])
    return groups
