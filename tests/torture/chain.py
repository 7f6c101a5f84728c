"""One run, killed again and again and resumed each time, and what must hold after every death."""

import multiprocessing
import os
import signal
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from multiprocessing.process import BaseProcess
from pathlib import Path
from threading import Event, Thread
from typing import Any

import psutil

from middo.core.errors import UsageError
from middo.formats.configuration import dump_config
from middo.stores.database import read_database
from middo.stores.ledger import Ledger
from middo.stores.lock import is_locked
from middo.stores.runs import read_run
from middo.stores.trace_reader import open_traces
from tests.loop import config
from tests.torture.victim import work

CONCURRENCY = 4
ENDING_SECONDS = 30.0
"""How long a trainer may take to see that its parent is gone, on a machine with much to do."""

STOPPED = 130
NOWHERE = "start"
"""Before anything was done, or after all was done."""

LONGEST_SECONDS = 300.0
PRELOADED = [
    *("middo.cli.main", "middo.cli.loop", "middo.graph.build", "middo.graph.deps"),
    *("torch", "peft", "transformers", "chromadb", "langgraph.checkpoint.sqlite.aio"),
]
DECIDED = ("dataset", "flagged", "accepted", "rejected", "failed", "deferred", "gate", "difference")


@dataclass(frozen=True)
class Death:
    """How a process ended, by which signal, where, and how many calls were lost with it."""

    signal: int
    place: str
    lost: int

    @property
    def node(self) -> str:
        """The node, or `start`; what comes after a node is its own."""
        return self.place.partition(":")[0].removeprefix("after ").partition(" ")[0]


@dataclass
class Chain:
    """A run in a folder of its own, and the deaths that it has died.

    Args:
        root: an empty folder; the run is in `run`, what is noted of it beside it.
        data: the rows.
        model: the trainee's base.
        rounds: refinements.
    """

    root: Path
    data: Path
    model: Path
    rounds: int
    review: bool = False
    seconds: float = 0.0
    deaths: list[Death] = field(default_factory=list)
    points: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.root.mkdir(parents=True)
        self.scratch.mkdir()
        teacher = {
            "model": "import:tests.loop:teacher",
            "params": {"log": str(self.calls), "delay": 0.02},
        }
        changes: dict[str, Any] = {"agents": {"rewriter": teacher}, "rounds": self.rounds}
        settings = config(self.data, self.model, **changes, review=self.review)
        self.settings.write_text(dump_config(settings), encoding="utf-8")

    @property
    def folder(self) -> Path:
        return self.root / "run"

    @property
    def calls(self) -> Path:
        return self.root / "calls"

    @property
    def settings(self) -> Path:
        return self.root / "settings.yaml"

    @property
    def scratch(self) -> Path:
        return self.root / "scratch"

    @property
    def said(self) -> str:
        """What the last process printed."""
        return (self.root / "said").read_text(encoding="utf-8")

    def words(self) -> list[str]:
        """Return what a user would type now."""
        if (self.folder / "config.yaml").exists():
            return ["resume", str(self.folder)]
        return ["run", str(self.settings), "--out", str(self.folder)]

    def start(self, wanted: Mapping[str, int] | None = None) -> BaseProcess:
        """Start a process that goes on with the run."""
        # The fork server loads the libraries once; every process is real and dies by a real signal.
        processes = multiprocessing.get_context("forkserver")
        processes.set_forkserver_preload(PRELOADED)
        files = (self.root / "seen", self.root / "said", self.calls, self.scratch)
        files[0].unlink(missing_ok=True)
        process = processes.Process(
            target=work, args=(self.words(), self.folder, wanted or {}, *files)
        )
        process.start()
        return process

    def killed_at(self, wanted: dict[str, int]) -> dict[str, int]:
        """Go on to the end, dying at each of the wanted points that comes up; return the others."""
        left = dict(wanted)
        while True:
            with reading(self.folder) as seen:
                process = self.start(left)
                process.join(LONGEST_SECONDS)
                code = process.exitcode
            lines = (self.root / "seen").read_text(encoding="utf-8").splitlines()
            self.points += [line.removeprefix("HIT ") for line in lines]
            hits = [line.removeprefix("HIT ") for line in lines if line.startswith("HIT ")]
            if hits:
                self.died(left.pop(hits[0]), hits[0], code)
            else:
                assert code == 0, f"ended with {code}: {self.said}"
                seen.must_end_well()
            if code == 0:
                return left

    def killed_after(
        self, seconds: float, number: signal.Signals, *, group: bool = False, twice: bool = False
    ) -> bool:
        """Go on, and send a signal after a while; return whether the run is finished.

        Args:
            seconds: of the process, its start included.
            number: the signal.
            group: send it to all processes of the group, as a terminal does.
            twice: send it again a moment later.
        """
        with reading(self.folder) as seen:
            process = self.start()
            while not (self.root / "seen").exists():  # what comes before is Python's own start
                process.join(0.02)
            process.join(0.02 + seconds)
            if process.exitcode is None:
                assert process.pid is not None
                born = psutil.Process(process.pid).children(recursive=True)
                (os.killpg if group else os.kill)(process.pid, number)
                if twice:
                    process.join(0.3)
                    if process.exitcode is None:
                        os.kill(process.pid, number)
                process.join(LONGEST_SECONDS)
                gone(born)
            elif process.exitcode == 0:
                seen.must_end_well()
                return True
            code = process.exitcode
        lines = (self.root / "seen").read_text(encoding="utf-8").splitlines()
        self.died(number, lines[-1] if lines else NOWHERE, code, twice=twice)
        return code == 0

    def died(self, number: int, place: str, code: int | None, *, twice: bool = False) -> None:
        """Hold what must be true of a run whose process has just ended by a signal."""
        where = f"{signal.Signals(number).name} at {place}"
        assert code is not None, f"{where}: still running after {LONGEST_SECONDS:.0f} s"
        if number == signal.SIGKILL:
            assert code == -signal.SIGKILL, f"{where}: exit code {code}: {self.said}"
        else:
            assert code in (STOPPED, 0), f"{where}: exit code {code}: {self.said}"
            assert "Traceback" not in self.said, f"{where}: {self.said}"
        alone(self.folder)
        assert not is_locked(self.folder) if self.folder.exists() else True, where
        if (self.folder / "config.yaml").exists():
            status = read_run(self.folder)["status"]
            allowed = {"interrupted"} if code else {"finished", "paused"}
            if "finalize" in place or place == NOWHERE:  # a kill after the last word changes none
                allowed.add("finished")
            assert status in allowed, f"{where}: status {status}"
            if code == STOPPED:
                word = "middo: interrupted" if place == NOWHERE else "middo resume"
                assert word in self.said, f"{where}: {self.said}"
        lost = self.asked() - self.answered() - sum(death.lost for death in self.deaths)
        most = CONCURRENCY if number == signal.SIGKILL or twice else 0
        assert 0 <= lost <= most, f"{where}: {lost} calls were made and not kept"
        self.deaths.append(Death(number, place, lost))

    def asked(self) -> int:
        """Return how many calls the teacher has had."""
        return len(self.calls.read_text("utf-8").split()) if self.calls.exists() else 0

    def answered(self) -> int:
        """Return how many calls the ledger holds."""
        if not self.asked():  # then the ledger may not have its tables yet
            return 0
        database = read_database(self.folder / "ledger.db")
        try:
            return Ledger(database).spent().calls
        finally:
            database.close()

    def must_equal(self, other: Path) -> None:
        """Hold that nothing tells this run from one that nobody disturbed."""
        ended, undisturbed = read_run(self.folder), read_run(other)
        assert ended["status"] == "finished"
        assert ended["best_round"] == undisturbed["best_round"]
        for entry, whole in zip(ended["rounds"], undisturbed["rounds"], strict=True):
            for key in DECIDED:
                assert entry[key] == whole[key], (entry["round"], key)
            assert entry["training"]["weights"] == whole["training"]["weights"]
            balances(entry)
        assert ended["tokens"]["calls"] == undisturbed["tokens"]["calls"]
        assert all(entry["accepted"] for entry in ended["rounds"][:-1]), "nothing was accepted"
        data = "export/data.jsonl"
        assert (self.folder / data).read_bytes() == (other / data).read_bytes()
        assert files(self.folder) == files(other)
        assert not files(self.scratch)
        assert self.asked() - self.answered() == sum(death.lost for death in self.deaths)
        self.traced()

    def traced(self) -> None:
        """Hold that the traces tell of every call and every fate in the ledger, and of no other."""
        database, traces = (
            read_database(self.folder / "ledger.db"),
            open_traces(self.folder / "traces.db"),
        )
        assert traces is not None
        ledger = Ledger(database)
        assert {call.key for call in traces.calls()} == set(ledger.unit_keys())
        for number in range(self.rounds):
            fates = {event.sample_id: event.fate for event in traces.settled(number)}
            assert fates == ledger.fates(number)
        traces.close()
        database.close()


class reading:  # reads as a word: with reading(folder) as seen
    """A reader that looks at a run's status all the time, as a viewer would."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._stop = folder, Event()
        self._thread = Thread(target=self._look)
        self.statuses: list[str] = []
        self.errors: list[str] = []

    def __enter__(self) -> "reading":
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._stop.set()
        self._thread.join()
        assert not self.errors, self.errors[0]
        unknown = set(self.statuses) - {"running", "interrupted", "paused", "finished"}
        assert not unknown, unknown

    def must_end_well(self) -> None:
        """Hold that a process that ended by itself was never taken for one that was killed."""
        seen = self.statuses  # a look may come so late that the process has ended
        at_work = seen[seen.index("running") :] if "running" in seen else []
        assert "interrupted" not in at_work, at_work

    def _look(self) -> None:
        while not self._stop.is_set():
            there = (self._folder / "config.yaml").exists()
            try:
                document = read_run(self._folder)
                for entry in document["rounds"]:
                    balances(entry)
                if not self.statuses or document["status"] != self.statuses[-1]:
                    self.statuses.append(document["status"])
            except UsageError as error:
                if there:
                    self.errors.append(str(error))
            except AssertionError as error:
                self.errors.append(str(error))
            time.sleep(0.03)


def balances(entry: Mapping[str, Any]) -> None:
    """Hold the equations of a round, where its counts are there."""
    if entry["kept"] is None:
        return
    count = {name: entry[name] for name in ("kept", "replaced", "added", "dropped")}
    fates = sum(entry[name] for name in ("accepted", "rejected", "failed", "deferred"))
    assert count["kept"] + count["replaced"] + count["dropped"] == entry["dataset"]["rows"], entry
    assert entry["accepted"] == count["replaced"] + count["added"], entry
    assert entry["flagged"]["samples"] == fates, entry


def files(folder: Path) -> Counter[str]:
    """Return the files of a folder; Chroma's folders, named at random, count as one name."""
    names = (path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    return Counter(
        f"vectors/*/{name.name}"
        if len(name.parts) == 3 and name.parts[0] == "vectors"
        else str(name)
        for name in names
    )


def alone(folder: Path) -> None:
    """Hold that no process works in a folder any more, a moment after its owner's end."""
    deadline = time.monotonic() + ENDING_SECONDS
    while found := [one for one in psutil.process_iter(["cmdline"]) if _names(one, folder)]:
        assert time.monotonic() < deadline, [one.info["cmdline"] for one in found]
        time.sleep(0.1)


def gone(processes: list[psutil.Process]) -> None:
    """Hold that the children of a dead process end too."""
    _, alive = psutil.wait_procs(processes, timeout=ENDING_SECONDS)
    assert not alive, alive


def _names(process: psutil.Process, folder: Path) -> bool:
    return any(str(folder) in word for word in process.info["cmdline"] or ())
