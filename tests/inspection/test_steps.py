from typing import Any

import pytest

from middo.core.trace import NodeBegan, NodeEnded
from middo.graph import build
from middo.inspection.steps import NODES, Standing, standing


def at(document: dict[str, Any], *events: NodeBegan | NodeEnded, **rest: Any) -> Standing:
    return standing(document, events, reviews=False, **rest)


def stages(found: Standing) -> dict[str, str]:
    return {step.node: step.stage for step in found.steps}


def run(status: str, *times: dict[str, float], **rest: Any) -> dict[str, Any]:
    rounds = [{"round": k, "times": spent} for k, spent in enumerate(times)]
    return {"status": status, "rounds": rounds, **rest}


FIRST = dict.fromkeys(("prepare", "train", "evaluate", "gate", "diagnose", "refine", "merge"), 2.0)


def test_the_nodes_are_those_of_the_graph() -> None:
    assert NODES == build.NODES


def test_a_review_that_only_passed_on_is_not_shown() -> None:
    done = dict.fromkeys(NODES[:6], 1.0)
    found = at(run("running", {**done, "review": 0.0}))
    assert "review" not in stages(found)
    assert found.current == "merge"
    assert stages(at(run("running", {**done, "review": 3.0})))["review"] == "done"


def test_a_run_before_its_first_data_set_prepares() -> None:
    found = at({"run": "x", "status": "running", "rounds": []})
    assert (found.round, found.current) == (None, "prepare")
    assert stages(found)["train"] == "ahead"


@pytest.mark.parametrize(
    ("done", "current"),
    [
        ((), "prepare"),
        (("prepare",), "train"),
        (("prepare", "train"), "evaluate"),
        (("prepare", "train", "evaluate", "gate"), "diagnose"),
        (("prepare", "train", "evaluate", "gate", "diagnose", "refine"), "merge"),
    ],
)
def test_without_traces_the_node_after_the_last_finished_one_is_at_work(
    done: tuple[str, ...], current: str
) -> None:
    found = at(run("running", dict.fromkeys(done, 1.0)))
    assert found.current == current
    assert stages(found)[current] == "current"
    assert all(stages(found)[node] == "done" for node in done)


def test_after_merge_the_next_round_trains() -> None:
    found = at(run("running", FIRST))
    assert (found.round, found.current) == (1, "train")
    assert stages(found)["prepare"] == "done"
    assert stages(found)["merge"] == "earlier"


def test_in_a_later_round_what_ran_before_is_told_from_what_is_done() -> None:
    found = at(run("running", FIRST, {"train": 3.0}))
    assert stages(found) == {
        "prepare": "done",
        "train": "done",
        "evaluate": "current",
        "gate": "earlier",
        "diagnose": "earlier",
        "refine": "earlier",
        "merge": "earlier",
        "finalize": "ahead",
    }
    train = next(step for step in found.steps if step.node == "train")
    assert (train.seconds, dict(train.by_round)) == (5.0, {0: 2.0, 1: 3.0})


def test_a_run_that_is_told_to_stop_goes_to_finalize() -> None:
    found = at(run("running", {"train": 1.0, "evaluate": 1.0, "gate": 0.0}, stopped="rounds done"))
    assert found.current == "finalize"


def test_traces_say_what_is_at_work_and_since_when() -> None:
    document = run("running", {"prepare": 1.0, "train": 4.0})
    began = NodeBegan("evaluate", 0, 100.0)
    found = at(document, NodeEnded("train", 0, 90.0, 4.0, "done", ""), began, now=107.5)
    assert (found.current, found.since) == ("evaluate", 7.5)
    assert next(step.seconds for step in found.steps if step.node == "evaluate") == 7.5


def test_a_node_that_failed_says_why() -> None:
    ended = NodeEnded("train", 1, 90.0, 4.0, "failed", "the training process died")
    found = at(run("failed", FIRST), ended)
    assert (found.round, found.current, found.reason) == (1, "train", "the training process died")
    assert stages(found)["train"] == "failed"


@pytest.mark.parametrize("status", ["interrupted", "budget"])
def test_a_stopped_run_stands_still_where_it_was(status: str) -> None:
    found = at(run(status, {"prepare": 1.0, "train": 1.0}), NodeBegan("evaluate", 0, 5.0), now=99.0)
    assert stages(found)["evaluate"] == "stopped"
    assert found.since is None


def test_a_paused_run_waits_in_review() -> None:
    done = {node: 1.0 for node in FIRST if node != "merge"}
    found = at(run("paused", done))
    assert found.current == "review"
    assert stages(found)["review"] == "waiting"


def test_a_finished_run_has_no_current_node_and_leaves_out_what_never_ran() -> None:
    found = at(
        run("finished", FIRST, {"train": 1.0, "evaluate": 1.0, "gate": 0.0, "finalize": 0.1})
    )
    assert (found.round, found.current) == (1, None)
    assert set(stages(found).values()) == {"done"}
    short = at(
        run(
            "finished",
            {"prepare": 1.0, "train": 1.0, "evaluate": 1.0, "gate": 1.0, "finalize": 1.0},
        )
    )
    assert stages(short)["refine"] == "ahead"
