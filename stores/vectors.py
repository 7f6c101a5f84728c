"""Nearest-neighbour search over the samples' vectors: Chroma, and exact search in NumPy.

Both are rebuildable indexes; the vectors themselves are kept in Parquet. Chroma is embedded and
owned by one process, is never asked to embed anything, and its telemetry is off. The exact index is
what Chroma is tested against.
"""

import shutil
import sqlite3
import warnings
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ..core.disk import writing

Vectors = NDArray[np.float32]

QUERY_BATCH = 1000
SHORTEST_NAME, LONGEST_NAME = 3, 512
SEARCH_WIDTH = 200
"""Candidates that Chroma's graph search keeps in hand: wide enough that none of the nearest few
is missed on sets of this size."""

SYNC_ROWS = 50_000
"""Vectors after which Chroma writes its graph to the disk, all of it. By default it does so after
every batch, which for 200,000 vectors comes to ten gigabytes; what isn't written takes memory."""
HNSW = {"space": "cosine", "ef_search": SEARCH_WIDTH, "sync_threshold": SYNC_ROWS}


class VectorIndex(Protocol):
    """An index of vectors by id, searched by cosine similarity."""

    def add(self, ids: Sequence[str], vectors: Vectors) -> None:
        """Add vectors (float32[n, d], finite) under ids that the index does not hold yet.

        Raises:
            ValueError: an id twice or already there, another number of ids than vectors, another
                width than before, or a value that is not finite.
        """
        ...

    def nearest(self, vectors: Vectors, count: int) -> tuple[list[list[str]], Vectors]:
        """Return the ids of the `count` nearest to each of `vectors` (float32[m, d]), best first.

        Also returned are their cosine similarities, float32[m, c]; c is `count`, or the size of
        the index where that is smaller. A vector that is in the index finds itself.
        """
        ...

    @property
    def size(self) -> int:
        """Number of vectors held."""
        ...

    def clear(self) -> None:
        """Drop everything, to build the index again."""
        ...

    def close(self) -> None:
        """Release files and threads; the index can't be used afterwards."""
        ...


class ExactIndex:
    """Exact search by comparing with everything; equal similarities in order of id."""

    def __init__(self) -> None:
        """Start empty."""
        self._ids: list[str] = []
        self._vectors: Vectors = np.zeros((0, 0), dtype=np.float32)

    def add(self, ids: Sequence[str], vectors: Vectors) -> None:
        """Add vectors under new ids; see `VectorIndex.add`."""
        _refuse_malformed(ids, vectors)
        if known := set(ids) & set(self._ids):
            raise ValueError(f"add: id {min(known)!r} is already in the index; ids are unique")
        if self._ids and vectors.shape[1] != self._vectors.shape[1]:
            raise ValueError(
                f"add: vectors are {vectors.shape[1]} wide, the index {self._vectors.shape[1]}"
            )
        held = self._vectors if self._ids else np.zeros((0, vectors.shape[1]), dtype=np.float32)
        self._vectors = np.concatenate([held, _unit(vectors)])
        self._ids += ids

    def nearest(self, vectors: Vectors, count: int) -> tuple[list[list[str]], Vectors]:
        """Return the nearest ids and similarities; see `VectorIndex.nearest`."""
        count = min(count, self.size)
        if not count:
            return [[] for _ in vectors], np.zeros((len(vectors), 0), dtype=np.float32)
        rank = np.argsort(np.argsort(self._ids))
        names: list[list[str]] = []
        found: list[Vectors] = []
        for start in range(0, len(vectors), QUERY_BATCH):
            for near in _unit(vectors[start : start + QUERY_BATCH]) @ self._vectors.T:
                least = np.partition(near, -count)[-count]
                among = np.flatnonzero(near >= least)
                order = among[np.lexsort((rank[among], -near[among]))][:count]
                names.append([self._ids[i] for i in order])
                found.append(near[order])
        return names, np.array(found, dtype=np.float32).reshape(len(vectors), count)

    @property
    def size(self) -> int:
        """Number of vectors held."""
        return len(self._ids)

    def clear(self) -> None:
        """Drop everything."""
        self._ids, self._vectors = [], np.zeros((0, 0), dtype=np.float32)

    def close(self) -> None:
        """Release the memory."""
        self.clear()


class ChromaIndex:
    """One collection of an embedded Chroma database."""

    def __init__(self, folder: Path, name: str) -> None:
        """Open the collection `name` in the database at `folder`, or make it.

        Raises:
            ValueError: Chroma takes no such name.
            StorageError: the disk refuses it, as in `add` and `clear`.
        """
        if not SHORTEST_NAME <= len(name) <= LONGEST_NAME:
            raise ValueError(
                f"ChromaIndex: name {name!r} has {len(name)} characters; give it"
                f" {SHORTEST_NAME} to {LONGEST_NAME}, such as 'round-0'"
            )
        # Chroma takes a second to import, and its telemetry settings are read when it starts; given
        # here, they win over the environment.
        import chromadb
        from chromadb.config import Settings

        settings = Settings(anonymized_telemetry=False, chroma_otel_collection_endpoint="")
        self._name, self._folder = name, folder
        with writing(folder):
            folder.mkdir(parents=True, exist_ok=True)
            self._client: Any = chromadb.PersistentClient(path=str(folder), settings=settings)
            self.batch_size = int(self._client.get_max_batch_size())
            self._collection: Any = self._open()

    def add(self, ids: Sequence[str], vectors: Vectors) -> None:
        """Add vectors under new ids; see `VectorIndex.add`."""
        _refuse_malformed(ids, vectors)
        batches = [slice(at, at + self.batch_size) for at in range(0, len(ids), self.batch_size)]
        for part in batches if self.size else ():
            # Chroma itself keeps the first of two vectors under one id without a word.
            known = self._collection.get(ids=list(ids[part]), include=[])["ids"]
            if known:
                raise ValueError(f"add: id {min(known)!r} is already in the index; ids are unique")
        if self.size and len(ids):
            held = self._collection.peek(1)["embeddings"].shape[1]
            if vectors.shape[1] != held:
                raise ValueError(f"add: vectors are {vectors.shape[1]} wide, the index {held}")
        for part in batches:
            with writing(self._folder):
                self._collection.add(ids=list(ids[part]), embeddings=vectors[part])

    def nearest(self, vectors: Vectors, count: int) -> tuple[list[list[str]], Vectors]:
        """Return the nearest ids and similarities; see `VectorIndex.nearest`."""
        count = min(count, self.size)
        names: list[list[str]] = []
        distances: list[list[float]] = []
        if not count or not len(vectors):
            return [[] for _ in vectors], np.zeros((len(vectors), count), dtype=np.float32)
        for start in range(0, len(vectors), QUERY_BATCH):
            found = self._collection.query(
                query_embeddings=vectors[start : start + QUERY_BATCH],
                n_results=count,
                include=["distances"],
            )
            names += found["ids"]
            distances += found["distances"]
        return names, 1 - np.array(distances, dtype=np.float32)

    @property
    def size(self) -> int:
        """Number of vectors held."""
        return int(self._collection.count())

    def clear(self) -> None:
        """Delete the collection and make it again."""
        with writing(self._folder):
            self._client.delete_collection(self._name)
            self._remove_left()
            self._collection = self._open()

    def _remove_left(self) -> None:
        """Remove the graphs of deleted collections: Chroma leaves those of an earlier process."""
        with closing(sqlite3.connect(self._folder / "chroma.sqlite3")) as connection:
            known = {str(row[0]) for row in connection.execute("SELECT id FROM segments")}
        for graph in self._folder.glob("*/header.bin"):
            if graph.parent.name not in known:
                shutil.rmtree(graph.parent, ignore_errors=True)

    def close(self) -> None:
        """Close the database."""
        self._client.close()

    def _open(self) -> Any:
        with _without_embedding_warning():
            return self._client.get_or_create_collection(
                self._name,
                embedding_function=None,
                configuration={"hnsw": HNSW},
            )


@contextmanager
def _without_embedding_warning() -> Iterator[None]:
    """Keep Chroma from warning that no embedding function is configured: that is on purpose."""
    with warnings.catch_warnings():
        warnings.filterwarnings(
            "ignore", message="legacy embedding function config", category=DeprecationWarning
        )
        yield


def _refuse_malformed(ids: Sequence[str], vectors: Vectors) -> None:
    if len(ids) != len(vectors):
        raise ValueError(f"add: {len(ids)} ids for {len(vectors)} vectors; give one id per vector")
    if len(set(ids)) != len(ids):
        twice = min(name for name, count in Counter(ids).items() if count > 1)
        raise ValueError(f"add: id {twice!r} is given twice; ids are unique")
    # A NaN or an infinity makes its row's sum one too; a mask of all numbers would take memory.
    with np.errstate(invalid="ignore"):
        sums = vectors.sum(axis=1, dtype=np.float64)
    if not np.isfinite(sums).all():
        row = int(np.flatnonzero(~np.isfinite(sums))[0])
        raise ValueError(f"add: the vector of {ids[row]!r} is not finite; leave unscored rows out")


def _unit(vectors: Vectors) -> Vectors:
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors / np.where(lengths > 0, lengths, 1), dtype=np.float32)
