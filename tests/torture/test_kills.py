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
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

from middo import run
from middo.cli.review import by_file
from middo.core.errors import Interrupted
from middo.core.progress import Event, Finished
from middo.stores.runs import read_run
from tests.loop import config, write_rows
from tests.torture.chain import STOPPED, Chain
from tests.torture.tally import RecordProperty, tell

KILL, TERM, INT = signal.SIGKILL, signal.SIGTERM, signal.SIGINT
SAMPLE = {
    "start: before replace config.yaml #1": KILL,
    "start: before replace run.json #1": KILL,
    "start: connect checkpoints.db #1": TERM,
    "prepare 0: before rename rounds/0/dataset #1": KILL,
    "prepare 0: finished #1": INT,
    "train 0: before replace rounds/0/model/unfinished/job.json #1": KILL,
    "train 0: after start training #1": KILL,
    "train 0: before rmtree rounds/0/model/unfinished #1": KILL,
    "evaluate 0: before replace rounds/0/evaluation.json #1": KILL,
    "gate 0: before commit ledger.db #1": KILL,
    "diagnose 0: progress #9": KILL,
    "diagnose 0: connect index.db #1": TERM,
    "refine 0: question #6": KILL,
    "refine 0: before commit ledger.db #9": KILL,
    "merge 0: after rename rounds/1/dataset #1": KILL,
    "refine 1: question #1": INT,
    "merge 1: before commit index.db #1": KILL,
    "finalize 2: before rename export #1": KILL,
    "after finalize 2: before replace run.json #1": KILL,
}
RUNS, MOMENTS = 10, 3
"""Runs under random fire, and moments of each; every moment kills twice."""

SIGNALS = (KILL, KILL, TERM, INT)
MET = 0.85
"""Share of the points that have to come up: threads write traces when they get to it."""


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
    assert not chain.killed_at(dict(SAMPLE))
    chain.must_equal(finished)
    count(record_property, [chain])


@pytest.mark.torture
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("part", range(2))
def test_sigkill_at_any_effect_changes_nothing(
    part: int, undisturbed: Chain, tmp_path: Path, record_property: RecordProperty
) -> None:
    left = dict.fromkeys(effects(undisturbed.points)[part::2], int(KILL))
    most = len(left) * (1 - MET)
    chains = []
    for number in range(3):  # what was done before an earlier death comes up in the next run
        chain = Chain(tmp_path / str(number), undisturbed.data, undisturbed.model, rounds=1)
        chains.append(chain)
        left = chain.killed_at(left)
        chain.must_equal(undisturbed.folder)
        if len(left) <= most:
            break
    assert len(left) <= most, left
    count(record_property, chains)


@pytest.mark.torture
@pytest.mark.timeout(900)
@pytest.mark.parametrize("part", range(2))
def test_a_wish_to_stop_in_any_node_changes_nothing(
    part: int,
    undisturbed: Chain,
    tmp_path: Path,
    torture_seed: int,
    record_property: RecordProperty,
) -> None:
    draw = random.Random(f"{torture_seed} {part}")
    places: dict[str, list[str]] = {}
    for point in effects(undisturbed.points):
        if point.endswith(" #1") and "traces.db" not in point:  # those come up in every process
            place = point.partition(":")[0].removeprefix("after ")
            places.setdefault(place, []).append(point)
    signals = [(TERM, INT)[(place + part) % 2] for place in range(len(places))]
    wanted = {
        draw.choice(points): int(number)
        for points, number in zip(places.values(), signals, strict=True)
    }
    chain = Chain(tmp_path / "chain", undisturbed.data, undisturbed.model, rounds=1)
    assert not chain.killed_at(wanted)
    chain.must_equal(undisturbed.folder)
    count(record_property, [chain])


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


@pytest.mark.torture
@pytest.mark.timeout(900)
def test_the_command_line_stops_in_one_line_with_130(
    undisturbed: Chain, tmp_path: Path, record_property: RecordProperty
) -> None:
    chain = Chain(tmp_path / "chain", undisturbed.data, undisturbed.model, rounds=1)

    def stopped(when: Callable[[int], bool], number: int, times: int = 1) -> str:
        process = command(chain)
        try:
            while not when(process.pid):
                assert process.poll() is None, chain.said
                time.sleep(0.02)
            for _ in range(times):
                os.killpg(process.pid, number)  # as a terminal does on Ctrl-C
                time.sleep(0.2)
            assert process.wait(120) == STOPPED, chain.said
        finally:
            process.kill()
            process.wait()
        chain.died(number, "command: line", STOPPED, twice=times > 1)
        return chain.said if chain.folder.exists() else chain.said.splitlines()[-1]

    def begun(text: str) -> Callable[[int], bool]:
        return lambda pid: text in chain.said

    last = stopped(lambda pid: "pydantic_core" in mapped(pid), TERM)
    assert last in ("middo: interrupted", "middo: interrupted before the run began; start it again")
    assert not (chain.folder / "config.yaml").exists()
    stopped(lambda pid: (chain.folder / "config.yaml").exists(), INT)
    stopped(begun("prepare   started"), TERM)
    stopped(begun("refine    started"), INT)
    # The second one meets the stop under way or finds it done.
    assert "\nmiddo: " in stopped(begun("round 1  train     started"), INT, 2)
    process = command(chain)
    assert process.wait(300) == 0, chain.said
    chain.must_equal(undisturbed.folder)
    count(record_property, [chain])


@pytest.mark.torture
@pytest.mark.timeout(900)
def test_a_run_that_waits_for_a_person_can_be_killed_too(
    undisturbed: Chain, tmp_path: Path, record_property: RecordProperty
) -> None:
    chain = Chain(tmp_path / "chain", undisturbed.data, undisturbed.model, rounds=1, review=True)
    points = ("started #1", "before commit ledger.db #1")
    chain.killed_at({f"review 0: {point}": int(KILL) for point in points})
    assert read_run(chain.folder)["status"] == "paused"
    chain.killed_at({"start: connect checkpoints.db #1": int(KILL), "review 0: started #1": INT})
    assert read_run(chain.folder)["status"] == "paused"
    assert len(chain.deaths) >= 3
    (tmp_path / "words").write_text('{"all": "accept"}\n', encoding="utf-8")
    by_file(chain.folder, str(tmp_path / "words"), "tester")
    chain.killed_at({f"review 0: {point}": int(KILL) for point in points})
    chain.must_equal(undisturbed.folder)
    count(record_property, [chain])


def command(chain: Chain) -> "subprocess.Popen[bytes]":
    """Start `python -m middo` on a run, in a process group of its own."""
    with (chain.root / "said").open("wb") as said:
        return subprocess.Popen(
            [sys.executable, "-m", "middo", *chain.words()],
            stdout=said,
            stderr=said,
            cwd=Path(__file__).parents[2],
            start_new_session=True,
            # A shell that starts the tests in the background has them ignore SIGINT.
            preexec_fn=lambda: signal.signal(INT, signal.SIG_DFL),
        )


def mapped(pid: int) -> str:
    """Return the files that a process has loaded."""
    return Path(f"/proc/{pid}/maps").read_text(encoding="utf-8")


@pytest.mark.xdist_group("one finished run")
def test_a_wish_to_stop_ends_the_run_in_good_order(
    finished: Path, tiny_folder: Path, tmp_path: Path
) -> None:
    data = finished.parent / "rows.jsonl"
    before = signal.getsignal(signal.SIGINT)

    def interrupt(event: Event) -> None:
        if isinstance(event, Finished) and event.node == "prepare":
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(Interrupted, match="stopped before train"):
        run(config(data, tiny_folder), tmp_path / "run", report=interrupt)
    assert read_run(tmp_path / "run")["status"] == "interrupted"
    assert signal.getsignal(signal.SIGINT) is before
