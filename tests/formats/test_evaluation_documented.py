"""`docs/evaluation.md` names every setting of a task, and its example is a configuration."""

import re
from dataclasses import fields
from pathlib import Path
from typing import get_args

from middo.core.task_config import MAX_TOKENS, Kind, TaskConfig
from middo.formats.configuration import load_config
from middo.graph.task_model import TaskModel

DOC = (Path(__file__).parents[2] / "docs" / "evaluation.md").read_text(encoding="utf-8")


def test_every_setting_of_a_task_has_its_row() -> None:
    table = DOC.split("| key | takes | meaning |")[1].split("\n\n")[0]
    named = re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE)
    assert named == list(TaskConfig.model_fields)
    assert f"{MAX_TOKENS} by default" in table


def test_every_kind_of_metric_is_described() -> None:
    headings = re.findall(r"^### `([\w-]+)", DOC, re.MULTILINE)
    assert headings == list(get_args(Kind))


def test_what_a_function_is_given_is_named() -> None:
    table = DOC.split("| of the argument | what it is |")[1].split("\n\n")[0]
    assert re.findall(r"^\| `(\w+)", table, re.MULTILINE) == [
        field.name for field in fields(TaskModel)
    ]


def test_the_example_is_a_configuration(tmp_path: Path) -> None:
    examples = [
        part for part in re.findall(r"```yaml\n(.*?)```", DOC, re.DOTALL) if "tasks:" in part
    ]
    path = tmp_path / "run.yaml"
    path.write_text(examples[0], encoding="utf-8")
    tasks = load_config(path, environ={}).evaluation.tasks
    assert [task.kind for task in tasks] == [
        "number",
        "constraints",
        "lm-eval",
        "lm-eval",
        "import",
    ]
