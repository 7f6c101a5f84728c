"""Measure the tasks of `evaluation.tasks` with the untuned base and with every round's model.

A task that a model has finished is a fact in the ledger and is not run again. The gate does not
look at any of it.
"""

import json
import math
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from ..checks.final_number import final_number
from ..checks.instructions import follows_all, rules_of
from ..core.errors import MiddoError, UsageError
from ..core.progress import Note
from ..core.task_config import TaskConfig
from ..formats.task_rows import TaskRow
from ..providers.failures import in_one_line
from ..providers.importing import load_function
from ..stores.runs import make_folder, write_pieces
from ..training.generation import Answer, Generator
from ..training.harness import HarnessJob, harness_figures
from ..training.weights import is_adapter
from .deps import Deps
from .reporting import advance_in
from .task_figures import Scores, figures_of, task_fact
from .task_model import TaskModel
from .task_rows import TASKS, frozen_rows


def measure_tasks(deps: Deps, round: int | None) -> list[dict[str, Any]]:
    """Run the tasks that are not finished, and return all figures as `run.json` has them.

    Args:
        deps: the open run; the rows are frozen.
        round: whose model; None for the untuned base.

    Raises:
        Interrupted: the run was asked to stop.
        UsageError: a function of the configuration fails or returns no scores.
    """
    tasks = list(enumerate(deps.config.evaluation.tasks, 1))
    # The harness has a process of its own, which needs the memory to itself.
    with ExitStack() as opened:
        model = _Model(deps, round)
        opened.callback(model.close)
        for number, task in sorted(tasks, key=lambda one: (one[1].kind == "lm-eval", one[0])):
            if deps.facts.get(task_fact(round, number)) is None:
                deps.facts.put(
                    task_fact(round, number),
                    _same_weights(deps, round, number) or _measured(model, task, number),
                )
    return [figure for number, task in tasks for figure in figures_of(deps, round, number, task)]


def refresh_tasks(deps: Deps, round: int | None) -> list[dict[str, Any]]:
    """Measure, and keep the figures where `run.json` is composed from."""
    if not deps.config.evaluation.tasks:
        return []
    found = measure_tasks(deps, round)
    deps.facts.put("base_tasks" if round is None else f"round.{round}.tasks", found)
    return found


class _Model:
    """The model that is measured; its weights are loaded when they are first needed."""

    def __init__(self, deps: Deps, round: int | None) -> None:
        self.deps, self.round = deps, round
        tuned = None if round is None else deps.model_of(round)
        self.adapter = tuned if tuned is not None and is_adapter(tuned) else None
        whole = tuned is not None and self.adapter is None
        self.folder = tuned if whole and tuned is not None else deps.source.folder
        self._generator: Generator | None = None

    def answers(
        self, prompts: Sequence[Sequence[tuple[str, str]]], max_tokens: int, unit: str
    ) -> list[Answer]:
        if self._generator is None:
            self._generator = Generator(
                self.folder,
                adapter=self.adapter,
                dtype=self.deps.dtype,
                device=self.deps.device,
                template=self.deps.config.model.template,
            )
        node = "prepare" if self.round is None else "evaluate"
        return self._generator.answers(
            prompts,
            max_tokens=max_tokens,
            advance=advance_in(self.deps, node, self.round or 0, unit),
            should_stop=self.deps.should_stop,
        )

    def close(self) -> None:
        if self._generator is not None:
            self._generator.close()
            self._generator = None


def _measured(model: _Model, task: TaskConfig, number: int) -> dict[str, Any]:
    rows = frozen_rows(model.deps, number)
    if task.kind == "lm-eval":
        model.close()
        return _harness(model, task, number)
    if task.kind == "import":
        return _called(model, task, rows)
    answers = model.answers(
        [row.turns for row in rows], task.answer_tokens, f"answers of {task.title}"
    )
    correct = _METRICS[task.kind]
    scores: Scores = [
        None if said.problem else float(correct(row, said.text))
        for row, said in zip(rows, answers, strict=True)
    ]
    _write_answers(model, number, rows, answers, scores)
    return {"figures": [{"metric": task.metric, "scores": scores}]}


def _number(row: TaskRow, answer: str) -> bool:
    return final_number(answer) == final_number(row.answer)


def _constraints(row: TaskRow, answer: str) -> bool:
    return follows_all(rules_of(row.row["instruction_id_list"], row.row["kwargs"]), answer)


_METRICS: dict[str, Callable[[TaskRow, str], bool]] = {
    "number": _number,
    "constraints": _constraints,
}


def _called(model: _Model, task: TaskConfig, rows: list[TaskRow]) -> dict[str, Any]:
    """Call a function of the user's; whatever it raises becomes one line that names it."""
    function = load_function(task.target, "metric")

    def generate(prompts: Sequence[str], max_tokens: int | None = None) -> list[str]:
        turns = [(("user", prompt),) for prompt in prompts]
        unit = f"answers of {task.title}"
        found = model.answers(turns, max_tokens or task.answer_tokens, unit)
        for place, said in enumerate(found):
            if said.problem:
                raise ValueError(f"prompt {place} can't be asked: {said.problem}")
        return [said.text for said in found]

    given = TaskModel(generate, model.folder, model.adapter, tuple(row.row for row in rows))
    where = f"evaluation.tasks: {task.metric}"
    try:
        returned = function(given)
    except MiddoError:
        raise
    except Exception as error:
        raise UsageError(f"{where}: {in_one_line(error)}; mend it, then resume") from error
    metric = task.target.rpartition(":")[2]
    try:
        if isinstance(returned, int | float):
            return {"figures": [{"metric": metric, "value": _finite(returned)}]}
        scores = [_finite(score) for score in returned]
        if not scores:
            raise ValueError("it is empty")
    except (TypeError, ValueError) as error:
        raise UsageError(
            f"{where}: returned no number and no list of numbers, one per row"
            f" ({in_one_line(error)}); mend it, then resume"
        ) from error
    return {"figures": [{"metric": metric, "scores": scores}]}


def _finite(value: Any) -> float:
    number = float(value)
    if not math.isfinite(number):
        raise ValueError(f"{number} is no score")
    return number


def _harness(model: _Model, task: TaskConfig, number: int) -> dict[str, Any]:
    deps = model.deps
    job = HarnessJob(
        task=task.target,
        include_path=task.include_path,
        limit=task.limit,
        folder=_place(model) / f"{number}.lm-eval",
        seed=deps.config.seed,
        base=model.folder,
        adapter=model.adapter,
        dtype=deps.dtype,
        device=deps.device,
        template=deps.config.model.template,
    )
    deps.report(Note(f"{task.title}: lm-evaluation-harness is at work, its words are in {job.log}"))
    return {"figures": harness_figures(job, deps.should_stop)}


def _write_answers(
    model: _Model,
    number: int,
    rows: Sequence[TaskRow],
    answers: Sequence[Answer],
    scores: Scores,
) -> None:
    """Keep what the model said, for people."""
    file = _place(model) / f"{number}.jsonl"
    make_folder(file.parent)
    lines = (
        json.dumps(
            {
                "source": row.source,
                "prompt": row.prompt,
                "answer": said.text,
                "tokens": said.tokens,
                "is_whole": said.is_whole,
                "problem": said.problem,
                "score": score,
            }
        )
        + "\n"
        for row, said, score in zip(rows, answers, scores, strict=True)
    )
    write_pieces(file, lines)


def _place(model: _Model) -> Path:
    deps = model.deps
    if model.round is None:
        return deps.folder / TASKS / "base"
    return deps.round_folder(model.round) / TASKS


def _same_weights(deps: Deps, round: int | None, number: int) -> dict[str, Any] | None:
    """Return what an earlier round with the same weights was measured at."""
    if round is None:
        return None
    for earlier in range(round):
        if deps.weights_of(earlier) == deps.weights_of(round):
            found: dict[str, Any] | None = deps.facts.get(task_fact(earlier, number))
            if found is not None:
                return found
    return None
