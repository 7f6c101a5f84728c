"""Rows that can't be used: how many a run accepts, and the file that keeps them."""

import json
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Protocol

from ..core.disk import writing
from ..core.errors import DataError
from ..core.records import Quarantined


class Counted(Protocol):
    """What an import says of its rows."""

    @property
    def quarantined(self) -> Sequence[Quarantined]:
        """The rows that can't be used."""
        ...

    @property
    def total(self) -> int:
        """All rows."""
        ...


def refuse_if_too_many(imported: Counted, share: float) -> None:
    """Refuse an import of which more than a share of the rows can't be used.

    Raises:
        DataError: naming the first three reasons with their places.
    """
    count = len(imported.quarantined)
    if count <= share * imported.total:
        return
    raise DataError(
        f"{count} of {imported.total} rows can't be used, more than `data.max_quarantined` "
        f"{share:g} allows: {first_reasons(imported.quarantined)}; repair them or raise the share"
    )


def first_reasons(rows: Sequence[Quarantined], count: int = 3) -> str:
    """Return places and reasons of the first rows in one line."""
    text = "; ".join(f"{row.source}: {row.reason}" for row in rows[:count])
    return text if len(rows) <= count else f"{text}; and {len(rows) - count} more"


def write_quarantine(rows: Iterable[Quarantined], to: Path) -> int:
    """Write quarantined rows as JSON Lines (`source`, `reason`, `row`); return how many.

    A row that JSON has no form for is written as Python shows it.

    Raises:
        StorageError: the disk refuses it.
    """
    part = to.with_name(f".{to.name}.part")
    count = 0
    with writing(to):
        to.parent.mkdir(parents=True, exist_ok=True)
        with part.open("w", encoding="utf-8") as file:
            for row in rows:
                file.write(_line(row) + "\n")
                count += 1
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, to)
    return count


def _line(row: Quarantined) -> str:
    plain = {"source": row.source, "reason": row.reason, "row": row.row}
    try:
        return json.dumps(plain, allow_nan=False)
    except (TypeError, ValueError, RecursionError):
        return json.dumps(plain | {"row": _shown(row.row)})


def _shown(row: object) -> str:
    try:
        return repr(row)
    except RecursionError:
        return "(nested too deeply to be shown)"
