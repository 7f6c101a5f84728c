"""The tasks of a run as text."""

from collections.abc import Mapping
from typing import Any

from ..inspection.figures import aligned
from ..inspection.task_scores import HEAD, task_lines
from .output import clean


def task_table(document: Mapping[str, Any]) -> str:
    """Return a line per task and model, after a header; empty where there are none."""
    lines = task_lines(document)
    if not lines:
        return ""
    table = [list(HEAD), *([clean(cell) for cell in line.cells] for line in lines)]
    return "\n".join(aligned(table, [False, False, True, False, False, True]))
