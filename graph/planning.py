"""Flags as they stand in `diagnosis.json`."""

from typing import Any

from ..core.records import Axis, Flag


def flags_of(diagnosis: dict[str, Any]) -> list[Flag]:
    """Return the flags of a diagnosis document."""
    return [
        Flag(plain["id"], Axis(plain["axis"]), plain["score"], plain["threshold"], plain["reason"])
        for plain in diagnosis["flags"]
    ]
