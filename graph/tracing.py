"""Who is told what a run does.

The trace store is the first taker. Takers never hold the run up and never fail it; nothing that
they do comes back into it.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

from ..core.config import TracesConfig
from ..core.trace import Trace, TraceEvent, untraced
from ..stores.trace_schema import TRACES_DB
from ..stores.traces import TraceStore


class Taker(Protocol):
    """Takes the events of a run, from any thread."""

    def __call__(self, event: TraceEvent) -> None:
        """Take an event, without waiting for where it goes."""
        ...

    def close(self) -> None:
        """Hand on what waits, and release files and connections."""
        ...


def open_takers(
    folder: Path, traces: TracesConfig, note: Callable[[str], None]
) -> tuple[Taker, ...]:
    """Return all that the configuration wants to be told; `note` hears of their troubles."""
    takers: list[Taker] = []
    if traces.store:
        takers.append(TraceStore(folder / TRACES_DB, note))
    return tuple(takers)


def told(takers: Sequence[Taker]) -> Trace:
    """Return one trace that tells every taker."""
    if not takers:
        return untraced
    if len(takers) == 1:
        return takers[0]

    def trace(event: TraceEvent) -> None:
        for taker in takers:
            taker(event)

    return trace
