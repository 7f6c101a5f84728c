"""Files of every kind are read by their content; files that can't be used say where and why."""

import gzip
import io
import json
from datetime import datetime
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from middo.core.errors import DataError
from middo.formats.importing import import_data
from middo.formats.reading import hub_rows
from middo.formats.rows import RawRow

ROWS = [{"question": f"What is {n} + {n}?", "answer": f"It is {2 * n}.", "n": n} for n in range(3)]


def _csv(rows: list[dict[str, object]], mark: str = ",") -> bytes:
    lines = [mark.join(rows[0]), *(mark.join(str(value) for value in row.values()) for row in rows)]
    return ("\r\n".join(lines) + "\r\n").encode()


def _parquet(rows: list[dict[str, object]]) -> bytes:
    buffer = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows), buffer)
    return buffer.getvalue()


def _arrow(rows: list[dict[str, object]]) -> bytes:
    table, buffer = pa.Table.from_pylist(rows), io.BytesIO()
    with pa.ipc.new_stream(buffer, table.schema) as writer:
        writer.write_table(table)
    return buffer.getvalue()


CONTENTS = {
    "array": json.dumps(ROWS, indent=4).encode(),
    "lines": "\n".join(map(json.dumps, ROWS)).encode(),
    "lines-crlf-bom": b"\xef\xbb\xbf" + "\r\n".join(map(json.dumps, ROWS)).encode(),
    "array-bom": b"\xef\xbb\xbf" + json.dumps(ROWS).encode(),
    "csv": _csv(ROWS),
    "tsv": _csv(ROWS, "\t"),
    "semicolons": _csv(ROWS, ";"),
    "parquet": _parquet(ROWS),
    "arrow": _arrow(ROWS),
}


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("kind", CONTENTS)
def test_the_kind_of_a_file_is_seen_from_its_content(
    tmp_path: Path, kind: str, packed: bool
) -> None:
    data = CONTENTS[kind]
    file = tmp_path / "rows.txt"
    file.write_bytes(gzip.compress(data) if packed else data)

    imported = import_data(str(file))

    assert imported.format == "question"
    assert imported.total == 3 and not imported.quarantined
    assert [sample.prompt for sample in imported.samples] == [row["question"] for row in ROWS]
    assert [sample.source for sample in imported.samples] == [f"rows.txt:{n}" for n in (1, 2, 3)]
    numbers = [sample.meta["n"] for sample in imported.samples]
    text = kind in ("csv", "tsv", "semicolons")
    assert numbers == (["0", "1", "2"] if text else [0, 1, 2])


def test_jsonl_rows_are_numbered_by_line_and_blank_lines_are_no_rows(tmp_path: Path) -> None:
    file = tmp_path / "a.jsonl"
    file.write_text(f"\n{json.dumps(ROWS[0])}\n\n{{broken\n{json.dumps(ROWS[1])}\n")
    imported = import_data(str(file))
    assert [sample.source for sample in imported.samples] == ["a.jsonl:2", "a.jsonl:5"]
    assert [(row.source, row.row) for row in imported.quarantined] == [("a.jsonl:4", "{broken\n")]
    assert imported.total == 3


def test_a_broken_first_line_is_a_broken_row(tmp_path: Path) -> None:
    file = tmp_path / "a.jsonl"
    file.write_text("\n{broken\n" + "\n".join(map(json.dumps, ROWS)))
    imported = import_data(str(file))
    assert [row.source for row in imported.quarantined] == ["a.jsonl:2"]
    assert [sample.source for sample in imported.samples] == [f"a.jsonl:{n}" for n in (3, 4, 5)]


def test_one_object_over_many_lines_is_one_row(tmp_path: Path) -> None:
    file = tmp_path / "a.json"
    file.write_text(json.dumps(ROWS[1], indent=2))
    assert import_data(str(file)).samples[0].answer == "It is 2."


def test_line_separators_of_unicode_do_not_split_a_row(tmp_path: Path) -> None:
    file = tmp_path / "a.jsonl"
    row = {"question": "a\u2028b\x85c", "answer": "d\u2029"}
    file.write_text(json.dumps(row, ensure_ascii=False), encoding="utf-8")
    assert import_data(str(file)).samples[0].prompt == "a\u2028b\x85c"


def test_csv_fields_keep_their_line_breaks_and_quotes(tmp_path: Path) -> None:
    file = tmp_path / "a.csv"
    file.write_bytes(b'question,answer\r\n"one\r\ntwo, ""three""","yes"\r\n\r\n')
    sample = import_data(str(file)).samples[0]
    assert sample.prompt == 'one\r\ntwo, "three"'


def test_a_csv_field_may_be_longer_than_pythons_limit(tmp_path: Path) -> None:
    file = tmp_path / "a.csv"
    file.write_text("question,answer\nq," + "a" * 200_000 + "\n")
    assert len(import_data(str(file)).samples[0].answer) == 200_000


def test_a_csv_record_with_too_many_fields_is_quarantined(tmp_path: Path) -> None:
    file = tmp_path / "a.csv"
    file.write_text("question,answer\na,b\na,b,c\nd\n")
    imported = import_data(str(file))
    assert len(imported.samples) == 1
    assert [(row.source, row.reason, row.row) for row in imported.quarantined] == [
        ("a.csv:2", "3 fields where the header has 2", ["a", "b", "c"]),
        ("a.csv:3", "1 fields where the header has 2", ["d"]),
    ]


def test_dates_and_decimals_of_parquet_become_text(tmp_path: Path) -> None:
    file = tmp_path / "a.parquet"
    row = {"question": "q", "answer": "a", "at": datetime(2024, 5, 1, 12), "cost": Decimal("1.50")}
    file.write_bytes(_parquet([row]))
    assert import_data(str(file)).samples[0].meta == {"at": "2024-05-01T12:00:00", "cost": "1.50"}


def test_a_folder_is_read_in_order_of_names_and_says_what_it_left_out(tmp_path: Path) -> None:
    (tmp_path / "b.jsonl").write_text(json.dumps(ROWS[1]))
    (tmp_path / "a.json.gz").write_bytes(gzip.compress(json.dumps(ROWS[:1]).encode()))
    (tmp_path / "LICENSE.txt").write_text("free")
    (tmp_path / ".hidden.jsonl").write_text("{")
    imported = import_data(str(tmp_path))
    assert [sample.source for sample in imported.samples] == ["a.json.gz:1", "b.jsonl:1"]
    assert imported.skipped == ("LICENSE.txt",)


def test_a_folder_with_two_forms_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text(json.dumps(ROWS[0]))
    (tmp_path / "b.jsonl").write_text('{"instruction": "i", "output": "o"}')
    with pytest.raises(DataError, match=r"b.jsonl: its form is alpaca, that of .*a.jsonl question"):
        import_data(str(tmp_path))


def _broken_array() -> bytes:
    rows = [json.dumps({"question": "q", "answer": str(n)}) for n in range(60)]
    text = "[\n" + ",\n".join(rows) + "\n]"
    lines = text.split("\n")
    lines[36] = lines[36].replace(":", "", 1)
    return "\n".join(lines).encode()


BAD_FILES = {
    "empty": (b"", "the file is empty"),
    "blank": (b" \n\n", "the file is empty"),
    "no rows": (b"[]", "no rows"),
    "header only": (b"question,answer\n", "no rows"),
    "array": (_broken_array(), "line 37 column 13: the JSON array doesn't parse"),
    "array cut off": (b'[{"question": "q", "answer": "a"}', "line 1 column 34"),
    "after the array": (b"[{}] x", "line 1 column 6: .*text after the array"),
    "latin 1": (
        b'{"question": "q", "answer": "a"}\n{"question": "caf\xe9"}',
        "line 2: byte 0xe9 at byte offset 50 is not UTF-8; save the file as UTF-8",
    ),
    "latin 1 array": (b'[\n"caf\xe9"]', "line 2: byte 0xe9 at byte offset 6 is not UTF-8"),
    "utf 16": ("[1]".encode("utf-16"), "looks like UTF-16; save the file as UTF-8"),
    "binary": (b"\1\2\3\4\0\0", "byte 0x00 at byte offset 4: not a text file"),
    "packed, cut off": (gzip.compress(b"question,answer\n" * 999)[:-9], "can't be unpacked"),
    "parquet, cut off": (CONTENTS["parquet"][:-9], "broken Parquet or Arrow file"),
    "open quote": (
        b'question,answer\na,"b\n',
        "line 2: the record that starts here opens a quote and never",
    ),
    "column twice": (b"question,answer,answer\na,b,c\n", "the column 'answer' stands twice"),
    "unknown columns": (
        b'{"key": 1, "text": "t"}',
        r"no column that an importer knows: found 'key', 'text'; .*alpaca \(instruction, output\)",
    ),
    "no usable row": (b'{"question": "q", "answer": ""}', "no usable row: data:1: empty answer"),
    "no JSON row": (b"{a\n{b\n", r"no usable row: data:1: broken JSON .*; data:2: broken JSON"),
    "nested too deeply": (b"[" * 100_000, "line 1 column 2: the JSON array doesn't parse"),
}


@pytest.mark.parametrize("name", BAD_FILES)
def test_a_bad_file_is_one_line_that_says_where_and_what(tmp_path: Path, name: str) -> None:
    data, message = BAD_FILES[name]
    file = tmp_path / "data"
    file.write_bytes(data)
    with pytest.raises(DataError, match=message) as caught:
        import_data(str(file))
    assert str(file) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("path", ["missing.jsonl", "./missing", "some/deep/folder", "a.csv.gz"])
def test_a_missing_file_is_not_looked_for_on_the_hub(path: str) -> None:
    with pytest.raises(DataError, match=f"'{path}': no such file or folder"):
        import_data(path)


def test_a_data_set_that_the_hub_does_not_give_is_one_line(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import datasets
    import huggingface_hub.constants

    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(
        DataError, match="its split `train` can't be loaded from the Hugg"
    ) as caught:
        import_data("nobody/nothing-of-this-name")
    assert "\n" not in str(caught.value)


@pytest.mark.filterwarnings("default")  # the library's own warnings differ by version
def test_rows_of_a_loaded_data_set_are_numbered_from_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import datasets

    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "train.parquet").write_bytes(_parquet([{"at": datetime(2024, 5, 1)}]))
    name = str(tmp_path / "set")
    assert list(hub_rows(name)) == [RawRow(f"{name}:1", {"at": "2024-05-01T00:00:00"})]


def test_a_folder_without_data_files_is_refused(tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("# data")
    with pytest.raises(DataError, match="no data file in this folder"):
        import_data(str(tmp_path))


def test_an_unknown_format_is_refused() -> None:
    with pytest.raises(DataError, match="'alpacca' is not known; use auto, sharegpt"):
        import_data("demo", "alpacca")
