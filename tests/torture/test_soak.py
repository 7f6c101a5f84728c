"""A small soak: a thousand samples through the refine path leave memory flat and files even.

The whole one is `python -m benchmarks.soak`; its bounds are held here, too.
"""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.soak import STEPS, Mark, verdicts
from tests.torture.tally import RecordProperty, tell

SAMPLES = 1_000


@pytest.mark.torture
@pytest.mark.timeout(600)
def test_a_thousand_samples_leave_memory_flat_and_files_even(
    tmp_path: Path, record_property: RecordProperty
) -> None:
    # A process of its own: what other tests hold or free would be measured with it.
    wanted = [*("-m", "benchmarks.soak"), *("--samples", str(SAMPLES)), *("--json", "soak.json")]
    root = Path(__file__).parents[2]
    ended = subprocess.run(
        [sys.executable, *wanted],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(root)},
        capture_output=True,
        text=True,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr[-2_000:]
    found = json.loads((tmp_path / "soak.json").read_text("utf-8"))
    assert found["balanced"] and found["untraced_calls"] == 0
    assert found["counts"]["flagged"] == SAMPLES == found["marks"][-1]["samples"]
    assert found["calls"] >= 2 * SAMPLES
    tell(record_property, "soak", samples=SAMPLES, calls=found["calls"], untraced=0)


def steady() -> list[Mark]:
    """Return what a run without fault looks like: 100 samples a step."""
    names = ("ledger.db", "traces.db")
    return [
        Mark(
            samples=100 * step,
            seconds=step,
            cpu_seconds=step,
            memory_mb=500,
            waiting=0,
            bytes=dict.fromkeys(names, 1_000_000 * step) | {"checkpoints.db": 20_480},
            log_bytes=4_000_000,
        )
        for step in range(1, STEPS + 1)
    ]


def test_a_steady_run_passes() -> None:
    assert [one.what for one in verdicts(steady()) if not one.holds] == []


def test_each_bound_can_be_missed() -> None:
    marks = steady()
    leaking = [replace(mark, memory_mb=500 + mark.samples * 0.02) for mark in marks]
    slowing = [replace(mark, cpu_seconds=mark.samples**2 / 1e5) for mark in marks]
    swelling = [replace(mark, bytes=mark.bytes | {"traces.db": mark.samples**2}) for mark in marks]
    kept = [
        replace(mark, bytes=mark.bytes | {"checkpoints.db": 500 * mark.samples}) for mark in marks
    ]
    logged = [replace(mark, log_bytes=10**6 * mark.samples) for mark in marks]
    missed = [
        [one.what for one in verdicts(seen) if not one.holds]
        for seen in (leaking, slowing, swelling, kept, logged)
    ]
    assert missed == [
        ["memory grew by MB"],
        ["processor time, last fifth to second"],
        ["bytes in traces.db, last fifth to second"],
        ["bytes that checkpoints.db grew by"],
        ["longest log, MB"],
    ]
