"""`diagnosis.json` of a round, as every reader takes it."""

import json
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
    except (ValueError, RecursionError) as error:
        raise DataError(
            f"{path}: not readable JSON ({type(error).__name__}); diagnose the round again"
        ) from error
    if not (
        isinstance(document, dict)
        and isinstance(document.get("source_round"), int)
        and isinstance(document.get("axes"), dict)
        and isinstance(document.get("flags"), list)
    ):
        raise DataError(f"{path}: holds no source_round, axes and flags; diagnose the round again")
    return document
