"""Run Middo's own loop up to one of its nodes, in a run folder that is kept and gone on with."""

import asyncio
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from middo.core.config import RunConfig, config_hash
from middo.core.progress import Event, Finished, Note, Progress
from middo.formats.configuration import dump_config, load_config
from middo.graph.deps import Deps, open_run
from middo.graph.state import LoopState
from middo.stores.lock import run_lock
from middo.stores.runs import CONFIG


@contextmanager
def opened(folder: Path, config: RunConfig | None = None) -> Iterator[Deps]:
    """Open a run folder with its configuration, a new one with `config`.

    Raises:
        SystemExit: the folder holds a run with another configuration, or none.
    """
    # Read by langgraph at import: state may hold JSON types only.
    os.environ["LANGGRAPH_STRICT_MSGPACK"] = "true"
    place = folder / CONFIG
    if not place.exists():
        if config is None:
            sys.exit(f"{folder}: no run is there; name the folder `run` that `defects` has made")
        folder.mkdir(parents=True, exist_ok=True)
        place.write_text(dump_config(config), encoding="utf-8")
    stored = load_config(place, environ={})
    if config is not None and config_hash(stored) != config_hash(config):
        sys.exit(f"{folder}: holds a run with other settings; name another folder with --out")
    with run_lock(folder):
        deps = open_run(folder, stored, report=told)
        try:
            yield deps
        finally:
            deps.close()


def run_until(deps: Deps, node: str) -> bool:
    """Go on with the loop until `node` is next; return whether it is, or False at the loop's end.

    What is finished stays finished: an interrupted run goes on where it was.
    """
    return asyncio.run(_until(deps, node))


async def _until(deps: Deps, node: str) -> bool:
    from middo.graph.run import opened_graph

    async with opened_graph(deps) as (graph, thread):
        before = await graph.aget_state(thread)
        if before.values and node not in before.next and before.next:
            await graph.ainvoke(None, thread, durability="sync", interrupt_before=[node])
        elif not before.values:
            start: LoopState = {"round": 0, "source_round": 0, "stop": ""}
            await graph.ainvoke(start, thread, durability="sync", interrupt_before=[node])
        return node in (await graph.aget_state(thread)).next


class Teller:
    """Tell on stderr what a run does: its notes and steps, and now and then how far it is."""

    EVERY = 60.0
    """Seconds between two lines of progress where stderr is a file."""

    def __init__(self) -> None:
        """Begin with nothing told."""
        self._last = 0.0

    def __call__(self, event: Event) -> None:
        """Take a run's event."""
        if isinstance(event, Finished):
            self._line(f"round {event.round} {event.node}: {event.summary}, {event.seconds:.0f} s")
        elif isinstance(event, Note):
            self._line(event.text)
        elif isinstance(event, Progress):
            now = time.monotonic()
            left = "" if event.eta is None else f", {event.eta:.0f} s left"
            text = f"{event.node} {event.done}/{event.total} {event.unit}{left}"
            if sys.stderr.isatty():
                print(f"\r{text}\x1b[K", end="", file=sys.stderr)
            elif now - self._last >= self.EVERY:
                self._last = now
                self._line(text)

    def _line(self, text: str) -> None:
        print(f"\r\x1b[K{text}" if sys.stderr.isatty() else text, file=sys.stderr, flush=True)


told = Teller()
