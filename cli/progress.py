"""Show what a run is doing, on stderr: a live bar on a terminal, plain lines elsewhere."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TextIO

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.text import Text

from ..core.progress import Event, Finished, Note, Report, Started
from ..core.progress import Progress as Step
from ..inspection.figures import duration
from .output import clean

QUIET_SECONDS = 10.0
"""Progress lines of one node are at least this far apart where nobody watches a bar."""


@contextmanager
def display(stream: TextIO) -> Iterator[Report]:
    """Yield a report that shows events on `stream` as long as the context lasts."""
    if not stream.isatty():
        yield Lines(stream)
        return
    console = Console(file=stream, highlight=False)
    with Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=24),
        TextColumn("{task.fields[figures]}", markup=False),
        TimeElapsedColumn(),
        console=console,
        transient=True,
    ) as bars:
        yield Bars(bars)


class Lines:
    """One line when a node starts and one when it ends, and some between, with the time so far."""

    def __init__(self, stream: TextIO, clock: Callable[[], float] = time.monotonic) -> None:
        """Write to `stream`; `clock` gives seconds."""
        self._stream, self._clock = stream, clock
        self._start = clock()
        self._last = self._start

    def __call__(self, event: Event) -> None:
        """Print an event, or leave it out where the last line is too recent."""
        now = self._clock()
        if isinstance(event, Step) and now - self._last < QUIET_SECONDS:
            return
        self._last = now
        minutes, seconds = divmod(int(now - self._start), 60)
        print(f"[{minutes:3d}:{seconds:02d}] {line_of(event)}", file=self._stream, flush=True)


class Bars:
    """A bar per node at work; what is finished scrolls up as lines."""

    def __init__(self, bars: Progress) -> None:
        """Draw on rich's progress display, which the caller has started."""
        self._bars = bars
        self._tasks: dict[tuple[str, int], TaskID] = {}

    def __call__(self, event: Event) -> None:
        """Show an event."""
        if isinstance(event, Note):
            self._bars.console.print(Text(line_of(event)))
            return
        key = (event.node, event.round)
        if isinstance(event, Finished):
            if key in self._tasks:
                self._bars.remove_task(self._tasks.pop(key))
            self._bars.console.print(Text(line_of(event)))
            return
        if key not in self._tasks or isinstance(event, Started):
            if key in self._tasks:
                self._bars.remove_task(self._tasks[key])
            name = f"round {event.round} {clean(event.node)}"
            self._tasks[key] = self._bars.add_task(name, total=None, figures="")
        if isinstance(event, Step):
            self._bars.update(
                self._tasks[key], completed=event.done, total=event.total, figures=_figures(event)
            )


def line_of(event: Event) -> str:
    """Return an event as one plain line."""
    if isinstance(event, Note):
        return f"note: {clean(event.text)}"
    start = f"round {event.round}  {clean(event.node):<9}"
    if isinstance(event, Started):
        return f"{start} started"
    if isinstance(event, Finished):
        summary = f": {clean(event.summary)}" if event.summary else ""
        return f"{start} done in {duration(event.seconds)}{summary}"
    return f"{start} {_figures(event)}"


def _figures(event: Step) -> str:
    parts = [f"{event.done:,}/{event.total:,} {clean(event.unit)}"]
    if event.eta is not None:
        parts.append(f"about {duration(event.eta)} left")
    if event.detail:
        parts.append(clean(event.detail))
    return ", ".join(parts)
