"""SIGKILL in every node, then resume: the data must be that of a run which nobody disturbed."""

import multiprocessing
import os
import signal
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from middo import resume, run
from middo.core.errors import Interrupted
from middo.core.progress import Event, Finished, Progress, Started
from middo.stores.database import read_database
from middo.stores.ledger import Ledger
from middo.stores.runs import read_run
from middo.stores.trace_reader import open_traces
from tests.loop import config

pytestmark = pytest.mark.xdist_group("one finished run")

POINTS: list[tuple[str, type[Event]]] = [
    ("prepare", Finished),
    ("train", Progress),
    ("evaluate", Progress),
    ("gate", Finished),
    ("diagnose", Progress),
    ("refine", Progress),
    ("merge", Finished),
    ("finalize", Started),
]
CONCURRENCY = 4


def work(folder: Path, data: Path, model: Path, log: Path, node: str, kind: type[Event]) -> None:
    """Run or resume until the point is reached, and die there."""

    def report(event: Event) -> None:
        here = isinstance(event, kind) and getattr(event, "node", None) == node
        if here and not (isinstance(event, Progress) and event.done < 1):
            os.kill(os.getpid(), signal.SIGKILL)

    if (folder / "run.json").exists():
        resume(folder, report=report)
    else:
        run(disturbed(data, model, log), folder, report=report)


def disturbed(data: Path, model: Path, log: Path) -> Any:
    """Return the configuration of the undisturbed run, with a teacher that notes its calls."""
    teacher = {"model": "import:tests.loop:teacher", "params": {"log": str(log)}}
    return config(data, model, agents={"rewriter": teacher})


def test_a_run_killed_in_every_node_ends_with_the_same_data(
    finished: Path, document: dict[str, Any], tiny_folder: Path, tmp_path: Path
) -> None:
    # The fork server loads the libraries once; every process is real and dies by a real SIGKILL.
    processes = multiprocessing.get_context("forkserver")
    processes.set_forkserver_preload(["middo.graph.build", "torch", "peft"])
    folder, log = tmp_path / "run", tmp_path / "calls"
    for node, kind in POINTS:
        arguments = (folder, finished.parent / "rows.jsonl", tiny_folder, log, node, kind)
        process = processes.Process(target=work, args=arguments)
        process.start()
        process.join(120)
        assert process.exitcode == -signal.SIGKILL, f"not killed in {node}"
        assert read_run(folder)["status"] == "interrupted"

    ended = resume(folder)

    assert ended["status"] == "finished"
    accepted = [entry["accepted"] or 0 for entry in document["rounds"]]
    assert sum(accepted) >= 3
    for entry, undisturbed in zip(ended["rounds"], document["rounds"], strict=True):
        for key in ("dataset", "flagged", "accepted", "rejected", "failed", "gate", "difference"):
            assert entry[key] == undisturbed[key], (entry["round"], key)
        assert entry["training"]["weights"] == undisturbed["training"]["weights"]
    assert ended["best_round"] == document["best_round"]
    assert (folder / "export/data.jsonl").read_bytes() == (
        finished / "export/data.jsonl"
    ).read_bytes()

    calls = Counter(log.read_text("utf-8").split())
    ledger = read_database(folder / "ledger.db")
    once = Ledger(ledger).spent().calls
    traces = open_traces(folder / "traces.db")
    assert traces is not None
    assert {call.key for call in traces.calls()} == set(Ledger(ledger).unit_keys())
    for number in range(2):
        fates = {event.sample_id: event.fate for event in traces.settled(number)}
        assert fates == Ledger(ledger).fates(number)
    traces.close()
    ledger.close()
    assert once == document["tokens"]["calls"]
    asked_again = sum(calls.values()) - once
    assert asked_again <= CONCURRENCY  # one of the kills fell among calls


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
