"""Export samples: in the form that they came in, or in another one.

An unchanged row is written as it was read: the same fields with the same values, though maybe in
another order. `.json` holds one array, `.jsonl` a row per line, `.parquet` Middo's own columns with
the turns under `messages`, which the `messages` importer and training libraries read.
The file appears under its name when it is complete.
"""

import json
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

from ..core.disk import writing
from ..core.errors import DataError
from ..core.records import Sample
from .forms import FORMS, Form
from .rows import LAYOUT, CannotHold, Layout, Row

PARQUET = "parquet"
_BATCH = 1000


def export_samples(samples: Iterable[Sample], format: str, to: Path) -> int:
    """Write samples to a file in one of `FORMS` or `parquet`; return how many.

    Raises:
        DataError: an unknown format or ending, or a sample that the format can't hold.
        StorageError: the disk refuses the file.
    """
    if format != PARQUET and format not in FORMS:
        raise DataError(f"format {format!r} is not known; use {', '.join(FORMS)} or {PARQUET}")
    endings = (".parquet",) if format == PARQUET else (".json", ".jsonl")
    if to.suffix not in endings:
        raise DataError(f"{to}: the format {format} is written to {' or '.join(endings)}")
    with _appearing(to) as file:
        if format == PARQUET:
            return _write_parquet(samples, file)
        return _write_json(samples, FORMS[format], file, array=to.suffix == ".json")


def export_row(sample: Sample, form: Form) -> Row:
    """Return a sample as a row of a form, its meta fields included.

    Raises:
        DataError: the form can't hold it, or a meta field has the name of one of its columns.
    """
    layout: Layout = sample.meta.get(LAYOUT, {}) if sample.origin != "added" else {}
    if layout.get("form") != form.name:  # fields of single turns mean the same in any form
        layout = {key: layout[key] for key in ("turns", "count") if key in layout}
    try:
        row = form.write(sample, layout)
    except CannotHold as error:
        raise DataError(
            f"{sample.source}: sample {sample.id}: the form {form.name} can't hold {error}; "
            "export as messages, sharegpt or parquet"
        ) from error
    meta = {key: value for key, value in sample.meta.items() if key != LAYOUT}
    if taken := sorted(meta.keys() & row.keys()):
        raise DataError(
            f"{sample.source}: sample {sample.id}: the input's own field {taken[0]!r} is also a "
            f"column of the form {form.name}; export in another form"
        )
    return row | meta


def _write_json(samples: Iterable[Sample], form: Form, file: BinaryIO, *, array: bool) -> int:
    count = 0
    for count, sample in enumerate(samples, 1):
        text = json.dumps(export_row(sample, form), ensure_ascii=False, allow_nan=False)
        before = b"" if not array else b"[\n" if count == 1 else b",\n"
        file.write(before + _encoded(text, sample) + (b"" if array else b"\n"))
    if array:
        file.write(b"\n]\n" if count else b"[]\n")
    return count


def _encoded(text: str, sample: Sample) -> bytes:
    try:
        return text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise DataError(
            f"{sample.source}: sample {sample.id} holds a lone surrogate, which UTF-8 has no form "
            "for; remove it"
        ) from error


def _write_parquet(samples: Iterable[Sample], file: BinaryIO) -> int:
    import pyarrow as pa
    import pyarrow.parquet as pq

    turn = pa.struct([("role", pa.string()), ("content", pa.string()), ("name", pa.string())])
    columns = [(name, pa.string()) for name in ("id", "source", "origin", "parent_id", "meta")]
    schema = pa.schema([("messages", pa.list_(turn)), ("round", pa.int32()), *columns])
    count = 0
    with pq.ParquetWriter(file, schema, compression="zstd") as writer:
        for batch in _batches(samples):
            writer.write_table(pa.Table.from_pylist(batch, schema=schema))
            count += len(batch)
    return count


def _batches(samples: Iterable[Sample]) -> Iterator[list[dict[str, Any]]]:
    batch: list[dict[str, Any]] = []
    for sample in samples:
        meta = {key: value for key, value in sample.meta.items() if key != LAYOUT}
        row = sample.as_dict() | {"meta": json.dumps(meta, ensure_ascii=False)}
        _encoded(json.dumps(row, ensure_ascii=False), sample)
        batch.append(row)
        if len(batch) == _BATCH:
            yield batch
            batch = []
    if batch:
        yield batch


@contextmanager
def _appearing(to: Path) -> Iterator[BinaryIO]:
    """Open a file that gets its name only when it was written completely."""
    part = to.with_name(f".{to.name}.part")
    try:
        with writing(to):
            to.parent.mkdir(parents=True, exist_ok=True)
            with part.open("wb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            os.replace(part, to)
    finally:
        with suppress(OSError):
            part.unlink(missing_ok=True)
