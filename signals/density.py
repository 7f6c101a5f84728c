"""Density: how close a sample lies to its nearest others in the tuned model's own space.

Vectors are centred on the data set's mean before they are normalised: a language model's hidden
states share one large direction, and without centring every pair looks alike.

Copies count once. Two samples are copies where their prompts read the same (case and white space
aside) or their similarity is above 0.98. A sample's own copies are not its neighbours, and of
neighbours that are copies of each other only the nearest is taken: a row that someone pasted five
times is still alone.
"""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .neighbours import BLOCK_PAIRS, DECIMALS, NONE, Neighbourhood

Floats = NDArray[np.float64]
Vectors = NDArray[np.float32]
Integers = NDArray[np.int64]
Hashes = NDArray[np.uint64]
Nearest = Callable[[Vectors, int], tuple[list[list[str]], Vectors]]
"""`VectorIndex.nearest`: (vectors float32[m, d], count) -> (ids, cosine similarities)."""

BLOCK = 4096
MANY = 16
"""How many times more candidates are asked for where too many of the first are copies."""


@dataclass(frozen=True, slots=True)
class Density:
    """Density and neighbours of every sample, in the order of the ids given.

    Attributes:
        values: float64[n], mean similarity to the nearest others; NaN where there is none.
        neighbours: ids of those others, nearest first.
        similarities: their cosine similarities, 4 decimals.
    """

    values: Floats
    neighbours: list[tuple[str, ...]]
    similarities: list[tuple[float, ...]]


def mean_vector(vectors: Vectors) -> Floats:
    """Return the mean of `vectors` (float32[n, d]) as float64[d]: the centre of a data set.

    Raises:
        ValueError: no vectors, or one that is not finite.
    """
    with np.errstate(invalid="ignore"):  # of infinities of both signs: no mean, and no warning
        mean = vectors.mean(axis=0, dtype=np.float64) if len(vectors) else np.array([np.nan])
    if not np.isfinite(mean).all():
        raise ValueError(f"mean_vector: {len(vectors)} vectors, all must be finite; leave out NaN")
    return np.asarray(mean)


def centre_and_normalise(vectors: Vectors, mean: Floats | None = None) -> Vectors:
    """Return the vectors minus their mean, scaled to unit length, float32[n, d].

    A vector that equals the mean stays all zeros: it is similar to nothing.

    Args:
        vectors: float32[n, d].
        mean: float64[d], the centre of the data set that a proposal is compared with; by default
            the mean of `vectors`.

    Raises:
        ValueError: no vectors, or one that is not finite.
    """
    mean = mean_vector(vectors) if mean is None else mean
    unit = np.empty(vectors.shape, dtype=np.float32)
    for start in range(0, len(vectors), BLOCK):
        centred = vectors[start : start + BLOCK] - mean
        if not np.isfinite(centred).all():
            raise ValueError(
                "centre_and_normalise: a vector is not finite; leave unscored rows out"
            )
        lengths = np.linalg.norm(centred, axis=1, keepdims=True)
        unit[start : start + BLOCK] = centred / np.where(lengths > 1e-9, lengths, np.inf)
    return unit


def prompt_hash(prompt: str) -> int:
    """Return 64 bits that are equal for prompts that read the same, case and white space aside."""
    text = " ".join(prompt.casefold().split())
    digest = hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8)
    return int.from_bytes(digest.digest(), "little")


def density(
    ids: Sequence[str], vectors: Vectors, prompts: Hashes, nearest: Nearest, n: int = 2
) -> Density:
    """Measure s(x), the mean similarity of each sample to its n nearest others.

    Rows that have more copies than the index was asked for are looked up among more candidates,
    and those that even then lack neighbours are compared with every other row.

    Args:
        ids: one id per sample.
        vectors: float32[n_samples, d] from `centre_and_normalise`, in the order of `ids`.
        prompts: uint64[n_samples], `prompt_hash` of each prompt; equal ones are copies.
        nearest: search in an index that holds exactly these vectors.
        n: neighbours to average; fewer where there are fewer others.
    """
    rows, first = len(ids), 4 * n + 8
    position = {name: row for row, name in enumerate(ids)}
    space = Neighbourhood(ids, vectors, prompts)
    chosen = np.full((rows, n), NONE, dtype=np.int64)
    near = np.full((rows, n), np.nan)
    todo = np.arange(rows)
    for count in (min(rows, first), min(rows, MANY * first)):
        size = max(1, BLOCK_PAIRS // count)
        for start in range(0, todo.size, size):
            block = todo[start : start + size]
            names, _ = nearest(vectors[block], count)
            candidates = _positions(names, position, count)
            chosen[block], near[block] = space.pick(block, candidates, n)
        # Where the index was asked for everything, there is nothing more to be found.
        todo = todo[(chosen[todo] == NONE).any(axis=1)] if count < rows else todo[:0]
    if todo.size:
        chosen[todo], near[todo] = space.search(todo, n)
    return _density(ids, chosen, near)


def density_with(similarities: Sequence[float], similarity: float, n: int = 2) -> float:
    """Return the density of a sample once a new one of that similarity has joined.

    Args:
        similarities: to the sample's nearest others, at least its n nearest.
        similarity: of the new one to the sample.
        n: neighbours to average.
    """
    nearest = sorted((*similarities, similarity), reverse=True)[:n]
    return round(float(np.mean(nearest)), DECIMALS)


def _positions(names: Sequence[Sequence[str]], position: dict[str, int], count: int) -> Integers:
    found = np.full((len(names), count), NONE, dtype=np.int64)
    for row, line in enumerate(names):
        found[row, : len(line)] = [position[name] for name in line]
    return found


def _density(ids: Sequence[str], chosen: Integers, near: Floats) -> Density:
    there = chosen != NONE
    counts = there.sum(axis=1)
    sums = np.where(there, near, 0.0).sum(axis=1)
    values: Floats = np.where(counts > 0, sums / np.maximum(counts, 1), np.nan)
    # Chosen ones stand first, so that a row's count says where they end.
    pairs = zip(chosen.tolist(), near.tolist(), counts.tolist(), strict=True)
    neighbours: list[tuple[str, ...]] = []
    similarities: list[tuple[float, ...]] = []
    for places, values_of_row, count in pairs:
        neighbours.append(tuple(ids[place] for place in places[:count]))
        similarities.append(tuple(values_of_row[:count]))
    return Density(np.asarray(np.round(values, DECIMALS)), neighbours, similarities)
