"""Raw rows of a file, a folder of files or a Hugging Face data set.

What a file is, is seen from its first bytes, not from its ending: Parquet, Arrow, JSON array, JSON
Lines or CSV, each of them also packed with gzip. JSON Lines, Parquet and Arrow are streamed; a JSON
array and CSV are held in memory as text.
"""

import gzip
import io
import re
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date, time
from decimal import Decimal
from pathlib import Path
from typing import Any, cast

from ..core.errors import DataError
from .csvtext import csv_rows
from .jsontext import BOM, array_rows, line_rows
from .rows import RawRow

ENDINGS = (".json", ".jsonl", ".ndjson", ".csv", ".tsv", ".parquet", ".arrow")
"""Endings of the data files in a folder; a folder also holds licences and the like."""

_NOT_DATA = ("dataset_info.json", "dataset_infos.json", "state.json")
_HUB_NAME = re.compile(r"[A-Za-z0-9][\w.-]*(/[\w.-]+)?")
_HEAD = 65536
_BATCH = 1000

Known = Callable[[list[str]], bool]


@dataclass(frozen=True, slots=True)
class Table:
    """The rows of one file or data set; `name` is what messages call it."""

    name: str
    rows: Iterator[RawRow]


def tables(path: str, known: Known) -> tuple[list[Table], list[str]]:
    """Return the tables behind a path or data set name, and a folder's entries that are not read.

    `known` says whether an importer knows a list of columns.

    Raises:
        DataError: there is nothing to read under that name.
    """
    place = Path(path).expanduser()
    if place.is_file():
        return [Table(str(place), file_rows(place, known))], []
    if place.is_dir():
        return _folder(place, known)
    if not _HUB_NAME.fullmatch(path) or path.lower().removesuffix(".gz").endswith(ENDINGS):
        raise DataError(f"{path!r}: no such file or folder; check `data.path`")
    return [Table(path, hub_rows(path))], []


def _folder(folder: Path, known: Known) -> tuple[list[Table], list[str]]:
    entries = sorted(entry for entry in folder.iterdir() if not entry.name.startswith("."))
    files = [entry for entry in entries if entry.is_file() and _is_data(entry.name)]
    if not files:
        raise DataError(
            f"{folder}: no data file in this folder ({', '.join(ENDINGS)}, also .gz); "
            "name a file, or the folder that holds the files directly"
        )
    skipped = [entry.name for entry in entries if entry not in files]
    return [Table(str(file), file_rows(file, known)) for file in files], skipped


def _is_data(name: str) -> bool:
    return name not in _NOT_DATA and name.lower().removesuffix(".gz").endswith(ENDINGS)


def file_rows(file: Path, known: Known) -> Iterator[RawRow]:
    """Yield the rows of one file.

    Raises:
        DataError: the file can't be opened, unpacked or decoded, or is empty.
    """
    name = str(file)
    label = file.name.encode("utf-8", "backslashreplace").decode("utf-8")
    try:
        with file.open("rb", buffering=_HEAD) as opened:
            stream = cast(io.BufferedReader, opened)
            if stream.peek(2)[:2] != b"\x1f\x8b":
                yield from _rows(stream, name, label, known)
                return
            unpacked = cast(io.RawIOBase, gzip.GzipFile(fileobj=stream))
            yield from _rows(io.BufferedReader(unpacked, _HEAD), name, label, known)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise DataError(f"{name}: can't be unpacked ({error}); write it again") from error
    except OSError as error:
        raise DataError(f"{name}: can't be read ({error.strerror or error})") from error


def _rows(stream: io.BufferedReader, name: str, label: str, known: Known) -> Iterator[RawRow]:
    head = stream.peek(_HEAD)
    if head.startswith((b"PAR1", b"ARROW1", b"\xff\xff\xff\xff")):
        return _columnar_rows(stream, head, name, label)
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise DataError(f"{name}: looks like UTF-16 at byte offset 0; save the file as UTF-8")
    start = head.removeprefix(BOM).lstrip()[:1]
    if not start:
        raise DataError(f"{name}: the file is empty; it needs at least one row")
    if b"\0" in head:
        offset = head.index(b"\0")
        raise DataError(
            f"{name}: byte 0x00 at byte offset {offset}: not a text file; "
            "Middo reads JSON, JSON Lines, CSV, Parquet and Arrow"
        )
    if start == b"[":
        return array_rows(stream, name, label)
    if start == b"{":
        return line_rows(stream, name, label)
    return csv_rows(stream, name, label, known)


def _columnar_rows(
    stream: io.BufferedReader, head: bytes, name: str, label: str
) -> Iterator[RawRow]:
    import pyarrow as pa

    number = 0
    try:
        for batch in _batches(stream, head):
            batch.validate(full=True)  # a spoiled one would end the process, not raise
            for row in batch.to_pylist():
                number += 1
                yield RawRow(f"{label}:{number}", _json_types(row))
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


def hub_rows(name: str) -> Iterator[RawRow]:
    """Yield the rows of the split `train` of a data set that `datasets` can load.

    Raises:
        DataError: it can't be loaded.
    """
    from datasets import load_dataset

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
    """Give columnar values JSON types: dates, times and decimals become text, tuples lists."""
    if isinstance(value, dict):
        return {key: _json_types(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_json_types(item) for item in value]
    if isinstance(value, date | time):
        return value.isoformat()
    return str(value) if isinstance(value, Decimal) else value
