"""Metrics of a user's own, as a configuration names them: `import:tests.graph.metrics:...`."""

import os
from pathlib import Path
from typing import Any

from middo.graph.task_model import TaskModel


def lengths(model: TaskModel) -> list[float]:
    """Return how long the answers to the rows' questions are; every call is noted."""
    with Path(os.environ["METRICS_LOG"]).open("a", encoding="utf-8") as log:
        log.write(f"lengths {'base' if model.adapter is None else 'tuned'}\n")
    return [float(len(text)) for text in model.generate([row["ask"] for row in model.rows])]


def constant(model: TaskModel) -> float:
    """Return a mean without rows, unless the file that the environment names is there."""
    assert (model.folder / "config.json").exists()
    assert model.rows == ()
    if Path(os.environ["METRICS_LOG"]).with_name("broken").exists():
        raise RuntimeError("the judge\nis out")
    return 0.5


def nothing(model: TaskModel) -> Any:
    """Return what is no score."""
    return {"score": "high"}
