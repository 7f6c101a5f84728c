"""Unusable rows are counted, kept, and too many of them stop a run before it starts."""

import json
from pathlib import Path

import pytest

from middo.core.errors import DataError
from middo.core.records import Quarantined
from middo.formats.importing import Imported
from middo.formats.quarantine import first_reasons, refuse_if_too_many, write_quarantine


def _imported(bad: int, total: int) -> Imported:
    rows = [Quarantined(f"a.jsonl:{n}", "empty answer", {"n": n}) for n in range(1, bad + 1)]
    return Imported([], rows, "alpaca", total)


def test_a_share_up_to_the_bound_is_accepted() -> None:
    refuse_if_too_many(_imported(10, 100), 0.1)
    refuse_if_too_many(_imported(0, 100), 0.0)


def test_a_larger_share_names_the_first_three_reasons() -> None:
    with pytest.raises(DataError) as caught:
        refuse_if_too_many(_imported(11, 100), 0.1)
    assert str(caught.value) == (
        "11 of 100 rows can't be used, more than `data.max_quarantined` 0.1 allows: "
        "a.jsonl:1: empty answer; a.jsonl:2: empty answer; a.jsonl:3: empty answer; and 8 more; "
        "repair them or raise the share"
    )


def test_first_reasons_of_few_rows_count_no_others() -> None:
    assert first_reasons(_imported(1, 1).quarantined) == "a.jsonl:1: empty answer"


def test_every_row_is_written_whatever_it_holds(tmp_path: Path) -> None:
    rows = [
        Quarantined("a:1", "lone surrogate", {"x": "\ud800"}),
        Quarantined("a:2", "NaN", {"x": float("nan")}),
        Quarantined("a:3", "binary data", {"x": b"\0"}),
        Quarantined("a:4", "broken JSON", "{x"),
    ]
    to = tmp_path / "run" / "quarantine.jsonl"
    assert write_quarantine(rows, to) == 4
    lines = [json.loads(line) for line in to.read_text(encoding="utf-8").splitlines()]
    assert [line["source"] for line in lines] == ["a:1", "a:2", "a:3", "a:4"]
    assert [line["row"] for line in lines] == [
        {"x": "\ud800"},
        "{'x': nan}",
        "{'x': b'\\x00'}",
        "{x",
    ]
    assert [path.name for path in to.parent.iterdir()] == ["quarantine.jsonl"]
