"""A run that pauses for a person: what is decided is what is merged, and nothing is asked twice."""

import asyncio
import json
import multiprocessing
import os
import shutil
import signal
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from langgraph.types import Command

from middo import resume, run
from middo.core.errors import DataError, Interrupted, RunLocked, UsageError
from middo.core.progress import Event, Started
from middo.core.records import Axis
from middo.core.trace import NodeEnded
from middo.formats.configuration import load_config
from middo.formats.decisions import Decided
from middo.graph.deciding import Review, Said, open_review, repeated
from middo.graph.deps import open_run
from middo.graph.reviewing import review_round
from middo.graph.run import opened_graph
from middo.graph.state import LoopState
from middo.stores.database import read_database
from middo.stores.ledger import Outcome
from middo.stores.lock import run_lock
from middo.stores.reviews import Reviews
from middo.stores.runs import read_run
from middo.stores.samples import Version
from middo.stores.trace_reader import open_traces
from tests.graph.folder import opened
from tests.loop import config, write_rows

pytestmark = pytest.mark.xdist_group("one finished run")

FATES = ("accepted", "rejected", "failed", "deferred")
WORDS = "People in the hills bake bread early and share it with friends when the sky is blue."


@pytest.fixture(scope="session")
def waiting(tmp_path_factory: pytest.TempPathFactory, tiny_folder: Path) -> Path:
    """A run that waits for its first review; its data set lies beside it."""
    folder = tmp_path_factory.mktemp("review")
    chosen = config(write_rows(folder / "rows.jsonl"), tiny_folder, review=True, rounds=1)
    assert run(chosen, folder / "run")["status"] == "paused"
    return folder / "run"


@pytest.fixture
def paused(waiting: Path, tmp_path: Path) -> Path:
    """A copy of it, to be worked on."""
    return Path(shutil.copytree(waiting, tmp_path / "run"))


def decide(folder: Path, *said: Said, reviewer: str = "ada") -> None:
    with open_review(folder, reviewer) as review:
        review.decide(said)


def asked(folder: Path) -> list[str]:
    with open_review(folder, "ada") as review:
        return review.undecided()


def merged(folder: Path, *sets: str) -> list[dict[str, Any]]:
    """Resume until the next training would begin; returns the rounds of `run.json`."""

    def report(event: Event) -> None:
        if isinstance(event, Started) and event.node == "train":
            raise Interrupted("far enough")

    with pytest.raises(Interrupted, match="far enough"):
        resume(folder, sets=sets, report=report)
    rounds: list[dict[str, Any]] = read_run(folder)["rounds"]
    return rounds


def proposals(folder: Path, fate: str = "accepted") -> dict[str, dict[str, Any]]:
    rows = pq.read_table(folder / "rounds/0/proposals.parquet").to_pylist()
    return {row["parent_id"]: row for row in rows if row["verdict"] == fate}


def test_a_run_pauses_before_merge_and_says_how_many_wait(waiting: Path) -> None:
    document = read_run(waiting)
    count = len(asked(waiting))
    assert count >= 3
    assert document["status"] == "paused"
    assert document["rounds"][0]["review"] == {
        **{"open": True, "asked": count, "undecided": count},
        **{"accepted": 0, "rejected": 0, "edited": 0},
    }
    assert document["rounds"][0]["accepted"] is None
    assert not (waiting / "rounds/1").exists()


def test_resuming_without_a_word_pauses_again_and_asks_no_model(paused: Path) -> None:
    before = read_run(paused)
    again = resume(paused)
    assert again["status"] == "paused"
    for key in ("tokens", "rounds"):
        assert [again[key]] == [before[key]]
    decide(paused, Said(asked(paused)[0], "accept"))
    third = resume(paused)
    assert third["status"] == "paused"
    review = third["rounds"][0]["review"]
    assert (review["accepted"], review["undecided"]) == (1, review["asked"] - 1)


def test_what_was_decided_is_what_is_merged(paused: Path) -> None:
    names = asked(paused)
    with open_review(paused, "ada") as review:
        edited, rejected, *rest = names
        prompt, answer = review.proposed(edited)
        review.decide([Said(edited, "edit", "", prompt, WORDS), Said(rejected, "accept")])
        review.decide([Said(name, "accept") for name in rest])
        review.decide([Said(rejected, "reject", "the tone\nis wrong")])

    document = resume(paused)

    assert document["status"] == "finished"
    first, second = document["rounds"]
    assert first["flagged"]["samples"] == sum(first[fate] for fate in FATES)
    assert first["accepted"] == first["replaced"] + first["added"] == len(names) - 1
    assert first["kept"] + first["replaced"] + first["dropped"] == first["dataset"]["rows"]
    assert second["dataset"]["rows"] == first["kept"] + first["replaced"] + first["added"]
    assert first["review"] == {
        **{"open": False, "asked": len(names), "undecided": 0},
        **{"accepted": len(names) - 2, "rejected": 1, "edited": 1},
    }
    assert first["reasons"]["rejected: review"] == 1

    row = proposals(paused)[edited]
    assert json.loads(row["messages"])[-1]["content"] == WORDS
    assert row["reason"] == "review: edited by ada"
    assert (row["critique"], row["proof"]) == ("null", "null")
    assert {"length", "leakage"} <= {check["name"] for check in json.loads(row["checks"])}
    new = {sample.id: sample for sample in Version(paused / "rounds/1/dataset")}
    assert (new[row["id"]].answer, new[row["id"]].parent_id) == (WORDS, edited)
    assert proposals(paused, "rejected")[rejected]["reason"] == "review: the tone is wrong"
    assert rejected in new and edited not in new

    card = (paused / "export/README.md").read_text("utf-8")
    assert f"{len(names)} proposals" in card and "1 edited" in card
    database = read_database(paused / "ledger.db")
    kept = Reviews(database).words(0, rejected)
    assert [word.decision for word in kept] == ["accept", "reject"]
    assert {word.reviewer for word in kept} == {"ada"}
    database.close()


def test_accepting_everything_gives_the_data_of_a_run_without_review(
    paused: Path, finished: Path
) -> None:
    decide(paused, *(Said(name, "accept") for name in asked(paused)))
    expected = Version(finished / "rounds/1/dataset").sha256
    assert merged(paused)[1]["dataset"]["sha256"] == expected


def test_the_same_decisions_give_the_same_data(paused: Path, waiting: Path, tmp_path: Path) -> None:
    other = Path(shutil.copytree(waiting, tmp_path / "other"))
    names = asked(paused)
    first = [Said(names[0], "edit", "", "Tell me about bread in the hills.", WORDS)]
    decide(paused, *first, *(Said(name, "reject") for name in names[1:]))
    decide(other, *(Said(name, "reject") for name in names), reviewer="bo")
    decide(other, *first, reviewer="bo")
    one, two = merged(paused), merged(other)
    assert one[1]["dataset"] == two[1]["dataset"]
    assert one[0]["replaced"] == 1


def test_a_paused_run_can_go_on_without_a_person_and_the_record_says_so(paused: Path) -> None:
    names = asked(paused)
    decide(paused, Said(names[0], "reject"))
    document = resume(paused, sets=["review=false"])
    assert document["status"] == "finished"
    review = document["rounds"][0]["review"]
    assert (review["rejected"], review["undecided"]) == (1, len(names) - 1)
    assert not review["open"]
    assert document["rounds"][0]["accepted"] == len(names) - 1
    card = (paused / "export/README.md").read_text("utf-8")
    assert f"{len(names) - 1} went on without a decision" in card
    with pytest.raises(UsageError, match="nothing waits for review: the run is finished"):
        decide(paused, Said(names[0], "accept"))


def test_an_edit_into_a_copy_of_another_row_is_refused_by_merging(paused: Path) -> None:
    names = asked(paused)
    with open_review(paused, "ada") as review:
        taken = next(
            row
            for row in Version(paused / "rounds/0/dataset")
            if row.id not in names
            and repeated(review.remarks(names[0], row.prompt, row.answer)) is None
        )
    decide(paused, *(Said(name, "accept") for name in names[1:]))
    decide(paused, Said(names[0], "edit", "", taken.prompt, taken.answer))
    assert merged(paused)[0]["accepted"] == len(names) - 1
    assert "exact copy" in proposals(paused, "rejected")[names[0]]["reason"]


def test_an_edit_into_a_row_of_the_hold_out_is_refused(paused: Path) -> None:
    names, held = asked(paused), next(iter(Version(paused / "holdout")))
    with pytest.raises(DataError, match=f"^the edit of {names[0]} repeats evaluation data"):
        edit = Said(names[0], "edit", "", held.prompt, held.answer)
        decide(paused, Said(names[1], "accept"), edit)
    assert asked(paused) == names


def test_the_trace_of_a_pause_says_how_many_wait(paused: Path) -> None:
    traces = open_traces(paused / "traces.db")
    assert traces is not None
    *_, last = traces.nodes()
    traces.close()
    assert isinstance(last, NodeEnded)
    assert (last.node, last.status) == ("review", "stopped")
    assert last.summary == f"waits for a person: {len(asked(paused))} proposals"


def die_in_review(folder: Path) -> None:
    def report(event: Event) -> None:
        if isinstance(event, Started) and event.node == "review":
            os.kill(os.getpid(), signal.SIGKILL)

    resume(folder, report=report)


def test_a_kill_in_review_loses_no_word(paused: Path) -> None:
    names = asked(paused)
    decide(paused, Said(names[0], "reject"))
    processes = multiprocessing.get_context("forkserver")
    processes.set_forkserver_preload(["middo.graph.build", "torch", "peft"])
    process = processes.Process(target=die_in_review, args=(paused,))
    process.start()
    process.join(120)
    assert process.exitcode == -signal.SIGKILL
    assert read_run(paused)["status"] == "interrupted"
    assert asked(paused) == names[1:]
    decide(paused, *(Said(name, "accept") for name in names[1:]))
    before = read_run(paused)["tokens"]
    assert merged(paused)[0]["accepted"] == len(names) - 1
    assert read_run(paused)["tokens"] == before


def test_with_nothing_to_review_the_run_goes_straight_on(tmp_path: Path) -> None:
    state: LoopState = {"round": 0, "source_round": 0, "stop": ""}
    with opened(tmp_path, review=True) as deps:
        deps.ledger.add_outcomes([Outcome(0, "a", Axis.QUALITY, "rejected", "critic: no", [])])
        assert review_round(deps, state) == ({}, "no proposal to review")
        assert deps.facts.get("round.0.review")["open"] is False


def test_a_client_that_answers_the_interrupt_decides_nothing(paused: Path) -> None:
    """LangGraph hands the answer over; what counts is in the run's database."""

    async def answered() -> tuple[Any, ...]:
        deps = open_run(paused, load_config(paused / "config.yaml", environ={}))
        try:
            async with opened_graph(deps) as (graph, thread):
                await graph.ainvoke(Command(resume="accept them all"), thread, durability="sync")
                return tuple((await graph.aget_state(thread)).interrupts)
        finally:
            deps.close()

    count = len(asked(paused))
    (interrupted,) = asyncio.run(answered())
    assert interrupted.value == {"round": 0, "undecided": count, "run": "run"}
    assert len(asked(paused)) == count


def test_only_who_owns_the_folder_decides(paused: Path) -> None:
    with run_lock(paused), pytest.raises(RunLocked, match="is working on this run"):
        decide(paused, Said("x", "accept"))


def test_an_edit_is_checked_and_its_remarks_are_kept(paused: Path) -> None:
    name = asked(paused)[0]
    with open_review(paused, "ada") as review:
        prompt, _ = review.proposed(name)
        (word,) = review.decide([Said(name, "edit", "", prompt, "Here is the answer:\n\nNo.")])
        refused = {check["name"] for check in word.checks if not check["passed"]}
        assert "wrapper" in refused
        held = Version(paused / "holdout")
        leaked = next(iter(held))
        remarks = review.remarks(name, leaked.prompt, leaked.answer)
        assert "decontamination" in {one.name for one in remarks if not one.passed}


def planned(review: Review, *lines: Decided) -> list[Said]:
    return review.planned(lines)


def test_lines_are_resolved_before_anything_is_stored(paused: Path) -> None:
    with open_review(paused, "ada") as review:
        first, second, *rest = review.undecided()
        said = planned(
            review,
            Decided("f:1", None, "reject", reason="unsure"),
            Decided("f:2", first[:10], "accept"),
            Decided("f:3", second, "edit", answer="Fewer words."),
        )
        assert [one.sample_id for one in said] == sorted([first, second, *rest])
        found = {one.sample_id: one for one in said}
        assert (found[first].decision, found[second].answer) == ("accept", "Fewer words.")
        assert found[second].prompt == review.proposed(second)[0]
        assert {(found[name].decision, found[name].reason) for name in rest} == {
            ("reject", "unsure")
        }
        assert review.tally.undecided == len(said)


def test_a_line_about_the_wrong_sample_names_near_ids(paused: Path) -> None:
    with open_review(paused, "ada") as review:
        first, second, *_ = review.undecided()
        wrong = first[:-1] + ("0" if first[-1] != "0" else "1")
        with pytest.raises(DataError, match=rf"f:1: '{wrong}': no proposal .* near it: .*{first}"):
            planned(review, Decided("f:1", wrong, "accept"))
        twice = [Decided("f:1", first, "accept"), Decided("f:4", first[:9], "reject")]
        with pytest.raises(DataError, match=f"f:4: sample {first} is decided in f:1 already"):
            planned(review, *twice)
        with pytest.raises(DataError, match="f:2: '': several samples begin so: "):
            planned(review, Decided("f:2", "", "accept"))
        same = review.proposed(second)[1]
        with pytest.raises(DataError, match="f:3: the edit of .* changes nothing"):
            planned(review, Decided("f:3", second, "edit", answer=same))
