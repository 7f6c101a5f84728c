"""Files that are damaged between a kill and the resume: made again, or told of in one line."""

import json
import os
import shutil
import signal
import sqlite3
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from middo import resume
from middo.core.errors import ConfigError, DataError, MiddoError, TrainingError
from middo.core.ids import canonical_json
from middo.core.progress import Event, Progress
from middo.stores.database import open_database, read_database
from middo.stores.ledger import Ledger
from middo.stores.runs import read_run
from tests.torture.damages import (
    Damage,
    HalfWay,
    cut,
    deleted,
    emptied,
    header,
    killed_half_way,
    one_bit,
    page,
)
from tests.torture.tally import RecordProperty, tell

pytestmark = pytest.mark.xdist_group("damaged runs")

# Every other one of these runs under `make torture` only.
SAMPLE = {
    ("rounds/0/dataset/part-00000.parquet", one_bit),
    ("rounds/0/embeddings.parquet", one_bit),
    ("rounds/0/evaluation.json", cut),
    ("checkpoints.db", deleted),
    ("vectors", deleted),
    ("traces.db", header),
}
FILES = (
    *("rounds/0/dataset/part-00000.parquet", "rounds/0/dataset/manifest.json"),
    *("holdout/part-00000.parquet", "holdout/manifest.json"),
    *("rounds/0/signals.parquet", "rounds/0/embeddings.parquet"),
    *("rounds/0/diagnosis.json", "rounds/0/evaluation.json", "run.json"),
)
RECOVERED: list[tuple[str, Damage]] = [
    *((name, how) for name in FILES for how in (one_bit, cut, emptied, deleted)),
    *(("traces.db", how) for how in (page, header, cut, emptied, deleted)),
    *(("index.db", how) for how in (page, header, cut, emptied, deleted)),
    *(("checkpoints.db", how) for how in (emptied, deleted)),
    ("vectors", deleted),
    *((f"vectors/{name}", how) for name in ("chroma.sqlite3",) for how in (page, cut)),
    *(("rounds/0/model/training.json", how) for how in (cut, deleted)),
    *(("rounds/0/model/adapter_model.safetensors", how) for how in (one_bit, deleted)),
    ("rounds/0/model/adapter_config.json", cut),
]


def sampled(cases: list[tuple[str, Damage]]) -> list[Any]:
    """Return the cases as parameters, all but the sample marked as torture."""
    return [
        pytest.param(
            *(name, how),
            id=f"{name} {how.__name__}",
            marks=() if (name, how) in SAMPLE else pytest.mark.torture,
        )
        for name, how in cases
    ]


@pytest.fixture(scope="module")
def half_way(tmp_path_factory: pytest.TempPathFactory, tiny_folder: Path) -> HalfWay:
    return killed_half_way(tmp_path_factory.mktemp("half"), tiny_folder)


def figures(document: dict[str, Any]) -> list[Any]:
    names = ("dataset", "flagged", "accepted", "rejected", "failed", "added", "gate", "difference")
    return [[entry[name] for name in names] for entry in document["rounds"]]


def told(content: bytes) -> bytes:
    """Return a file without what making it took: what is made again asks for no pass."""
    if not content.startswith(b"{") or b'"scoring"' not in content:
        return content
    return canonical_json({**json.loads(content), "scoring": None}).encode()


@pytest.mark.parametrize(("name", "damage"), sampled(RECOVERED))
def test_what_can_be_made_again_is_and_the_run_ends_the_same(
    half_way: HalfWay, tmp_path: Path, name: str, damage: Damage, record_property: RecordProperty
) -> None:
    folder = half_way.copy(tmp_path / "run", settled=True)
    before = (folder / name).read_bytes() if (folder / name).is_file() else b""
    damage(folder / name)

    document = resume(folder)

    undisturbed = read_run(half_way.finished)
    assert document["status"] == "finished"
    assert figures(document) == figures(undisturbed)
    assert document["tokens"] == undisturbed["tokens"]  # nothing was asked and paid for twice
    for k, entry in enumerate(document["rounds"]):
        weights = undisturbed["rounds"][k]["training"]["weights"]
        assert entry["training"]["weights"] == weights
    assert (folder / "export/data.jsonl").read_bytes() == (
        half_way.finished / "export/data.jsonl"
    ).read_bytes()
    if name in FILES[:-1]:
        assert told((folder / name).read_bytes()) == told(before)
    tell(record_property, "damaged files", damaged=1, recovered=1)


LOST: list[tuple[str, Damage]] = [
    *(("ledger.db", how) for how in (page, header, cut, emptied, deleted)),
    *(("checkpoints.db", how) for how in (page, header, cut)),
]


@pytest.mark.parametrize(("name", "damage"), LOST)
def test_a_database_that_only_a_copy_brings_back_ends_in_one_line_and_the_copy_resumes(
    half_way: HalfWay, tmp_path: Path, name: str, damage: Damage, record_property: RecordProperty
) -> None:
    folder = half_way.copy(tmp_path / "run", settled=True)
    shutil.copy(folder / name, tmp_path / "copy")
    damage(folder / name)
    advice = "from a copy: what models answered" if name == "ledger.db" else "move it away"
    with pytest.raises(MiddoError, match=advice) as refused:
        resume(folder)
    assert str(refused.value).startswith(str(folder / name))
    assert "\n" not in str(refused.value)
    tell(record_property, "damaged files", damaged=1, told=1)
    if (name, damage) != ("ledger.db", emptied):
        return
    shutil.copy(tmp_path / "copy", folder / name)
    assert figures(resume(folder)) == figures(read_run(half_way.finished))


@pytest.mark.parametrize("damage", [deleted, emptied, cut])
def test_a_ledger_that_lost_its_log_is_not_gone_on_with(
    half_way: HalfWay, tmp_path: Path, damage: Damage, record_property: RecordProperty
) -> None:
    folder = half_way.copy(tmp_path / "run")
    damage(folder / "ledger.db-wal")
    with pytest.raises(MiddoError, match=r"ledger\.db: lacks the .* of round 0, of which run\.js"):
        resume(folder)
    tell(record_property, "damaged files", damaged=1, told=1)


def test_moved_away_checkpoints_cost_no_call(half_way: HalfWay, tmp_path: Path) -> None:
    folder = half_way.copy(tmp_path / "run", settled=True)
    page(folder / "checkpoints.db")
    with pytest.raises(MiddoError, match="pays for nothing twice"):
        resume(folder)
    (folder / "checkpoints.db").rename(tmp_path / "away")
    assert resume(folder)["tokens"] == read_run(half_way.finished)["tokens"]


@pytest.mark.parametrize(
    ("cut_at", "said"),
    [
        ("refinement:", "not the configuration that the run began with"),
        ("  - 0.2", "checks.length_ratio: null is not valid"),
    ],
)
def test_a_configuration_that_was_cut_short_is_refused(
    half_way: HalfWay, tmp_path: Path, cut_at: str, said: str
) -> None:
    folder = half_way.copy(tmp_path / "run")
    lines = (folder / "config.yaml").read_text("utf-8").splitlines(keepends=True)
    place = next(n for n, line in enumerate(lines) if line.startswith(cut_at))
    (folder / "config.yaml").write_text("".join(lines[:place]), encoding="utf-8")
    with pytest.raises(ConfigError, match=said) as refused:
        resume(folder)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("change", [deleted, cut])
def test_a_first_data_set_whose_input_is_gone_too_ends_in_one_line(
    half_way: HalfWay, tmp_path: Path, change: Callable[[Path], None]
) -> None:
    folder = half_way.copy(tmp_path / "run")
    shard = folder / "rounds/0/dataset/part-00000.parquet"
    cut(shard)
    damaged = shard.read_bytes()
    kept = half_way.data.read_bytes()
    try:
        change(half_way.data)
        with pytest.raises(DataError, match="restore it from a copy .it can't be made again"):
            resume(folder)
    finally:
        half_way.data.write_bytes(kept)
    assert shard.read_bytes() == damaged  # for whoever wants to look
    assert figures(resume(folder)) == figures(read_run(half_way.finished))


def test_the_input_is_not_needed_once_it_is_imported(half_way: HalfWay, tmp_path: Path) -> None:
    folder = half_way.copy(tmp_path / "run")
    away = half_way.data.with_name("away.jsonl")
    half_way.data.rename(away)
    try:
        document = resume(folder)
    finally:
        away.rename(half_way.data)
    assert figures(document) == figures(read_run(half_way.finished))


def test_a_ledger_that_another_program_holds_is_told_of_and_the_run_goes_on_after(
    half_way: HalfWay, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = half_way.copy(tmp_path / "run", settled=True)
    holder = sqlite3.connect(folder / "ledger.db", isolation_level=None)
    monkeypatch.setattr("middo.graph.deps.open_database", partial(open_database, busy_seconds=0.2))
    holder.execute("BEGIN IMMEDIATE")
    with pytest.raises(MiddoError, match=r"ledger\.db: another program holds it .*resume"):
        resume(folder)
    holder.execute("ROLLBACK")
    holder.close()
    assert figures(resume(folder)) == figures(read_run(half_way.finished))


@pytest.mark.torture
@pytest.mark.parametrize("robbed", [False, True])
def test_a_trainer_that_is_killed_ends_the_run_in_one_line_and_the_run_goes_on(
    half_way: HalfWay, tmp_path: Path, robbed: bool, record_property: RecordProperty
) -> None:
    folder = half_way.copy(tmp_path / "run")
    shutil.rmtree(folder / "rounds/1/model")

    def kill(event: Event) -> None:
        if isinstance(event, Progress) and event.node == "train" and event.done >= 8:
            for pid in trainers():
                os.kill(pid, signal.SIGKILL)

    with pytest.raises(TrainingError, match=r"out of memory.*lower model\.max_length") as told:
        resume(folder, report=kill)
    assert "\n" not in str(told.value)
    assert told.value.exit_code == 1
    assert trainers() == []
    assert read_run(folder)["status"] == "failed"
    found = list((folder / "rounds/1/model/unfinished").glob("checkpoint-*"))
    assert found
    for checkpoint in found if robbed else ():
        cut(checkpoint / "optimizer.pt")

    document, undisturbed = resume(folder), read_run(half_way.finished)
    assert figures(document) == figures(undisturbed)
    assert document["tokens"] == undisturbed["tokens"]
    weights = undisturbed["rounds"][1]["training"]["weights"]
    assert document["rounds"][1]["training"]["weights"] == weights
    tell(record_property, "killed trainers", killed=1, recovered=1)


def trainers() -> list[int]:
    """Return the training processes that this process has begun."""
    # The kernel lists a process under the thread that began it.
    begun = Path("/proc/self/task").glob("*/children")
    pids = [pid for one in begun for pid in one.read_text(encoding="ascii").split()]
    lines = {pid: Path(f"/proc/{pid}/cmdline").read_bytes() for pid in pids}
    return [int(pid) for pid, line in lines.items() if b"middo.training.worker" in line]


def test_a_clock_that_is_set_back_decides_nothing(
    half_way: HalfWay, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    true = time.time
    moves = iter([0.0, *(-400_000.0 * (n % 2) for n in range(10_000))])
    monkeypatch.setattr(time, "time", lambda: true() + next(moves, -1e6))
    folder = half_way.copy(tmp_path / "run")
    document = resume(folder)
    assert figures(document) == figures(read_run(half_way.finished))
    ledger = read_database(folder / "ledger.db")
    assert all(unit.seconds >= 0 for unit in Ledger(ledger).units())
    ledger.close()
    assert document["seconds"] > 0
    assert all(t >= 0 for entry in document["rounds"] for t in entry["times"].values())
