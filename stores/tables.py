"""The Parquet tables of a round: signals, embeddings, proposals. Plain files for any reader."""

import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from ..core.disk import writing
from ..core.errors import DataError
from ..core.measures import RATINGS

Vectors = NDArray[np.float32]

GROUP_ROWS = 10_000
"""Rows written and read at a time."""
VECTOR_ROWS = 1_000
"""The same, where a row is a vector."""

SIGNALS = pa.schema(
    [
        ("id", pa.string()),
        ("source", pa.string()),
        ("loss_base", pa.float64()),
        ("loss_tuned", pa.float64()),
        ("answer_tokens", pa.int64()),
        ("loss_prompt", pa.float64()),
        ("prompt_tokens", pa.int64()),
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


def write_signals(path: Path, columns: Mapping[str, Any]) -> None:
    """Write one row per sample from columns of equal length, by the names in `SIGNALS`.

    Numbers come as arrays; NaN, which means that a signal wasn't measured, becomes null, and so
    does a label or count that is masked. A column that isn't given is null.
    """
    rows = len(columns["id"])
    arrays = [_column(columns.get(field.name), field.type, rows) for field in SIGNALS]
    _write(path, pa.Table.from_arrays(arrays, schema=SIGNALS))


def read_signals(
    path: Path, *, ids: Iterable[str] | None = None, columns: Sequence[str] | None = None
) -> list[dict[str, Any]]:
    """Read what `write_signals` wrote, in its order.

    Args:
        path: the file.
        ids: the samples wanted; all by default.
        columns: the columns wanted; all by default.
    """
    wanted = None if ids is None else pa.array(list(ids), pa.string())
    names = None if columns is None else [*columns]
    if names is not None and wanted is not None and "id" not in names:
        names.append("id")
    rows: list[dict[str, Any]] = []
    with _opened(path) as file:
        for batch in file.iter_batches(batch_size=GROUP_ROWS, columns=names):
            if wanted is not None:
                batch = batch.filter(pc.is_in(batch["id"], value_set=wanted))
            rows += batch.select(columns).to_pylist() if columns else batch.to_pylist()
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


def write_embeddings(path: Path, ids: Sequence[str], vectors: Vectors) -> None:
    """Write the prompts' embeddings, float32[n, d], as they were measured."""
    width = vectors.shape[1] if vectors.ndim == 2 else 0
    column = pa.FixedSizeListArray.from_arrays(
        pa.array(vectors.astype(np.float32, copy=False).reshape(-1)), max(width, 1)
    )
    # No two numbers are equal, so a dictionary of them would only take time and memory.
    table = pa.table({"id": pa.array(ids, pa.string()), "embedding": column})
    _write(path, table, row_group_size=VECTOR_ROWS, use_dictionary=False)


def read_embeddings(path: Path) -> tuple[list[str], Vectors]:
    """Return ids and float32[n, d]; beside the array, one group of rows is in memory."""
    ids: list[str] = []
    with _opened(path) as file:
        rows = file.metadata.num_rows
        if not rows:
            return [], np.zeros((0, 0), dtype=np.float32)
        width = file.schema_arrow.field("embedding").type.list_size
        vectors = np.empty((rows, width), dtype=np.float32)
        for batch in file.iter_batches(batch_size=VECTOR_ROWS):
            flat = batch["embedding"].flatten().to_numpy(zero_copy_only=False)
            vectors[len(ids) : len(ids) + batch.num_rows] = flat.reshape(-1, width)
            ids += batch["id"].to_pylist()
    return ids, vectors


def count_embeddings(path: Path) -> int:
    """Return how many rows `write_embeddings` wrote."""
    with _opened(path) as file:
        return int(file.metadata.num_rows)


def stream_embeddings(path: Path) -> Iterator[tuple[list[str], Vectors]]:
    """Yield ids and float32[m, d], one group of rows at a time, in order of id."""
    with _opened(path) as file:
        for batch in file.iter_batches(batch_size=VECTOR_ROWS):
            yield batch["id"].to_pylist(), _matrix(batch)


def take_embeddings(path: Path, ids: Iterable[str]) -> dict[str, NDArray[np.float32]]:
    """Return the vectors, float32[d], of those samples that have one; few groups are read."""
    wanted = pa.array(sorted(set(ids)), pa.string())
    found: dict[str, NDArray[np.float32]] = {}
    with _opened(path) as file:
        for group in range(file.num_row_groups):
            names = file.read_row_group(group, columns=["id"])["id"]
            mask = pc.is_in(names, value_set=wanted)
            if not pc.any(mask).as_py():
                continue
            table = file.read_row_group(group).filter(mask).combine_chunks()
            for batch in table.to_batches():
                found |= zip(batch["id"].to_pylist(), _matrix(batch), strict=True)
    return found


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    """Open a table for reading.

    Raises:
        DataError: it can't be read, then or later.
    """
    try:
        with pq.ParquetFile(path) as file:
            yield file
    # pyarrow's errors are of these classes; KeyError and AttributeError: other columns.
    except (OSError, ValueError, KeyError, AttributeError) as error:
        reason = str(error).partition("\n")[0]
        raise DataError(
            f"{path}: not a readable Parquet file ({reason}); `middo resume` makes it again while"
            " the run is not finished"
        ) from error


def _matrix(batch: Any) -> Vectors:
    width = batch.schema.field("embedding").type.list_size
    flat = batch["embedding"].flatten().to_numpy(zero_copy_only=False)
    return np.asarray(flat, dtype=np.float32).reshape(-1, width)


def _column(values: Any, kind: pa.DataType, rows: int) -> pa.Array:
    if values is None:
        return pa.nulls(rows, kind)
    if isinstance(values, np.ma.MaskedArray):
        return pa.array(values.data, kind, mask=np.ma.getmaskarray(values))
    return pa.array(values, kind, from_pandas=isinstance(values, np.ndarray))


def _write(path: Path, table: pa.Table, row_group_size: int = GROUP_ROWS, **options: Any) -> None:
    partial = path.with_name(path.name + ".partial")
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        with partial.open("wb") as file:
            pq.write_table(table, file, row_group_size=row_group_size, **options)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
