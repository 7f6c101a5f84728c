"""Who is told what a run does, and the events that are made of its records.

The trace store is the first taker. Takers never hold the run up and never fail it; nothing that
they do comes back into it.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

from ..core.config import TracesConfig
from ..core.trace import Call, Trace, TraceEvent, untraced
from ..stores.ledger import Unit
from ..stores.traces import TRACES_DB, TraceStore


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


def call_of(unit: Unit) -> Call:
    """Return the event of a call that is in the ledger."""
    return Call(
        key=unit.key,
        round=unit.round,
        sample_id=unit.sample_id,
        axes=unit.axes,
        agent=unit.role,
        attempt=unit.attempt,
        source=unit.source,
        model=unit.model,
        prompt=unit.prompt,
        prompt_version=unit.prompt_version,
        prompt_hash=unit.prompt_hash,
        messages=unit.messages,
        status=unit.status,
        value=unit.value,
        raw=unit.raw,
        error=unit.error,
        prompt_tokens=unit.prompt_tokens,
        completion_tokens=unit.completion_tokens,
        usd=unit.usd,
        began=unit.created - unit.seconds,
        seconds=unit.seconds,
    )
