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


def test_signals_come_back(tmp_path: Path) -> None:
    write_signals(tmp_path / "new" / "signals.parquet", [SIGNALS, UNSCORED])
    assert read_signals(tmp_path / "new" / "signals.parquet") == [SIGNALS, UNSCORED]


def test_a_table_is_replaced_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "signals.parquet"
    write_signals(path, [SIGNALS])
    with pytest.raises((pa.ArrowException, TypeError)):
        write_signals(path, [{**SIGNALS, "density": "near"}])
    assert read_signals(path) == [SIGNALS]
    write_signals(path, [UNSCORED])
    assert read_signals(path) == [UNSCORED]
    assert [found.name for found in tmp_path.iterdir()] == ["signals.parquet"]


def test_embeddings_come_back_exactly(tmp_path: Path) -> None:
    vectors = np.random.default_rng(0).normal(size=(5, 7)).astype(np.float32)
    write_embeddings(tmp_path / "e.parquet", list("abcde"), vectors)
    ids, found = read_embeddings(tmp_path / "e.parquet")
    assert ids == list("abcde")
    assert found.dtype == np.float32
    assert found.tolist() == vectors.tolist()


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
