"""Rows of evaluation tasks: what is asked, and what the answer is held against.

Rows of `number` come in any form that Middo imports, question and answer as a rule; those of
`constraints` have `prompt`, `instruction_id_list` and `kwargs`, as IFEval has them; those for a
function of the user's own are taken as they are.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..core.errors import DataError
from ..core.records import Quarantined
from ..core.task_config import TaskConfig
from ..core.text import printable
from .importing import import_data
from .reading import file_rows
from .rows import RawRow

Turn = tuple[str, str]


@dataclass(frozen=True, slots=True)
class TaskRow:
    """One row of a task.

    Attributes:
        source: where it came from, `file name:row`.
        turns: (role, text) of what is asked; empty for a function's own rows.
        answer: the reference; empty where the task has none.
        row: what the metric needs besides: arguments of instructions, or the row itself.
    """

    source: str
    turns: tuple[Turn, ...] = ()
    answer: str = ""
    row: dict[str, Any] = field(default_factory=dict)

    @property
    def prompt(self) -> str:
        """The last turn that is asked."""
        return self.turns[-1][1] if self.turns else ""

    def as_dict(self) -> dict[str, Any]:
        """Return JSON types; `task_row_from` is the inverse."""
        turns = [list(turn) for turn in self.turns]
        return {"source": self.source, "turns": turns, "answer": self.answer, "row": self.row}

    def exchanges(self) -> Iterator[tuple[str, str]]:
        """Yield the texts that no training row may overlap, as prompt and answer."""
        if self.turns:
            yield self.prompt, self.answer
        else:
            yield from ((text, "") for text in self.row.values() if isinstance(text, str))


def task_row_from(plain: dict[str, Any]) -> TaskRow:
    """Rebuild a row from `TaskRow.as_dict`."""
    turns = tuple((role, text) for role, text in plain["turns"])
    return TaskRow(plain["source"], turns, plain["answer"], plain["row"])


def read_task_rows(task: TaskConfig) -> tuple[list[TaskRow], list[Quarantined]]:
    """Return the rows of a task's file, and those that can't be used; no file, no rows.

    Raises:
        DataError: the file is none, can't be read, or has no usable row.
    """
    if task.data is None:
        return [], []
    place = Path(task.data).expanduser()
    if not place.is_file():
        raise DataError(
            f"evaluation.tasks: {task.title}: {printable(task.data)!r}: no such file; check `data`"
        )
    if task.kind == "number":
        found = import_data(str(place))
        rows = [
            TaskRow(
                sample.source,
                tuple((message.role, message.content) for message in sample.messages[:-1]),
                sample.answer,
            )
            for sample in found.samples
        ]
        return rows, found.quarantined
    return _raw_rows(place, task)


def _raw_rows(place: Path, task: TaskConfig) -> tuple[list[TaskRow], list[Quarantined]]:
    rows: list[TaskRow] = []
    broken: list[Quarantined] = []
    for raw in file_rows(place, lambda columns: None):
        row, problem = _row(raw, task)
        if row is None:
            broken.append(Quarantined(raw.source, problem, raw.row))
        else:
            rows.append(row)
    return rows, broken


def _row(raw: RawRow, task: TaskConfig) -> tuple[TaskRow | None, str]:
    if raw.broken is not None:
        return None, raw.broken
    if task.kind != "constraints":
        return TaskRow(raw.source, row=raw.row), ""
    prompt = raw.row.get("prompt")
    if not isinstance(prompt, str) or not prompt.strip():
        return None, "no `prompt`"
    wanted = {key: raw.row.get(key) for key in ("instruction_id_list", "kwargs")}
    if not all(isinstance(value, list) for value in wanted.values()):
        return None, "no lists `instruction_id_list` and `kwargs`"
    return TaskRow(raw.source, (("user", prompt),), row=wanted), ""
