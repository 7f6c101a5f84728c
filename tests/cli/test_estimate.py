"""`middo estimate`: one page, or one document."""

import copy
from pathlib import Path
from typing import Any

import pytest

from middo.cli.estimate import estimate_text
from middo.core.config import RunConfig
from tests.loop import write_rows

from .conftest import Command

COURSES = {"low": 10.4, "middle": 1500.0, "high": 2_000_000.0}
SECONDS = {"low": 30.0, "middle": 90.0, "high": 7200.0}
FOUND: dict[str, Any] = {
    "data": "rows.jsonl",
    "rows": {"train": 1000, "evaluation": 100, "sampled": 200},
    "trainings": 2,
    "steps": 40,
    "flagged": [{"quality": 80.2, "complexity": 73.6, "diversity": 0.0, "samples": 153.8}],
    "roles": {
        "rewriter": {
            "model": "openai:m",
            "calls_timed": 0,
            "untimed": "",
            "calls": COURSES,
            "prompt_tokens": COURSES,
            "completion_tokens": COURSES,
        }
    },
    "tokens": COURSES,
    "models": [
        {
            "model": "openai:m",
            "roles": ["rewriter", "critic"],
            "price": {"input": 0.25, "output": 2.0},
            "usd": {"low": 0.5, "middle": 1.25, "high": 2000.0},
        }
    ],
    "cost_usd": {"low": 0.5, "middle": 1.25, "high": 2000.0},
    "machine": {
        "model": "smollm2-135m",
        "method": "lora",
        "device": "cpu",
        "dtype": "float32",
        "scoring_tokens_per_second": 812.4,
        "step_seconds": 4.26,
    },
    "seconds": {"training": 400.0, "scoring": SECONDS, "llm": SECONDS, "total": SECONDS},
    "disk_bytes": {"data": 2e6, "models": 3e9, "finished": 3.002e9, "peak": 5e9},
    "caps": [{"cap": "max_usd", "value": 5.0, "verdict": "is below the high estimate: ..."}],
}


def page(**changes: Any) -> list[str]:
    found = {**copy.deepcopy(FOUND), **changes}
    return [" ".join(line.split()) for line in estimate_text(RunConfig(), found).splitlines()]


def test_the_page_tells_rows_calls_money_time_and_disk() -> None:
    lines = page()
    assert "Data rows.jsonl: 1,000 rows to train on, 100 to evaluate on" in lines
    assert "Training lora, 2 trainings of 40 steps, 4.3 s per step" in lines
    assert "Round 0 flags about 154 samples (80 quality, 74 complexity)" in lines
    assert "low middle high" in lines
    assert "Rewriter: calls 10 1,500 2,000,000" in lines
    assert "Money, USD 0.50 1.25 2,000.00" in lines
    assert "Training 6 min 40 s 6 min 40 s 6 min 40 s" in lines
    assert "Time in all 30 s 1 min 30 s 2 h 00 min" in lines
    text = " ".join(lines)
    assert "3.0 GB when finished (data 2.0 MB, models 3.0 GB), up to 5.0 GB" in text
    assert "budget.max_usd 5 is below the high estimate: ..." in text
    assert "Latency of rewriter: 1 s per call and 60 completion tokens per second" in text
    assert max(map(len, estimate_text(RunConfig(), FOUND).splitlines())) <= 80


def test_an_unknown_price_and_time_are_said_to_be_unknown() -> None:
    model = {**FOUND["models"][0], "price": None, "usd": None}
    times = {**FOUND["seconds"], "training": None, "total": dict.fromkeys(SECONDS)}
    machine = {**FOUND["machine"], "step_seconds": None}
    lines = page(models=[model], cost_usd=None, seconds=times, machine=machine)
    assert "Money, USD unknown unknown unknown" in lines
    assert "Time in all unknown unknown unknown" in lines
    assert "40 steps, too slow to be timed" in " ".join(lines)
    assert 'price unknown; give it as `"openai:m": {input:' in " ".join(lines)
    assert "0.00" not in " ".join(lines)


def test_a_local_model_has_no_price_and_a_timed_one_says_so() -> None:
    model = {**FOUND["models"][0], "price": {"input": 0.0, "output": 0.0}}
    role = {**FOUND["roles"]["rewriter"], "calls_timed": 2}
    text = " ".join(page(models=[model], roles={"rewriter": role}))
    assert "openai:m (rewriter and critic): runs on this machine, no price" in text
    assert "2 real calls timed" in text
    role = {**role, "calls_timed": 0, "untimed": "no \x1b[31mfile"}
    assert "not timed (no file); 1 s per call" in " ".join(page(roles={"rewriter": role}))


def test_the_command_needs_no_key_and_no_network(
    middo: Command, tiny_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    monkeypatch.chdir(tmp_path)
    rows = write_rows(tmp_path / "rows.jsonl")
    words = ("estimate", "--data", rows, "--rounds", 1, "--limit", 40, "--seed", 3)
    sets = ("--set", f"model.base={tiny_folder}", "--set", "agents.rewriter.model=openai:gpt-4o")
    ran = middo(*words, *sets, "--set", "budget.max_usd=1000", "--json")
    assert ran.code == 0
    assert ran.document["rows"]["train"] + ran.document["rows"]["holdout"] == 40
    assert ran.document["cost_usd"]["low"] > 0
    assert ran.document["caps"][0]["verdict"] == "is above the high estimate"
    assert [path.name for path in tmp_path.iterdir()] == ["rows.jsonl"]


def test_a_bad_price_file_is_one_line(middo: Command, tiny_folder: Path) -> None:
    ran = middo("estimate", "--set", f"model.base={tiny_folder}", "--set", "budget.prices=no.yaml")
    assert (ran.code, ran.out) == (2, "")
    assert ran.err == "middo: budget.prices: no.yaml: no such file\n"


def test_tasks_are_said_to_come_on_top() -> None:
    tasks = [{"metric": "number", "data": "a.jsonl"}, {"metric": "lm-eval:x"}]
    config = RunConfig.model_validate({"evaluation": {"tasks": tasks}})
    said = " ".join(estimate_text(config, copy.deepcopy(FOUND)).split())
    assert "2 tasks of evaluation.tasks, measured on 3 models, the untuned base among them" in said
    assert "evaluation.tasks" not in " ".join(page())
