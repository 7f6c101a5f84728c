"""The table test: every input of the corpus gives exactly the rows, reasons or error it states."""

import csv
import io
import json
import pickle
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from middo.core.errors import DataError
from middo.formats.exporting import export_samples
from middo.formats.quarantine import refuse_if_too_many, write_quarantine

from .made import LINES, MADE, Trap
from .table import CASES, FILES, Case, imported

ERRORS = [name for name, case in CASES.items() if case.error is not None]
USABLE = [name for name, case in CASES.items() if case.error is None]
SHARE = 0.1  # the default of `data.max_quarantined`
LONGEST = 1_000


@pytest.fixture(autouse=True)
def _empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")


def test_the_table_and_the_files_name_each_other() -> None:
    files = {str(path.relative_to(FILES)) for path in FILES.rglob("*") if path.is_file()}
    assert files | set(MADE) == set(CASES)
    assert not files & set(MADE)
    assert len(files) >= 60


@pytest.mark.timeout(60)
@pytest.mark.parametrize("name", USABLE)
def test_every_row_is_a_sample_or_quarantined_with_place_and_reason(
    name: str, tmp_path: Path
) -> None:
    case = CASES[name]
    outcome = imported(case.path(tmp_path))
    assert outcome.quarantined == list(case.quarantined)
    assert outcome.found.format == case.form
    assert len(outcome.samples) + len(outcome.quarantined) == case.rows == outcome.found.total
    places = [row.source for row in outcome.found.quarantined]
    places += [sample.source for sample in outcome.samples]
    assert len(set(places)) == case.rows
    assert len({sample.id for sample in outcome.samples}) == len(outcome.samples)
    for reason in (row.reason for row in outcome.found.quarantined):
        assert reason.isprintable() and len(reason) < LONGEST
    _assert_kept(outcome.found.quarantined, tmp_path)
    _assert_limit(case, outcome.found)


def _assert_kept(quarantined: list[Any], folder: Path) -> None:
    file = folder / "quarantine.jsonl"
    assert write_quarantine(quarantined, file) == len(quarantined)
    written = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    assert [(row["source"], row["reason"]) for row in written] == [
        (row.source, row.reason) for row in quarantined
    ]


def _assert_limit(case: Case, found: Any) -> None:
    if len(case.quarantined) <= SHARE * case.rows:
        refuse_if_too_many(found, SHARE)
        assert case.refused is None
        return
    with pytest.raises(DataError) as caught:
        refuse_if_too_many(found, SHARE)
    message = str(caught.value)
    assert message.isprintable() and len(message) < 2 * LONGEST
    assert message.startswith(f"{len(case.quarantined)} of {case.rows} rows can't be used")
    if case.refused is not None:
        assert message == case.refused


@pytest.mark.timeout(60)
@pytest.mark.parametrize("name", ERRORS)
def test_a_file_that_cant_be_used_is_one_line_of_what_where_and_what_to_do(
    name: str, tmp_path: Path
) -> None:
    case = CASES[name]
    path = case.path(tmp_path)
    with pytest.raises(DataError) as caught:
        imported(path)
    message = str(caught.value)
    assert message.isprintable() and len(message) < LONGEST
    assert _told(message, path, tmp_path) == case.error
    assert "; " in message  # what to do follows what is wrong
    assert not Path("unpickled").exists()


def _told(message: str, path: str, folder: Path) -> str:
    """Return a message with FILE for the path and DIR for its folder."""
    path, message = (text.replace(str(folder), "DIR") for text in (path, message))
    return message.replace(path, "FILE") if path else message


def _texts(name: str, data: bytes) -> Iterator[tuple[str, Any]]:
    """Yield places and rows of a text file, read in another way than the importers read."""
    text = data.decode("utf-8-sig")
    if name.endswith((".csv", ".tsv")):
        mark = next(mark for mark in ",\t;" if mark in text.partition("\n")[0])
        yield from _numbered(csv.DictReader(io.StringIO(text, newline=""), delimiter=mark))
    elif name.endswith(".json"):
        whole = json.loads(text)
        yield from _numbered(whole if isinstance(whole, list) else [whole])
    else:
        for number, line in enumerate(text.split("\n"), 1):
            with suppress(ValueError):  # a broken line, which is quarantined
                yield str(number), json.loads(line)


def _numbered(rows: Iterable[Any]) -> Iterator[tuple[str, Any]]:
    return ((str(number), row) for number, row in enumerate(rows, 1))


@pytest.mark.parametrize("name", [name for name in USABLE if (FILES / name).exists()])
def test_what_middo_does_not_use_is_written_back(name: str, tmp_path: Path) -> None:
    outcome = imported(str(FILES / name))
    exported = tmp_path / "exported.jsonl"
    assert export_samples(outcome.samples, outcome.found.format, exported) == len(outcome.samples)
    written = exported.read_text(encoding="utf-8").split("\n")[:-1]
    rows = dict(_texts(name, (FILES / name).read_bytes()))
    for sample, line in zip(outcome.samples, written, strict=True):
        place, _, entry = sample.source.rpartition(":")[2].partition(".")
        row = rows[place]
        if entry:
            row = {**row, "instances": [row["instances"][int(entry) - 1]]}
        assert _canonical(json.loads(line)) == _canonical(row)


@pytest.mark.parametrize("name", [name for name in USABLE if (FILES / name).exists()])
def test_the_rows_that_the_table_counts_are_those_of_the_file(name: str) -> None:
    data = (FILES / name).read_bytes()
    rows = dict(_texts(name, data))
    count = sum(1 for line in data.split(b"\n") if line.strip()) if _is_lines(name) else len(rows)
    entries = (
        row["instances"] for row in rows.values() if isinstance(row, dict) and "instances" in row
    )
    several = sum(len(found) - 1 for found in entries if isinstance(found, list) and len(found) > 1)
    assert CASES[name].rows == count + several


def _is_lines(name: str) -> bool:
    return name.endswith(".jsonl")


def _canonical(row: Any) -> str:
    return json.dumps(row, sort_keys=True)


def test_types_that_json_lacks_become_text_and_the_others_stay(tmp_path: Path) -> None:
    outcome = imported(CASES["columnar/types.parquet"].path(tmp_path))
    assert outcome.samples[2].meta == {
        "word": "kept",
        "price": "1.50",
        "at": "2024-05-01T12:00:00+00:00",
        "nanoseconds": "2024-05-01T12:00:00.000000123",
        "day": "2024-05-01",
        "clock": "12:30:00",
        "took": "0:01:30",
        "long": "kept",
        "nothing": None,
        "tags": [["a", 1]],
        "nested": [{"x": [0.5, None]}],
        "half": 0.5,
        "unsigned": 2**64 - 1,
    }


@pytest.mark.parametrize("name", ["pandas", "json", "text"])
def test_a_word_is_no_way_to_load_what_lies_in_the_working_directory(name: str) -> None:
    Path("rows.pkl").write_bytes(pickle.dumps(Trap()))
    Path("rows.json").write_bytes(LINES)
    with pytest.raises(DataError, match=f"'{name}': no such file or folder, and no data set of"):
        imported(name)
    assert not Path("unpickled").exists()
