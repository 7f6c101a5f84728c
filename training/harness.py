"""Tasks of lm-evaluation-harness, run in a child process (`middo.training.harness_worker`).

The package is an extra, `middo[evaluation]`; this side never imports it. A task is found by its
name among those that the harness ships and in a folder of the user's own, so that it works offline
where that folder holds the data too. The model is asked in the template that it is trained in.
"""

import importlib.util
import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal

from ..core.errors import ConfigError, TrainingError, UsageError
from ..core.task_config import TaskConfig
from .checkpoints import write_json
from .process import Work, Worker, worker_environment

PACKAGE = "lm_eval"
INSTALL = 'pip install "middo[evaluation]"'
BATCH = 8
"""Requests that are computed together."""
SILENCE = 120.0
Z = 1.959964

_WORK = Work(
    "middo.training.harness_worker",
    "lm-eval",
    "resume to run it again",
    "lower the task's limit, or take a smaller model",
)
_PLACES = ("folder", "base", "adapter")


@dataclass(frozen=True, slots=True, kw_only=True)
class HarnessJob:
    """One task of the harness.

    Attributes:
        task: its name, or that of a group of tasks.
        include_path: folder with further task files.
        limit: documents at most, the first ones of each task.
        folder: where job, log and result are put.
        base: folder of the model; None asks for the task's texts alone.
        adapter: LoRA adapter to merge into it.
        dtype: `bfloat16` or `float32`.
        device: `cpu`, `cuda` or `cuda:N`.
        template: as `model.template`.
    """

    task: str
    include_path: str | None
    limit: int | None
    folder: Path
    seed: int
    base: Path | None = None
    adapter: Path | None = None
    dtype: str = "float32"
    device: str = "cpu"
    template: Literal["auto", "plain"] = "auto"

    @property
    def log(self) -> Path:
        """What the harness says."""
        return self.folder / "lm-eval.log"

    @property
    def result(self) -> Path:
        """Where its process writes what came out."""
        return self.folder / "result.json"

    def as_dict(self) -> dict[str, Any]:
        """Return the job as JSON types with absolute paths; `harness_job_from` is the inverse."""
        plain = {field.name: getattr(self, field.name) for field in fields(self)}
        paths = {name: plain[name] and str(plain[name].resolve()) for name in _PLACES}
        return {**plain, **paths}


def harness_job_from(plain: dict[str, Any]) -> HarnessJob:
    """Rebuild a job from `HarnessJob.as_dict`."""
    return HarnessJob(**{**plain, **{name: plain[name] and Path(plain[name]) for name in _PLACES}})


def check_harness(task: TaskConfig) -> None:
    """Find out cheaply whether a task can be run; whether there is one of its name isn't asked.

    Raises:
        UsageError: the package is missing; the message has the line to run.
        ConfigError: the folder with task files is none.
    """
    _require_package(task.target)
    if task.include_path is not None and not Path(task.include_path).expanduser().is_dir():
        raise ConfigError(
            f"evaluation.tasks: {task.title}: include_path: {task.include_path!r} is no folder"
        )


def _require_package(task: str) -> None:
    if importlib.util.find_spec(PACKAGE) is None:
        raise UsageError(f"evaluation.tasks: 'lm-eval:{task}' needs a package; run `{INSTALL}`")


def harness_rows(
    job: HarnessJob, should_stop: Callable[[], bool] = lambda: False
) -> list[tuple[str, str]]:
    """Return prompt and target of each document of a task, as the harness writes them.

    Raises:
        UsageError: the task is not known or can't be loaded.
        TrainingError: the process died.
        Interrupted: `should_stop` said so.
    """
    return [(asked, answer) for asked, answer in _run(job, should_stop)["rows"]]


def harness_figures(
    job: HarnessJob, should_stop: Callable[[], bool] = lambda: False
) -> list[dict[str, Any]]:
    """Return the task's figures, one per metric.

    Each has `metric`, and `scores` where the figure is the mean of its rows, else `value`, `rows`
    and `margin`, half of its 95 % interval, where the harness gives a standard error.

    Raises:
        UsageError, TrainingError, Interrupted: as `harness_rows`.
    """
    return [_figure(one) for one in _run(job, should_stop)["figures"]]


def _figure(one: dict[str, Any]) -> dict[str, Any]:
    scores, value = one["scores"], float(one["value"])
    if scores and abs(sum(scores) / len(scores) - value) < 1e-6:
        return {"metric": one["metric"], "scores": scores}
    error = one["stderr"]
    return {
        "metric": one["metric"],
        "value": value,
        "rows": one["rows"],
        "margin": None if error is None else Z * float(error),
    }


def _run(job: HarnessJob, should_stop: Callable[[], bool]) -> dict[str, Any]:
    _require_package(job.task)
    shutil.rmtree(job.folder, ignore_errors=True)
    job.folder.mkdir(parents=True)
    file = job.folder / "job.json"
    write_json(file, {"job": job.as_dict()})
    environment = worker_environment(job.device, None)
    environment.pop("HF_HUB_OFFLINE")  # tasks fetch their data, unless the user's own says not to
    Worker(
        file,
        log=job.log,
        environment=environment,
        on_progress=lambda done, total, eta: None,
        should_stop=should_stop,
        silence=SILENCE,
        work=_WORK,
    ).run()
    try:
        found: dict[str, Any] = json.loads(job.result.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise TrainingError(f"lm-eval ended without a result; see {job.log}") from error
    return found
