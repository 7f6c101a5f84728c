"""The nearest others of a sample that are copies neither of it nor of one another, ranked exactly.

An index proposes candidates; their similarities are computed again in float64, rounded to 4
decimals, and ties are broken by id, so that an approximate index gives the same neighbours in every
run. All of it is done for blocks of rows: what is held at a time does not grow with the data set.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Vectors = NDArray[np.float32]
Integers = NDArray[np.int64]
Hashes = NDArray[np.uint64]

COPY = 0.98
DECIMALS = 4
NONE = -1
BLOCK_ROWS = 64
"""Rows compared with all others at a time: among 200,000 that takes about 100 MB."""
BLOCK_PAIRS = 8192
"""Pairs of vectors gathered at a time: at 576 numbers they take 75 MB."""
_SLACK = 2e-4
"""More than a float32 product of unit vectors lies from the one in float64, rounded."""
_BANNED = -2.0


class Neighbourhood:
    """Unit vectors among which the nearest others of a row are looked for."""

    def __init__(self, ids: Sequence[str], vectors: Vectors, prompts: Hashes) -> None:
        """Use n ids, float32[n, d] of unit length, and uint64[n]: equal prompts are copies."""
        self._vectors = vectors
        self._prompts = prompts
        self._rank = np.empty(len(ids), dtype=np.int64)
        self._rank[np.argsort(np.asarray(ids, dtype=np.str_), kind="stable")] = np.arange(len(ids))

    def pick(self, rows: Integers, candidates: Integers, n: int) -> tuple[Integers, Floats]:
        """Choose each row's n nearest among its candidates.

        Args:
            rows: int64[b], positions of the rows.
            candidates: int64[b, c], positions; `NONE` where an index gave fewer. The row itself
                may be among them.
            n: how many to choose.

        Returns:
            int64[b, n], positions, nearest first, `NONE` where there are too few; and float64[b, n]
            their cosine similarities of 4 decimals, NaN there.
        """
        own = self._vectors[rows].astype(np.float64)
        others = self._vectors[candidates].astype(np.float64)
        near = np.round(np.matmul(others, own[:, :, None])[:, :, 0], DECIMALS)
        allowed = (candidates != NONE) & (candidates != rows[:, None]) & (near <= COPY)
        allowed &= self._prompts[candidates] != self._prompts[rows][:, None]
        near = np.where(allowed, near, -np.inf)
        order = np.lexsort((self._rank[candidates], -near), axis=1)
        candidates = np.take_along_axis(candidates, order, axis=1)
        near = np.take_along_axis(near, order, axis=1)
        chosen, similarities = _nothing(len(rows), n)
        count = np.zeros(len(rows), dtype=np.int64)
        for column in range(candidates.shape[1]):
            open_ = np.flatnonzero((count < n) & np.isfinite(near[:, column]))
            if not open_.size:
                break
            free = open_[~self._copies(candidates[open_, column], chosen[open_])]
            chosen[free, count[free]] = candidates[free, column]
            similarities[free, count[free]] = near[free, column]
            count[free] += 1
        return chosen, similarities

    def search(self, rows: Integers, n: int) -> tuple[Integers, Floats]:
        """Choose each row's n nearest among all others; returns what `pick` does."""
        chosen, similarities = _nothing(len(rows), n)
        for start in range(0, len(rows), BLOCK_ROWS):
            block = slice(start, start + BLOCK_ROWS)
            near = self._near(rows[block])
            for place in range(n):
                for i, line in enumerate(near, start):
                    chosen[i, place], similarities[i, place] = self._nearest(rows[i], line)
                if place + 1 < n:
                    taken = np.where(
                        chosen[block, place] == NONE, rows[block], chosen[block, place]
                    )
                    near[self._near(taken) == _BANNED] = _BANNED
        return chosen, similarities

    def _copies(self, rows: Integers, mates: Integers) -> NDArray[np.bool_]:
        """Return bool[b]: the row is a copy of one of its mates (int64[b, n], maybe `NONE`)."""
        found = np.zeros(len(rows), dtype=np.bool_)
        for column in mates.T:
            there = column != NONE
            found |= there & (self._prompts[rows] == self._prompts[column])
            found |= there & (self._similarities(rows, column) > COPY)
        return found

    def _near(self, rows: Integers) -> Vectors:
        """Return float32[b, n], similarities to all; `_BANNED` for copies and the row itself."""
        near = self._vectors[rows] @ self._vectors.T
        copies = near > COPY
        # Which side of the bound a close one falls on is decided in float64.
        some, others = np.nonzero(np.abs(near - COPY) < _SLACK)
        copies[some, others] = self._similarities(rows[some], others) > COPY
        near[copies | (self._prompts[rows][:, None] == self._prompts)] = _BANNED
        near[np.arange(len(rows)), rows] = _BANNED
        return np.asarray(near)

    def _nearest(self, row: int, line: Vectors) -> tuple[int, float]:
        top = line.max()
        if top == _BANNED:
            return NONE, np.nan
        among = np.flatnonzero(line >= top - _SLACK)
        exact = self._similarities(np.full(len(among), row), among)
        best = among[np.lexsort((self._rank[among], -exact))[0]]
        return int(best), float(exact.max())

    def _similarities(self, rows: Integers, others: Integers) -> Floats:
        """Return the cosine similarities of pairs, float64[b], 4 decimals."""
        found = np.empty(len(rows))
        for start in range(0, len(rows), BLOCK_PAIRS):
            block = slice(start, start + BLOCK_PAIRS)
            one = self._vectors[rows[block]].astype(np.float64)
            other = self._vectors[others[block]].astype(np.float64)
            found[block] = np.einsum("ij,ij->i", one, other)
        return np.round(found, DECIMALS)


def _nothing(rows: int, n: int) -> tuple[Integers, Floats]:
    return np.full((rows, n), NONE, dtype=np.int64), np.full((rows, n), np.nan)
