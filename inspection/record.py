"""A run folder open for reading, while the run goes on or after: figures, tables, ledger, index.

Nothing is read before it is asked for, nor are libraries loaded that only that needs; what is asked
for is as fresh as the files, and files that did not change are not read twice. Nothing is ever
written into the folder.
"""

import threading
from collections.abc import Callable, Hashable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from ..core.config import RunConfig
from ..core.errors import ConfigError, UsageError
from ..formats.configuration import load_kept
from ..stores.database import Database, intact, read_database
from ..stores.facts import Facts
from ..stores.ledger import Ledger
from ..stores.runs import read_run
from ..stores.trace_schema import TRACES_DB
from .diagnoses import read_diagnosis
from .memory import MOST_ROUNDS, Memory

if TYPE_CHECKING:
    from ..stores.index import Index
    from ..stores.samples import Version
    from ..stores.trace_reader import TraceReader
    from .columns import Columns
    from .siblings import Siblings
    from .sources import Indexes

CONFIG = "config.yaml"
Value = TypeVar("Value")


class Record:
    """One run folder. Every method may be called from several threads."""

    def __init__(self, folder: Path) -> None:
        """Use a run folder; `open_record` looks whether it is one."""
        self.folder = folder
        self._lock = threading.RLock()
        self._memory = Memory()
        self._database: Database | None = None
        self._traces: TraceReader | None = None
        self._indexes: Indexes | None = None
        self._siblings: Siblings | None = None

    @property
    def name(self) -> str:
        """The run's name."""
        return self.folder.resolve().name

    def document(self) -> dict[str, Any]:
        """Return `run.json` as it is now; a run without a living process is `interrupted`."""
        return read_run(self.folder)

    def config(self) -> RunConfig:
        """Return the configuration of the run.

        Raises:
            ConfigError: the file can't be read, or was written by another version of Middo.
        """
        path = self.folder / CONFIG
        return self._read(path, _config) or _config(path)

    def rounds(self) -> list[int]:
        """Return the rounds whose data set is published, in order."""
        from ..stores.samples import MANIFEST
        from .sources import rounds_in

        return [
            number
            for number, folder in rounds_in(self.folder)
            if (folder / "dataset" / MANIFEST).is_file()
        ]

    def round_folder(self, k: int) -> Path:
        """Return the folder of a round."""
        return self.folder / "rounds" / str(k)

    def diagnosis(self, k: int) -> dict[str, Any] | None:
        """Return `diagnosis.json` of a round; None while there is none. Don't change it."""
        return self._read(self.round_folder(k) / "diagnosis.json", read_diagnosis)

    def source_round(self, k: int) -> int:
        """Return whose data set a round looked at: its own, or the best one's after a rollback."""
        diagnosis = self.diagnosis(k)
        return k if diagnosis is None else int(diagnosis["source_round"])

    def version(self, k: int) -> "Version":
        """Return the data set that a round trained on.

        Raises:
            DataError: there is none yet.
        """
        from ..stores.samples import Version

        return Version(self.round_folder(k) / "dataset")

    def holdout(self) -> "Version | None":
        """Return the rows that are never trained on; None before they are chosen."""
        from ..stores.samples import MANIFEST, Version

        folder = self.folder / "holdout"
        return Version(folder) if (folder / MANIFEST).is_file() else None

    def signals(self, k: int) -> "Columns | None":
        """Return the columns of `signals.parquet` by name, a row per sample in order of id.

        Numbers are float64[n] with NaN where nothing was measured; ids and reasons are object[n],
        flags tuples of axes. Neighbours are left out: `Index.neighbours` has those of one sample.
        None while the round has not been diagnosed. Don't change them.
        """
        return self._read(self.round_folder(k) / "signals.parquet", _columns)

    def fates(self, k: int) -> Mapping[str, tuple[str, str]]:
        """Return id -> fate and reason of the samples of a round that are settled so far.

        After the merge these are the last words: merging may refuse what the proof let pass.
        """
        facts = Facts(self.ledger)
        rows = self.ledger.query(
            "SELECT count(*), (SELECT length(value) FROM facts WHERE name = ?)"
            " FROM outcomes WHERE round = ?",
            *(f"round.{k}.fates", k),
        )

        def look() -> dict[str, tuple[str, str]]:
            found = self.ledger.query(
                "SELECT sample_id, fate, reason FROM outcomes WHERE round = ?", k
            )
            final: dict[str, list[str]] = facts.get(f"round.{k}.fates", {})
            told = {str(name): (str(fate), str(reason)) for name, fate, reason in found}
            with intact(self.ledger.name):
                return told | {name: _fate(*last) for name, last in final.items()}

        return self.remembered(("fates", k), rows[0], look)

    @property
    def ledger(self) -> Database:
        """The run's ledger, read-only.

        Raises:
            MiddoError: it can't be read.
        """
        with self._lock:
            if self._database is None:
                self._database = read_database(self.folder / "ledger.db")
            return self._database

    @property
    def outcomes(self) -> Ledger:
        """Units and outcomes of the ledger."""
        return Ledger(self.ledger)

    @property
    def traces(self) -> "TraceReader | None":
        """The trace store; None where the run keeps none, or has not begun to."""
        path = self.folder / TRACES_DB
        with self._lock:
            if self._traces is None and path.is_file():
                from ..stores.trace_reader import open_traces

                self._traces = open_traces(path)
            return self._traces

    @property
    def index(self) -> "Index":
        """The index of the run's samples; made in Middo's cache where the run has none.

        Raises:
            MiddoError: it can't be made.
        """
        from .sources import Indexes

        with self._lock:
            if self._indexes is None:
                self._indexes = Indexes(self.folder, self.seed)
            indexes = self._indexes
        # Making one can take long; what needs none must not wait for it.
        return indexes.current()

    @property
    def siblings(self) -> "Siblings":
        """The other runs beside this one; they are closed with it."""
        from .siblings import Siblings

        with self._lock:
            if self._siblings is None:
                self._siblings = Siblings(self.folder)
            return self._siblings

    def remembered(
        self,
        what: str | tuple[str, Hashable],
        state: Any,
        look: Callable[[], Value],
        *,
        most: int | None = MOST_ROUNDS,
    ) -> Value:
        """Return what was found out before, unless `state` has changed since.

        Of a kind, the first part of `what`, the last `most` are kept; None keeps all.
        """
        kind, key = (what, None) if isinstance(what, str) else what
        return self._memory.remembered(kind, key, state, look, most=most)

    def close(self) -> None:
        """Close all files."""
        with self._lock:
            every = (self._database, self._traces, self._indexes, self._siblings)
            self._database = self._traces = self._indexes = self._siblings = None
        # An index that is being made asks for the seed meanwhile: waiting for it takes no lock.
        for opened in every:
            if opened is not None:
                opened.close()

    def __enter__(self) -> "Record":
        """Return the record."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close all files."""
        self.close()

    def seed(self) -> int:
        """Return the seed; a configuration of another version must not hide the whole run."""
        try:
            return self.config().seed
        except ConfigError:
            return RunConfig().seed  # it chooses rows that the map is fitted on, and no more

    def margin(self) -> float | None:
        """Return nats per token that a round may lose; None where it is not known."""
        try:
            return self.config().gate.margin
        except ConfigError:
            return None

    def _read(self, path: Path, read: Callable[[Path], Value]) -> Value | None:
        """Read a file, unless it is as it was; None where there is none."""
        try:
            status = path.stat()
        except OSError:
            return None
        mark = (status.st_size, status.st_mtime_ns)
        return self.remembered((path.name, path), mark, lambda: read(path))


def open_record(folder: Path) -> Record:
    """Open a run folder for reading; nothing big is read.

    Raises:
        UsageError: it is no run folder, or the run has nothing to read yet.
    """
    status = read_run(folder)["status"]
    if not (folder / "ledger.db").is_file():
        raise UsageError(f"{folder}: {_without_ledger(folder, status)}")
    return Record(folder)


def _without_ledger(folder: Path, status: str) -> str:
    """Say why a folder with `run.json` has no ledger; a run loads its libraries before it has."""
    if status == "running":
        return "the run has only just begun; try again in a moment"
    if status == "interrupted":
        return f"the run ended before it had a ledger; go on with `middo resume {folder}`"
    return "no run folder (it has no ledger.db); see `middo list`"


def _fate(fate: str, reason: str) -> tuple[str, str]:
    if not (isinstance(fate, str) and isinstance(reason, str)):
        raise TypeError("a fate is no text")
    return fate, reason


def _config(path: Path) -> RunConfig:
    return load_kept(path)


def _columns(path: Path) -> "Columns":
    from .columns import read_columns

    return read_columns(path)
