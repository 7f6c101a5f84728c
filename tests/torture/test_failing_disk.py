"""A disk that is full, broken or read-only under each store: one line, nothing lost, resumable.

Every command is a process of its own on a disk that refuses what libc is asked to write (see
`failing_disk.c`), whichever library asks. A case begins with a copy of a run folder as it was at
a node's end and with the models of all rounds, so that nothing has to be trained for it.
"""

import os
import random
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from middo.formats.configuration import dump_config
from middo.stores.database import read_database
from middo.stores.ledger import Ledger
from middo.stores.runs import read_run
from middo.stores.samples import Version
from middo.stores.tables import read_signals
from tests.torture.disk import ERRORS, ROOT, FailingDisk, Fault, Stages, run_in_stages
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
        status: of the run afterwards.
        errors: those that concern it.
    """

    name: str
    stage: str
    part: str
    place: str
    goes_on: bool = False
    after: int = 0
    status: str = "failed"
    errors: tuple[str, ...] = tuple(ERRORS)


BYTES, CHANGES = ("no space", "broken"), ("read-only", "forbidden")
STOPPING = (
    Write("run.json", "merge-0", "/run/run.json", "run/run.json", status="interrupted"),
    Write("lock", "gate-1", "/run.lock", "run/run.lock", status="interrupted", errors=CHANGES),
    Write("hold-out figures", "train-0", "/evaluation.json", "run/rounds/0/evaluation.json"),
    Write("vectors", "diagnose-0", "/run/vectors", "run/vectors"),
    Write("embeddings", "diagnose-0", "/embeddings.parquet", "run/rounds/0/embeddings.parquet"),
    Write("signals", "diagnose-0", "/signals.parquet", "run/rounds/0/signals.parquet"),
    Write("diagnosis", "diagnose-0", "/diagnosis.json", "run/rounds/0/diagnosis.json"),
    Write("ledger", "refine-0", "/ledger.db-wal", "run/ledger.db", after=3),
    Write("calls in the ledger", "diagnose-0", "/ledger.db-wal", "run/ledger.db", after=20),
    Write("checkpoints", "refine-0", "/checkpoints.db-wal", "run/checkpoints.db"),
    Write("proposals", "refine-0", "/proposals.parquet", "run/rounds/0/proposals.parquet"),
    Write("version", "refine-0", "/rounds/1/.dataset", "run/rounds/1/dataset"),
    Write("export", "gate-1", "/run/export", "run/export"),
    Write("exported model", "gate-1", "/export.partial/model/", "run/export"),
)
GOING_ON = (
    Write("traces", "refine-0", "/traces.db", "run/traces.db", goes_on=True),
    Write("index", "refine-0", "/index.db", "run/index.db", goes_on=True),
    Write("heartbeat", "gate-1", "/run.lock", "run/run.lock", goes_on=True, errors=BYTES),
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
MATRIX = [
    (name, error)
    for name, write in WRITES.items()
    for error in write.errors
    if (name, error) not in SAMPLE
]


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
    fault = Fault(write.part, ERRORS[error], write.after)
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
        # To SQLite a log that refuses a write is a broken disk, whatever the reason.
        says = (*SAYS[error], *(("disk I/O error",) if write.part.endswith("-wal") else ()))
        assert any(said in ended.error for said in says), ended.error
        assert ended.error.endswith(", then `middo resume run`")
        assert read_run(folder)["status"] == write.status
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


BEGINNINGS = {
    "configuration": ("/run/config.yaml", "run/config.yaml"),
    "first run.json": ("/run/run.json", "run/run.json"),
    "import": ("/.imported.partial", "run/imported.partial"),
    "quarantine": ("/.quarantine.jsonl", "run/quarantine.jsonl"),
    "hold-out": ("/.holdout", "run/holdout"),
    "first version": ("/rounds/0/.dataset", "run/rounds/0/dataset"),
}
"""What a run writes first -> part of its paths, and what the line names."""
EARLY = [
    (name, error)
    for name in BEGINNINGS
    for error in ("no space", "read-only")
    if (name, error) != ("configuration", "no space")
]


def begin(
    name: str,
    error: str,
    disk: FailingDisk,
    stages: Stages,
    tmp_path: Path,
    record_property: RecordProperty,
) -> None:
    part, place = BEGINNINGS[name]
    config = stages.config.model_copy(update={"rounds": 0})
    (tmp_path / "config.yaml").write_text(dump_config(config), "utf-8")
    folder = tmp_path / "run"
    words = ("run", "config.yaml", "--out", "run")
    ended = disk.middo(*words, at=tmp_path, fault=Fault(part, ERRORS[error]))
    assert ended.refusals, "the disk was never asked"
    assert ended.code == 1, ended.err
    assert ended.error.startswith(f"middo: {place}: can't be "), ended.err
    assert any(said in ended.error for said in SAYS[error]), ended.error
    assert "Traceback" not in ended.err
    if ended.error.endswith(", then run it again"):
        # With another fault, as training would take long; the folder is taken as a new one.
        again = disk.middo(*words, at=tmp_path, fault=Fault("/.holdout", ERRORS["broken"]))
        assert again.error.startswith("middo: run/holdout: can't be "), again.err
    else:
        assert ended.error.endswith(", then `middo resume run`")
    shutil.copytree(stages.folder / "finished/rounds/0/model", folder / "rounds/0/model")
    # The shared cache is on a disk of its own, which fails while the run ends well.
    shared = tmp_path / "shared/scores.db"
    ended = disk.middo(
        *("resume", "run"),
        at=tmp_path,
        fault=Fault("/shared", ERRORS[error]),
        environment={"MIDDO_CACHE": str(shared.parent)},
    )
    assert ended.refusals, "the disk was never asked"
    assert ended.code == 0, ended.err
    notes = [line for line in ended.err.splitlines() if "the cache of base-model losses" in line]
    assert len(notes) == 1
    assert f"note: {shared}: " in notes[0]
    document: Any = read_run(folder)
    undisturbed: Any = stages.document
    assert document["status"] == "finished"
    for key in ("dataset", "evaluation"):
        assert document["rounds"][0][key] == undisturbed["rounds"][0][key]
    Version(folder / "rounds/0/dataset").verify()
    Version(folder / "holdout").verify()
    tell(record_property, "disk faults", survived=2, refusals=len(ended.refusals), rows_lost=0)


def test_a_disk_that_fails_as_a_run_begins_costs_nothing(
    disk: FailingDisk, stages: Stages, tmp_path: Path, record_property: RecordProperty
) -> None:
    begin("configuration", "no space", disk, stages, tmp_path, record_property)


@pytest.mark.torture
@pytest.mark.parametrize(("name", "error"), EARLY)
def test_a_disk_that_fails_as_a_run_begins_costs_nothing_however_it_fails(
    name: str,
    error: str,
    disk: FailingDisk,
    stages: Stages,
    tmp_path: Path,
    record_property: RecordProperty,
) -> None:
    begin(name, error, disk, stages, tmp_path, record_property)


@pytest.mark.torture
@pytest.mark.parametrize(
    ("part", "error"),
    [
        ("/model/unfinished/checkpoint-", "no space"),
        ("/model/adapter_model.safetensors", "broken"),
        ("/model/.training.json", "read-only"),
        ("/rows.jsonl", "no space"),
    ],
)
def test_a_disk_that_fails_while_a_model_is_trained_costs_no_more_than_the_training(
    part: str,
    error: str,
    disk: FailingDisk,
    stages: Stages,
    tmp_path: Path,
    record_property: RecordProperty,
) -> None:
    folder = stages.copy("merge-0", tmp_path / "run", models=(0,))
    ended = disk.middo("resume", "run", at=tmp_path, fault=Fault(part, ERRORS[error]))
    assert ended.refusals, "the disk was never asked"
    assert ended.code == 1, ended.err
    assert "run/rounds/1/" in ended.error, ended.err
    assert "can't be " in ended.error
    assert ended.error.endswith(", then `middo resume run`")
    assert "Traceback" not in ended.err
    assert read_run(folder)["status"] == "failed"
    again = disk.middo("resume", "run", at=tmp_path)
    assert again.code == 0, again.err
    assert_whole(folder, stages)
    document: Any = read_run(folder)
    undisturbed: Any = stages.document
    for entry, expected in zip(document["rounds"], undisturbed["rounds"], strict=True):
        assert entry["training"]["weights"] == expected["training"]["weights"]
    tell(record_property, "disk faults", survived=1, refusals=len(ended.refusals), rows_lost=0)


@pytest.mark.parametrize("error", ["no space", "broken", "read-only", "forbidden"])
def test_what_a_command_can_not_write_is_one_line_and_no_half_file(
    error: str, disk: FailingDisk, stages: Stages, tmp_path: Path, record_property: RecordProperty
) -> None:
    stages.copy("finished", tmp_path / "run")
    refusals = 0
    for words, code in (
        (("export", "run", "--format", "messages", "--to", "out/data.jsonl"), 1),
        (("export", "run", "--format", "parquet", "--to", "out/data.parquet"), 1),
        (("report", "run", "--to", "out/pages"), 2),
    ):
        (tmp_path / "out").mkdir(exist_ok=True)
        ended = disk.middo(*words, at=tmp_path, fault=Fault("/out/", ERRORS[error], after=1))
        if not ended.refusals:
            ended = disk.middo(*words, at=tmp_path, fault=Fault("/out/", ERRORS[error]))
        assert ended.refusals, "the disk was never asked"
        assert ended.code == code, ended.err
        assert ended.err == ended.error + "\n"
        assert words[-1] in ended.error
        assert any(said in ended.error for said in SAYS[error]), ended.error
        shutil.rmtree(tmp_path / "out")
        (tmp_path / "out").mkdir()
        again = disk.middo(*words, at=tmp_path)
        assert again.code == 0, again.err
        refusals += len(ended.refusals)
    tell(record_property, "disk faults", survived=3, refusals=refusals)


@pytest.mark.torture
@pytest.mark.parametrize(
    ("part", "error", "place"),
    [
        ("/out/ledger.db-wal", "broken", "out/ledger.db"),
        ("/out/embeddings.parquet", "no space", "out/embeddings.parquet"),
        ("/out/signals.parquet", "read-only", "out/signals.parquet"),
        ("/out/diagnosis.json", "no space", "out/diagnosis.json"),
        ("/out/run.lock", "forbidden", "out/run.lock"),
    ],
)
def test_a_diagnosis_that_can_not_be_written_is_one_line_and_goes_on(
    part: str,
    error: str,
    place: str,
    disk: FailingDisk,
    stages: Stages,
    tmp_path: Path,
    record_property: RecordProperty,
) -> None:
    words = (
        *("diagnose", stages.config.data.path, "--model", stages.config.model.base),
        *("--out", "out", "--set", "signals.axes=[complexity]"),
    )
    ended = disk.middo(*words, at=tmp_path, fault=Fault(part, ERRORS[error]))
    assert ended.refusals, "the disk was never asked"
    assert ended.code == 1, ended.err
    assert ended.error.startswith(f"middo: {place}: can't be "), ended.err
    assert "Traceback" not in ended.err
    again = disk.middo(*words, at=tmp_path)
    assert again.code == 0, again.err
    assert len(read_signals(tmp_path / "out/signals.parquet")) == 72
    tell(record_property, "disk faults", survived=1, refusals=len(ended.refusals))


FULL = """
mount -t tmpfs -o size=64m none "$1" && cp -r "$2" "$1/run" && cd "$1" || exit 70
dd if=/dev/zero of=filler bs=1k 2>/dev/null
truncate -s "-$3k" filler
"$4" -m middo resume run; echo "code $?"
test -e run/error.txt && echo "a traceback"
rm filler
"$4" -m middo resume run >/dev/null || exit 71
cp -r run "$5"
"""


@pytest.mark.torture
def test_a_file_system_without_room_costs_nothing(
    stages: Stages, tmp_path: Path, torture_seed: int, record_property: RecordProperty
) -> None:
    mount = tmp_path / "mount"
    mount.mkdir()
    own = ("unshare", "--map-root-user", "--mount")
    trial = [*own, "mount", "-t", "tmpfs", "none", str(mount)]
    if shutil.which("unshare") is None or subprocess.run(trial, capture_output=True).returncode:
        pytest.skip("needs leave to mount a file system in a name space of its own")
    room = random.Random(torture_seed).randrange(0, 120)
    stage = stages.copy("refine-0", tmp_path / "stage")
    paths = (mount, stage, room, sys.executable, tmp_path / "run")
    ended = subprocess.run(
        [*own, "sh", "-c", FULL, "sh", *map(str, paths)],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert ended.returncode == 0, ended.stderr
    assert "Traceback" not in ended.stderr
    assert "a traceback" not in ended.stdout
    (line,) = [line for line in ended.stderr.splitlines() if line.startswith("middo: ")]
    assert line.endswith(", then `middo resume run`"), line
    assert "code 1" in ended.stdout.splitlines(), (room, ended.stderr)
    assert_whole(tmp_path / "run", stages)
    tell(record_property, "disk faults", survived=1, rows_lost=0)
