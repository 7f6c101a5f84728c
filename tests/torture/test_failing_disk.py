"""A disk that is full, broken or read-only under each store: one line, nothing lost, resumable.

Every command is a process of its own on a disk that refuses what libc is asked to write (see
`failing_disk.c`), whichever library asks. A case begins with a copy of a run folder as it was at
a node's end and with the models of all rounds, so that nothing has to be trained for it.
"""

import shutil
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from middo.stores.database import read_database
from middo.stores.ledger import Ledger
from middo.stores.runs import read_run
from middo.stores.samples import Version
from tests.torture.disk import ERRORS, FailingDisk, Fault, Stages, run_in_stages
from tests.torture.tally import RecordProperty, tell

pytestmark = [
    pytest.mark.xdist_group("failing disk"),
    pytest.mark.skipif(shutil.which("cc") is None, reason="needs a C compiler named cc"),
]

SAYS = {
    "no space": ("No space left on device", "database or disk is full", "disk I/O error"),
    "broken": ("Input/output error", "disk I/O error", "unable to open database file"),
    "read-only": ("Read-only file system", "readonly database", "unable to open database file"),
    "forbidden": ("Permission denied", "readonly database", "unable to open database file"),
}
"""Error -> what a line may say of it: of a file, and SQLite's own words."""


@dataclass(frozen=True)
class Write:
    """A store that a run writes.

    Attributes:
        name: for people.
        stage: the node that has just ended when the disk begins to fail.
        part: of the store's paths.
        place: what the line or note names, relative to the run folder.
        goes_on: whether the run goes on without the store.
        after: refusals that are let pass first.
        spares: part of paths that are no part of it.
    """

    name: str
    stage: str
    part: str
    place: str
    goes_on: bool = False
    after: int = 0
    spares: str = ""


STOPPING = (
    Write("run.json", "merge-0", "/run/run.json", "run/run.json"),
    Write("hold-out figures", "train-0", "/evaluation.json", "run/rounds/0/evaluation.json"),
    Write("vectors", "gate-0", "/run/vectors", "run/vectors"),
    Write("embeddings", "gate-0", "/embeddings.parquet", "run/rounds/0/embeddings.parquet"),
    Write("signals", "gate-0", "/signals.parquet", "run/rounds/0/signals.parquet"),
    Write("diagnosis", "gate-0", "/diagnosis.json", "run/rounds/0/diagnosis.json"),
    Write("ledger", "refine-0", "/ledger.db-wal", "run/ledger.db", after=3),
    Write("calls in the ledger", "diagnose-0", "/ledger.db-wal", "run/ledger.db", after=20),
    Write("checkpoints", "refine-0", "/checkpoints.db-wal", "run/checkpoints.db"),
    Write("proposals", "refine-0", "/proposals.parquet", "run/rounds/0/proposals.parquet"),
    Write("version", "refine-0", "/rounds/1/.dataset", "run/rounds/1/dataset"),
    Write("export", "gate-1", "/run/export", "run/export"),
)
GOING_ON = (
    Write("traces", "refine-0", "/traces.db", "run/traces.db", goes_on=True),
    Write("index", "refine-0", "/index.db", "run/index.db", goes_on=True),
    Write("heartbeat", "gate-1", "/run.lock", "run/run.lock", goes_on=True),
)
WRITES = {write.name: write for write in (*STOPPING, *GOING_ON)}
SAMPLE = (
    ("run.json", "no space"),
    ("calls in the ledger", "no space"),
    ("checkpoints", "broken"),
    ("version", "read-only"),
    ("export", "no space"),
    ("traces", "no space"),
    ("index", "read-only"),
    ("heartbeat", "broken"),
)
MATRIX = [(name, error) for name in WRITES for error in ERRORS if (name, error) not in SAMPLE]


@pytest.fixture(scope="session")
def disk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FailingDisk]:
    with FailingDisk(tmp_path_factory.mktemp("disk")) as opened:
        yield opened


@pytest.fixture(scope="session")
def stages(tmp_path_factory: pytest.TempPathFactory, tiny_folder: Path) -> Stages:
    return run_in_stages(tmp_path_factory.mktemp("stages"), tiny_folder)


def assert_whole(folder: Path, stages: Stages) -> None:
    """Assert that a run has ended with the data of the one that nobody disturbed."""
    document: Any = read_run(folder)
    undisturbed: Any = stages.document
    assert document["status"] == "finished"
    for entry, expected in zip(document["rounds"], undisturbed["rounds"], strict=True):
        for key in ("dataset", "flagged", "accepted", "rejected", "failed", "gate", "difference"):
            assert entry[key] == expected[key], (entry["round"], key)
        Version(folder / f"rounds/{entry['round']}/dataset").verify()
    exported = (folder / "export/data.jsonl").read_bytes()
    assert exported == (stages.folder / "finished/export/data.jsonl").read_bytes()
    for name in ("ledger.db", "checkpoints.db"):
        database = sqlite3.connect(folder / name)
        assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        database.close()


def asked_again(stages: Stages, stage: str, folder: Path) -> int:
    """Return how many calls were made in a folder beyond those that its ledger did not hold."""
    log = folder / "calls"
    asked = len(log.read_text("utf-8").split()) if log.exists() else 0
    before = read_database(stages.folder / stage / "ledger.db")
    after = read_database(folder / "run/ledger.db")
    fresh = Ledger(after).spent().calls - Ledger(before).spent().calls
    before.close()
    after.close()
    return asked - fresh


def survive(
    write: Write,
    error: str,
    disk: FailingDisk,
    stages: Stages,
    tmp_path: Path,
    record_property: RecordProperty,
) -> None:
    folder = stages.copy(write.stage, tmp_path / "run")
    fault = Fault(write.part, ERRORS[error], write.after, write.spares)
    ended = disk.middo("resume", "run", at=tmp_path, fault=fault)
    assert ended.refusals, "the disk was never asked"
    assert "Traceback" not in ended.err + ended.out
    assert not (folder / "error.txt").exists()
    if write.goes_on:
        assert ended.code == 0, ended.err
        notes = [
            line for line in ended.err.splitlines() if "note: " in line and write.place in line
        ]
        assert any(said in notes[0] for said in SAYS[error]), notes
        assert len(notes) <= 2  # the second one counts what is missing
    else:
        assert ended.code == 1, ended.err
        assert ended.error.startswith(f"middo: {write.place}"), ended.err
        assert any(said in ended.error for said in SAYS[error]), ended.error
        assert ended.error.endswith(", then `middo resume run`")
        assert read_run(folder)["status"] == (
            "interrupted" if write.name == "run.json" else "failed"
        )
        again = disk.middo("resume", "run", at=tmp_path)
        assert again.code == 0, again.err
    assert_whole(folder, stages)
    repeated = asked_again(stages, write.stage, tmp_path)
    assert 0 <= repeated <= stages.config.refinement.concurrency
    tell(
        record_property,
        "disk faults",
        survived=1,
        refusals=len(ended.refusals),
        calls_repeated=repeated,
        rows_lost=0,
    )


@pytest.mark.parametrize(("name", "error"), SAMPLE)
def test_a_failing_disk_costs_nothing(
    name: str,
    error: str,
    disk: FailingDisk,
    stages: Stages,
    tmp_path: Path,
    record_property: RecordProperty,
) -> None:
    survive(WRITES[name], error, disk, stages, tmp_path, record_property)


@pytest.mark.torture
@pytest.mark.parametrize(("name", "error"), MATRIX)
def test_a_failing_disk_costs_nothing_wherever_and_however_it_fails(
    name: str,
    error: str,
    disk: FailingDisk,
    stages: Stages,
    tmp_path: Path,
    record_property: RecordProperty,
) -> None:
    survive(WRITES[name], error, disk, stages, tmp_path, record_property)
