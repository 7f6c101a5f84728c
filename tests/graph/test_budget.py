"""A cap stops a run in good order; with a higher one it goes on as if nothing had been."""

from pathlib import Path
from typing import Any

import pytest

from benchmarks.stages import opened
from middo import resume, run
from middo.core.errors import BudgetReached, ConfigError, UsageError
from middo.stores.runs import read_run
from tests.loop import config

pytestmark = pytest.mark.xdist_group("one finished run")


def test_a_run_that_met_its_cap_goes_on_with_a_higher_one(
    finished: Path, document: dict[str, Any], tiny_folder: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "run"
    capped = config(finished.parent / "rows.jsonl", tiny_folder, budget={"max_tokens": 500})
    with pytest.raises(BudgetReached, match=r"budget\.max_tokens=500 is reached"):
        run(capped, folder)
    stopped = read_run(folder)
    assert stopped["status"] == "budget"
    assert stopped["best_round"] is None
    assert 0 < stopped["tokens"]["calls"] < document["tokens"]["calls"]
    assert stopped["rounds"][0]["accepted"] is None  # the round is not merged
    with pytest.raises(BudgetReached):
        resume(folder)
    assert read_run(folder)["tokens"]["calls"] == stopped["tokens"]["calls"]

    ended = resume(folder, sets=["budget.max_tokens=1000000"])

    assert ended["status"] == "finished"
    assert ended["tokens"] == document["tokens"]
    assert [entry["dataset"] for entry in ended["rounds"]] == [
        entry["dataset"] for entry in document["rounds"]
    ]
    exported = "export/data.jsonl"
    assert (folder / exported).read_bytes() == (finished / exported).read_bytes()


def test_a_run_of_a_gpu_is_left_as_it_is_where_there_is_none(
    finished: Path, tiny_folder: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "run"
    capped = config(finished.parent / "rows.jsonl", tiny_folder, budget={"max_tokens": 500})
    with pytest.raises(BudgetReached):
        run(capped, folder)
    before = (folder / "run.json").read_bytes()
    with opened(folder) as deps:
        deps.facts.put("device", "cuda")
    with pytest.raises(UsageError, match="was begun on a GPU, and PyTorch sees none here"):
        resume(folder)
    assert (folder / "run.json").read_bytes() == before


def test_a_cap_on_money_stops_a_run_that_a_higher_one_finishes(
    finished: Path, document: dict[str, Any], tiny_folder: Path, tmp_path: Path
) -> None:
    prices = tmp_path / "prices.yaml"
    prices.write_text('"import:tests.loop:teacher": {input: 10.0, output: 20.0}\n', "utf-8")
    budget = {"max_usd": 0.02, "prices": str(prices)}
    capped = config(finished.parent / "rows.jsonl", tiny_folder, budget=budget)
    with pytest.raises(BudgetReached, match=r"budget\.max_usd=0\.02 is reached") as stopped:
        run(capped, tmp_path / "run")
    assert stopped.value.exit_code == 4
    spent = read_run(tmp_path / "run")
    assert spent["status"] == "budget"
    assert 0 < spent["cost_usd"] <= 0.02  # the cap is not passed

    ended = resume(tmp_path / "run", sets=["budget.max_usd=100"])

    tokens = ended["tokens"]
    assert ended["cost_usd"] == pytest.approx(
        tokens["prompt"] * 1e-5 + tokens["completion"] * 2e-5, abs=1e-6
    )
    assert [entry["dataset"] for entry in ended["rounds"]] == [
        entry["dataset"] for entry in document["rounds"]
    ]


def test_a_cap_on_money_needs_a_price(finished: Path, tiny_folder: Path, tmp_path: Path) -> None:
    capped = config(finished.parent / "rows.jsonl", tiny_folder, budget={"max_usd": 1.0})
    with pytest.raises(ConfigError, match=r'write `"import:tests\.loop:teacher": \{input:'):
        run(capped, tmp_path / "run")
    assert not (tmp_path / "run").exists()
