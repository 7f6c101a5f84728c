"""Pairs of texts that share most of their five-word shingles, exactly and without all pairs.

Prefix filtering (Bayardo, Ma and Srikant 2007): two sets with a Jaccard similarity of at least t
must share an element among the first |x| − ⌈t·|x|⌉ + 1 of each, in any fixed order. With the rarest
shingles first, few texts share one, so that few pairs are ever compared.
"""

import hashlib
import math
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

Hashes = NDArray[np.uint64]

LENGTH = 5
SIMILAR = 0.7
_FACTOR = 0x9E3779B97F4A7C15


def similar_pairs(
    texts: Sequence[Sequence[str]], similar: float = SIMILAR
) -> Iterator[tuple[int, int]]:
    """Yield index pairs that connect all texts with a Jaccard similarity of at least `similar`.

    Of texts with equal shingles only the first is compared with others; each of the rest is
    paired with it. Texts of fewer than five words are one shingle; empty ones are in no pair.

    Args:
        texts: n lists of words.
        similar: smallest Jaccard similarity.
    """
    hashed = _shingles(texts)
    first: dict[bytes, int] = {}
    unique: list[int] = []
    for row, hashes in enumerate(hashed):
        if not hashes.size:
            continue
        twin = first.setdefault(hashes.tobytes(), row)
        if twin == row:
            unique.append(row)
        else:
            yield twin, row
    if not unique:
        return
    ranked = _rarest_first([hashed[row] for row in unique])
    holders: dict[int, list[int]] = {}
    for index, shingles in enumerate(ranked):
        size = len(shingles)
        candidates: set[int] = set()
        for shingle in shingles[: size - math.ceil(similar * size - 1e-9) + 1].tolist():
            known = holders.setdefault(shingle, [])
            candidates.update(known)
            known.append(index)
        for other in sorted(candidates):
            if _jaccard(shingles, ranked[other], similar) >= similar:
                yield unique[other], unique[index]


def _shingles(texts: Sequence[Sequence[str]]) -> list[Hashes]:
    """Return the sorted, distinct shingle hashes of each text."""
    codes: dict[str, int] = {}
    found = []
    for words in texts:
        for word in words:
            if word not in codes:
                digest = hashlib.blake2b(word.encode("utf-8", "surrogatepass"), digest_size=8)
                codes[word] = int.from_bytes(digest.digest(), "little")
        hashed = np.array([codes[word] for word in words], dtype=np.uint64)
        length = min(LENGTH, len(hashed))
        total = np.zeros(len(hashed) - length + 1 if length else 0, dtype=np.uint64)
        for offset in range(length):
            total = total * np.uint64(_FACTOR) + hashed[offset : offset + len(total)]
        found.append(np.unique(total))
    return found


def _rarest_first(hashed: list[Hashes]) -> list[NDArray[np.int64]]:
    """Return each text's shingles as ranks by frequency, ascending: the rarest come first."""
    values, positions, counts = np.unique(
        np.concatenate(hashed), return_inverse=True, return_counts=True
    )
    rank = np.empty(len(values), dtype=np.int64)
    rank[np.argsort(counts, kind="stable")] = np.arange(len(values))
    ends = np.cumsum([len(shingles) for shingles in hashed])[:-1]
    return [np.sort(part) for part in np.split(rank[positions.ravel()], ends)]


def _jaccard(one: NDArray[np.int64], other: NDArray[np.int64], similar: float) -> float:
    small, large = sorted((len(one), len(other)))
    if small < similar * large:
        return 0.0
    shared = len(np.intersect1d(one, other, assume_unique=True))
    return shared / (len(one) + len(other) - shared)
