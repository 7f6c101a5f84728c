"""Figures of tasks with their intervals, from what a model scored on each row."""

from typing import Any

import numpy as np

from ..core.task_config import TaskConfig
from ..curation.scores import score_of, share_difference
from ..signals.pairing import paired_difference
from .deps import Deps

Scores = list[float | None]
"""Of a task's rows in their order; None where a row could not be asked."""


def task_fact(round: int | None, number: int) -> str:
    """Return the name under which the ledger keeps what a model scored; None is the base."""
    return f"tasks.{'base' if round is None else round}.{number}"


def figures_of(
    deps: Deps, round: int | None, number: int, task: TaskConfig
) -> list[dict[str, Any]]:
    """Return a task's figures with their intervals, and their difference to the untuned base."""
    seed = deps.config.seed
    base = {} if round is None else _by_metric(deps.facts.get(task_fact(None, number)) or {})
    found = []
    for metric, raw in _by_metric(deps.facts.get(task_fact(round, number))).items():
        scores: Scores = raw.get("scores") or []
        known = [score for score in scores if score is not None]
        figure = {"task": task.title, "metric": metric, "unscored": len(scores) - len(known)}
        if "value" in raw or not known:
            margin = raw.get("margin")
            value = raw.get("value")
            figure |= {
                "score": value,
                "interval": None if margin is None else [value - margin, value + margin],
                "rows": raw.get("rows") if "value" in raw else 0,
                "is_share": False,
            }
        else:
            one = score_of(known, seed=seed)
            figure |= {
                "score": one.mean,
                "interval": None if one.low is None else [one.low, one.high],
                "rows": one.rows,
                "is_share": one.is_share,
            }
        figure["against_base"] = _difference(scores, base.get(metric, {}).get("scores") or [], seed)
        found.append(figure)
    return found


def _by_metric(fact: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {raw["metric"]: raw for raw in fact.get("figures", [])}


def _difference(after: Scores, before: Scores, seed: int) -> dict[str, Any] | None:
    """Return the difference paired by row; None where the two have not the same rows."""
    if not before or len(after) != len(before):
        return None
    pairs = [
        (one, other)
        for one, other in zip(before, after, strict=True)
        if one is not None and other is not None
    ]
    if not pairs:
        return None
    one, other = (list(part) for part in zip(*pairs, strict=True))
    if set(one + other) <= {0.0, 1.0}:
        low, high = share_difference(one, other)
        mean = round((sum(other) - sum(one)) / len(pairs), 4)
        return {"mean": mean, "low": low, "high": high, "rows": len(pairs)}
    weights = np.ones(len(pairs), dtype=np.int64)
    found = paired_difference(np.array(one), np.array(other), weights, seed=seed)
    if found is None:
        return None
    return {"mean": found.mean, "low": found.low, "high": found.high, "rows": found.rows}
