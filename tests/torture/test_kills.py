"""A run dies by real signals, at every effect on the disk and at random moments, and is resumed.

    pytest tests/torture/test_kills.py          a few named points of a run with two refinements
    make torture SEED=7                         every point, and 50 random moments, each of them
                                                followed by another death while resuming
"""

import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import pytest

from middo import run
from middo.core.errors import Interrupted
from middo.core.progress import Event, Finished
from middo.stores.runs import read_run
from tests.loop import config, write_rows
from tests.torture.chain import STOPPED, Chain, alone, balances
from tests.torture.tally import RecordProperty, tell

KILL, TERM, INT = signal.SIGKILL, signal.SIGTERM, signal.SIGINT
SAMPLE = {
    "start: before replace config.yaml #1": KILL,
    "start: before replace run.json #1": KILL,
    "start: connect checkpoints.db #1": TERM,
    "prepare 0: before rename rounds/0/dataset #1": KILL,
    "prepare 0: finished #1": INT,
    "train 0: after start training #1": KILL,
    "train 0: before rmtree rounds/0/model/unfinished #1": KILL,
    "evaluate 0: before replace rounds/0/evaluation.json #1": KILL,
    "gate 0: before commit ledger.db #1": KILL,
    "diagnose 0: progress #9": KILL,
    "diagnose 0: connect index.db #1": TERM,
    "refine 0: question #6": KILL,
    "refine 0: before commit ledger.db #9": KILL,
    "review 0: started #1": KILL,
    "merge 0: after rename rounds/1/dataset #1": KILL,
    "refine 1: question #6": INT,
    "merge 1: before commit index.db #1": KILL,
    "finalize 2: before rename export #1": KILL,
    "after finalize 2: before replace run.json #1": KILL,
}
RUNS, MOMENTS = 17, 3
"""Runs under random fire, and moments of each; every moment kills twice."""

SIGNALS = (KILL, KILL, TERM, INT)
RACING = 0.85
"""Share of the points that have to be met: threads write traces when they get to it."""


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory: pytest.TempPathFactory, tiny_folder: Path) -> Chain:
    """A finished run with one refinement, its points and its duration known."""
    root = tmp_path_factory.mktemp("undisturbed")
    chain = Chain(root / "chain", write_rows(root / "rows.jsonl"), tiny_folder, rounds=1)
    begun = time.monotonic()
    assert not chain.killed_at({})
    chain.seconds = time.monotonic() - begun
    chain.must_equal(chain.folder)
    return chain


@pytest.mark.xdist_group("one finished run")
def test_a_run_killed_in_every_node_ends_with_the_same_data(
    finished: Path, tiny_folder: Path, tmp_path: Path, record_property: RecordProperty
) -> None:
    chain = Chain(tmp_path / "chain", finished.parent / "rows.jsonl", tiny_folder, rounds=2)
    missed = chain.killed_at(dict(SAMPLE))
    assert set(missed) <= {"review 0: started #1"}
    chain.must_equal(finished)
    count(record_property, [chain])


@pytest.mark.torture
@pytest.mark.timeout(900)
@pytest.mark.parametrize("part", range(2))
def test_a_death_at_any_effect_changes_nothing(
    part: int,
    undisturbed: Chain,
    tmp_path: Path,
    torture_seed: int,
    record_property: RecordProperty,
) -> None:
    points = effects(undisturbed.points)
    signals = [SIGNALS[(place + torture_seed) % len(SIGNALS)] for place in range(len(points))]
    wanted = dict(list(zip(points, signals, strict=True))[part::2])
    chains, left = [], wanted
    for number in range(3):  # a point of work that was done before an earlier death comes up later
        chain = Chain(tmp_path / str(number), undisturbed.data, undisturbed.model, rounds=1)
        chains.append(chain)
        left = chain.killed_at(left)
        chain.must_equal(undisturbed.folder)
        if not left:
            break
    assert len(left) <= len(wanted) * (1 - RACING), left
    count(record_property, chains)


@pytest.mark.torture
@pytest.mark.timeout(900)
@pytest.mark.parametrize("number", range(RUNS))
def test_a_death_at_any_moment_changes_nothing(
    number: int,
    undisturbed: Chain,
    tmp_path: Path,
    torture_seed: int,
    record_property: RecordProperty,
) -> None:
    draw = random.Random(f"{torture_seed} {number}")
    chain = Chain(tmp_path / "chain", undisturbed.data, undisturbed.model, rounds=1)
    moments = sorted(draw.uniform(0, undisturbed.seconds) for _ in range(MOMENTS))
    waits = [after - before for before, after in zip([0.0, *moments], moments, strict=False)]
    for wait in waits:
        for seconds in (wait, draw.uniform(0, undisturbed.seconds / 4)):
            chain.killed_after(
                seconds,
                draw.choice(SIGNALS),
                group=draw.random() < 0.25,
                twice=draw.random() < 0.25,
            )
    assert not chain.killed_at({})
    chain.must_equal(undisturbed.folder)
    count(record_property, [chain])


def effects(points: Iterable[str]) -> list[str]:
    """Return the first and the last of each kind of point, in their order.

    What follows an effect is the same moment, to the disk, as what comes before the next one.
    """
    last: dict[str, int] = {}
    for point in points:
        kind, _, number = point.rpartition(" #")
        last[kind] = max(last.get(kind, 0), int(number))
    kinds = [kind for kind in last if ": after " not in kind or "start training" in kind]
    first_and_last = ((kind, number) for kind in kinds for number in sorted({1, last[kind]}))
    return [f"{kind} #{number}" for kind, number in first_and_last]


def count(record_property: RecordProperty, chains: Iterable[Chain]) -> None:
    """Tell the table what the runs have borne."""
    deaths = [death for chain in chains for death in chain.deaths]
    for number, many in Counter(death.signal for death in deaths).items():
        lost = sum(death.lost for death in deaths if death.signal == number)
        name = f"kills by {signal.Signals(number).name}"
        tell(record_property, name, survived=many, calls_repeated=lost)
    for node, many in Counter(death.node for death in deaths).items():
        tell(record_property, f"kills in {node}", survived=many)
