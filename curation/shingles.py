"""Which texts share most of their five-word shingles, exactly and without comparing all pairs.

Prefix filtering (Bayardo, Ma and Srikant 2007): two sets with a Jaccard similarity of at least t
must share an element among the first |x| − ⌈t·|x|⌉ + 1 of each, in any fixed order. With the rarest
shingles first, few texts share one, so that few pairs are ever compared. What is wanted are groups
that chains of such pairs connect: two texts that are in one group already are not compared either.
"""

import hashlib
import math
from array import array
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

Hashes = NDArray[np.uint64]
Integers = NDArray[np.int64]

LENGTH = 5
SIMILAR = 0.7
_FACTOR = 0x9E3779B97F4A7C15
_BUCKET_BITS = 22


class Groups:
    """Rows in disjoint groups, each row alone at first (union and find, Tarjan 1975)."""

    def __init__(self) -> None:
        """Start without rows."""
        self._leader: list[int] = []

    def add(self) -> int:
        """Take in a new row and return its number."""
        self._leader.append(len(self._leader))
        return len(self._leader) - 1

    def root(self, row: int) -> int:
        """Return the first row of a row's group."""
        leader = self._leader
        while leader[row] != row:
            leader[row] = leader[leader[row]]
            row = leader[row]
        return row

    def join(self, one: int, other: int) -> None:
        """Make the groups of two rows one."""
        first, second = sorted((self.root(one), self.root(other)))
        self._leader[second] = first


class Shingler:
    """Turns words into the hashes of their shingles."""

    def __init__(self) -> None:
        """Start without words."""
        self._codes: dict[str, int] = {}

    def __call__(self, words: Sequence[str]) -> Hashes:
        """Return the sorted, distinct shingle hashes of a text.

        A text of fewer than five words is one shingle; one without words has none.
        """
        hashed = np.array([self._code(word) for word in words], dtype=np.uint64)
        length = min(LENGTH, len(hashed))
        total = np.zeros(len(hashed) - length + 1 if length else 0, dtype=np.uint64)
        for offset in range(length):
            total = total * np.uint64(_FACTOR) + hashed[offset : offset + len(total)]
        return np.unique(total)

    def _code(self, word: str) -> int:
        code = self._codes.get(word)
        if code is None:
            digest = hashlib.blake2b(word.encode("utf-8", "surrogatepass"), digest_size=8)
            code = self._codes[word] = int.from_bytes(digest.digest(), "little")
        return code


class Texts:
    """The shingles of many texts, one after the other in one piece of memory."""

    def __init__(self) -> None:
        """Start without texts."""
        self._hashes = array("Q")
        self._ends = array("Q", [0])

    def append(self, shingles: Hashes) -> None:
        """Add a text's shingles."""
        self._hashes.frombytes(shingles.tobytes())
        self._ends.append(len(self._hashes))

    def __len__(self) -> int:
        """Return the number of texts."""
        return len(self._ends) - 1

    def __getitem__(self, row: int) -> Hashes:
        """Return a copy of the shingles of one text."""
        part = self._hashes[self._ends[row] : self._ends[row + 1]]
        return np.frombuffer(part, dtype=np.uint64)

    def all(self) -> Hashes:
        """Return the shingles of all texts, one text after the other."""
        return np.frombuffer(self._hashes, dtype=np.uint64)


def connect(texts: Texts, groups: Groups, similar: float = SIMILAR) -> None:
    """Join rows whose texts have a Jaccard similarity of at least `similar`.

    Args:
        texts: of the rows of `groups`, by one `Shingler`. Empty ones are joined with none.
        groups: of the rows; joined already are those that belong together for another reason.
        similar: smallest Jaccard similarity.
    """
    first: dict[bytes, int] = {}
    unique: list[int] = []
    for row in range(len(texts)):
        shingles = texts[row]
        if not shingles.size:
            continue
        digest = hashlib.blake2b(shingles.tobytes(), digest_size=16).digest()
        twin = first.setdefault(digest, row)
        if twin == row:
            unique.append(row)
        else:
            groups.join(twin, row)
    del first
    holders: dict[int, list[int]] = {}
    mixed: set[int] = set()
    for row, shared in zip(unique, _shared_prefixes(texts, unique, similar), strict=True):
        compared: set[int] = set()
        for shingle in shared.tolist():
            known = holders.setdefault(shingle, [])
            # Rows that share a shingle are mostly one group, and then one question is enough.
            if known and (shingle in mixed or groups.root(known[0]) != groups.root(row)):
                several = shingle in mixed
                met = _meet(row, known, several, compared, texts, groups, similar)
                if several:
                    met = len({groups.root(other) for other in (*known, row)}) == 1
                (mixed.discard if met else mixed.add)(shingle)
            known.append(row)


def _meet(
    row: int,
    known: Sequence[int],
    several: bool,
    compared: set[int],
    texts: Texts,
    groups: Groups,
    similar: float,
) -> bool:
    """Join a row with those it is similar to; return whether one was found.

    Unless the known ones are of `several` groups, the first that is found will do.
    """
    found = False
    for other in reversed(known):
        if other in compared or groups.root(other) == groups.root(row):
            continue
        compared.add(other)
        if _jaccard(texts[row], texts[other], similar) >= similar:
            groups.join(other, row)
            found = True
            if not several:
                break
    return found


def _shared_prefixes(texts: Texts, rows: Sequence[int], similar: float) -> Iterator[Integers]:
    """Yield, per row, numbers of the shingles of its prefix that other prefixes hold too."""
    counts = np.zeros(1 << _BUCKET_BITS, dtype=np.int32)
    for row in rows:
        # Shingles of one bucket count as one: the order is as fixed, and all but as good.
        np.add.at(counts, _buckets(texts[row]), 1)
    prefixes = Texts()
    for row in rows:
        shingles = texts[row]
        length = len(shingles) - math.ceil(similar * len(shingles) - 1e-9) + 1
        order = np.lexsort((shingles, counts[_buckets(shingles)]))
        prefixes.append(shingles[order[:length]])
    numbers = _numbered(prefixes.all())
    start = 0
    for index in range(len(prefixes)):
        end = start + len(prefixes[index])
        part = numbers[start:end]
        yield part[part >= 0]
        start = end


def _numbered(shingles: Hashes) -> Integers:
    """Return int64[n]: equal shingles have the same number, those that stand alone −1."""
    order = np.argsort(shingles, kind="stable")
    new = np.ones(len(order), dtype=np.bool_)
    new[1:] = shingles[order[1:]] != shingles[order[:-1]]
    number = np.cumsum(new) - 1
    alone = np.bincount(number, minlength=1)[number] == 1
    found = np.empty(len(order), dtype=np.int64)
    found[order] = np.where(alone, -1, number)
    return found


def _buckets(shingles: Hashes) -> Integers:
    return (shingles >> np.uint64(64 - _BUCKET_BITS)).astype(np.int64)


def _jaccard(one: Hashes, other: Hashes, similar: float) -> float:
    small, large = sorted((len(one), len(other)))
    if small < similar * large:
        return 0.0
    shared = len(np.intersect1d(one, other, assume_unique=True))
    return shared / (len(one) + len(other) - shared)
