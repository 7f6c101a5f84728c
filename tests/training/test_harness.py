"""Tasks of lm-evaluation-harness, where it is installed: local task files, no network."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from middo.core.errors import ConfigError, UsageError
from middo.core.task_config import TaskConfig
from middo.training import harness
from middo.training.harness import (
    HarnessJob,
    check_harness,
    harness_figures,
    harness_job_from,
    harness_rows,
)
from tests.capitals import CAPITALS, needs_harness, write_tasks


@pytest.fixture
def tasks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    return write_tasks(tmp_path / "tasks", monkeypatch)


def job(folder: Path, tasks: Path, **changes: Any) -> HarnessJob:
    plain = HarnessJob(
        task="middo_capitals",
        include_path=str(tasks),
        limit=None,
        folder=folder / "work",
        seed=3,
    )
    return replace(plain, **changes)


@needs_harness
def test_the_texts_of_a_task_are_told(tmp_path: Path, tasks: Path) -> None:
    wanted = [(f"What is the capital of {country}?", name) for country, name in CAPITALS]
    assert harness_rows(job(tmp_path, tasks, limit=3)) == wanted[:3]


@needs_harness
def test_a_task_is_measured_on_the_model(tmp_path: Path, tasks: Path, tiny_folder: Path) -> None:
    figures = harness_figures(job(tmp_path, tasks, base=tiny_folder))
    assert [one["metric"] for one in figures] == ["acc", "acc_norm"]
    for one in figures:
        assert len(one["scores"]) == len(CAPITALS)
        assert set(one["scores"]) <= {0.0, 1.0}
    assert sum(figures[0]["scores"]) > 0  # it always says the same, and that is right once
    said = job(tmp_path, tasks, task="middo_capitals_said", base=tiny_folder, limit=3)
    (exact,) = harness_figures(said)
    assert exact == {"metric": "exact_match", "scores": [0.0, 0.0, 0.0]}
    assert json.loads(said.result.read_text("utf-8"))["lm_eval"]


@needs_harness
def test_a_task_that_is_not_known_is_one_line(tmp_path: Path, tasks: Path) -> None:
    with pytest.raises(UsageError, match="lm-eval knows no task 'capitals'"):
        harness_rows(job(tmp_path, tasks, task="capitals"))


def test_a_missing_package_comes_with_the_line_that_installs_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name, package=None: None)
    task = TaskConfig(metric="lm-eval:arc_easy")
    with pytest.raises(
        UsageError, match=r'needs a package; run `pip install "middo\[evaluation\]"`'
    ):
        check_harness(task)


def test_a_folder_that_is_none_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name, package=None: True)
    with pytest.raises(ConfigError, match="include_path: 'nowhere' is no folder"):
        check_harness(TaskConfig(metric="lm-eval:arc_easy", include_path="nowhere"))


def test_a_job_comes_back_as_it_was(tmp_path: Path) -> None:
    for one in (job(tmp_path, tmp_path), job(tmp_path, tmp_path, base=tmp_path / "base")):
        assert harness_job_from(json.loads(json.dumps(one.as_dict()))) == one


def test_a_figure_that_is_no_mean_of_rows_keeps_the_harness_own_error() -> None:
    one = {"metric": "f1", "value": 0.5, "stderr": 0.1, "rows": 4, "scores": [1.0, 1.0]}
    assert harness._figure(one) == {
        "metric": "f1",
        "value": 0.5,
        "rows": 4,
        "margin": pytest.approx(0.196, abs=1e-3),
    }
    assert harness._figure({**one, "stderr": None})["margin"] is None
    assert harness._figure({**one, "scores": [0.0, 1.0]}) == {"metric": "f1", "scores": [0.0, 1.0]}
