"""How each model of a run did on the tasks of `evaluation.tasks`, as lines of a table."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from .figures import DASH, between, count, loss, percent

Figure = Mapping[str, Any]

HEAD = ("Task", "Model", "Score", "95% interval", "Against untuned", "Rows")


@dataclass(frozen=True, slots=True)
class TaskLine:
    """One task and one model, in words.

    Attributes:
        task: the task, with the metric where that is another word.
        model: `untuned` or `round k`.
        score: a percentage where rows are right or wrong, else four decimals.
        interval: of the score; a dash where the rows' scores are not known.
        against: difference to the untuned base, paired by row, with its interval.
        rows: that the score rests on.
    """

    task: str
    model: str
    score: str
    interval: str
    against: str
    rows: str

    @property
    def cells(self) -> list[str]:
        """The line in the order of `HEAD`."""
        return [self.task, self.model, self.score, self.interval, self.against, self.rows]


def task_lines(document: Mapping[str, Any]) -> list[TaskLine]:
    """Return the lines, task by task; empty where a run has no tasks or has not measured any."""
    found = list(_figures(document))
    order = {name: place for place, name in enumerate(dict.fromkeys(_name(f) for _, f in found))}
    lines = sorted(found, key=lambda one: order[_name(one[1])])
    return [_line(model, figure) for model, figure in lines]


def _figures(document: Mapping[str, Any]) -> Iterator[tuple[str, Figure]]:
    for figure in document.get("base_tasks") or []:
        yield "untuned", figure
    for entry in document.get("rounds") or []:
        for figure in entry.get("tasks") or []:
            yield f"round {entry['round']}", figure


def _name(figure: Figure) -> str:
    task, metric = str(figure["task"]), str(figure["metric"])
    return task if metric == task else f"{task}, {metric}"


def _line(model: str, figure: Figure) -> TaskLine:
    is_share, interval = figure["is_share"], figure["interval"]
    if is_share and interval:
        low, high = interval
        words = f"{percent(low)} to {percent(high)}"
    else:
        words = between(interval)
    score = percent(figure["score"]) if is_share else loss(figure["score"])
    unscored = f", {count(figure['unscored'])} not asked" if figure["unscored"] else ""
    rows = count(figure["rows"]) + unscored
    return TaskLine(
        _name(figure), model, score, words, _against(figure["against_base"], is_share), rows
    )


def _against(difference: Mapping[str, Any] | None, is_share: bool) -> str:
    if not difference:
        return DASH
    mean, low, high = (difference[name] for name in ("mean", "low", "high"))
    if is_share:
        mean, low, high = 100 * mean, 100 * low, 100 * high
        return f"{mean:+.1f} points ({low:+.1f} to {high:+.1f})"
    return f"{mean:+.4f} ({low:+.4f} to {high:+.4f})"
