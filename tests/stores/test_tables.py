"""The tables of a round come back as they were written, and what wasn't measured is null."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from middo.core.measures import RATINGS
from middo.stores.tables import (
    PROPOSALS,
    read_embeddings,
    read_signals,
    write_embeddings,
    write_proposals,
    write_signals,
)

SIGNALS: dict[str, Any] = {
    "id": "a",
    "source": "rows.jsonl:1",
    "loss_base": 2.5,
    "loss_tuned": 1.25,
    "answer_tokens": 12,
    "loss_prompt": 3.5,
    "prompt_tokens": 9,
    "complexity": -0.5,
    "density": 0.75,
    "neighbours": ["b", "c"],
    "cluster": -1,
    **{name: float(i) for i, name in enumerate(RATINGS)},
    "gain": 0.5,
    "recoverability": 0.25,
    "quality": 0.875,
    "flags": ["quality"],
    "unscored": None,
}
UNSCORED: dict[str, Any] = {
    **dict.fromkeys(SIGNALS),
    "id": "b",
    "source": "rows.jsonl:2",
    "neighbours": [],
    "flags": [],
    "unscored": "too_long",
}


def columns(*rows: dict[str, Any]) -> dict[str, Any]:
    """Return rows as columns, numbers as arrays with NaN as the diagnosis has them."""
    lists = {name: [row[name] for row in rows] for name in rows[0]}
    arrays = {
        name: np.array([np.nan if value is None else value for value in values], np.float64)
        for name, values in lists.items()
        if any(isinstance(value, float) for value in values)
    }
    counts = {
        column: np.ma.MaskedArray(
            [row[column] or 0 for row in rows], mask=[row[column] is None for row in rows]
        )
        for column in ("answer_tokens", "prompt_tokens")
    }
    return lists | arrays | counts


def test_signals_come_back(tmp_path: Path) -> None:
    path = tmp_path / "new" / "signals.parquet"
    write_signals(path, columns(SIGNALS, UNSCORED))
    assert read_signals(path) == [SIGNALS, UNSCORED]
    assert pq.read_table(path).column("loss_base").null_count == 1


def test_a_column_that_was_not_measured_is_null(tmp_path: Path) -> None:
    path = tmp_path / "signals.parquet"
    write_signals(path, columns(SIGNALS) | {"loss_tuned": None})
    assert read_signals(path) == [SIGNALS | {"loss_tuned": None}]


def test_few_rows_and_columns_are_read_where_few_are_wanted(tmp_path: Path) -> None:
    path = tmp_path / "signals.parquet"
    rows = [SIGNALS | {"id": f"s{i:05d}", "cluster": i % 7} for i in range(12_000)]
    write_signals(path, columns(*rows))
    found = read_signals(path, ids=["s11999", "s00003", "unknown"], columns=("id", "cluster"))
    assert found == [{"id": "s00003", "cluster": 3}, {"id": "s11999", "cluster": 11999 % 7}]
    assert read_signals(path, ids=["s00001"], columns=["quality"]) == [{"quality": 0.875}]
    assert read_signals(path, ids=["s10000"]) == [rows[10_000]]
    assert read_signals(path, ids=[]) == []
    assert len(read_signals(path, columns=["cluster"])) == 12_000


def test_a_table_is_replaced_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "signals.parquet"
    write_signals(path, columns(SIGNALS))
    with pytest.raises((pa.ArrowException, TypeError)):
        write_signals(path, columns(SIGNALS) | {"density": ["near"]})
    assert read_signals(path) == [SIGNALS]
    write_signals(path, columns(UNSCORED))
    assert read_signals(path) == [UNSCORED]
    assert [found.name for found in tmp_path.iterdir()] == ["signals.parquet"]


def test_embeddings_come_back_exactly(tmp_path: Path) -> None:
    # More than are read at a time.
    vectors = np.random.default_rng(0).normal(size=(10_500, 7)).astype(np.float32)
    names = [f"s{i}" for i in range(len(vectors))]
    write_embeddings(tmp_path / "e.parquet", names, vectors)
    ids, found = read_embeddings(tmp_path / "e.parquet")
    assert ids == names
    assert found.dtype == np.float32
    assert np.array_equal(found, vectors)


def test_a_data_set_without_any_embedding_has_an_empty_table(tmp_path: Path) -> None:
    write_embeddings(tmp_path / "e.parquet", [], np.array([], dtype=np.float32))
    ids, found = read_embeddings(tmp_path / "e.parquet")
    assert ids == []
    assert found.shape == (0, 0)


def test_proposals_keep_messages_and_verdicts_as_json(tmp_path: Path) -> None:
    row: dict[str, Any] = {
        "id": "p",
        "parent_id": "a",
        "axis": "quality",
        "attempt": 2,
        "messages": [{"role": "user", "content": "é"}],
        "checks": [{"name": "empty", "passed": True}],
        "critique": None,
        "proof": {"passed": False, "numbers": {"loss": 1.5}},
        "verdict": "rejected",
        "reason": "proof.quality: still broken",
    }
    write_proposals(tmp_path / "p.parquet", [row])
    table = pq.read_table(tmp_path / "p.parquet")
    assert table.schema.equals(PROPOSALS)
    (found,) = table.to_pylist()
    for name in ("messages", "checks", "critique", "proof"):
        assert json.loads(found[name]) == row[name]
        found[name] = row[name]
    assert found == row


def test_a_round_without_proposals_has_an_empty_table(tmp_path: Path) -> None:
    write_proposals(tmp_path / "p.parquet", [])
    assert pq.read_table(tmp_path / "p.parquet").num_rows == 0
