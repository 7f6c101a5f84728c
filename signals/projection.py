"""A map of a data set in two dimensions: the first two principal components of its embeddings.

The components are fitted on a seeded part of the rows and applied to all of them block by block, so
that nothing grows with the data set but two numbers a row.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .density import centre_and_normalise

Floats = NDArray[np.float64]
Vectors = NDArray[np.float32]

FIT_ROWS = 4_000
FEWEST = 3
"""Rows below which two dimensions mean nothing."""


@dataclass(frozen=True, slots=True, eq=False)
class Projection:
    """A fitted projection.

    Attributes:
        centre: float64[d], mean of all vectors, as density has it.
        mean: float64[d], mean of the unit vectors that were fitted.
        axes: float64[2, d], orthonormal; the largest entry of each is positive.
    """

    centre: Floats
    mean: Floats
    axes: Floats

    def __call__(self, vectors: Vectors) -> Vectors:
        """Return float32[n, 2], the places of `vectors` (float32[n, d]) on the map."""
        unit = centre_and_normalise(vectors, self.centre)
        return np.asarray((unit - self.mean) @ self.axes.T, dtype=np.float32)


def fit_projection(
    blocks: Callable[[], Iterable[Vectors]], rows: int, seed: int
) -> Projection | None:
    """Fit a projection on at most `FIT_ROWS` rows; None where there are too few of them.

    Args:
        blocks: yields the vectors, float32[m, d] each; called once.
        rows: of all blocks together.
        seed: chooses the rows.

    Raises:
        ValueError: a vector is not finite.
    """
    if rows < FEWEST:
        return None
    from sklearn.decomposition import PCA

    generator = np.random.default_rng(seed)
    chosen = np.sort(generator.choice(rows, min(rows, FIT_ROWS), replace=False))
    total: Floats | None = None
    picked: list[Vectors] = []
    for start, block in _numbered(blocks()):
        sums = block.sum(axis=0, dtype=np.float64)
        total = sums if total is None else total + sums
        low, high = np.searchsorted(chosen, (start, start + len(block)))
        picked.append(block[chosen[low:high] - start])
    if total is None or len(total) < 2:
        return None
    centre = total / rows
    unit = centre_and_normalise(np.concatenate(picked), centre)
    if not np.ptp(unit, axis=0).any():
        return Projection(centre, np.zeros(len(centre)), np.eye(2, len(centre)))
    fitted = PCA(n_components=2, random_state=seed).fit(unit)
    axes = np.asarray(fitted.components_, dtype=np.float64)
    # The sign of a component is the solver's accident.
    strongest = axes[np.arange(2), np.abs(axes).argmax(axis=1)]
    axes = axes * np.sign(strongest)[:, None]
    return Projection(centre, np.asarray(fitted.mean_, dtype=np.float64), axes)


def _numbered(blocks: Iterable[Vectors]) -> Iterator[tuple[int, Vectors]]:
    """Yield each block with the number of its first row."""
    start = 0
    for block in blocks:
        yield start, block
        start += len(block)
