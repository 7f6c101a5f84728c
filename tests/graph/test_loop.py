"""One whole run with the tiny model and the scripted teacher."""

import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from middo import resume, run
from middo.core.errors import ConfigError, UsageError
from middo.curation.plan import plan_refinement
from middo.graph.planning import flags_of
from middo.stores.samples import Version
from tests.loop import config, rows, write_rows

pytestmark = pytest.mark.xdist_group("one finished run")

FATES = ("accepted", "rejected", "failed", "deferred")


def test_the_run_ends_and_says_why(document: dict[str, Any]) -> None:
    assert document["status"] == "finished"
    assert document["stopped"]
    assert document["result"]
    assert document["rounds"][0]["gate"] == "baseline"
    assert document["best_round"] in range(len(document["rounds"]))


def test_every_imported_row_went_somewhere(document: dict[str, Any]) -> None:
    first = document["rounds"][0]["dataset"]["rows"]
    parts = (first, document["holdout"], document["quarantined"], document["not_selected"])
    assert document["imported"] == len(rows()) == sum(parts)
    assert document["holdout"] == 20


def test_the_equations_hold_in_every_round(document: dict[str, Any]) -> None:
    steps = list(zip(document["rounds"], document["rounds"][1:], strict=False))
    assert steps
    for before, after in steps:
        assert before["flagged"]["samples"] == sum(before[fate] for fate in FATES)
        assert before["accepted"] == before["replaced"] + before["added"]
        rows_in = before["kept"] + before["replaced"] + before["dropped"]
        assert rows_in == before["dataset"]["rows"]
        assert after["dataset"]["rows"] == rows_in - before["dropped"] + before["added"]
    assert document["rounds"][-1]["accepted"] is None


def test_proposals_are_accepted_on_evidence(finished: Path) -> None:
    proposals = pq.read_table(finished / "rounds/0/proposals.parquet").to_pylist()
    accepted = [row for row in proposals if row["verdict"] == "accepted"]
    assert len(accepted) >= 3
    assert {row["axis"] for row in accepted} == {"complexity", "quality"}
    for row in accepted:
        assert all(check["passed"] for check in json.loads(row["checks"]))
        assert json.loads(row["critique"])["passed"]
        assert json.loads(row["proof"])["passed"]


def test_accepted_proposals_are_the_changed_rows(finished: Path) -> None:
    proposals = pq.read_table(finished / "rounds/0/proposals.parquet").to_pylist()
    accepted = {row["id"]: row["parent_id"] for row in proposals if row["verdict"] == "accepted"}
    old, new = Version(finished / "rounds/0/dataset"), Version(finished / "rounds/1/dataset")
    changed = {s.id: s for s in new if s.id not in set(old.ids())}
    assert {name: sample.parent_id for name, sample in changed.items()} == accepted
    assert {sample.origin for sample in changed.values()} == {"rewritten"}
    assert set(old.ids()) - set(new.ids()) == {s.parent_id for s in changed.values()}


def test_diversity_adds_rows_beside_the_sparse_ones(tmp_path: Path, tiny_folder: Path) -> None:
    chosen = config(
        write_rows(tmp_path / "rows.jsonl"),
        tiny_folder,
        rounds=1,
        signals={"axes": ["diversity"], "share": 0.2},
    )
    document = run(chosen, tmp_path / "run")
    before, after = document["rounds"]
    assert before["added"] >= 1
    assert before["axes"]["quality"] == {
        **before["axes"]["quality"],
        "on": False,
        "reason": "not among signals.axes",
    }
    assert before["replaced"] == 0
    assert after["dataset"]["rows"] == before["dataset"]["rows"] + before["added"]
    new = Version(tmp_path / "run/rounds/1/dataset")
    added = [sample for sample in new if sample.origin == "added"]
    sparse = {sample.id for sample in new if sample.origin == "seed"}
    assert len(added) == before["added"]
    assert {sample.parent_id for sample in added} <= sparse


def test_the_hold_out_is_never_trained_on(finished: Path, document: dict[str, Any]) -> None:
    held = {sample.messages for sample in Version(finished / "holdout")}
    for number in range(len(document["rounds"])):
        trained = {sample.messages for sample in Version(finished / f"rounds/{number}/dataset")}
        assert not held & trained


def test_signals_have_a_row_per_sample(finished: Path) -> None:
    signals = pq.read_table(finished / "rounds/0/signals.parquet").to_pylist()
    assert sorted(row["id"] for row in signals) == sorted(
        Version(finished / "rounds/0/dataset").ids()
    )
    for row in signals:
        assert row["unscored"] is None
        assert 0 < row["loss_base"] < 20
        assert 0 <= row["quality"] <= 1
        assert len(row["neighbours"]) == 2
    diagnosis = json.loads((finished / "rounds/0/diagnosis.json").read_text("utf-8"))
    flagged = {flag["id"] for flag in diagnosis["flags"]}
    assert flagged == {row["id"] for row in signals if row["flags"]}


def test_every_round_takes_as_many_steps(document: dict[str, Any]) -> None:
    assert len({entry["training"]["steps"] for entry in document["rounds"]}) == 1


def test_the_export_is_the_best_rounds_data_in_the_inputs_form(
    finished: Path, document: dict[str, Any]
) -> None:
    lines = (finished / "export/data.jsonl").read_text("utf-8").splitlines()
    best = document["rounds"][document["best_round"]]
    assert len(lines) == best["dataset"]["rows"]
    assert all({"instruction", "output"} <= json.loads(line).keys() for line in lines)
    assert (finished / "export/model/adapter_model.safetensors").is_file()
    card = (finished / "export/README.md").read_text("utf-8")
    assert document["result"] in card


def test_resuming_a_finished_run_prints_its_document(
    finished: Path, document: dict[str, Any]
) -> None:
    assert resume(finished) == document


def test_a_used_folder_is_refused(finished: Path, tiny_folder: Path) -> None:
    same = config(finished.parent / "rows.jsonl", tiny_folder)
    with pytest.raises(UsageError, match="go on with `middo resume"):
        run(same, finished)
    other = config(finished.parent / "rows.jsonl", tiny_folder, seed=8)
    with pytest.raises(ConfigError, match="seed: 7 -> 8"):
        run(other, finished)
    with pytest.raises(ConfigError, match="signals.share"):
        resume(finished, sets=["signals.share=0.3"])


@pytest.mark.parametrize("selection", ["random", "all"])
def test_control_arms_refine_samples_that_the_signals_did_not_choose(
    finished: Path, tiny_folder: Path, tmp_path: Path, selection: str
) -> None:
    usual = json.loads((finished / "rounds/0/diagnosis.json").read_text("utf-8"))
    chosen = config(
        finished.parent / "rows.jsonl",
        tiny_folder,
        rounds=1,
        signals={"share": 0.2, "calibration": 24, "selection": selection},
        refinement={"attempts": 2, "concurrency": 4, "max_samples": 6},
    )
    document = run(chosen, tmp_path / "run")
    diagnosis = json.loads((tmp_path / "run/rounds/0/diagnosis.json").read_text("utf-8"))
    assert diagnosis["thresholds"] == usual["thresholds"]
    assert diagnosis["proof"] == usual["proof"]
    assert f"signals.selection is {selection}" in document["rounds"][0]["cautions"][0]
    assert len(diagnosis["plan"]["selected"]) == 6
    assert "in a drawn order" in diagnosis["plan"]["rationale"]
    plan = plan_refinement(flags_of(usual), 6)
    assert diagnosis["plan"]["selected"] != [task.sample_id for task in plan.selected]
    before, after = document["rounds"]
    assert before["flagged"]["samples"] == 6 + before["deferred"]
    assert after["dataset"]["rows"] == before["dataset"]["rows"] + before["added"]
    if selection == "random":
        assert before["flagged"]["samples"] == len({flag["id"] for flag in usual["flags"]})
    else:
        assert before["flagged"]["samples"] == before["dataset"]["rows"]
