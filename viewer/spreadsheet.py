"""The table of all samples as a CSV file that a spreadsheet can open without running anything.

A spreadsheet takes a cell that begins with `=`, `+`, `-` or `@` for a formula, whatever quotes are
around it, and a formula can send the sheet away. Texts that begin so get an apostrophe in front,
which spreadsheets read as "this is text". Numbers are Middo's own and stay numbers.
"""

import csv
import math
from dataclasses import fields
from pathlib import Path

from ..core.redaction import without_keys
from ..inspection import table
from ..inspection.record import Record
from ..inspection.samples import Query, Row

_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")
"""Beginnings of a formula; the last four are the wide forms, which some spreadsheets take too."""
COLUMNS = ("round", *(field.name for field in fields(Row)))


def write_table(record: Record, path: Path) -> int:
    """Write a line per sample and round, and return how many there are.

    The file is UTF-8 with the mark that spreadsheets know it by. Prompts and answers are as long as
    in the viewer's table, 200 characters; numbers that were not measured are empty.
    """
    written = 0
    with path.open("w", encoding="utf-8-sig", errors="backslashreplace", newline="") as file:
        writer = csv.writer(file, quoting=csv.QUOTE_NONNUMERIC)
        writer.writerow(COLUMNS)
        for number in record.rounds():
            for row in table.rows(record, Query(round=number)):
                values = (getattr(row, name) for name in COLUMNS[1:])
                writer.writerow([number, *(cell(value) for value in values)])
                written += 1
    return written


def cell(value: object) -> str | int | float:
    """Return a value as a cell: a finite number as it is, all else as text that is no formula."""
    if isinstance(value, int | float) and math.isfinite(value):
        return value
    if value is None or isinstance(value, float):
        return ""
    joined = "+".join(value) if isinstance(value, tuple) else str(value)
    text: str = without_keys(joined).replace("\x00", "")
    # What a spreadsheet skips in front of a formula does not hide it.
    bare = text.lstrip(" \u00a0\u200b\ufeff")
    return f"'{text}" if bare.startswith(_FORMULA) or text.startswith(_FORMULA) else text
