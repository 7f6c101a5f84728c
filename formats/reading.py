"""Raw rows of a file or a Hugging Face data set.

What a file is, is seen from its first bytes, not from its ending: Parquet, Arrow, JSON array, JSON
Lines or CSV, each of them also packed with gzip. JSON Lines, Parquet and Arrow are streamed; a JSON
array and CSV are held in memory as text.
"""

import gzip
import io
import zlib
from collections.abc import Callable, Iterator
from datetime import date, time, timedelta
from decimal import Decimal
from importlib.util import find_spec
from pathlib import Path
from typing import Any, cast

from ..core.errors import DataError
from ..core.text import printable
from .csvtext import csv_rows
from .foreign import READ, foreign
from .jsontext import BOM, array_rows, line_rows
from .rows import RawRow, quoted

_HEAD = 65536
_BATCH = 1000

Unknown = Callable[[list[str]], str | None]
"""Says why no importer knows a list of columns, None where one does."""


def file_rows(file: Path, unknown: Unknown) -> Iterator[RawRow]:
    """Yield the rows of one file.

    Raises:
        DataError: the file can't be opened, unpacked or decoded, or is empty.
    """
    name = printable(str(file))
    label = printable(file.name)
    try:
        with file.open("rb", buffering=_HEAD) as opened:
            stream = cast(io.BufferedReader, opened)
            if stream.peek(2)[:2] != b"\x1f\x8b":
                yield from _rows(stream, name, label, unknown)
                return
            unpacked = cast(io.RawIOBase, gzip.GzipFile(fileobj=stream))
            yield from _rows(io.BufferedReader(unpacked, _HEAD), name, label, unknown)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise DataError(f"{name}: can't be unpacked ({error}); write it again") from error
    except OSError as error:
        reason = error.strerror or error
        raise DataError(
            f"{name}: can't be read ({reason}); check the file and its rights"
        ) from error


def _rows(stream: io.BufferedReader, name: str, label: str, unknown: Unknown) -> Iterator[RawRow]:
    head = stream.peek(_HEAD)
    if head.startswith((b"PAR1", b"ARROW1", b"\xff\xff\xff\xff")):
        return _columnar_rows(stream, head, name, label)
    if (what := foreign(head)) is not None:
        raise DataError(f"{name}: {what}")
    start = head.removeprefix(BOM).lstrip()[:1]
    if not start:  # perhaps there are more blanks than fit into the head
        data = stream.read()
        stream = io.BufferedReader(cast(io.RawIOBase, io.BytesIO(data)))
        start = data.removeprefix(BOM).lstrip()[:1]
    if not start:
        raise DataError(f"{name}: the file is empty; it needs at least one row")
    if b"\0" in head and start not in b"[{":  # in JSON it is the fault of its row
        offset = head.index(b"\0")
        raise DataError(f"{name}: byte 0x00 at byte offset {offset}: not a text file; {READ}")
    if start == b"[":
        return array_rows(stream, name, label)
    if start == b"{":
        return line_rows(stream, name, label)
    return csv_rows(stream, name, label, unknown)


def _columnar_rows(
    stream: io.BufferedReader, head: bytes, name: str, label: str
) -> Iterator[RawRow]:
    import pyarrow as pa

    number = 0
    try:
        for batch in _batches(stream, head):
            batch.validate(full=True)  # a spoiled one would end the process, not raise
            if (twice := _twice(batch.schema)) is not None:
                raise DataError(
                    f"{name}: the column {quoted(twice)} stands twice; rename one of them"
                )
            for row, broken in _plain_rows(batch):
                number += 1
                yield RawRow(f"{label}:{number}", row, broken)
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        reason = str(error).partition("\n")[0]
        raise DataError(
            f"{name}: after row {number}: broken Parquet or Arrow file ({reason}); write it again"
        ) from error


def _batches(stream: io.BufferedReader, head: bytes) -> Iterator[Any]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    # A packed file would be unpacked again at each seek.
    source = stream if isinstance(stream.raw, io.FileIO) else io.BytesIO(stream.read())
    if head.startswith(b"PAR1"):
        yield from pq.ParquetFile(source).iter_batches(batch_size=_BATCH)
    elif head.startswith(b"ARROW1"):
        reader = pa.ipc.open_file(source)
        yield from (reader.get_batch(index) for index in range(reader.num_record_batches))
    else:
        yield from pa.ipc.open_stream(source)


def _twice(fields: Any) -> str | None:
    """Return a name that stands twice in a schema or one of its types; Python would keep one."""
    names = [field.name for field in fields]
    if len(set(names)) < len(names):
        return str(next(name for name in names if names.count(name) > 1))
    types = (field.type for field in fields)
    inner = ([kind.field(n) for n in range(kind.num_fields)] for kind in types)
    return next((name for name in map(_twice, filter(None, inner)) if name is not None), None)


def _plain_rows(batch: Any) -> Iterator[tuple[Any, str | None]]:
    """Yield rows as JSON types, each with the reason why it is broken if it is."""
    import pyarrow as pa

    try:
        rows = batch.to_pylist()
    except (pa.ArrowException, UnicodeDecodeError):
        raise
    except (ValueError, OverflowError):  # such as a date in the year 300,000
        yield from (_plain_row(batch, index) for index in range(batch.num_rows))
        return
    yield from ((_json_types(row), None) for row in rows)


def _plain_row(batch: Any, index: int) -> tuple[Any, str | None]:
    row: dict[str, Any] = {}
    broken = None
    for name, column in zip(batch.schema.names, batch.columns, strict=True):
        try:
            row[name] = _json_types(column[index].as_py())
        except (ValueError, OverflowError) as error:
            row[name] = f"({column.type})"
            broken = broken or f"field {quoted(name)} can't be read ({error})"
    return row, broken


def hub_rows(name: str) -> Iterator[RawRow]:
    """Yield the rows of the split `train` of a data set that `datasets` can load.

    Raises:
        DataError: it can't be loaded.
    """
    from datasets import load_dataset

    if name.isidentifier() and find_spec(f"datasets.packaged_modules.{name}") is not None:
        # Such a word makes the library read whatever lies in the working directory.
        raise DataError(
            f"{name!r}: no such file or folder, and no data set of the Hugging Face hub; "
            "check `data.path`"
        )
    try:
        rows = load_dataset(name, split="train")
    except Exception as error:  # the library's own errors, those of its HTTP client, and the OS's
        reason = str(error).partition("\n")[0]
        raise DataError(
            f"{name!r}: no such file or folder, and its split `train` can't be loaded from the "
            f"Hugging Face hub ({type(error).__name__}: {reason}); check `data.path`"
        ) from error
    for number, row in enumerate(rows, 1):
        yield RawRow(f"{name}:{number}", _json_types(row))


def _json_types(value: Any) -> Any:
    """Give columnar values JSON types: dates, times, decimals become text, tuples lists."""
    if isinstance(value, dict):
        return {key: _json_types(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_json_types(item) for item in value]
    if isinstance(value, date | time):
        return value.isoformat()
    return str(value) if isinstance(value, Decimal | timedelta) else value
