"""The columns of `signals.parquet` as arrays, read without loading pandas."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..core.errors import DataError

Columns = Mapping[str, NDArray[Any]]
_COLUMNS = {"id", "flags", "unscored", "cluster", "answer_tokens"} | {
    *("complexity", "density", "quality", "loss_base", "loss_tuned")
}
"""Those that readers rely on."""


def read_columns(path: Path) -> Columns:
    """Return the columns of `signals.parquet` but for the neighbours, as `Record.signals` has them.

    Raises:
        DataError: the file can't be read.
    """
    try:
        import pyarrow.parquet as pq

        with pq.ParquetFile(path) as file:
            names = [name for name in file.schema_arrow.names if name != "neighbours"]
            found = _arrays(file.read(columns=names))
    except (OSError, ValueError, TypeError) as error:  # pyarrow's errors are of these classes
        reason = str(error).partition("\n")[0]
        raise DataError(f"{path}: not a readable Parquet file ({reason})") from error
    missing = _COLUMNS - found.keys()
    if missing:
        raise DataError(f"{path}: has no column {min(missing)!r}; diagnose the round again")
    return found


def _arrays(table: Any) -> dict[str, NDArray[Any]]:
    found: dict[str, NDArray[Any]] = {}
    for name in table.column_names:
        column = table[name]
        if name == "flags":
            found[name] = _lists(column.combine_chunks())
        elif str(column.type) == "string":
            found[name] = _objects(column.to_pylist())
        else:
            found[name] = _floats(column.combine_chunks().cast("float64"))
    return found


def _floats(column: Any) -> NDArray[np.float64]:
    """Return a column with NaN for null, from its buffers: pyarrow would load pandas for that."""
    valid, values = column.buffers()
    if values is None:  # no rows, or none with a value
        return np.full(len(column), np.nan)
    rows = slice(column.offset, column.offset + len(column))
    found = np.frombuffer(values, np.float64)[rows]
    if column.null_count == 0:
        return found
    bits = np.unpackbits(np.frombuffer(valid, np.uint8), bitorder="little")[rows]
    return np.where(bits, found, np.nan)


def _objects(values: list[Any]) -> NDArray[Any]:
    found = np.empty(len(values), dtype=object)
    found[:] = values
    return found


def _lists(column: Any) -> NDArray[Any]:
    """Return lists of strings as tuples, object[n]; most are empty and share one."""
    found = np.empty(len(column), dtype=object)
    found.fill(())
    if not len(column):
        return found
    offsets = np.frombuffer(column.buffers()[1], np.int32)[column.offset :][: len(column) + 1]
    for place in np.flatnonzero(np.diff(offsets)).tolist():
        found[place] = tuple(column[place].as_py())
    return found
