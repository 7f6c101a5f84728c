"""Measure what the refine loop costs beside the models: per sample, and at many slow calls at once.

    python -m benchmarks.loop --data FILE [--samples 5000] [--json FILE]

Runs, each on a run folder of its own that stands before `refine`; the compiled loop goes on from
there through the real nodes `refine` and `merge`:

- a teacher that answers at once, with 8 and with 64 samples at the same time, each without and with
  traces: wall-clock and processor time per refined sample, the writing of traces included (to
  reach: under 8 ms without and 15 ms with traces),
- a teacher whose calls take 1 s, 64 at the same time, with traces: throughput as a share of the
  ideal (to reach: at least 85 %).

The trainee (proof passes, sentence embeddings) is replaced by stand-ins that answer at once, since
its work is no overhead of the loop. Ideal time of n samples with c_i calls of d seconds, one after
the other within a sample, and K slots: max(d · sum(c_i) / K, d · max(c_i)), which no order of work
can beat. Beside it stands the time of the same samples in the same order through K slots without
any overhead (list scheduling), which includes the slots that stand idle at the end.
"""

import argparse
import asyncio
import heapq
import logging
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.machine import table, write
from benchmarks.prepared import prepare
from middo.core.config import RunConfig
from middo.core.progress import Event, Finished, Started
from middo.graph.deps import Deps
from middo.stores.traces import TraceStore

SECONDS = 1.0
"""Of a slow call."""

TARGET_MS, TRACED_MS, TARGET_SHARE = 8.0, 15.0, 0.85


class Clock:
    """Wall-clock and processor seconds of each node, from the events of the run."""

    def __init__(self) -> None:
        """Begin with nothing measured."""
        self.wall: dict[str, float] = {}
        self.cpu: dict[str, float] = {}

    def __call__(self, event: Event) -> None:
        """Take a run's event."""
        sign = {Started: -1, Finished: 1}.get(type(event), 0)
        if isinstance(event, Started | Finished):
            self.wall[event.node] = self.wall.get(event.node, 0) + sign * time.perf_counter()
            self.cpu[event.node] = self.cpu.get(event.node, 0) + sign * time.process_time()


def measure(
    folder: Path, data: str, samples: int, concurrency: int, delay: float, traces: bool
) -> dict[str, Any]:
    """Refine and merge in a new run folder; return its figures."""
    teacher = {"model": "import:benchmarks.teacher:teacher", "params": {"seconds": delay}}
    config = RunConfig.model_validate(
        {
            "data": {"path": data},
            "refinement": {"concurrency": concurrency},
            "agents": {"rewriter": teacher},
            "traces": {"store": traces},
        }
    )
    clock = Clock()
    deps = prepare(folder, data, samples, config, clock)
    try:
        asyncio.run(refine_and_merge(deps))
        written = _flushed(deps)
        counts = deps.facts.get("round.0.counts")
        calls = _calls(deps)
        rows = deps.database.query("SELECT sum(length(messages)) FROM units")[0][0]
    finally:
        deps.close()
    if counts["flagged"] != samples:
        raise SystemExit(f"{counts['flagged']} samples were flagged where {samples} were meant")
    wall, total = clock.wall["refine"] + written[0], sum(calls)
    figures = {
        "concurrency": concurrency,
        "call_seconds": delay,
        "traces": traces,
        "samples": samples,
        "calls": total,
        "calls_per_sample": round(total / samples, 3),
        "refine_seconds": round(wall, 3),
        "wall_ms_per_sample": round(1000 * wall / samples, 3),
        "cpu_ms_per_sample": round(1000 * (clock.cpu["refine"] + written[1]) / samples, 3),
        "merge_seconds": round(clock.wall["merge"], 3),
        "checkpoints_bytes": _size(folder / "checkpoints.db"),
        "ledger_bytes": _size(folder / "ledger.db"),
        "traces_bytes_per_sample": round(_size(folder / "traces.db") / samples),
        "ledger_bytes_per_sample": round(_size(folder / "ledger.db") / samples),
        "rendered_prompt_bytes_per_sample": round(int(str(rows)) / samples),
        "counts": counts,
        "balanced": balanced(counts),
    }
    if delay:
        ideal = max(delay * total / concurrency, delay * max(calls))
        scheduled = delay * _scheduled(calls, concurrency)
        figures |= {
            "ideal_seconds": round(ideal, 3),
            "share_of_ideal": round(ideal / wall, 4),
            "scheduled_seconds": round(scheduled, 3),
            "share_of_scheduled": round(scheduled / wall, 4),
        }
    return figures


async def refine_and_merge(deps: Deps) -> None:
    """Go on after `diagnose`, as a resumed run does, and stop where the next training begins."""
    from middo.graph.run import opened_graph

    async with opened_graph(deps) as (graph, thread):
        begun = {"round": 0, "source_round": 0, "stop": ""}
        await graph.aupdate_state(thread, begun, as_node="diagnose")
        await graph.ainvoke(None, thread, durability="sync", interrupt_before=["train"])


def _flushed(deps: Deps) -> tuple[float, float]:
    """Wait for the traces that are not written yet; return wall-clock and processor seconds."""
    wall, cpu = time.perf_counter(), time.process_time()
    for taker in deps.takers:
        if isinstance(taker, TraceStore):
            taker.flush()
    return time.perf_counter() - wall, time.process_time() - cpu


def _calls(deps: Deps) -> list[int]:
    """Return the calls of each sample, in the order in which the samples are refined."""
    rows = deps.database.query("SELECT count(*) FROM units GROUP BY sample_id ORDER BY sample_id")
    return [int(str(row[0])) for row in rows]


def _scheduled(calls: Sequence[int], slots: int) -> float:
    """Return when the last sample ends, in calls, if each takes the first free slot."""
    free = [0] * slots
    for count in calls:
        heapq.heappush(free, heapq.heappop(free) + count)
    return max(free)


def _size(path: Path) -> int:
    """Return the bytes of a database, with what its log still holds; 0 where there is none."""
    files = (path, path.with_name(path.name + "-wal"))
    return sum(file.stat().st_size for file in files if file.exists())


def balanced(counts: dict[str, int]) -> bool:
    """Return whether the equations of the merge hold, recomputed from its counts."""
    fates = ("accepted", "rejected", "failed", "deferred")
    return (
        counts["rows_in"] == counts["kept"] + counts["replaced"] + counts["dropped"]
        and counts["rows_out"] == counts["kept"] + counts["replaced"] + counts["added"]
        and counts["flagged"] == sum(counts[fate] for fate in fates)
        and counts["accepted"] == counts["replaced"] + counts["added"]
    )


def main(argv: Sequence[str]) -> int:
    """Run the measurements and print them."""
    parser = argparse.ArgumentParser(prog="benchmarks.loop", description=__doc__.split("\n")[0])
    parser.add_argument("--data", required=True, help="file with real texts")
    parser.add_argument("--samples", type=int, default=5_000, help="flagged samples")
    parser.add_argument("--json", help="also write the figures to this file")
    parser.add_argument("--only", choices=("instant", "slow"), help="one of the two parts")
    given = parser.parse_args(argv)
    os.environ["LANGGRAPH_STRICT_MSGPACK"] = "true"
    logging.basicConfig(level=logging.WARNING)
    cases = [(n, 0.0, traces) for n in (8, 64) for traces in (False, True)]
    cases.append((64, SECONDS, True))
    if given.only:
        cases = [case for case in cases if bool(case[1]) == (given.only == "slow")]
    found = []
    with tempfile.TemporaryDirectory(prefix="middo-loop-") as home:
        for concurrency, delay, traces in cases:
            folder = Path(home) / f"run-{concurrency}-{delay:g}-{traces}"
            said = f"{given.samples} samples, {concurrency} at once, {delay:g} s, traces {traces}"
            print(said, file=sys.stderr)
            found.append(measure(folder, given.data, given.samples, concurrency, delay, traces))
    print(_report(found))
    if given.json:
        write(given.json, {"benchmark": "loop", "runs": found})
    missed = any(
        run.get("share_of_ideal", 1) < TARGET_SHARE
        or (not run["call_seconds"] and run["wall_ms_per_sample"] >= _target(run))
        or not run["balanced"]
        for run in found
    )
    return int(missed)


def _target(run: dict[str, Any]) -> float:
    return TRACED_MS if run["traces"] else TARGET_MS


def _report(found: Sequence[dict[str, Any]]) -> str:
    columns = {
        "call s": "call_seconds",
        "at once": "concurrency",
        "traces": "traces",
        "samples": "samples",
        "calls/sample": "calls_per_sample",
        "refine s": "refine_seconds",
        "wall ms/sample": "wall_ms_per_sample",
        "cpu ms/sample": "cpu_ms_per_sample",
        "ideal s": "ideal_seconds",
        "of ideal": "share_of_ideal",
        "of schedule": "share_of_scheduled",
        "merge s": "merge_seconds",
    }
    sizes = ("ledger_bytes_per_sample", "rendered_prompt_bytes_per_sample")
    lines = [
        table([[run.get(key) for key in columns.values()] for run in found], list(columns)),
        "",
        table(
            [
                [
                    run["call_seconds"],
                    run["concurrency"],
                    run["ledger_bytes"],
                    *(run[key] for key in sizes),
                    run["traces_bytes_per_sample"],
                    run["checkpoints_bytes"],
                ]
                for run in found
            ],
            [
                *("call s", "at once", "ledger B", "ledger B/sample", "of it prompts"),
                *("traces B/sample", "checkpoints B"),
            ],
        ),
        "",
        *(
            f"merge ({run['concurrency']} at once, calls of {run['call_seconds']:g} s):"
            f" {run['counts']}, {'balanced' if run['balanced'] else 'NOT BALANCED'}"
            for run in found
        ),
        "",
        f"To reach: under {TARGET_MS:g} ms per sample at once without traces and {TRACED_MS:g} ms"
        f" with them, {TARGET_SHARE:.0%} of the ideal.",
        "Proof passes and sentence embeddings answer at once: the trainee's work is not measured.",
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
