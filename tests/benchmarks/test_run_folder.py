"""The run folder that benchmarks of readers use is one that readers can read."""

from pathlib import Path

import pytest

from benchmarks.run_folder import make_run
from middo.core.progress import Event
from middo.inspection.lives import life
from middo.inspection.record import open_record
from middo.inspection.samples import Query
from middo.inspection.sources import Contained
from middo.inspection.table import page


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("made") / "run"
    events: list[Event] = []
    make_run(path, "demo", 200, 12, events.append)
    assert events == []
    return path


def test_its_counts_are_those_of_its_tables(folder: Path) -> None:
    with open_record(folder) as record:
        first = record.document()["rounds"][0]
        assert page(record, Query(0)).total == first["dataset"]["rows"] > 150
        assert page(record, Query(0, axis="any")).total == first["flagged"]["samples"] > 12
        for fate in ("accepted", "rejected", "failed", "deferred"):
            assert page(record, Query(0, fate=fate)).total == first[fate]
        assert Contained(folder).now().are_in(record.index)


def test_refined_samples_have_lives_with_proposals_and_calls(folder: Path) -> None:
    with open_record(folder) as record:
        fates = record.fates(0)
        refined = [name for name, (fate, _) in fates.items() if fate in ("accepted", "rejected")]
        assert len(refined) >= 10
        for name in refined:
            told = life(record, name).rounds[0]
            assert told.attempts and told.calls
            assert told.attempts[-1].verdict == told.fate
