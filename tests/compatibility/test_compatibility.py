"""Run folders of each released version: readers open them, and the killed one is resumed."""

import json
import tarfile
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from middo import resume
from middo.cli.boundary import carry_out
from middo.cli.main import parse
from middo.inspection.record import open_record
from middo.prompts.loader import load
from middo.stores.database import read_database
from middo.stores.ledger import Ledger
from middo.stores.runs import read_run

HERE = Path(__file__).parent
VERSIONS = sorted(path.parent.name for path in HERE.glob("*/runs.tar.xz"))


@pytest.fixture(scope="module", params=VERSIONS)
def version(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def place(version: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Another place than the one where the runs were made; paths in them are relative to it."""
    with tarfile.open(HERE / version / "runs.tar.xz") as archive:
        archive.extractall(tmp_path, filter="data")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def expected(version: str) -> dict[str, Any]:
    document: dict[str, Any] = json.loads((HERE / version / "expected.json").read_text("utf-8"))
    return document


def asked_again(folder: Path) -> int:
    """Return how many calls a killed run makes anew, as their prompts read otherwise since.

    Those are of samples that had come to no end. Since version 3 of the rewriter's prompts only
    what a further try is told reads otherwise.
    """
    with closing(read_database(folder / "ledger.db")) as database:
        ledger = Ledger(database)
        return sum(
            unit.attempt > 1 and unit.prompt_version != load(unit.prompt).version
            for unit in ledger.units()
            if unit.sample_id not in ledger.fates(unit.round)
        )


def test_readers_open_a_finished_run(
    place: Path, version: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with open_record(place / "finished") as record:
        diagnosis = record.diagnosis(0)
        assert diagnosis is not None
        sample = diagnosis["flags"][0]["id"]
        assert len(list(record.version(1))) == expected(version)["rounds"][1]["dataset"]["rows"]
        assert record.traces is not None
        assert len(record.traces.calls()) == expected(version)["calls"]
    report = str(place / "report")
    for words in (["status"], ["explain", sample], ["trace"], ["report", "--to", report]):
        assert carry_out([words[0], "finished", *words[1:], "--json"], parse) == 0
        assert json.loads(capsys.readouterr().out)
    assert read_run(place / "finished")["status"] == "finished"


def test_a_killed_run_resumes_to_the_end_without_its_input(place: Path, version: str) -> None:
    assert not (place / "rows.jsonl").exists()
    again = asked_again(place / "killed")
    document = resume(place / "killed")
    wanted = expected(version)
    for entry, noted in zip(document["rounds"], wanted["rounds"], strict=True):
        assert {name: entry[name] for name in noted} == noted
    assert (document["best_round"], document["tokens"]["calls"]) == (
        *(wanted["best_round"], wanted["calls"] + again),
    )
