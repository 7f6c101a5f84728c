"""What a run did can be read from its traces, and nothing of it hangs on them."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from langgraph.errors import GraphInterrupt
from langgraph.types import Interrupt

from middo import run
from middo.core.errors import BudgetReached, DataError, Interrupted
from middo.core.progress import Event, Note
from middo.core.trace import NodeBegan, NodeEnded, TraceEvent
from middo.graph.deps import Deps
from middo.graph.nodes import Nodes
from middo.graph.retracing import retrace
from middo.graph.tracing import told
from middo.stores.calls import call_of
from middo.stores.database import open_database, read_database
from middo.stores.ledger import Ledger
from middo.stores.trace_reader import TraceReader, open_traces
from middo.stores.trace_schema import TRACE_MIGRATIONS
from tests.graph.folder import opened
from tests.loop import config

NODES = ("prepare", "train", "evaluate", "gate", "diagnose", "refine", "merge")


@contextmanager
def _read(folder: Path) -> Iterator[tuple[TraceReader, Ledger]]:
    reader, database = open_traces(folder / "traces.db"), read_database(folder / "ledger.db")
    assert reader is not None
    try:
        yield reader, Ledger(database)
    finally:
        reader.close()
        database.close()


def test_every_call_of_a_run_is_traced(finished: Path) -> None:
    with _read(finished) as (traces, ledger):
        units = ledger.units()
        assert {call.key: call for call in traces.calls()} == {
            unit.key: call_of(unit) for unit in units
        }
        assert len(units) > 10
        first = traces.calls()[0]
    assert first.messages[0][0] == "system"
    assert first.agent == "rewriter"
    assert first.began > 1.7e9


def test_every_fate_of_a_run_is_traced(finished: Path) -> None:
    with _read(finished) as (traces, ledger):
        for number in range(2):
            settled = {event.sample_id: event for event in traces.settled(number)}
            outcomes = {outcome.sample_id: outcome for outcome in ledger.outcomes(number)}
            assert settled.keys() == outcomes.keys()
            for sample_id, outcome in outcomes.items():
                event = settled[sample_id]
                assert (event.axis, event.fate) == (outcome.axis, outcome.fate)
                assert (event.reason, event.attempts) == (outcome.reason, len(outcome.proposals))
                assert (event.seconds > 0) == (outcome.fate != "deferred")


def test_every_verdict_of_a_run_is_traced(finished: Path) -> None:
    with _read(finished) as (traces, ledger):
        found = 0
        for outcome in ledger.outcomes(0):
            judged = traces.judged(0, outcome.sample_id)
            for row in outcome.proposals:
                said = {
                    (event.node, event.gate): event
                    for event in judged
                    if (event.attempt, event.proposal_id) == (row["attempt"], row["id"])
                }
                found += len(said)
                for check in row["checks"]:
                    event = said.get(("critique", check["name"])) or said["checks", check["name"]]
                    assert event.passed == check["passed"]
                    assert event.numbers == check["numbers"]
                    assert event.reason == check["reason"]
                assert (("critique", "critic") in said) == (row["critique"] is not None)
                if row["critique"] is not None:
                    assert said["critique", "critic"].passed == row["critique"]["passed"]
                if row["proof"] is not None:
                    assert said["proof", row["proof"]["name"]].numbers == row["proof"]["numbers"]
        assert found > 50


def test_the_nodes_of_a_run_are_traced_in_their_order(finished: Path) -> None:
    with _read(finished) as (traces, _):
        ended = [event for event in traces.nodes() if isinstance(event, NodeEnded)]
        assert len(ended) == len(traces.nodes())
    assert tuple(event.node for event in ended[:7]) == NODES
    assert ended[-1].node == "finalize"
    assert {event.status for event in ended} == {"done"}
    assert [event.round for event in ended[:8]] == [*[0] * 7, 1]
    assert all(event.summary for event in ended)


def test_without_traces_the_data_is_the_same(
    finished: Path, document: dict[str, Any], tiny_folder: Path, tmp_path: Path
) -> None:
    data, off = finished.parent / "rows.jsonl", {"store": False}
    alone = run(config(data, tiny_folder, traces=off, rounds=1), tmp_path / "run")
    assert not (tmp_path / "run" / "traces.db").exists()
    hashes = [one["dataset"]["sha256"] for one in alone["rounds"]]
    assert hashes == [one["dataset"]["sha256"] for one in document["rounds"]][:2]
    assert len(set(hashes)) == 2
    # What was not traced is told once traces are on, from the ledger.
    with opened(tmp_path / "run", traces={"store": True}) as deps:
        retrace(deps)
    with _read(finished) as (all_along, _), _read(tmp_path / "run") as (later, ledger):
        assert {call.key for call in later.calls()} == {unit.key for unit in ledger.units()}
        fates = {(event.sample_id, event.fate) for event in later.settled()}
        assert fates == {(event.sample_id, event.fate) for event in all_along.settled(0)}
        assert _verdicts(later) == _verdicts(all_along)


def _verdicts(traces: TraceReader) -> list[tuple[Any, ...]]:
    """Return what critic and proofs said in round 0, in an order that time has no part in."""
    said = [event for event in traces.judged(0) if event.node != "checks"]
    return sorted(
        (event.sample_id, event.attempt, event.gate, event.passed, str(event.numbers))
        for event in said
        if event.gate == "critic" or event.node == "proof"
    )


def test_what_a_kill_took_is_told_when_the_run_goes_on(finished: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    for name in ("ledger.db", "traces.db"):
        (folder / name).write_bytes((finished / name).read_bytes())
    database = open_database(folder / "traces.db", TRACE_MIGRATIONS)
    with database.transaction() as connection:
        connection.execute("DELETE FROM calls WHERE id > 5")
        for table in ("call_messages", "call_answers"):
            connection.execute(f"DELETE FROM {table} WHERE call_id > 5")
        connection.execute("DELETE FROM settled WHERE rowid % 2")
        connection.execute("DELETE FROM verdicts WHERE round = 0")
    database.close()
    with opened(folder) as deps:
        retrace(deps)
        retrace(deps)
    with _read(finished) as (whole, _), _read(folder) as (mended, _):
        assert {call.key: call for call in mended.calls()} == {c.key: c for c in whole.calls()}
        gone = [replace(event, began=0.0, seconds=0.0) for event in mended.settled()]
        assert len(gone) == len(whole.settled())
        for event in whole.settled():
            assert replace(event, began=0.0, seconds=0.0) in gone


class Heard:
    """A taker that keeps what it hears."""

    def __init__(self) -> None:
        self.events: list[TraceEvent] = []
        self.closed = 0

    def __call__(self, event: TraceEvent) -> None:
        assert not self.closed
        self.events.append(event)

    def close(self) -> None:
        self.closed += 1


def test_every_taker_hears_every_event() -> None:
    first, second = Heard(), Heard()
    event = NodeBegan("train", 0, 1.0)
    for takers in ((), (first,), (first, second)):
        told(takers)(event)
    assert first.events == [event, event]
    assert second.events == [event]


def _hearing(deps: Deps) -> Heard:
    heard = Heard()
    deps.__dict__["takers"] = (heard,)
    return heard


@pytest.mark.parametrize(
    ("error", "status", "summary"),
    [
        (BudgetReached("budget.max_tokens=1 is reached"), "stopped", "budget.max_tokens=1 is reac"),
        (Interrupted("stopped after 3"), "stopped", "stopped after 3"),
        (asyncio.CancelledError(), "stopped", "CancelledError"),
        (
            GraphInterrupt([Interrupt({"undecided": 3})]),
            "stopped",
            "waits for a person: 3 proposals",
        ),
        (
            GraphInterrupt([Interrupt({"undecided": 1})]),
            "stopped",
            "waits for a person: 1 proposal",
        ),
        (DataError("rows.jsonl: no such file\nand more"), "failed", "rows.jsonl: no such file"),
    ],
)
async def test_a_node_that_does_not_end_well_says_how(
    tmp_path: Path, error: BaseException, status: str, summary: str
) -> None:
    async def work() -> Any:
        raise error

    with opened(tmp_path / "run") as deps:
        heard = _hearing(deps)
        with pytest.raises(type(error)):
            await Nodes(deps)._timed("train", {"round": 2, "source_round": 2, "stop": ""}, work)
    began, ended = heard.events
    assert isinstance(began, NodeBegan)
    assert isinstance(ended, NodeEnded)
    assert (began.node, began.round, began.at) == ("train", 2, ended.began)
    assert (ended.node, ended.round, ended.status) == ("train", 2, status)
    assert ended.summary.startswith(summary)
    assert "\n" not in ended.summary
    assert heard.closed == 1


def test_nothing_is_made_where_nothing_is_told(tmp_path: Path) -> None:
    with opened(tmp_path / "run") as deps:
        assert deps.takers
    assert not (tmp_path / "run" / "traces.db").exists()


def test_a_store_that_fails_is_a_note_of_the_run(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "traces.db").write_bytes(b"something else " * 100)
    events: list[Event] = []
    with opened(tmp_path / "run", events) as deps:
        retrace(deps)
        deps.trace(NodeBegan("train", 0, 1.0))
    notes = [event.text for event in events if isinstance(event, Note)]
    assert len(notes) == 2
    assert "traces.db: can't be written" in notes[0]
    assert "1 event is missing" in notes[1]
