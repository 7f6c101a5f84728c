"""`diagnosis.json` of a round, as every reader takes it."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ..core.errors import DataError


def read_diagnosis(path: Path) -> dict[str, Any]:
    """Return the diagnosis of a round.

    Raises:
        DataError: the file is no JSON, or no diagnosis.
        FileNotFoundError: there is none.
    """
    try:
        document: Any = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise
    except (ValueError, OSError, RecursionError) as error:
        raise DataError(
            f"{path}: not readable JSON ({type(error).__name__}); diagnose the round again"
        ) from error
    if not (
        isinstance(document, dict)
        and isinstance(document.get("source_round"), int)
        and _are_axes(document.get("axes"))
        and _are_flags(document.get("flags"))
    ):
        raise DataError(f"{path}: holds no source_round, axes and flags; diagnose the round again")
    return document


@contextmanager
def understood(path: Path) -> Iterator[None]:
    """Turn what comes of a diagnosis that was changed behind Middo's back into one line.

    Raises:
        DataError: a part of it, deeper than `read_diagnosis` looks, is not what was written.
    """
    try:
        yield
    except (ValueError, TypeError, LookupError, AttributeError) as error:
        said = str(error).partition("\n")[0][:100]
        raise DataError(
            f"{path}: holds a part that is not what was written ({type(error).__name__}: {said});"
            " restore it from a copy"
        ) from error


def _are_axes(found: Any) -> bool:
    """Return whether these are reports by axis, with numbers where there are any."""
    return isinstance(found, dict) and all(
        isinstance(one, dict)
        and all(isinstance(one.get(name), int | float | None) for name in ("k", "threshold"))
        for one in found.values()
    )


def _are_flags(found: Any) -> bool:
    return isinstance(found, list) and all(
        isinstance(one, dict)
        and all(isinstance(one.get(name), str) for name in ("id", "axis", "reason"))
        for one in found
    )
