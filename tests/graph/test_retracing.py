"""What the ledger tells again is what was told, and old rows in it stop no run."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from middo.core.progress import Event, Note
from middo.core.records import Axis
from middo.core.trace import Judged
from middo.graph.retracing import events_of, retrace
from middo.providers.scripted import ScriptedChat
from middo.stores.ledger import Outcome
from middo.stores.trace_reader import open_traces
from tests.agents.evidence import measured
from tests.graph.folder import opened
from tests.graph.test_refine import ACCEPT, GOOD, QUOTED, SIMPLER, case, ended


@pytest.mark.parametrize("dropped", [["Golden Days"], []])
async def test_an_excused_check_is_told_again_as_it_was(dropped: list[str], tmp_path: Path) -> None:
    told: list[Any] = []
    model = ScriptedChat(replies=[SIMPLER, GOOD, {**ACCEPT, "dropped": dropped}])
    one = case(model, measured(1.2, 0.5), axis=Axis.COMPLEXITY, of=QUOTED, attempts=1)
    found = await ended(replace(one, trace=told.append))
    outcome = Outcome(
        *(0, QUOTED.id, Axis.COMPLEXITY, "accepted" if dropped else "rejected"),
        *(found["reason"], found["tried"]),
    )
    with opened(tmp_path / "run") as deps:
        again = [e for e in events_of(outcome, deps.ledger) if isinstance(e, Judged)]
    assert [replace(event, at=0.0) for event in again] == [replace(e, at=0.0) for e in told]
    quotes = [(event.node, event.passed) for event in again if event.gate == "quotes"]
    assert quotes == [("checks", False), ("critique", bool(dropped))]


def row(critique: Any, **more: Any) -> dict[str, Any]:
    check = {"name": "numbers", "passed": True, "numbers": {}, "reason": ""}
    plain = {"id": "p1", "attempt": 1, "checks": [check], "critique": critique, "proof": None}
    return {**plain, **more}


@pytest.mark.parametrize("old", [{"verdict": "fine", "passed": True}, {"passed": True}, "fine"])
def test_a_row_of_another_version_is_a_note_and_the_others_are_told(
    old: Any, tmp_path: Path
) -> None:
    outcomes = [
        Outcome(0, "aa", Axis.QUALITY, "accepted", "", [row(old)]),
        Outcome(0, "bb", Axis.QUALITY, "accepted", "", [{"id": "p1"}]),
        Outcome(0, "cc", Axis.QUALITY, "accepted", "", [row({**ACCEPT, "passed": True})]),
    ]
    events: list[Event] = []
    with opened(tmp_path / "run", events) as deps:
        deps.ledger.add_outcomes(outcomes)
        deps.facts.put("rounds_seen", 1)
        retrace(deps)
    notes = [event.text for event in events if isinstance(event, Note)]
    assert len(notes) == 1
    assert notes[0].startswith("verdicts of 2 samples are missing from the traces, the first aa:")
    reader = open_traces(tmp_path / "run" / "traces.db")
    assert reader is not None
    assert [event.sample_id for event in reader.settled()] == ["cc"]
    assert {event.gate for event in reader.judged(0, "cc")} == {"numbers", "critic"}
    reader.close()
