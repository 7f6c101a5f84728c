"""Refine for hours in one process: does memory stay flat, do files grow evenly, does time hold?

    python -m benchmarks.soak [--data FILE] [--samples 20000] [--json FILE]

One run with a teacher that answers at once, on a run folder that stands before `refine`, with
traces, through the real nodes `refine` and `merge` as in `benchmarks.loop`. After each twentieth of
the samples it notes time, memory and file sizes. To reach, from the second fifth of the samples
(the first warms up) to the last:

- memory grows by at most 1.5 kB per sample and 16 MB: the key of each call is kept in memory,
- the last fifth takes at most 1.25 times the processor time of the second fifth, and its rows at
  most 1.2 times the bytes in `ledger.db` and in `traces.db`,
- `checkpoints.db` does not grow with the samples at all, and no log of SQLite's passes 32 MB,
- every call is in the traces, and the equations of the merge hold.

Exit code 1 where one of them is missed.
"""

import argparse
import asyncio
import logging
import os
import sqlite3
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks.loop import balanced, refine_and_merge
from benchmarks.machine import peak_memory_mb, table, write
from benchmarks.prepared import prepare
from middo.core.config import RunConfig
from middo.core.progress import Event, Progress
from middo.stores.traces import TraceStore

STEPS = 20
"""Notes taken; a fifth of the samples is four of them."""
FIFTH = STEPS // 5
CONCURRENCY = 8
MEMORY_MB, MEMORY_BYTES_PER_SAMPLE = 16.0, 1_500
SLOWER, LARGER = 1.25, 1.2
LOG_MB = 32.0
FILES = ("ledger.db", "traces.db", "checkpoints.db")
PAGE = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True, slots=True)
class Mark:
    """What was seen when so many samples were refined.

    Attributes:
        samples: refined so far.
        seconds: wall-clock time since refining began.
        cpu_seconds: processor time of this process since then, all threads.
        memory_mb: resident memory now.
        waiting: trace events that are not written yet.
        bytes: of each database, with what its log holds of it.
        log_bytes: of the longest log.
    """

    samples: int
    seconds: float
    cpu_seconds: float
    memory_mb: float
    waiting: int
    bytes: dict[str, int]
    log_bytes: int


@dataclass(frozen=True, slots=True)
class Verdict:
    """One bound, what was found, and whether it holds."""

    what: str
    found: float
    bound: float

    @property
    def holds(self) -> bool:
        """Whether it was kept."""
        return self.found <= self.bound


class Watch:
    """Takes a run's events and notes every so many refined samples."""

    def __init__(self, folder: Path, every: int) -> None:
        """Watch the files of a folder."""
        self.marks: list[Mark] = []
        self.traces: TraceStore | None = None
        self._folder = folder
        self._every = every
        self._began = self._begun = 0.0

    def __call__(self, event: Event) -> None:
        """Take an event."""
        if not isinstance(event, Progress) or event.node != "refine":
            return
        if not self._began:
            self._began, self._begun = time.perf_counter(), time.process_time()
        if event.done % self._every == 0:
            self.marks.append(self._look(event.done))

    def _look(self, samples: int) -> Mark:
        logs = [self._folder / f"{name}-wal" for name in FILES]
        return Mark(
            samples=samples,
            seconds=round(time.perf_counter() - self._began, 3),
            cpu_seconds=round(time.process_time() - self._begun, 3),
            memory_mb=round(memory_mb(), 2),
            waiting=0 if self.traces is None else self.traces.waiting,
            bytes={name: _extent(self._folder / name) for name in FILES},
            log_bytes=max(map(_size, logs)),
        )


def soak(folder: Path, data: str, samples: int) -> dict[str, Any]:
    """Refine and merge in a new run folder; return marks, verdicts and figures.

    Args:
        folder: new.
        data: what texts come from.
        samples: flagged ones, a multiple of 20.
    """
    teacher = {"model": "import:benchmarks.teacher:teacher", "params": {"seconds": 0.0}}
    config = RunConfig.model_validate(
        {
            "data": {"path": data},
            "refinement": {"concurrency": CONCURRENCY},
            "agents": {"rewriter": teacher},
        }
    )
    watch = Watch(folder, samples // STEPS)
    deps = prepare(folder, data, samples, config, watch)
    try:
        watch.traces = next(taker for taker in deps.takers if isinstance(taker, TraceStore))
        asyncio.run(refine_and_merge(deps))
        watch.traces.flush()
        counts = deps.facts.get("round.0.counts")
        calls = deps.ledger.spent().calls
    finally:
        deps.close()
    return {
        "samples": samples,
        "concurrency": CONCURRENCY,
        "calls": calls,
        "untraced_calls": calls - _traced(folder),
        "counts": counts,
        "balanced": balanced(counts) and counts["flagged"] == samples,
        "peak_memory_mb": peak_memory_mb(),
        "marks": [asdict(mark) for mark in watch.marks],
        "verdicts": [asdict(one) | {"holds": one.holds} for one in verdicts(watch.marks)],
    }


def verdicts(marks: Sequence[Mark]) -> list[Verdict]:
    """Hold what was seen against the bounds.

    Args:
        marks: one per twentieth of the samples.
    """
    warm, second, before, last = (marks[place * FIFTH - 1] for place in (1, 2, 4, 5))
    memory = MEMORY_MB + MEMORY_BYTES_PER_SAMPLE * (last.samples - warm.samples) / 1e6
    grown = max(mark.memory_mb for mark in marks[FIFTH:]) - warm.memory_mb
    early, late = second.cpu_seconds - warm.cpu_seconds, last.cpu_seconds - before.cpu_seconds
    found = [
        Verdict("memory grew by MB", grown, memory),
        Verdict("processor time, last fifth to second", late / early, SLOWER),
    ]
    for name in ("ledger.db", "traces.db"):
        early_bytes = second.bytes[name] - warm.bytes[name]
        late_bytes = last.bytes[name] - before.bytes[name]
        found.append(
            Verdict(f"bytes in {name}, last fifth to second", late_bytes / early_bytes, LARGER)
        )
    grown_bytes = last.bytes["checkpoints.db"] - warm.bytes["checkpoints.db"]
    return [
        *found,
        Verdict("bytes that checkpoints.db grew by", grown_bytes, 0),
        Verdict("longest log, MB", max(mark.log_bytes for mark in marks) / 1e6, LOG_MB),
    ]


def memory_mb() -> float:
    """Return the resident memory of this process now, MB (Linux)."""
    pages = Path("/proc/self/statm").read_text(encoding="ascii").split()[1]
    return int(pages) * PAGE / 1e6


def _extent(path: Path) -> int:
    """Return the bytes of a database's pages, also of those that still lie in its log."""
    if not path.exists():
        return 0
    with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as reader:
        ((pages,), (size,)) = (
            reader.execute(f"PRAGMA {name}").fetchone() for name in ("page_count", "page_size")
        )
    return int(pages) * int(size)


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _traced(folder: Path) -> int:
    """Return the number of calls in the traces."""
    from middo.stores.trace_reader import known_in
    from middo.stores.trace_schema import TRACES_DB

    known = known_in(folder / TRACES_DB)
    return 0 if known is None else len(known[0])


def main(argv: Sequence[str]) -> int:
    """Run and print."""
    parser = argparse.ArgumentParser(prog="benchmarks.soak", description=__doc__.split("\n")[0])
    parser.add_argument("--data", default="demo", help="file with real texts; the shipped rows")
    parser.add_argument("--samples", type=int, default=20_000, help="flagged samples")
    parser.add_argument("--json", help="also write the figures to this file")
    given = parser.parse_args(argv)
    if given.samples < STEPS or given.samples % STEPS:
        parser.error(f"--samples {given.samples}: give a multiple of {STEPS}")
    os.environ["LANGGRAPH_STRICT_MSGPACK"] = "true"
    logging.basicConfig(level=logging.WARNING)
    with tempfile.TemporaryDirectory(prefix="middo-soak-") as home:
        found = soak(Path(home) / "run", given.data, given.samples)
    print(_report(found))
    if given.json:
        write(given.json, {"benchmark": "soak", **found})
    held = all(one["holds"] for one in found["verdicts"])
    return int(not held or not found["balanced"] or found["untraced_calls"] != 0)


def _report(found: dict[str, Any]) -> str:
    rows, before = [], (0.0, 0.0)
    for mark in found["marks"]:
        seconds, cpu = mark["seconds"], mark["cpu_seconds"]
        sizes = [f"{mark['bytes'][name] / 1e6:,.1f}" for name in FILES[:2]]
        rows.append(
            [
                *(mark["samples"], f"{seconds - before[0]:.2f}", f"{cpu - before[1]:.2f}"),
                *(round(mark["memory_mb"]), mark["waiting"], *sizes),
                *(mark["bytes"]["checkpoints.db"], f"{mark['log_bytes'] / 1e6:.1f}"),
            ]
        )
        before = (seconds, cpu)
    headers = ("samples", "s", "cpu s", "memory MB", "events waiting", "ledger MB", "traces MB")
    lines = [table(rows, [*headers, "checkpoints B", "log MB"]), ""]
    for one in found["verdicts"]:
        said = "holds" if one["holds"] else "MISSED"
        lines.append(f"{said}: {one['what']}: {one['found']:.3g} (at most {one['bound']:.3g})")
    lines.append(f"calls: {found['calls']:,}, not in the traces: {found['untraced_calls']:,}")
    lines.append(f"merge: {found['counts']}, {'balanced' if found['balanced'] else 'NOT BALANCED'}")
    lines.append(f"peak memory, merge included: {found['peak_memory_mb']:,} MB")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
