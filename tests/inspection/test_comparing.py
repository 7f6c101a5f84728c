"""Two rounds side by side: paired by row and line, and what can't be compared said in words."""

import json
import os
import sqlite3
from dataclasses import replace
from pathlib import Path

import pytest

from middo.core.config import RunConfig
from middo.core.errors import UsageError
from middo.core.records import Axis
from middo.formats.configuration import dump_config
from middo.inspection.comparing import Comparison, compare
from middo.inspection.lineage import lineage
from middo.inspection.record import open_record
from middo.inspection.siblings import MOST_OPEN, Siblings

from .diagnosed import diagnose, evaluate
from .folder import Folder, added, numbered, rewritten

SAMPLES = sorted(numbered(12), key=lambda one: one.id)
LOSSES = [1.0, 1.1, 1.2, 1.3, 1.4, 1.5, 1.6, 1.7, 1.8, 1.9, 4.0, 4.5]
QUALITY = [0.1 + 0.05 * n for n in range(12)]
REPLACED = rewritten(SAMPLES[11], "An easier question", "An easier answer.", 0)
NEW = added(SAMPLES[0], "One more question", 0)
SECOND = [*SAMPLES[:11], REPLACED, NEW]
HELD = {f"held{n}": 1.0 + n / 10 for n in range(30)}


def two_rounds(path: Path) -> Folder:
    folder = Folder(path)
    folder.dataset(0, SAMPLES, "baseline")
    flags = [(SAMPLES[11], Axis.COMPLEXITY)]
    diagnose(folder, 0, SAMPLES, losses=LOSSES, quality=QUALITY, flags=flags)
    folder.outcome(0, SAMPLES[11], Axis.COMPLEXITY, "accepted")
    folder.dataset(1, SECOND, "better")
    rows = sorted(SECOND, key=lambda one: one.id)
    now = {one.id: loss - 0.1 for one, loss in zip(SAMPLES, LOSSES, strict=True)}
    now |= {REPLACED.id: 1.5, NEW.id: 2.0, SAMPLES[3].id: 3.3}
    diagnose(folder, 1, rows, losses=[now[one.id] for one in rows], quality=[*QUALITY, 0.9])
    evaluate(path, 0, HELD)
    evaluate(path, 1, {name: loss - 0.02 for name, loss in HELD.items()})
    return folder


def compared(one: Path, first: int, other: Path, second: int) -> Comparison:
    with open_record(one) as before, open_record(other) as after:
        return compare(before, first, after, second)


def test_training_rows_are_paired_by_line(tmp_path: Path) -> None:
    folder = two_rounds(tmp_path / "run")
    with open_record(folder.path) as record:
        found = compare(record, 0, record, 1)
        assert found.paired is not None
        assert (found.lines.same, found.lines.rewritten) == (11, 1)
        assert (found.lines.only_before, found.lines.only_after, found.lines.added) == (0, 1, 1)
        (line,) = found.paired.rows("loss", falling=True, rewritten=True)
        assert (line.before_id, line.after_id) == (SAMPLES[11].id, REPLACED.id)
        assert line.values["loss"] == (4.5, 1.5)
        assert line.change("loss") == pytest.approx(-3.0)
        assert line.fates == ("accepted", "")
        assert line.prompt == "An easier question"


def test_rows_are_ordered_by_how_much_they_changed(tmp_path: Path) -> None:
    folder = two_rounds(tmp_path / "run")
    with open_record(folder.path) as record:
        paired = compare(record, 0, record, 1).paired
        assert paired is not None
        fell = [row.change("loss") for row in paired.rows("loss", falling=True)]
        assert fell == sorted(fell)
        assert len(fell) == 11
        (rose,) = paired.rows("loss", falling=False)
        assert rose.before_id == SAMPLES[3].id
        change = next(one for one in paired.changes if one.measure == "loss")
        assert (change.pairs, change.rose, change.fell) == (12, 1, 11)
        assert len(paired.rows("loss", falling=True, most=3)) == 3


def test_a_round_that_was_not_measured_has_no_pairs(tmp_path: Path) -> None:
    folder = Folder(tmp_path / "run")
    folder.dataset(0, SAMPLES, "baseline")
    folder.dataset(1, SECOND)
    found = compared(folder.path, 0, folder.path, 1)
    assert found.paired is None
    assert found.no_pairs.startswith("Round 0 and round 1 were not diagnosed")
    assert found.held.reason == "Round 0 of run is not evaluated yet."
    assert found.lines.rewritten == 1  # the lines are known all the same


def test_the_hold_out_is_paired_by_row(tmp_path: Path) -> None:
    folder = two_rounds(tmp_path / "run")
    held = compared(folder.path, 0, folder.path, 1).held
    assert held.difference is not None
    assert (held.difference.mean, held.difference.rows) == (-0.02, 30)
    assert held.difference.high < 0
    assert held.measured_by == "this page"
    back = compared(folder.path, 1, folder.path, 0).held
    assert back.difference is not None
    assert back.difference.mean == 0.02


def test_what_the_gate_measured_stands_where_it_did(tmp_path: Path) -> None:
    folder = two_rounds(tmp_path / "run")
    path = folder.path / "run.json"
    document = json.loads(path.read_text(encoding="utf-8"))
    document["rounds"][1]["difference"] = {"mean": -0.5, "low": -0.6, "high": -0.4, "rows": 28}
    path.write_text(json.dumps(document), encoding="utf-8")
    held = compared(folder.path, 0, folder.path, 1).held
    assert held.difference is not None
    assert (held.difference.mean, held.measured_by) == (-0.5, "the gate of the run")


def test_rows_that_only_one_side_has_are_counted(tmp_path: Path) -> None:
    folder = two_rounds(tmp_path / "run")
    evaluate(folder.path, 1, {**dict(list(HELD.items())[5:]), "other": 1.0})
    held = compared(folder.path, 0, folder.path, 1).held
    assert (held.only_before, held.only_after) == (5, 1)
    assert held.difference is not None
    assert held.difference.rows == 25


def test_a_lost_loss_is_no_pair(tmp_path: Path) -> None:
    folder = two_rounds(tmp_path / "run")
    evaluate(folder.path, 1, dict.fromkeys(HELD))
    held = compared(folder.path, 0, folder.path, 1).held
    assert (held.difference, held.reason) == (None, "No held-out row has a loss in both.")


def test_another_base_model_shows_no_losses(tmp_path: Path) -> None:
    one, other = two_rounds(tmp_path / "one"), two_rounds(tmp_path / "other")
    config = RunConfig()
    config = config.model_copy(
        update={"seed": 99, "model": config.model.model_copy(update={"base": "elsewhere"})}
    )
    (other.path / "config.yaml").write_text(dump_config(config), encoding="utf-8")
    found = compared(one.path, 1, other.path, 1)
    assert found.held.difference is None
    assert "another base model" in found.held.reason
    assert "elsewhere" in found.held.reason
    assert found.paired is None
    assert {setting.key for setting in found.settings} == {"model.base", "seed"}
    assert found.lines.same == 13


def test_two_runs_of_one_configuration_are_paired(tmp_path: Path) -> None:
    one, other = two_rounds(tmp_path / "one"), two_rounds(tmp_path / "other")
    with open_record(one.path) as before, open_record(other.path) as after:
        found = compare(before, 0, after, 1)
        assert not found.settings
        assert found.held.difference is not None
        assert found.paired is not None
        assert found.paired.rewritten == 1


def test_other_data_is_said_to_be_so(tmp_path: Path) -> None:
    one = two_rounds(tmp_path / "one")
    other = Folder(tmp_path / "other")
    strangers = sorted(
        (replace(s, id=f"{n:016x}") for n, s in enumerate(SAMPLES)), key=lambda s: s.id
    )
    other.dataset(0, strangers)
    evaluate(other.path, 0, {"stranger": 1.0})
    found = compared(one.path, 0, other.path, 0)
    assert found.held.reason.endswith("made from other data.")
    assert found.no_pairs.endswith("made from other data.")
    assert (found.lines.only_before, found.lines.only_after) == (12, 12)


def test_an_unknown_round_is_refused(tmp_path: Path) -> None:
    folder = two_rounds(tmp_path / "run")
    with pytest.raises(UsageError, match="no round 7"):
        compared(folder.path, 0, folder.path, 7)


# --- lineage ---


def test_a_line_keeps_its_root_through_two_rewrites(tmp_path: Path) -> None:
    folder = Folder(tmp_path / "run")
    folder.dataset(0, SAMPLES[:2])
    once = rewritten(SAMPLES[0], "Once", "Once.", 0)
    folder.dataset(1, [once, SAMPLES[1]])
    twice = rewritten(once, "Twice", "Twice.", 1)
    folder.dataset(2, [twice, SAMPLES[1]])
    with open_record(folder.path) as record:
        found = lineage(record, 2)
    assert found.root(twice.id) == SAMPLES[0].id
    assert found.ids == {SAMPLES[0].id: twice.id, SAMPLES[1].id: SAMPLES[1].id}


def test_a_text_that_comes_back_ends_no_line(tmp_path: Path) -> None:
    folder = Folder(tmp_path / "run")
    folder.dataset(0, SAMPLES[:1])
    away = rewritten(SAMPLES[0], "Away", "Away.", 0)
    folder.dataset(1, [away])
    back = replace(SAMPLES[0], origin="rewritten", parent_id=away.id, round=1)
    folder.dataset(2, [back])
    with open_record(folder.path) as record:
        assert lineage(record, 2).root(back.id) == SAMPLES[0].id


def test_after_a_rollback_a_line_goes_through_the_data_that_was_refined(tmp_path: Path) -> None:
    folder = Folder(tmp_path / "run")
    folder.dataset(0, SAMPLES)
    bad = rewritten(SAMPLES[0], "Bad", "Bad.", 0)
    folder.dataset(1, [bad, *SAMPLES[1:]], "rolled_back")
    folder.diagnosis(1, {}, source=0)
    good = rewritten(SAMPLES[0], "Good", "Good.", 1)
    folder.dataset(2, [good, *SAMPLES[1:]])
    with open_record(folder.path) as record:
        found = lineage(record, 2)
    assert found.root(good.id) == SAMPLES[0].id
    assert len(found.ids) == 12


# --- siblings ---


@pytest.mark.parametrize("name", ["..", ".", "", "/", "../run", "other/../other", "Other", "x\0"])
def test_a_run_is_found_by_its_exact_name_only(tmp_path: Path, name: str) -> None:
    two_rounds(tmp_path / "run")
    two_rounds(tmp_path / "other")
    siblings = Siblings(tmp_path / "run")
    assert siblings.names() == ["other"]
    with siblings.open("other") as other:
        assert other.name == "other"
    with pytest.raises(UsageError, match="beside this one"), siblings.open(name):
        pass
    siblings.close()


def test_a_run_that_no_page_reads_any_more_is_closed(tmp_path: Path) -> None:
    names = [f"other{n}" for n in range(MOST_OPEN + 2)]
    for name in ("run", *names):
        two_rounds(tmp_path / name)
    descriptors = Path("/proc/self/fd")
    if not descriptors.is_dir():
        pytest.skip("open files can't be counted here")

    def held() -> set[str]:
        """Return the runs of this test whose ledger this process has open."""
        links = {Path(os.path.realpath(link)) for link in descriptors.iterdir()}
        return {name for name in names if tmp_path.resolve() / name / "ledger.db" in links}

    def read(siblings: Siblings, name: str) -> None:
        with siblings.open(name) as other:
            assert other.fates(0)

    siblings = Siblings(tmp_path / "run")
    with siblings.open(names[0]) as first:
        assert first.fates(0)
        for name in names[1:]:
            read(siblings, name)
        assert first.fates(0) and names[0] in held()  # a page still reads it
    assert held() == set(names[-MOST_OPEN:])
    read(siblings, names[0])
    assert held() == {names[0], names[-1]}
    siblings.close()
    assert held() == set()


def test_the_runs_beside_a_run_are_closed_with_it(tmp_path: Path) -> None:
    two_rounds(tmp_path / "run")
    two_rounds(tmp_path / "other")
    with open_record(tmp_path / "run") as record:
        siblings = record.siblings
        assert siblings is record.siblings
        with siblings.open("other") as other:
            assert other.fates(0)
            ledger = other.ledger
    with pytest.raises(sqlite3.ProgrammingError):
        ledger.query("SELECT 1")


def test_a_folder_that_can_not_be_read_is_no_run_to_compare(tmp_path: Path) -> None:
    two_rounds(tmp_path / "run")
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken/run.json").write_text("{", encoding="utf-8")
    assert Siblings(tmp_path / "run").names() == []


def test_a_configuration_that_can_not_be_read_shows_no_losses(tmp_path: Path) -> None:
    one, other = two_rounds(tmp_path / "one"), two_rounds(tmp_path / "other")
    (other.path / "config.yaml").write_text("surprise: 1\n", encoding="utf-8")
    found = compared(one.path, 1, other.path, 1)
    assert found.held.difference is None
    assert found.held.reason.startswith("It is not known whether the runs have the same base model")
    assert found.paired is None
    assert found.lines.same == 13
