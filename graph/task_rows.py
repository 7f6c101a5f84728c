"""The rows of `evaluation.tasks`, chosen once and kept in the run folder as `tasks/<n>.jsonl`.

Every round is asked the same rows, whatever becomes of the file that they came from.
"""

import json
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..checks.decontamination import Exchange
from ..checks.final_number import final_number
from ..checks.instructions import rules_of
from ..core.config import RunConfig
from ..core.errors import DataError
from ..core.progress import Note
from ..core.records import Quarantined
from ..core.task_config import TaskConfig
from ..formats.quarantine import refuse_if_too_many
from ..formats.task_rows import TaskRow, read_task_rows, task_row_from
from ..providers.importing import find_function
from ..stores.runs import make_folder, write_pieces
from ..training.harness import HarnessJob, check_harness, harness_rows
from .deps import Deps
from .sealing import is_sealed, seal, sealed_digest

TASKS = "tasks"
"""The folder of the rows, in a run folder."""

Rows = tuple[list[TaskRow], list[Quarantined]]
"""The rows to ask, and those that can't be used."""


@dataclass(frozen=True, slots=True)
class _Counted:
    quarantined: Sequence[Quarantined]
    total: int


def check_tasks(config: RunConfig) -> None:
    """Find out cheaply whether the tasks can be measured: nothing heavy is loaded.

    Raises:
        UsageError: a file, a function, a folder or the harness is not there, or rows are of no use.
    """
    for task in config.evaluation.tasks:
        if task.kind == "import":
            find_function(task.target, "metric")
        if task.kind == "lm-eval":
            check_harness(task)
        else:
            chosen_rows(config, task)


def task_exchanges(config: RunConfig) -> Iterator[Exchange]:
    """Yield the texts of all tasks' rows, but those of lm-eval, which only its process knows."""
    for task in config.evaluation.tasks:
        if task.kind != "lm-eval":
            for row in chosen_rows(config, task)[0]:
                yield from row.exchanges()


def frozen_exchanges(folder: Path) -> Iterator[Exchange]:
    """Yield the texts of the rows that a run folder keeps."""
    for file in sorted((folder / TASKS).glob("*.jsonl")):
        for row in _read(file):
            yield from row.exchanges()


def frozen_rows(deps: Deps, number: int) -> list[TaskRow]:
    """Return the rows of a task, counted from 1; none for a function without data."""
    file = _file(deps, number)
    return list(_read(file)) if file.is_file() else []


def freeze_tasks(deps: Deps) -> None:
    """Write the rows of every task into the run folder, unless they are there as they were.

    Raises:
        DataError: they are not what they were when the run began.
    """
    for number, task in enumerate(deps.config.evaluation.tasks, 1):
        if task.kind == "import" and task.data is None:
            continue
        file = _file(deps, number)
        before = sealed_digest(deps, file)
        if before is None or not is_sealed(deps, file):
            _freeze(deps, task, number, file)
        if before is None:
            seal(deps, file)
        elif not is_sealed(deps, file):
            raise DataError(
                f"evaluation.tasks: {task.title}: its rows are not those that the run began with;"
                f" restore {file} from a copy"
            )


def chosen_rows(config: RunConfig, task: TaskConfig) -> Rows:
    """Return a seeded random `limit` of a task's usable rows, in their order, and the unusable.

    Raises:
        DataError: the file can't be used, or too few of its rows.
    """
    rows, broken = read_task_rows(task)
    usable = []
    for row in rows:
        problem = _problem(task, row)
        if problem is None:
            usable.append(row)
        else:
            broken.append(Quarantined(row.source, problem, row.row))
    if not usable and task.data is not None:
        first = f": {broken[0].source}: {broken[0].reason}" if broken else ""
        raise DataError(f"evaluation.tasks: {task.title}: no usable row in {task.data}{first}")
    try:
        total = len(usable) + len(broken)
        refuse_if_too_many(_Counted(broken, total), config.data.max_quarantined)
    except DataError as error:
        raise DataError(f"evaluation.tasks: {task.title}: {error}") from error
    if task.limit is not None and task.limit < len(usable):
        picks = random.Random(config.seed).sample(range(len(usable)), task.limit)
        usable = [usable[index] for index in sorted(picks)]
    return usable, broken


def _freeze(deps: Deps, task: TaskConfig, number: int, file: Path) -> None:
    broken: list[Quarantined] = []
    if task.kind == "lm-eval":
        rows = _harness_rows(deps, task, number)
    else:
        rows, broken = chosen_rows(deps.config, task)
    if broken:
        deps.report(
            Note(
                f"{task.title}: {len(broken)} rows can't be asked, the first at {broken[0].source}:"
                f" {broken[0].reason}"
            )
        )
    make_folder(file.parent)
    write_pieces(file, (json.dumps(row.as_dict()) + "\n" for row in rows))


def _harness_rows(deps: Deps, task: TaskConfig, number: int) -> list[TaskRow]:
    job = HarnessJob(
        task=task.target,
        include_path=task.include_path,
        limit=task.limit,
        folder=deps.folder / TASKS / f"{number}.lm-eval",
        seed=deps.config.seed,
    )
    return [
        TaskRow(f"{task.target}:{place}", (("user", asked),), answer)
        for place, (asked, answer) in enumerate(harness_rows(job, deps.should_stop), 1)
    ]


def _problem(task: TaskConfig, row: TaskRow) -> str | None:
    """Return why a row can't be scored, None where it can."""
    if task.kind == "number" and final_number(row.answer) is None:
        return "the answer holds no number"
    if task.kind == "constraints":
        try:
            rules_of(row.row["instruction_id_list"], row.row["kwargs"])
        except (ValueError, TypeError) as error:
            return str(error)
    return None


def _read(file: Path) -> Iterator[TaskRow]:
    try:
        with file.open(encoding="utf-8") as lines:
            yield from (task_row_from(json.loads(line)) for line in lines)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{file}: can't be read; `middo resume` makes it again") from error


def _file(deps: Deps, number: int) -> Path:
    return deps.folder / TASKS / f"{number}.jsonl"
