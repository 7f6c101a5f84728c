"""Routers read the state and nothing else."""

from typing import Any, cast

import pytest

from middo.graph.routes import after_diagnose, after_gate, after_rewrite, after_verdict
from middo.graph.state import LoopState, RefineState


def loop(stop: str) -> LoopState:
    return {"round": 1, "source_round": 0, "stop": stop}


def refining(**changes: Any) -> RefineState:
    usual: dict[str, Any] = {
        "attempt": 1,
        "feedback": "",
        "row": {"critique": None},
        "tried": [],
        "fate": "",
        "reason": "",
    }
    return cast(RefineState, {**usual, **changes})


def test_the_loop_goes_on_until_a_reason_to_stop() -> None:
    assert after_gate(loop("")) == "diagnose"
    assert after_gate(loop("all configured rounds are done")) == "finalize"
    assert after_diagnose(loop("")) == "refine"
    assert after_diagnose(loop("the diagnosis flagged no sample")) == "finalize"


def test_a_proposal_is_checked_unless_there_is_none() -> None:
    assert after_rewrite(refining()) == "checks"
    assert after_rewrite(refining(fate="failed")) == "__end__"


@pytest.mark.parametrize(
    ("changes", "where"),
    [
        ({}, "critique"),
        ({"row": {"critique": {"passed": True}}}, "proof"),
        ({"feedback": "be shorter"}, "rewrite"),
        ({"feedback": "be shorter", "row": {"critique": {"passed": False}}}, "rewrite"),
        ({"feedback": "be shorter", "fate": "rejected"}, "__end__"),
        ({"fate": "accepted", "row": {"critique": {"passed": True}}}, "__end__"),
        ({"fate": "failed"}, "__end__"),
    ],
)
def test_a_verdict_leads_on_back_or_out(changes: dict[str, Any], where: str) -> None:
    assert after_verdict(refining(**changes)) == where
