"""The Parquet tables of a round: signals, embeddings, proposals. Plain files for any reader."""

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from ..core.measures import RATINGS

SIGNALS = pa.schema(
    [
        ("id", pa.string()),
        ("source", pa.string()),
        ("loss_base", pa.float64()),
        ("loss_tuned", pa.float64()),
        ("answer_tokens", pa.int64()),
        ("complexity", pa.float64()),
        ("density", pa.float64()),
        ("neighbours", pa.list_(pa.string())),
        ("cluster", pa.int64()),
        *((name, pa.float64()) for name in RATINGS),
        ("gain", pa.float64()),
        ("recoverability", pa.float64()),
        ("quality", pa.float64()),
        ("flags", pa.list_(pa.string())),
        ("unscored", pa.string()),
    ]
)
PROPOSALS = pa.schema(
    [
        ("id", pa.string()),
        ("parent_id", pa.string()),
        ("axis", pa.string()),
        ("attempt", pa.int64()),
        ("messages", pa.string()),
        ("checks", pa.string()),
        ("critique", pa.string()),
        ("proof", pa.string()),
        ("verdict", pa.string()),
        ("reason", pa.string()),
    ]
)
_JSON_COLUMNS = ("messages", "checks", "critique", "proof")


def write_signals(path: Path, rows: list[dict[str, Any]]) -> None:
    """Write one row per sample; a signal that wasn't measured is null."""
    _write(path, pa.Table.from_pylist(rows, schema=SIGNALS))


def read_signals(path: Path) -> list[dict[str, Any]]:
    """Read what `write_signals` wrote."""
    rows: list[dict[str, Any]] = pq.read_table(path).to_pylist()
    return rows


def write_proposals(path: Path, rows: list[dict[str, Any]]) -> None:
    """Write one row per proposal; messages and verdicts as JSON text."""
    texts = [
        {
            key: json.dumps(value, ensure_ascii=False) if key in _JSON_COLUMNS else value
            for key, value in row.items()
        }
        for row in rows
    ]
    _write(path, pa.Table.from_pylist(texts, schema=PROPOSALS))


def write_embeddings(path: Path, ids: list[str], vectors: np.ndarray) -> None:
    """Write the prompts' embeddings, float32[n, d], as they were measured."""
    width = vectors.shape[1] if vectors.ndim == 2 else 0
    column = pa.FixedSizeListArray.from_arrays(
        pa.array(vectors.astype(np.float32).reshape(-1)), max(width, 1)
    )
    _write(path, pa.table({"id": pa.array(ids, pa.string()), "embedding": column}))


def read_embeddings(path: Path) -> tuple[list[str], np.ndarray]:
    """Return ids and float32[n, d]."""
    table = pq.read_table(path)
    if not table.num_rows:
        return [], np.zeros((0, 0), dtype=np.float32)
    column = table.column("embedding").combine_chunks()
    flat = column.flatten().to_numpy(zero_copy_only=False).astype(np.float32)
    ids: list[str] = table.column("id").to_pylist()
    return ids, flat.reshape(len(ids), -1)


def _write(path: Path, table: pa.Table) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".partial")
    with partial.open("wb") as file:
        pq.write_table(table, file)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)
