"""Tasks: asked of the untuned base before any training, and of every round's model, once each."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from middo import resume, run
from middo.core.errors import DataError, UsageError
from middo.core.progress import Event, Note, Progress
from middo.graph.preflight import check
from middo.graph.task_rows import freeze_tasks, frozen_rows
from middo.graph.tasks import measure_tasks
from middo.stores.runs import read_json
from middo.stores.samples import Version
from tests.capitals import CAPITALS, needs_harness, write_tasks
from tests.graph.folder import opened
from tests.loop import config, easy_answer, rows, write_rows

LENGTHS = {"metric": "import:tests.graph.metrics:lengths", "limit": 2, "max_tokens": 8}
CONSTANT = {"metric": "import:tests.graph.metrics:constant"}


def write(path: Path, found: list[dict[str, Any]]) -> str:
    path.write_text("".join(json.dumps(row) + "\n" for row in found), encoding="utf-8")
    return str(path)


def tasks(place: Path) -> list[dict[str, Any]]:
    numbers = [{"question": f"What is {n} and {n}?", "answer": f"#### {2 * n}"} for n in range(9)]
    numbers.append({"question": "Which?", "answer": "none of them"})
    numbers.append({"question": rows()[0]["instruction"], "answer": "#### 4"})
    rules = [
        {"prompt": f"Say {n}.", "instruction_id_list": ["punctuation:no_comma"], "kwargs": [{}]}
        for n in range(4)
    ]
    asked = [{"ask": f"Tell me {n}."} for n in range(4)]
    return [
        {"metric": "number", "data": write(place / "sums.jsonl", numbers), "max_tokens": 8},
        {**LENGTHS, "data": write(place / "asked.jsonl", asked)},
        {"metric": "constraints", "data": write(place / "rules.jsonl", rules), "max_tokens": 8},
        CONSTANT,
    ]


@pytest.fixture
def log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file that notes which metrics were called with which model."""
    file = tmp_path / "calls.txt"
    monkeypatch.setenv("METRICS_LOG", str(file))
    return file


@pytest.fixture
def events() -> Iterator[list[Event]]:
    yield []


def test_a_run_measures_its_tasks_and_a_broken_one_costs_no_training(
    tmp_path: Path, tiny_folder: Path, log: Path, events: list[Event]
) -> None:
    chosen = config(
        write_rows(tmp_path / "rows.jsonl"),
        tiny_folder,
        rounds=0,
        evaluation={"rows": 20, "tasks": tasks(tmp_path)},
    )
    (tmp_path / "broken").touch()
    with pytest.raises(UsageError, match="constant: RuntimeError: the judge is out; mend it"):
        run(chosen, tmp_path / "run", report=events.append)
    assert not (tmp_path / "run/rounds/0/model").exists()
    (tmp_path / "broken").unlink()
    document = resume(tmp_path / "run", report=events.append)

    assert document["status"] == "finished"
    assert log.read_text("utf-8").split("\n")[:-1] == ["lengths base", "lengths tuned"]
    base, (first,) = document["base_tasks"], document["rounds"]
    names = [(one["task"], one["metric"], one["rows"], one["is_share"]) for one in base]
    assert names == [
        ("sums", "number", 10, True),
        ("lengths", "lengths", 2, False),
        ("rules", "constraints", 4, True),
        ("constant", "constant", None, False),
    ]
    assert [one["task"] for one in first["tasks"]] == ["sums", "lengths", "rules", "constant"]
    assert all(one["against_base"] is None for one in base)
    lengths = first["tasks"][1]
    difference = lengths["score"] - base[1]["score"]
    assert lengths["against_base"]["mean"] == pytest.approx(difference, abs=1e-3)
    assert (base[3]["score"], base[3]["interval"]) == (0.5, None)
    share = first["tasks"][2]
    low, high = share["interval"]
    assert 0 <= low <= share["score"] <= high <= 1

    kept = read_json(tmp_path / "run/rounds/0/evaluation.json")
    assert kept["tasks"] == first["tasks"]
    answers = (tmp_path / "run/rounds/0/tasks/3.jsonl").read_text("utf-8").splitlines()
    said = [json.loads(line) for line in answers]
    assert [one["prompt"] for one in said] == [f"Say {n}." for n in range(4)]
    assert [one["score"] for one in said] == [float("," not in one["answer"]) for one in said]

    # The row that a task asks too is not trained on, and neither is a row without a number asked.
    assert document["overlapping"] == 1
    notes = [event.text for event in events if isinstance(event, Note)]
    assert any(note.startswith("sums: 1 rows can't be asked, the first at sums.") for note in notes)
    assert any(isinstance(e, Progress) and e.unit == "answers of sums" for e in events)


@needs_harness
def test_a_run_measures_a_task_of_the_harness_and_trains_on_none_of_its_rows(
    tmp_path: Path, tiny_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = write_tasks(tmp_path / "tasks", monkeypatch)
    data = write_rows(tmp_path / "rows.jsonl")
    leaked = {"instruction": f"What is the capital of {CAPITALS[0][0]}?", "output": "Paris"}
    with data.open("a", encoding="utf-8") as file:
        file.write(json.dumps(leaked) + "\n")
    task = {"metric": "lm-eval:middo_capitals", "include_path": str(folder)}
    chosen = config(data, tiny_folder, rounds=0, evaluation={"rows": 20, "tasks": [task]})
    document = run(chosen, tmp_path / "run")
    assert document["overlapping"] <= 1  # the row may be held out
    held = {sample.prompt for sample in Version(tmp_path / "run/holdout")}
    trained = {sample.prompt for sample in Version(tmp_path / "run/rounds/0/dataset")}
    assert leaked["instruction"] not in trained
    assert (document["overlapping"] == 1) == (leaked["instruction"] not in held)
    for figures in (document["base_tasks"], document["rounds"][0]["tasks"]):
        assert [one["metric"] for one in figures] == ["acc", "acc_norm"]
        assert all(one["rows"] == len(CAPITALS) and one["is_share"] for one in figures)
    assert document["rounds"][0]["tasks"][0]["against_base"]["rows"] == len(CAPITALS)
    assert (tmp_path / "run/rounds/0/tasks/1.lm-eval/lm-eval.log").is_file()


def test_what_is_finished_is_not_measured_again(tmp_path: Path, log: Path) -> None:
    with opened(tmp_path / "run", evaluation={"tasks": [CONSTANT]}) as deps:
        deps.facts.put("tasks.0.1", {"figures": [{"metric": "m", "scores": [1.0, 0.0, None]}]})
        deps.facts.put("tasks.base.1", {"figures": [{"metric": "m", "scores": [0.0, 0.0, None]}]})
        (figure,) = measure_tasks(deps, 0)
    assert (figure["score"], figure["rows"], figure["unscored"]) == (0.5, 2, 1)
    assert figure["against_base"] == {"mean": 0.5, "low": -0.3982, "high": 0.8982, "rows": 2}


def test_equal_weights_are_measured_once(tmp_path: Path, log: Path) -> None:
    with opened(tmp_path / "run", evaluation={"tasks": [CONSTANT]}) as deps:
        for number, weights in enumerate(("a", "b", "a")):
            deps.facts.put(f"round.{number}.training", {"weights": weights})
        known = {"figures": [{"metric": "constant", "value": 0.25}]}
        deps.facts.put("tasks.0.1", known)
        (figure,) = measure_tasks(deps, 2)
    assert figure["score"] == 0.25


def test_a_metric_that_returns_no_scores_is_told(tmp_path: Path, tiny_folder: Path) -> None:
    task = {"metric": "import:tests.graph.metrics:nothing"}
    sections: dict[str, Any] = {
        "model": {"base": str(tiny_folder)},
        "evaluation": {"tasks": [task]},
    }
    with (
        opened(tmp_path / "run", **sections) as deps,
        pytest.raises(UsageError, match="nothing: returned no number and no list of numbers"),
    ):
        measure_tasks(deps, None)


def test_rows_are_kept_as_they_were_when_the_run_began(tmp_path: Path) -> None:
    file = tmp_path / "sums.jsonl"
    numbers = [{"question": f"{n} and {n}?", "answer": f"#### {2 * n}"} for n in range(9)]
    task = {"metric": "number", "data": write(file, numbers), "limit": 4}
    with opened(tmp_path / "run", evaluation={"tasks": [task]}) as deps:
        freeze_tasks(deps)
        chosen = frozen_rows(deps, 1)
        assert len(chosen) == 4
        assert [row.prompt for row in chosen] == sorted(row.prompt for row in chosen)
        write(file, numbers[:5])
        freeze_tasks(deps)  # the file is not looked at again
        assert frozen_rows(deps, 1) == chosen
        (tmp_path / "run/tasks/1.jsonl").write_text("cut", encoding="utf-8")
        with pytest.raises(DataError, match=r"its rows are not those that the run began with"):
            freeze_tasks(deps)
        write(file, numbers)
        freeze_tasks(deps)
        assert frozen_rows(deps, 1) == chosen


@pytest.mark.parametrize(
    ("task", "problem"),
    [
        ({"metric": "number", "data": "none.jsonl"}, "none: 'none.jsonl': no such file"),
        ({"metric": "import:nowhere_at_all:f"}, "metric 'import:nowhere_at_all:f': no module"),
        ({"metric": "constraints", "data": "rules.jsonl"}, "rules.jsonl:1: the instruction 'x'"),
        ({"metric": "constraints", "data": "sums.jsonl"}, "sums.jsonl:1: no `prompt`"),
        ({"metric": "number", "data": "words.jsonl"}, "words.jsonl:1: the answer holds no number"),
    ],
)
def test_a_task_that_can_not_be_measured_is_refused_before_a_folder_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, task: dict[str, Any], problem: str
) -> None:
    monkeypatch.chdir(tmp_path)
    write_rows(Path("rows.jsonl"))
    write(Path("rules.jsonl"), [{"prompt": "p", "instruction_id_list": ["x"], "kwargs": [{}]}])
    write(Path("sums.jsonl"), [{"question": "q", "answer": "#### 1"}])
    write(Path("words.jsonl"), [{"question": "q", "answer": "one"}])
    chosen = config(Path("rows.jsonl"), Path("tiny"), evaluation={"tasks": [task]})
    with pytest.raises(UsageError) as caught:
        check(chosen)
    assert problem in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_run_without_tasks_has_nothing_of_them(finished: Path, document: dict[str, Any]) -> None:
    assert document["base_tasks"] == []
    assert [entry["tasks"] for entry in document["rounds"]] == [[] for _ in document["rounds"]]
    assert not (finished / "tasks").exists()
    assert "tasks" not in read_json(finished / "rounds/0/evaluation.json")
    assert easy_answer("apples", "Paris")
