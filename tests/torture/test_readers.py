"""Whoever reads a run's files while it works never makes it wait.

The readers are processes of their own. One keeps a snapshot of every database open from the first
sample to the last, so that no log can be taken up into its file; others read all the time.
"""

import asyncio
import json
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from benchmarks.loop import balanced, refine_and_merge
from benchmarks.prepared import prepare
from benchmarks.viewer import served
from middo.core.config import RunConfig
from middo.core.progress import Event, Note, Progress
from middo.formats.configuration import dump_config
from middo.graph.document import write_document
from middo.graph.indexing import index_diagnosis, index_version
from middo.inspection.record import open_record
from middo.inspection.samples import Query
from middo.inspection.table import page
from middo.stores import database
from middo.stores.lock import run_lock
from middo.stores.runs import read_json, write_run, write_text
from middo.stores.trace_reader import known_in
from tests.torture.tally import RecordProperty, tell

WORD = "the"
HOLDER = """
import pathlib, sqlite3, sys
folder, held = pathlib.Path(sys.argv[1]), {}
tables = {"ledger.db": "units", "traces.db": "calls", "index.db": "rows"}
for name in sys.argv[2:]:
    table = tables[name]
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
SEARCHER = """
import pathlib, sys, time
from middo.stores.index import open_index
index = open_index(pathlib.Path(sys.argv[1]) / "index.db")
before, looks = set(), 0
print("holds", flush=True)
while True:
    found = index.ids()
    assert before <= set(found)
    text = index.text(found[looks % len(found)])
    assert text.number in index.search(text.prompt) and text.number in index.search(text.id)
    before, looks = set(found), looks + 1
    print(looks, len(before), flush=True)
    time.sleep(0.02)  # it shares the processor with the run, and a pipe holds some thousand lines
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


def start(*arguments: str) -> "subprocess.Popen[str]":
    process = subprocess.Popen(
        [sys.executable, *arguments],
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
    held = ("ledger.db", "traces.db")

    def report(event: Event) -> None:
        if isinstance(event, Note):
            notes.append(event.text)
        if isinstance(event, Progress) and event.node == "refine" and event.done == 5:
            for taker in deps.takers:
                getattr(taker, "flush", lambda: None)()  # so that there are traces to read
            processes.extend(start("-c", script, str(folder), *held) for script in readers)

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


class Commands:
    """Commands of `middo` on a run, in processes of their own, while the context lasts.

    `status` again and again, and beside it an export and a report.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._end = threading.Event()
        self.statuses: list[dict[str, Any]] = []
        self.ended: dict[str, tuple[int, dict[str, Any], str]] = {}

    @contextmanager
    def at_work(self) -> Iterator[None]:
        with ThreadPoolExecutor(2) as threads:
            both = threads.submit(self._look), threads.submit(self._write)
            try:
                yield
            finally:
                self._end.set()
            for one in both:
                one.result()

    def _look(self) -> None:
        while not self._end.is_set():
            code, document, err = self._middo("status")
            assert (code, err) == (0, "")
            self.statuses.append(document)
            self._end.wait(0.5)

    def _write(self) -> None:
        to = self._folder.with_name("out.jsonl")
        self.ended["export"] = self._middo("export", "--format", "messages", "--to", str(to))
        self.ended["report"] = self._middo("report", "--to", str(to.with_name("report")))

    def _middo(self, command: str, *options: str) -> tuple[int, dict[str, Any], str]:
        done = subprocess.run(
            [sys.executable, "-m", "middo", command, str(self._folder), *options, "--json"],
            capture_output=True,
            text=True,
            timeout=120,
        )
        return done.returncode, json.loads(done.stdout), done.stderr


def looked_at(folder: Path, samples: int, pause: float) -> tuple[list[str], Commands, list[Any]]:
    """Refine beside the viewer's readers, commands, a held snapshot of the index and searches.

    Returns what the run noted, the commands, and what the readers of the viewer saw.
    """
    teacher = {"model": "import:benchmarks.teacher:teacher", "params": {"seconds": 0.15}}
    config = RunConfig.model_validate({"data": {"path": "demo"}, "agents": {"rewriter": teacher}})
    notes: list[str] = []

    def report(event: Event) -> None:
        if isinstance(event, Note):
            notes.append(event.text)

    deps = prepare(folder, "demo", samples, config, report)
    write_text(folder / "config.yaml", dump_config(config))
    diagnosis = read_json(deps.round_folder(0) / "diagnosis.json")
    flagged = [flag["id"] for flag in diagnosis["flags"]]
    axes = Counter(flag["axis"] for flag in diagnosis["flags"])
    told = {"flagged": {"samples": samples, **axes}, "source_round": 0}
    index_version(deps, 0)
    index_diagnosis(deps, 0, 0)
    deps.facts.put("round.0.diagnosis", told)
    commands = Commands(folder)
    with ExitStack() as last:
        last.enter_context(run_lock(folder))
        last.callback(deps.close)
        write_document(deps, "running")
        url = last.enter_context(served(folder))
        asked = [url, WORD, str(pause), *flagged[:: samples // 4]]
        processes: list[subprocess.Popen[str]] = []
        last.callback(_end, processes)
        processes.append(start("-m", "tests.torture.clients", *asked))
        processes.append(start("-c", HOLDER, str(folder), "index.db"))
        processes.append(start("-c", SEARCHER, str(folder)))
        clients, holder, searcher = processes
        with commands.at_work():
            asyncio.run(refine_and_merge(deps))
        write_document(deps, "finished")
        out, problem = clients.communicate("", timeout=120)
        assert not problem, problem
        saw = json.loads(out)
        assert searcher.poll() is None, searcher.communicate()
        searcher.kill()
        searches = int(searcher.communicate()[0].splitlines()[-1].split()[0])
        assert searches >= 2
        assert holder.communicate("", timeout=60) == ("same\n", "")
        assert balanced(deps.facts.get("round.0.counts"))
        assert len(deps.ledger.fates(0)) == samples
    return notes, commands, saw


@pytest.mark.timeout(300)
def test_viewer_commands_and_searches_are_fresh_during_a_refine_and_hold_nothing_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, record_property: RecordProperty
) -> None:
    _beside_all(tmp_path, monkeypatch, record_property, samples=80, pause=0.5)


@pytest.mark.torture
@pytest.mark.timeout(600)
def test_readers_of_the_viewer_without_pause_hold_nothing_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, record_property: RecordProperty
) -> None:
    _beside_all(tmp_path, monkeypatch, record_property, samples=160, pause=0.0)


def _beside_all(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    record_property: RecordProperty,
    *,
    samples: int,
    pause: float,
) -> None:
    clock, folder = Clock(monkeypatch), tmp_path / "run"
    notes, commands, saw = looked_at(folder, samples, pause)
    assert notes == []
    assert clock.count > samples / 2
    assert clock.longest < database.BUSY_SECONDS / 2

    at_end = {"samples": samples, "search": _settled(folder, WORD)}
    for reader in saw:
        for figures in reader["figures"]:
            assert figures[0] == 0, reader
            assert figures[-1] > 0, reader
        if reader["page"] in at_end:
            assert reader["figures"][0][-1] == at_end[reader["page"]]
            assert len(reader["figures"][0]) > 3, reader  # it grew while the run was at work
    assert len(commands.statuses) >= 3
    for document in commands.statuses:
        assert document["status"] == "running"
        assert document["rounds"][0]["flagged"]["samples"] == samples
    code, document, err = commands.ended["export"]
    assert code == 2 and "going on" in document["error"] and "resume" not in document["error"]
    assert not folder.with_name("out.jsonl").exists()
    code, document, err = commands.ended["report"]
    assert (code, err) == (0, "")
    assert document["status"] == "running" and document["samples"] == samples
    assert (folder.with_name("report") / "index.html").is_file()
    looks = sum(reader["looks"] for reader in saw)
    tell(
        record_property,
        "viewer beside a refine",
        looks=looks,
        statuses=len(commands.statuses),
        blocked=0,
    )


def _settled(folder: Path, word: str) -> int:
    with open_record(folder) as record:
        fates = page(record, Query(round=0, text=word)).facets["fate"]
    return sum(fate.count for fate in fates if fate.value != "none")
