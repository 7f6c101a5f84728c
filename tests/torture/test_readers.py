"""Whoever reads a run's files while it works never makes it wait.

The readers are processes of their own. One keeps a snapshot of every database open from the first
sample to the last, so that no log can be taken up into its file; others read all the time.
"""

import asyncio
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from benchmarks.loop import balanced, refine_and_merge
from benchmarks.prepared import prepare
from middo.core.config import RunConfig
from middo.core.progress import Event, Note, Progress
from middo.stores import database
from middo.stores.lock import run_lock
from middo.stores.runs import write_run
from middo.stores.trace_reader import known_in
from tests.torture.tally import RecordProperty, tell

HOLDER = """
import pathlib, sqlite3, sys
folder, held = pathlib.Path(sys.argv[1]), {}
for name, table in (("ledger.db", "units"), ("traces.db", "calls")):
    reader = sqlite3.connect(f"{(folder / name).as_uri()}?mode=ro", uri=True, isolation_level=None)
    reader.execute("BEGIN")
    held[table] = reader, reader.execute(f"SELECT count(*) FROM {table}").fetchone()
print("holds", flush=True)
sys.stdin.read()
for table, (reader, seen) in held.items():
    assert reader.execute(f"SELECT count(*) FROM {table}").fetchone() == seen
print("same", flush=True)
"""
READER = """
import pathlib, sys
from middo.inspection.record import open_record
from middo.stores.ledger import Ledger
from middo.stores.runs import read_run
folder, seen, looks = pathlib.Path(sys.argv[1]), 0, 0
print("holds", flush=True)
while True:
    with open_record(folder) as record:
        settled = len(record.fates(0))
        calls = Ledger(record.ledger).spent().calls
        traces = record.traces
        traced = 0 if traces is None else len(traces.call_keys())
    assert settled >= seen and calls >= settled
    read_run(folder)
    seen, looks = settled, looks + 1
    print(looks, seen, flush=True)
"""


class Clock:
    """How long the longest transaction took, the wait for the file's lock included."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.longest = 0.0
        self.count = 0
        whole = database.Database.transaction

        @contextmanager
        def timed(one: database.Database) -> Iterator[object]:
            began = time.monotonic()
            with whole(one) as connection:
                yield connection
            self.longest = max(self.longest, time.monotonic() - began)
            self.count += 1

        monkeypatch.setattr(database.Database, "transaction", timed)


def _end(processes: "list[subprocess.Popen[str]]") -> None:
    for process in processes:
        process.kill()


def start(script: str, folder: Path) -> "subprocess.Popen[str]":
    process = subprocess.Popen(
        [sys.executable, "-c", script, str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "holds\n", process.communicate()[1]
    return process


def refined(folder: Path, samples: int, readers: list[str]) -> tuple[float, list[str], list[str]]:
    """Refine beside readers; return the seconds, what the run noted, and what the readers said."""
    teacher = {"model": "import:benchmarks.teacher:teacher", "params": {"seconds": 0.002}}
    config = RunConfig.model_validate(
        {
            "data": {"path": "demo"},
            "agents": {"rewriter": teacher},
        }
    )
    notes: list[str] = []
    processes: list[subprocess.Popen[str]] = []

    def report(event: Event) -> None:
        if isinstance(event, Note):
            notes.append(event.text)
        if isinstance(event, Progress) and event.node == "refine" and event.done == 5:
            for taker in deps.takers:
                getattr(taker, "flush", lambda: None)()  # so that there are traces to read
            processes.extend(start(script, folder) for script in readers)

    deps = prepare(folder, "demo", samples, config, report)
    write_run(folder, {"run": "run", "status": "running", "rounds": []})
    said = []
    with ExitStack() as last:
        last.enter_context(run_lock(folder))
        last.callback(_end, processes)
        try:
            began = time.monotonic()
            asyncio.run(refine_and_merge(deps))
            took = time.monotonic() - began
            assert balanced(deps.facts.get("round.0.counts"))
            assert len(deps.ledger.fates(0)) == samples
            calls = set(deps.ledger.unit_keys())
        finally:
            deps.close()
        for script, process in zip(readers, processes, strict=True):
            assert process.poll() is None, process.communicate()
            if script == READER:
                process.kill()
            out, problem = process.communicate("", timeout=60)
            assert not problem, problem
            said.append(out.splitlines()[-1])
    known = known_in(folder / "traces.db")
    assert known is not None and known[0] == calls
    return took, notes, said


@pytest.mark.timeout(300)
def test_snapshots_held_for_a_whole_round_and_readers_without_pause_block_no_write(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, record_property: RecordProperty
) -> None:
    clock = Clock(monkeypatch)
    _, notes, said = refined(tmp_path / "run", 80, [HOLDER, READER])
    assert notes == []  # the trace store tells of every write that had to wait too long
    assert said[0] == "same"
    looks, seen = map(int, said[1].split())
    assert looks >= 2 and seen >= 5
    assert clock.count > 50
    assert clock.longest < database.BUSY_SECONDS / 2
    tell(record_property, "readers during writes", looks=looks, writes=clock.count, blocked=0)


@pytest.mark.torture
@pytest.mark.timeout(600)
def test_many_readers_cost_a_run_no_more_than_their_share_of_the_processor(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, record_property: RecordProperty
) -> None:
    clock = Clock(monkeypatch)
    alone, _, _ = refined(tmp_path / "alone", 600, [])
    beside, notes, said = refined(tmp_path / "run", 600, [HOLDER, HOLDER, READER, READER, READER])
    assert notes == []
    assert said[:2] == ["same", "same"]
    looks = sum(int(line.split()[0]) for line in said[2:])
    assert looks >= 10
    assert clock.longest < database.BUSY_SECONDS / 2
    percent = round(100 * beside / alone)
    longest = round(1_000 * clock.longest)
    tell(record_property, "readers during writes", looks=looks, writes=clock.count, blocked=0)
    tell(
        record_property, "a round beside 5 readers", percent_of_alone=percent, longest_write=longest
    )
