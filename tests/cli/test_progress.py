import io

import pytest
from rich.console import Console
from rich.progress import Progress as RichProgress
from rich.progress import TextColumn

from middo.cli.progress import Bars, Lines, display, line_of
from middo.core.progress import Event, Finished, Note, Progress, Started


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.mark.parametrize(
    ("event", "line"),
    [
        (Started("train", 0), "round 0  train     started"),
        (Finished("train", 1, 82.4, "18 steps"), "round 1  train     done in 1 min 22 s: 18 steps"),
        (Finished("gate", 1, 0.04, ""), "round 1  gate      done in 0.0 s"),
        (Progress("train", 0, 3, 1800, "steps"), "round 0  train     3/1,800 steps"),
        (
            Progress("refine", 0, 3, 8, "samples", 65.0, "1,234 tokens"),
            "round 0  refine    3/8 samples, about 1 min 05 s left, 1,234 tokens",
        ),
        (Note("a \x1b[31mred\x1b[0m\nnote"), "note: a red note"),
        (Finished("merge", 0, 61, "\x1b]0;x\x07ok"), "round 0  merge     done in 1 min 01 s: ok"),
    ],
)
def test_an_event_is_one_plain_line(event: Event, line: str) -> None:
    assert line_of(event) == line


def test_plain_lines_are_at_least_ten_seconds_apart() -> None:
    stream, clock = io.StringIO(), Clock()
    lines = Lines(stream, clock)
    lines(Started("train", 0))
    for done in range(1, 31):
        clock.now += 1
        lines(Progress("train", 0, done, 30, "steps"))
    lines(Finished("train", 0, 30.0, ""))
    lines(Note("now"))
    assert stream.getvalue().splitlines() == [
        "[  0:00] round 0  train     started",
        "[  0:10] round 0  train     10/30 steps",
        "[  0:20] round 0  train     20/30 steps",
        "[  0:30] round 0  train     30/30 steps",
        "[  0:30] round 0  train     done in 30 s",
        "[  0:30] note: now",
    ]


def test_what_is_no_terminal_gets_plain_lines() -> None:
    stream = io.StringIO()
    with display(stream) as report:
        report(Started("prepare", 0))
    assert stream.getvalue() == "[  0:00] round 0  prepare   started\n"


def test_bars_show_the_node_at_work_and_leave_lines_behind() -> None:
    console = Console(file=io.StringIO(), force_terminal=True, width=100, highlight=False)
    bars = RichProgress(
        TextColumn("{task.description} {task.fields[figures]}", markup=False),
        console=console,
        auto_refresh=False,
    )
    show = Bars(bars)
    show(Started("train", 0))
    show(Progress("train", 0, 5, 18, "steps", 30.0, "[bold]"))
    (task,) = bars.tasks
    assert (task.description, task.completed, task.total) == ("round 0 train", 5, 18)
    assert task.fields["figures"] == "5/18 steps, about 30 s left, [bold]"
    show(Progress("refine", 0, 1, 4, "samples"))  # a node whose start was not told
    assert [task.description for task in bars.tasks] == ["round 0 train", "round 0 refine"]
    show(Finished("train", 0, 40.0, "loss [2.1]"))
    show(Note("[red]careful"))
    assert [task.description for task in bars.tasks] == ["round 0 refine"]
    printed = console.file.getvalue()  # type: ignore[attr-defined]
    assert "round 0  train     done in 40 s: loss [2.1]" in printed
    assert "note: [red]careful" in printed


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_terminal_gets_a_bar() -> None:
    stream = Terminal()
    with display(stream) as report:
        assert isinstance(report, Bars)
        report(Started("train", 0))
        report(Progress("train", 0, 5, 18, "steps"))
        report(Finished("train", 0, 40.0, ""))
    assert "round 0  train     done in 40 s" in stream.getvalue()
