"""Which index a run's readers use: the run's own, or one made from its Parquet files.

A run writes `index.db` as it goes. Runs of older versions have none, and one that could not be
written is incomplete; readers then make their own in Middo's cache, named by what it was made of,
since nothing but a run writes into its folder.
"""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from ..core.errors import MiddoError
from ..core.ids import short_hash
from ..signals.projection import fit_projection
from ..stores.index import INDEX_DB, Index, open_index
from ..stores.index_tables import SCHEMA
from ..stores.indexing import fingerprint, index_writer
from ..stores.lock import is_locked
from ..stores.samples import MANIFEST, Version, read_manifest
from ..stores.shared import shared_scores_file
from .diagnoses import read_diagnosis

PATIENCE = 60.0
"""Seconds that a living run gets to index what it has just written."""
MOST_CACHED = 32
"""Indexes that the cache holds: nobody says so when a run's folder is removed."""


@dataclass(frozen=True, slots=True)
class Contents:
    """What an index of a run has to hold.

    Attributes:
        versions: round -> hash of its data set.
        diagnoses: round -> fingerprint of its signals.
        written: when the newest of the files was written, seconds since the epoch.
    """

    versions: dict[int, str]
    diagnoses: dict[int, str]
    written: float

    def are_in(self, index: Index) -> bool:
        """Return whether an index holds all of it."""
        return (
            index.versions().items() >= self.versions.items()
            and index.diagnoses().items() >= self.diagnoses.items()
        )


def rounds_in(folder: Path) -> Iterator[tuple[int, Path]]:
    """Yield number and folder of each round that has a folder, in order."""
    found = [path for path in (folder / "rounds").glob("*") if path.name.isdecimal()]
    yield from sorted((int(path.name), path) for path in found)


def _source_round(diagnosis: Path) -> int:
    return int(read_diagnosis(diagnosis)["source_round"])


class Contained:
    """What a run folder holds now; files that did not change are not read again."""

    def __init__(self, folder: Path) -> None:
        """Name the run folder."""
        self._folder = folder
        self._known: dict[Path, tuple[tuple[int, int], object]] = {}

    def now(self) -> Contents:
        """Look at the folder."""
        versions: dict[int, str] = {}
        diagnoses: dict[int, str] = {}
        written = 0.0
        for number, folder in rounds_in(self._folder):
            manifest = folder / "dataset" / MANIFEST
            if manifest.is_file():
                versions[number] = str(
                    self._once(manifest, lambda p: read_manifest(p.parent).sha256)
                )
                written = max(written, manifest.stat().st_mtime)
            diagnosis, signals = folder / "diagnosis.json", folder / "signals.parquet"
            if diagnosis.is_file() and signals.is_file():
                diagnoses[number] = str(self._once(signals, fingerprint))
                written = max(written, diagnosis.stat().st_mtime)
        return Contents(versions, diagnoses, written)

    def _once(self, path: Path, read: Callable[[Path], object]) -> object:
        status = path.stat()
        mark = (status.st_size, status.st_mtime_ns)
        known = self._known.get(path)
        if known is None or known[0] != mark:
            known = self._known[path] = (mark, read(path))
        return known[1]


class Indexes:
    """The index of a run folder, opened on first use and opened anew when another one is right."""

    def __init__(self, folder: Path, seed: Callable[[], int]) -> None:
        """Name the run folder; `seed` returns that of its configuration."""
        self._folder = folder
        self._seed = seed
        self._contained = Contained(folder)
        self._lock = threading.RLock()
        self._index: Index | None = None
        self._whose: Path | None = None
        self._complete: Contents | None = None
        self._retired: list[Index] = []

    def current(self) -> Index:
        """Return the index to read.

        Raises:
            MiddoError: none can be made.
        """
        with self._lock:
            contents = self._contained.now()
            if self._index is not None and contents == self._complete:
                return self._index
            own = self._opened(self._folder / INDEX_DB)
            if own is not None:
                complete = contents.are_in(own)
                if complete or self._may_wait(contents):
                    self._complete = contents if complete else None
                    return own
            return self._made(contents)

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._replace(None, None)
            for index in self._retired:
                index.close()
            self._retired.clear()

    def _opened(self, path: Path) -> Index | None:
        if self._index is not None and self._whose == path:
            return self._index
        found = open_index(path)
        if found is not None:
            self._replace(found, path)
        return found

    def _may_wait(self, contents: Contents) -> bool:
        """Return whether a living run is still about to index what is missing."""
        # A clock that was set back since must not make this wait until it has caught up.
        return abs(time.time() - contents.written) < PATIENCE and is_locked(self._folder)

    def _made(self, contents: Contents) -> Index:
        path = cached_index(self._folder, contents)
        found = self._opened(path)
        if found is None:
            make_index(self._folder, contents, path, self._seed())
            found = self._opened(path)
        if found is None:
            raise MiddoError(f"{path}: can't be read; remove it and try again")
        self._complete = contents
        return found

    def _replace(self, index: Index | None, path: Path | None) -> None:
        # A page that is being made may still be reading the one before.
        if self._index is not None:
            self._retired.append(self._index)
        self._index, self._whose, self._complete = index, path, None


def cached_index(folder: Path, contents: Contents) -> Path:
    """Return where the index of a run without one of its own is kept."""
    key = short_hash(
        [SCHEMA, sorted(contents.versions.items()), sorted(contents.diagnoses.items())]
    )
    name = f"{short_hash(str(folder.resolve()))}-{key}.db"
    return shared_scores_file().parent / "indexes" / name


def make_index(folder: Path, contents: Contents, path: Path, seed: int) -> None:
    """Make an index from a run's Parquet files; it appears whole, and older ones of it go.

    Raises:
        MiddoError: the cache can't be written to, or SQLite is too old.
    """
    unfinished = path.with_name(f".{path.name}.{threading.get_ident()}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with index_writer(unfinished) as writer:
            for number in contents.versions:
                writer.add_version(number, Version(folder / "rounds" / str(number) / "dataset"))
            for number in contents.diagnoses:
                of_round = folder / "rounds" / str(number)
                source = _source_round(of_round / "diagnosis.json")
                fit = partial(fit_projection, seed=seed)
                writer.add_diagnosis(number, source, of_round, fit)
            writer.settle()
        unfinished.replace(path)
    except OSError as error:
        raise MiddoError(
            f"{path}: the index can't be written ({error.strerror}); set MIDDO_CACHE to a folder"
            " that can be"
        ) from error
    finally:
        for name in (unfinished.name, f"{unfinished.name}-wal", f"{unfinished.name}-shm"):
            with suppress(OSError):
                unfinished.with_name(name).unlink(missing_ok=True)
    _clear(path)


def _clear(newest: Path) -> None:
    """Remove older indexes of the same run, and the oldest of all where the cache holds too many.

    One that a reader has open stays readable for it.
    """
    whose = newest.name.partition("-")[0]
    others = [(_written(path), path) for path in newest.parent.glob("*.db") if path != newest]
    others.sort(reverse=True)
    older = [path for _, path in others if path.name.startswith(f"{whose}-")]
    kept = [path for _, path in others if path not in older]
    for path in (*older, *kept[MOST_CACHED - 1 :]):
        for name in (path.name, f"{path.name}-wal", f"{path.name}-shm"):
            with suppress(OSError):
                path.with_name(name).unlink(missing_ok=True)


def _written(path: Path) -> float:
    """Return when a file was written; 0 where another process has just removed it."""
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0
