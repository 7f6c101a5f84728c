"""index.db goes along with the run, and nothing hangs on it."""

from pathlib import Path

import pytest

from middo.core.progress import Event, Note
from middo.graph.preparing import prepare
from middo.graph.state import LoopState
from middo.inspection.lives import life
from middo.inspection.record import open_record
from middo.inspection.sources import Contained
from middo.stores.index import INDEX_DB, open_index
from middo.stores.samples import Version
from middo.stores.tables import read_signals
from tests.graph.folder import opened, write_rows

START: LoopState = {"round": 0, "source_round": 0, "stop": ""}


def test_a_published_data_set_can_be_searched(tmp_path: Path) -> None:
    rows = write_rows(tmp_path / "rows.jsonl", 40)
    with opened(tmp_path / "run", data={"path": str(rows)}) as deps:
        prepare(deps, START)
        prepare(deps, START)
        index = open_index(deps.folder / INDEX_DB)
        assert index is not None
        assert sorted(index.rows(0)[0]) == sorted(deps.version(0).ids())
        for sample in deps.version(0):
            found = index.search(f'"{sample.prompt}"')
            assert found is not None and found.tolist() == []
            found = index.search(sample.answer)
            text = index.text(sample.id)
            assert found is not None and text is not None and text.number in found.tolist()


def test_a_run_goes_on_without_an_index_and_says_so(tmp_path: Path) -> None:
    rows = write_rows(tmp_path / "rows.jsonl", 40)
    events: list[Event] = []
    with opened(tmp_path / "run", events, data={"path": str(rows)}) as deps:
        (deps.folder / INDEX_DB).mkdir()
        prepare(deps, START)
        assert deps.version(0).rows > 0
    notes = [event.text for event in events if isinstance(event, Note)]
    assert len(notes) == 1 and notes[0].startswith("no index of the samples is kept (")
    with open_record(_with_document(tmp_path / "run")) as record:
        assert sorted(record.index.rows(0)[0]) == sorted(record.version(0).ids())


def _with_document(folder: Path) -> Path:
    (folder / "run.json").write_text('{"run": "run", "status": "failed"}', encoding="utf-8")
    return folder


@pytest.mark.xdist_group("one finished run")
def test_a_finished_run_has_a_whole_index(finished: Path) -> None:
    index = open_index(finished / INDEX_DB)
    assert index is not None
    contents = Contained(finished).now()
    assert contents.are_in(index) and len(contents.versions) > len(contents.diagnoses) > 0
    for number in contents.diagnoses:
        ids = [row["id"] for row in read_signals(finished / f"rounds/{number}/signals.parquet")]
        assert [index.texts([name])[name].number for name in ids] == index.measured(number).tolist()
        assert set(index.places(number).ids) == set(ids)


@pytest.mark.xdist_group("one finished run")
def test_every_rewritten_row_of_a_finished_run_has_a_line(finished: Path) -> None:
    with open_record(finished) as record:
        last = record.rounds()[-1]
        made = [one for one in Version(finished / f"rounds/{last}/dataset") if one.parent_id]
        assert any(one.origin == "rewritten" for one in made)
        for sample in made:
            found = life(record, sample.id)
            if sample.origin == "rewritten":
                assert found.lineage[-1] == sample.id and len(found.lineage) > 1
                step = found.rounds[sample.round]
                assert step.fate == "accepted" and step.attempts[-1].proposal_id == sample.id
                assert step.calls and {call.agent for call in step.calls} == {"rewriter", "critic"}
            else:
                assert found.beside == sample.parent_id
