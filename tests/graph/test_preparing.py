"""Prepare: every row goes somewhere, the same way each time, and the hold-out is apart."""

import json
from pathlib import Path
from typing import Any

import pytest

from middo.core.config import RunConfig
from middo.core.errors import ConfigError, DataError
from middo.core.progress import Event, Note
from middo.core.records import Message, Sample
from middo.graph.overlap import compare
from middo.graph.preflight import check
from middo.graph.preparing import STAGED, count_usable, prepare, select, split, staged
from middo.graph.state import LoopState
from middo.stores.samples import Version
from tests.graph.folder import opened, write_rows

START: LoopState = {"round": 0, "source_round": 0, "stop": ""}


def configured(**sections: Any) -> RunConfig:
    return RunConfig.model_validate(sections)


def texts(samples: Any) -> set[tuple[Message, ...]]:
    return {sample.messages for sample in samples}


def pair(prompt: str, answer: str) -> tuple[Message, ...]:
    return (Message("user", prompt), Message("assistant", answer))


def read_lines(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text("utf-8").splitlines()]


def samples(count: int) -> list[Sample]:
    return [
        Sample(f"s{i}", (Message("user", f"{i} {i * 31}"), Message("assistant", "a")), f"x:{i}")
        for i in range(count)
    ]


def test_the_parts_add_up_and_share_no_row(tmp_path: Path) -> None:
    rows = write_rows(tmp_path / "rows.jsonl", 40, broken=2)
    events: list[Event] = []
    with opened(tmp_path / "run", events, data={"path": str(rows), "limit": 30}) as deps:
        update, summary = prepare(deps, START)
        facts = deps.facts.get("data")
        dataset = deps.facts.get("round.0.dataset")
    assert update == START
    assert facts == {
        "imported": 42,
        "holdout": 7,
        "quarantined": 2,
        "not_selected": 10,
        "format": "alpaca",
    }
    training, held = Version(tmp_path / "run/rounds/0/dataset"), Version(tmp_path / "run/holdout")
    assert (len(training), len(held)) == (23, 7)
    assert not texts(training) & texts(held)
    assert dataset == {"rows": 23, "sha256": training.sha256}
    assert summary == (
        "42 rows (alpaca): 23 to train on, 7 held out, 2 quarantined, 10 not selected"
    )
    assert not (tmp_path / "run" / STAGED).exists()
    lines = (tmp_path / "run/quarantine.jsonl").read_text("utf-8").splitlines()
    assert [json.loads(line)["source"] for line in lines] == ["rows.jsonl:41", "rows.jsonl:42"]
    (note,) = [event for event in events if isinstance(event, Note)]
    assert note.text.startswith("2 rows quarantined, the first at rows.jsonl:41")


def test_a_repeated_node_finds_its_own_work(tmp_path: Path) -> None:
    rows = write_rows(tmp_path / "rows.jsonl", 40)
    found = []
    for folder in ("run", "run", "other"):
        with opened(tmp_path / folder, data={"path": str(rows)}) as deps:
            prepare(deps, START)
            version, held = deps.version(0), deps.holdout()
            found.append((version.sha256, version.ids(), held.sha256, held.ids()))
    assert found[0] == found[1] == found[2]


def test_too_many_unusable_rows_stop_the_run_before_anything_is_written(tmp_path: Path) -> None:
    rows = write_rows(tmp_path / "rows.jsonl", 10, broken=5)
    with opened(tmp_path / "run", data={"path": str(rows)}) as deps:
        with pytest.raises(DataError, match="5 of 15"):
            prepare(deps, START)
        assert deps.facts.get("data") is None
    assert not (tmp_path / "run" / STAGED).exists()
    assert not (tmp_path / "run/rounds").exists()
    assert not (tmp_path / "run/holdout").exists()


def test_evaluation_data_takes_the_place_of_a_split(tmp_path: Path) -> None:
    rows = write_rows(tmp_path / "rows.jsonl", 20)
    own = write_rows(tmp_path / "own.jsonl", 8, first=18)
    events: list[Event] = []
    sections = {"data": {"path": str(rows)}, "evaluation": {"data": str(own)}}
    with opened(tmp_path / "run", events, **sections) as deps:
        _, summary = prepare(deps, START)
        facts = deps.facts.get("data")
        training, held = deps.version(0), deps.holdout()
    assert (len(training), len(held)) == (18, 8)
    assert not texts(training) & texts(held)
    # None of the imported rows is held out: the equation is about them alone.
    assert (facts["imported"], facts["holdout"], facts["overlapping"]) == (20, 0, 2)
    assert f"0 held out, 2 quarantined, 0 not selected; 8 rows of {own}" in summary
    (note,) = [event for event in events if isinstance(event, Note)]
    assert note.text.startswith("2 rows overlap evaluation data and are not trained on, the first")
    listed = read_lines(tmp_path / "run/quarantine.jsonl")
    assert [line["source"] for line in listed] == ["rows.jsonl:19", "rows.jsonl:20"]
    assert listed[0]["reason"] == 'overlaps evaluation data: "say 142542 in 18 ways"'
    assert listed[0]["row"] == json.loads(rows.read_text("utf-8").splitlines()[18])


def test_overlapping_rows_are_trained_on_where_that_is_wanted_and_told(tmp_path: Path) -> None:
    rows = write_rows(tmp_path / "rows.jsonl", 20)
    own = write_rows(tmp_path / "own.jsonl", 8, first=18)
    events: list[Event] = []
    evaluation = {"data": str(own), "exclude_overlap": False}
    sections = {"data": {"path": str(rows)}, "evaluation": evaluation}
    with opened(tmp_path / "run", events, **sections) as deps:
        prepare(deps, START)
        facts, training = deps.facts.get("data"), deps.version(0)
    assert (len(training), facts["quarantined"], facts["overlapping"]) == (20, 0, 2)
    (note,) = [event for event in events if isinstance(event, Note)]
    assert note.text.startswith("2 rows overlap evaluation data and are trained on all the same")
    listed = read_lines(tmp_path / "run/overlap.jsonl")
    assert [line["source"] for line in listed] == ["rows.jsonl:19", "rows.jsonl:20"]


def test_a_run_that_would_have_nothing_left_to_train_on_is_refused(tmp_path: Path) -> None:
    rows = write_rows(tmp_path / "rows.jsonl", 10)
    settings = configured(data={"path": str(rows)}, evaluation={"data": str(rows)})
    with pytest.raises(ConfigError, match=r"0 rows are left .* without 10 that overlap") as caught:
        check(settings)
    assert "evaluation.exclude_overlap" in str(caught.value)


def test_an_answer_in_an_earlier_turn_counts_as_overlap() -> None:
    told = "the quick brown fox jumps over the lazy dog and then goes home to sleep"
    turns = (*(Message("user", "a"), Message("assistant", told)), *pair("thanks", "welcome"))
    found = compare(
        [Sample("s", turns, "x:1"), Sample("t", pair("hello", "hi"), "x:2")],
        [("Say it", told)],
        RunConfig(),
        "messages",
    )
    assert [row.source for row in found.overlapping] == ["x:1"]
    assert [sample.id for sample in found.training] == ["t"]


def test_what_many_evaluation_rows_share_is_their_template() -> None:
    asked = "Read the text below and answer the question that follows it in one word: {}"
    evaluated = [(asked.format(f"of number {n} and only of it"), f"{n}") for n in range(40)]
    training = [
        Sample("same", pair(asked.format("of number 7 and only of it"), "seven"), "x:1"),
        Sample("other", pair(asked.format("who came home yesterday"), "she"), "x:2"),
    ]
    found = compare(training, evaluated, RunConfig(), "messages")
    assert [row.source for row in found.overlapping] == ["x:1"]


def test_rows_of_the_hold_out_split_are_compared_with_nothing(tmp_path: Path) -> None:
    rows = write_rows(tmp_path / "rows.jsonl", 20)
    with opened(tmp_path / "run", data={"path": str(rows)}) as deps:
        prepare(deps, START)
        assert "overlapping" not in deps.facts.get("data")


def test_rows_of_evaluation_data_are_drawn_by_the_seed(tmp_path: Path) -> None:
    rows = write_rows(tmp_path / "rows.jsonl", 10)
    own = write_rows(tmp_path / "own.jsonl", 30, first=100)
    with staged(configured(data={"path": str(own)}), tmp_path / "staged") as imported:
        every = list(imported.rows)

    def drawn(seed: int) -> list[str]:
        evaluation = {"data": str(own), "rows": 6}
        config = configured(data={"path": str(rows)}, evaluation=evaluation, seed=seed)
        training, held = split(samples(10), config)
        assert len(training) == 10
        return [sample.id for sample in held]

    assert drawn(1) == drawn(1)
    assert drawn(1) != drawn(2)
    order = [sample.id for sample in every]
    assert len(drawn(1)) == 6
    assert drawn(1) == sorted(drawn(1), key=order.index)


def test_a_limit_draws_rows_by_the_seed_and_keeps_their_order() -> None:
    rows = samples(50)
    chosen = select(rows, configured(data={"limit": 10}))
    drawn = list(chosen)
    assert len(chosen) == len(drawn) == 10
    assert [rows.index(sample) for sample in drawn] == sorted(map(rows.index, drawn))
    assert drawn == list(select(rows, configured(data={"limit": 10})))
    assert drawn != list(select(rows, configured(data={"limit": 10}, seed=8)))
    assert drawn != rows[:10]
    assert list(select(rows, configured(data={"limit": 50}))) == rows
    assert list(select(rows, configured())) == rows


def test_rows_are_counted_as_they_would_be_selected(tmp_path: Path) -> None:
    rows = write_rows(tmp_path / "rows.jsonl", 40, broken=2)
    assert count_usable(configured(data={"path": str(rows)})) == 40
    assert count_usable(configured(data={"path": str(rows), "limit": 30})) == 30
    with pytest.raises(DataError, match="2 of 42"):
        count_usable(configured(data={"path": str(rows), "max_quarantined": 0.01}))


def test_a_staged_import_is_gone_with_its_context(tmp_path: Path) -> None:
    rows = write_rows(tmp_path / "rows.jsonl", 10)
    left = tmp_path / "staged" / "part-00000.parquet"
    left.parent.mkdir()
    left.write_bytes(b"of a process that was killed")
    with staged(configured(data={"path": str(rows)}), tmp_path / "staged") as imported:
        assert (imported.total, len(imported.rows), imported.format) == (10, 10, "alpaca")
        assert [sample.source for sample in imported.rows][::9] == ["rows.jsonl:1", "rows.jsonl:10"]
    assert not (tmp_path / "staged").exists()


def test_rows_that_are_all_alike_leave_no_holdout() -> None:
    message = Message("user", "the same prompt")
    alike = [Sample(f"s{i}", (message, Message("assistant", f"{i}")), f"x:{i}") for i in range(12)]
    training, held = split(alike, configured())
    assert (len(training), len(held)) == (12, 0)
    assert list(training) == alike
    assert list(held) == []


def test_evaluation_settings_are_refused_before_a_folder_is_made(tmp_path: Path) -> None:
    rows = write_rows(tmp_path / "rows.jsonl", 10)
    with pytest.raises(ConfigError, match=r"evaluation.rows: 6 of 10 usable rows"):
        check(configured(data={"path": str(rows)}, evaluation={"rows": 6}))
    missing = str(tmp_path / "none.jsonl")
    with pytest.raises(DataError, match=r"none\.jsonl"):
        check(configured(data={"path": str(rows)}, evaluation={"data": missing}))
