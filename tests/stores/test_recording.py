"""Recorded answers: found by what a question is about, from a ledger or from a file."""

import json
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from middo.core.errors import DataError
from middo.stores.database import MIGRATIONS, open_database
from middo.stores.ledger import Ledger, Unit
from middo.stores.recording import (
    Question,
    Recorded,
    read_recording,
    recording_file,
    write_recording,
)
from tests.stores.test_ledger import UNIT

Write = Callable[..., Path]
QUESTION = Question("rewriter", "abc", "quality+complexity", 3, "rewrite_answer_quality", 2)
FAILED = replace(UNIT, key="k2", attempt=1, status="failed", value=None, error="cut")


async def ledger_of(folder: Path, *units: Unit) -> Path:
    folder.mkdir(exist_ok=True)
    database = open_database(folder / "ledger.db")
    for unit in units:
        await Ledger(database).add_unit(unit)
    database.close()
    return folder


async def test_an_answer_is_found_by_what_its_question_is_about(tmp_path: Path) -> None:
    folder = await ledger_of(tmp_path / "run", UNIT, FAILED)
    for target in (folder, folder / "ledger.db"):
        found = read_recording(str(target))
        assert found.answer(QUESTION) == Recorded("some-model", UNIT.value, None)
        assert found.answer(replace(QUESTION, attempt=1)) == Recorded("some-model", None, "cut")
        for other in (
            replace(QUESTION, attempt=2),
            replace(QUESTION, prompt_version=3),
            replace(QUESTION, axes="quality"),
            replace(QUESTION, role="critic"),
            replace(QUESTION, sample_id="abd"),
        ):
            assert found.answer(other) is None


async def test_a_file_holds_what_the_ledger_held(tmp_path: Path) -> None:
    folder = await ledger_of(tmp_path / "run", UNIT, FAILED)
    file = tmp_path / "answers.jsonl"
    assert write_recording([folder / "ledger.db"], file, {"model": "m", "licence": "MIT"}) == 2
    before, after = read_recording(str(folder)), read_recording(str(file))
    assert after.answers == before.answers
    assert after.digest == before.digest
    assert after.about == {"middo_recording": 1, "model": "m", "licence": "MIT"}
    assert after.versions() == {"rewrite_answer_quality": {2}}


async def test_several_ledgers_make_one_file(tmp_path: Path) -> None:
    one = await ledger_of(tmp_path / "one", UNIT)
    two = await ledger_of(tmp_path / "two", replace(UNIT, value={"answer": "No."}), FAILED)
    file = tmp_path / "answers.jsonl"
    assert write_recording([one / "ledger.db", two / "ledger.db"], file, {}) == 2
    found = read_recording(str(file)).answer(QUESTION)
    assert found is not None
    assert found.value == UNIT.value  # the earlier one stands


async def test_the_digest_follows_the_answers_and_not_their_order(tmp_path: Path) -> None:
    one = await ledger_of(tmp_path / "one", UNIT, FAILED)
    two = await ledger_of(tmp_path / "two", FAILED, UNIT)
    other = await ledger_of(tmp_path / "other", FAILED, replace(UNIT, value={"answer": "No."}))
    digests = [read_recording(str(folder)).digest for folder in (one, two, other)]
    assert digests[0] == digests[1] != digests[2]


async def test_what_was_said_first_stands(tmp_path: Path) -> None:
    later = replace(UNIT, key="k9", value={"answer": "Another."})
    folder = await ledger_of(tmp_path / "run", UNIT, later)
    found = read_recording(str(folder)).answer(QUESTION)
    assert found is not None
    assert found.value == UNIT.value


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "not a recording of form 1"),
        ('{"middo_recording": 2}\n', "not a recording of form 1"),
        ("[]\n", "not a recording of form 1"),
        ("no JSON\n", "not a recording of form 1"),
        ('{"middo_recording": 1}\n{"role": "critic"}\n', "answers.jsonl:2: no recorded answer"),
        ('{"middo_recording": 1}\n[1]\n', "answers.jsonl:2: no recorded answer"),
    ],
)
def test_another_file_is_refused_with_its_line(tmp_path: Path, text: str, message: str) -> None:
    file = tmp_path / "answers.jsonl"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(DataError, match=message):
        read_recording(str(file))


def test_a_place_without_recording_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no recording at .*nowhere"):
        recording_file(str(tmp_path / "nowhere"))
    with pytest.raises(DataError, match=r"no recording at .*ledger\.db"):
        recording_file(str(tmp_path))


def test_a_ledger_of_an_older_version_says_what_to_do(tmp_path: Path) -> None:
    database = open_database(tmp_path / "ledger.db")
    with database.transaction() as connection:
        connection.execute("ALTER TABLE units DROP COLUMN axes")
        connection.execute(f"PRAGMA user_version={len(MIGRATIONS) - 1}")
    database.close()
    with pytest.raises(DataError, match="older version of Middo"):
        read_recording(str(tmp_path))


async def test_an_answer_with_other_line_ends_stays_one_line(tmp_path: Path) -> None:
    told = replace(UNIT, value={"answer": "one\u2028two\u2029three\x85four\r\nfive"})
    folder = await ledger_of(tmp_path / "run", told)
    file = tmp_path / "answers.jsonl"
    assert write_recording([folder / "ledger.db"], file, {}) == 1
    assert read_recording(str(file)).answers == read_recording(str(folder)).answers


@pytest.mark.parametrize(
    "spoiled",
    [
        {"role": ["rewriter"]},
        {"attempt": "3"},
        {"attempt": True},
        {"value": [1]},
        {"value": {"n": float("nan")}},
        {"error": 5},
    ],
)
def test_a_line_of_wrong_types_is_named(tmp_path: Path, spoiled: dict[str, object]) -> None:
    line = asdict(QUESTION) | {"model": "m", "value": None, "error": "cut"} | spoiled
    file = tmp_path / "answers.jsonl"
    file.write_text('{"middo_recording": 1}\n' + json.dumps(line) + "\n", encoding="utf-8")
    with pytest.raises(
        DataError, match=f"answers.jsonl:2: no recorded answer .{next(iter(spoiled))}"
    ):
        read_recording(str(file))


@pytest.mark.parametrize("place", [1, 2])
def test_a_line_nested_past_pythons_limit_is_named(tmp_path: Path, place: int) -> None:
    file = tmp_path / "answers.jsonl"
    lines = ['{"middo_recording": 1}', '{"value": %s}' % ("[" * 100_000)]
    file.write_text("\n".join(lines[::-1] if place == 1 else lines), encoding="utf-8")
    with pytest.raises(DataError, match="recording of form 1" if place == 1 else ":2: no recorded"):
        read_recording(str(file))
