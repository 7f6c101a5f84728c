"""Rows of JSON arrays, JSON Lines and single JSON objects.

In JSON Lines a broken line is a broken row. In an array nobody can say where the next row starts
after an error, so the file is refused. A key that stands twice in one object makes its row broken,
because keeping one of the two values would drop the other.
"""

import json
import re
import sys
from collections.abc import Iterator
from typing import Any, BinaryIO

from ..core.errors import DataError
from .rows import RawRow, quoted

BOM = b"\xef\xbb\xbf"
_SPACE = re.compile(r"[ \t\r\n]*")


class _Parser:
    """A JSON decoder that notices repeated keys."""

    def __init__(self) -> None:
        self._repeated: list[str] = []
        self._decoder = json.JSONDecoder(object_pairs_hook=self._object)

    def _object(self, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        plain = dict(pairs)
        if len(plain) != len(pairs):
            keys = [key for key, _ in pairs]
            self._repeated.append(next(key for key in keys if keys.count(key) > 1))
        return plain

    def row(self, text: str, start: int = 0) -> tuple[Any, int, str | None]:
        """Return the value at `start`, where it ends, and why it is broken if it is."""
        self._repeated.clear()
        value, end = self._decoder.raw_decode(text, start)
        return value, end, self._trouble(value)

    def _trouble(self, value: Any) -> str | None:
        if self._repeated:
            return f"the key {quoted(self._repeated[0])} stands twice in one object"
        return None if isinstance(value, dict) else "not an object with columns"


def decode(data: bytes, name: str, *, line: int = 1, offset: int = 0) -> str:
    """Decode UTF-8; `line` and `offset` are where `data` starts in the file.

    Raises:
        DataError: naming file, line and byte offset.
    """
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        line += data.count(b"\n", 0, error.start)
        raise DataError(
            f"{name}: line {line}: byte 0x{data[error.start]:02x} at byte offset "
            f"{offset + error.start} is not UTF-8; save the file as UTF-8"
        ) from error


def array_rows(stream: BinaryIO, name: str, label: str) -> Iterator[RawRow]:
    """Yield the items of a JSON array, rows counted from 1. The text is held in memory.

    Raises:
        DataError: the file is not UTF-8 or the array doesn't parse, with line and column.
    """
    text = decode(stream.read(), name).removeprefix("\ufeff")
    parser = _Parser()
    position = _skip(text, _skip(text, 0) + 1)
    number = 0
    closed = text.startswith("]", position)
    while not closed:
        number += 1
        value, position, broken = _item(parser, text, position, name)
        yield RawRow(f"{label}:{number}", value, broken)
        position = _skip(text, position)
        closed = text.startswith("]", position)
        if not closed and not text.startswith(",", position):
            raise _broken(json.JSONDecodeError("',' or ']' expected", text, position), name)
        if not closed:
            comma, position = position, _skip(text, position + 1)
            if text.startswith("]", position):
                error = json.JSONDecodeError("a comma after the last item", text, comma)
                raise _broken(error, name)
    if _skip(text, position + 1) != len(text):
        error = json.JSONDecodeError("text after the array", text, _skip(text, position + 1))
        raise _broken(error, name)


def _item(parser: _Parser, text: str, start: int, name: str) -> tuple[Any, int, str | None]:
    try:
        return parser.row(text, start)
    except json.JSONDecodeError as error:
        raise _broken(error, name) from error
    except (ValueError, RecursionError) as error:  # a number or a nesting past Python's limits
        raise _broken(json.JSONDecodeError(_limit(error), text, start), name) from error


def _broken(error: json.JSONDecodeError, name: str) -> DataError:
    return DataError(
        f"{name}: line {error.lineno} column {error.colno}: the JSON array doesn't parse "
        f"({_words(error)}); repair it there"
    )


def line_rows(stream: BinaryIO, name: str, label: str) -> Iterator[RawRow]:
    """Yield the rows of JSON Lines, numbered by line; blank lines are no rows.

    A file whose first line is no JSON value may be one object over many lines: then it is one row.

    Raises:
        DataError: the file is not UTF-8.
    """
    parser = _Parser()
    offset, first = 0, True
    for number, line in enumerate(stream, 1):
        body = line.removeprefix(BOM) if number == 1 else line
        row = _line(parser, decode(body, name, line=number, offset=offset), f"{label}:{number}")
        if row is not None and first and isinstance(row.row, str):
            text = decode(body + stream.read(), name, line=number, offset=offset)
            yield from _whole(parser, text, name, label, number)
            return
        offset += len(line)
        if row is not None:
            first = False
            yield row


def _whole(parser: _Parser, text: str, name: str, label: str, start: int) -> Iterator[RawRow]:
    row = _line(parser, text, f"{label}:{start}")
    if row is not None and isinstance(row.row, dict):
        yield row
        return
    lines = (
        _line(parser, line, f"{label}:{number}")
        for number, line in enumerate(text.split("\n"), start)
    )
    rows = [row for row in lines if row is not None]
    if not any(isinstance(row.row, dict) for row in rows):
        _refuse_several(parser, text, name, start)
    yield from rows


def _refuse_several(parser: _Parser, text: str, name: str, start: int) -> None:
    """Refuse one object over many lines that is not the whole file, or breaks off.

    Raises:
        DataError: naming the line where it stops being one object.
    """
    first = _skip(text, 0)
    try:
        _, end, _ = parser.row(text, first)
        error = json.JSONDecodeError("text after the object", text, _skip(text, end))
    except json.JSONDecodeError as broken:
        error = broken
    except (ValueError, RecursionError):
        return
    if "\n" in text[first : error.pos]:
        place = f"line {start + error.lineno - 1} column {error.colno}"
        raise DataError(
            f"{name}: {place}: neither one JSON object nor one per line ({_words(error)}); "
            "write an array, or one object per line"
        )


def _line(parser: _Parser, text: str, source: str) -> RawRow | None:
    start = _skip(text, 0)
    if start == len(text):
        return None
    try:
        value, end, broken = parser.row(text, start)
    except json.JSONDecodeError as error:
        return RawRow(source, text, f"broken JSON at column {error.colno}: {_words(error)}")
    except (ValueError, RecursionError) as error:
        return RawRow(source, text, f"broken JSON: {_limit(error)}")
    rest = _skip(text, end)
    if rest != len(text):
        after = "a carriage return, which ends no line," if "\r" in text[end:rest] else "text"
        reason = (
            f"broken JSON at column {end + 1}: {after} after the value; a line holds one object"
        )
        return RawRow(source, text, reason)
    return RawRow(source, value, broken)


def _skip(text: str, position: int) -> int:
    return _SPACE.match(text, position).end()  # type: ignore[union-attr]  # it matches nothing too


def _words(error: json.JSONDecodeError) -> str:
    """Return a decoder's words without the place that they end on."""
    return error.msg.removesuffix(" at").removesuffix(" starting")


def _limit(error: ValueError | RecursionError) -> str:
    if isinstance(error, RecursionError):
        return "nested too deeply"
    return f"a number of more than {sys.get_int_max_str_digits():,} digits"
