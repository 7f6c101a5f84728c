"""Rows of comma, semicolon or tab separated text with a header.

The separator is the one that makes the header's columns known to an importer. A record with
another number of fields than the header is a broken row; a quote that is never closed is a broken
file, since nobody can say where the next record starts.
"""

import csv
import io
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, BinaryIO

from ..core.errors import DataError
from .foreign import READ
from .jsontext import decode
from .rows import RawRow, quoted

if TYPE_CHECKING:
    from _csv import Reader

SEPARATORS = (",", "\t", ";")
_FIELD_LIMIT = 2**31 - 1  # Python's default of 128 KiB refuses long answers


def csv_rows(
    stream: BinaryIO, name: str, label: str, unknown: Callable[[list[str]], str | None]
) -> Iterator[RawRow]:
    """Yield the records after the header, counted from 1. The text is held in memory.

    `unknown` says why no importer knows a list of columns, None where one does.

    Raises:
        DataError: not UTF-8, NUL, a header that no importer knows or with a column twice, or a
            broken quote, with its line.
    """
    text = decode(stream.read(), name).removeprefix("\ufeff")
    if "\0" in text:
        line = text.count("\n", 0, text.index("\0")) + 1
        raise DataError(f"{name}: line {line}: byte 0x00: not a text file; {READ}")
    csv.field_size_limit(_FIELD_LIMIT)
    marks = (mark for mark in SEPARATORS if unknown(_header(text, mark)) is None)
    reader = _reader(text, next(marks, SEPARATORS[0]))
    header = _next(reader, name) or []
    if (reason := unknown(header)) is not None:
        start = f"line {reader.line_num} starts no JSON object or array"
        raise DataError(f"{name}: {start}, and as a CSV header it has {reason}")
    twice = next((column for column in header if header.count(column) > 1), None)
    if twice == "":
        raise DataError(f"{name}: line 1: two columns have no name; name or delete them")
    if twice is not None:
        twice = quoted(twice)
        raise DataError(f"{name}: line 1: the column {twice} stands twice; rename one of them")
    number = 0
    while (record := _next(reader, name)) is not None:
        if not record:  # a blank line
            continue
        number += 1
        if len(record) == len(header):
            yield RawRow(f"{label}:{number}", dict(zip(header, record, strict=True)))
            continue
        reason = f"{len(record)} fields where the header has {len(header)}"
        yield RawRow(f"{label}:{number}", record, reason)


def _reader(text: str, mark: str) -> "Reader":
    return csv.reader(io.StringIO(text, newline=""), delimiter=mark, strict=True)


def _header(text: str, mark: str) -> list[str]:
    try:
        return next(_reader(text, mark), [])
    except csv.Error:  # the wrong separator can break the quotes; the right one is read again
        return []


def _next(reader: "Reader", name: str) -> list[str] | None:
    start = reader.line_num + 1
    try:
        return next(reader, None)
    except csv.Error as error:
        if str(error) == "unexpected end of data":
            problem = f"line {start}: the record that starts here opens a quote and never closes it"
        else:
            problem = f"line {reader.line_num}: broken CSV record ({error})"
        raise DataError(f"{name}: {problem}; close or double its quotes") from error
