"""Density: how close a sample lies to its nearest others in the tuned model's own space.

Vectors are centred on the data set's mean before they are normalised: a language model's hidden
states share one large direction, and without centring every pair looks alike. An index proposes
candidates; they are ranked again from the vectors themselves, ties by id, so that an approximate
index gives the same neighbours in every run.

Copies count once. Two samples are copies where their prompts read the same (case and white space
aside) or their similarity is above 0.98. A sample's own copies are not its neighbours, and of
neighbours that are copies of each other only the nearest is taken: a row that someone pasted five
times is still alone.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Vectors = NDArray[np.float32]
Nearest = Callable[[Vectors, int], tuple[list[list[str]], Vectors]]
"""`VectorIndex.nearest`: (vectors float32[m, d], count) -> (ids, cosine similarities)."""

COPY = 0.98
DECIMALS = 4
BLOCK = 256


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
    if not len(vectors) or not np.isfinite(vectors).all():
        raise ValueError(f"mean_vector: {len(vectors)} vectors, all must be finite; leave out NaN")
    return np.asarray(vectors.mean(axis=0, dtype=np.float64))


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
    centred = vectors - (mean_vector(vectors) if mean is None else mean)
    if not np.isfinite(centred).all():
        raise ValueError("centre_and_normalise: a vector is not finite; leave out unscored rows")
    lengths = np.linalg.norm(centred, axis=1, keepdims=True)
    return np.asarray(centred / np.where(lengths > 1e-9, lengths, np.inf), dtype=np.float32)


def exact_neighbours(
    ids: Sequence[str], vectors: Vectors, candidates: Sequence[Sequence[str]]
) -> list[list[tuple[str, float]]]:
    """Rank each sample's candidates by exact similarity, ties by id; the sample itself is dropped.

    Args:
        ids: n ids.
        vectors: float32[n, d], unit length, in the order of `ids`.
        candidates: n lists of ids, from an index.

    Returns:
        n lists of (id, cosine similarity of 4 decimals), nearest first.
    """
    position = {name: row for row, name in enumerate(ids)}
    return [
        _ranked(row, [position[name] for name in names], ids, vectors)
        for row, names in enumerate(candidates)
    ]


def density(
    ids: Sequence[str], vectors: Vectors, prompts: Sequence[str], nearest: Nearest, n: int = 2
) -> Density:
    """Measure s(x), the mean similarity of each sample to its n nearest others.

    Rows with more copies than the index was asked for are searched in full.

    Args:
        ids: one id per sample.
        vectors: float32[n_samples, d] from `centre_and_normalise`, in the order of `ids`.
        prompts: prompt texts in the order of `ids`; equal ones are copies.
        nearest: search in an index that holds exactly these vectors.
        n: neighbours to average; fewer where there are fewer others.
    """
    texts = [" ".join(prompt.casefold().split()) for prompt in prompts]
    position = {name: row for row, name in enumerate(ids)}
    asked = min(len(ids), 4 * n + 8)
    found, _ = nearest(vectors, asked)
    neighbours: list[tuple[str, ...]] = []
    similarities: list[tuple[float, ...]] = []
    for row, ranking in enumerate(exact_neighbours(ids, vectors, found)):
        chosen = _distinct(row, ranking, n, vectors, texts, position)
        if len(chosen) < n and asked < len(ids):
            chosen = _distinct(row, _all_ranked(row, ids, vectors), n, vectors, texts, position)
        neighbours.append(tuple(name for name, _ in chosen))
        similarities.append(tuple(similarity for _, similarity in chosen))
    means = [float(np.mean(values)) if values else np.nan for values in similarities]
    return Density(np.round(np.array(means), DECIMALS), neighbours, similarities)


def density_with(similarities: Sequence[float], similarity: float, n: int = 2) -> float:
    """Return the density of a sample once a new one of that similarity has joined.

    Args:
        similarities: to the sample's nearest others, at least its n nearest.
        similarity: of the new one to the sample.
        n: neighbours to average.
    """
    nearest = sorted((*similarities, similarity), reverse=True)[:n]
    return round(float(np.mean(nearest)), DECIMALS)


def _ranked(
    row: int, others: Sequence[int], ids: Sequence[str], vectors: Vectors
) -> list[tuple[str, float]]:
    picked = [other for other in others if other != row]
    near = vectors[picked].astype(np.float64) @ vectors[row].astype(np.float64)
    pairs = [(ids[i], round(float(s), DECIMALS)) for i, s in zip(picked, near, strict=True)]
    return sorted(pairs, key=lambda pair: (-pair[1], pair[0]))


def _all_ranked(row: int, ids: Sequence[str], vectors: Vectors) -> Iterable[tuple[str, float]]:
    """Yield every other sample, nearest first, exact within blocks of the float32 order."""
    order = np.argsort(-(vectors @ vectors[row]), kind="stable")
    for start in range(0, len(order), BLOCK):
        yield from _ranked(row, order[start : start + BLOCK].tolist(), ids, vectors)


def _distinct(
    row: int,
    ranking: Iterable[tuple[str, float]],
    n: int,
    vectors: Vectors,
    texts: Sequence[str],
    position: dict[str, int],
) -> list[tuple[str, float]]:
    """Return the n nearest that are copies neither of the sample nor of one another."""
    chosen: list[tuple[str, float]] = []
    taken: list[int] = []
    for name, similarity in ranking:
        other = position[name]
        if similarity > COPY or texts[other] == texts[row]:
            continue
        if any(
            texts[other] == texts[mate] or float(vectors[other] @ vectors[mate]) > COPY
            for mate in taken
        ):
            continue
        chosen.append((name, similarity))
        taken.append(other)
        if len(chosen) == n:
            break
    return chosen
