"""A run folder from outside: `run.json`, replaced atomically, and the list of runs."""

import json
import os
from pathlib import Path
from typing import Any

from ..core.errors import UsageError
from .lock import is_locked

RUN_JSON = "run.json"


def write_text(path: Path, text: str) -> None:
    """Replace a text file atomically: a reader sees the old text or the new one, whole."""
    partial = path.with_name(path.name + ".partial")
    with partial.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)


def write_json(path: Path, value: Any) -> None:
    """Replace a JSON file atomically."""
    write_text(path, json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False) + "\n")


def write_run(folder: Path, document: dict[str, Any]) -> None:
    """Replace `run.json`."""
    write_json(folder / RUN_JSON, document)


def read_run(folder: Path) -> dict[str, Any]:
    """Return a run's `run.json`; a run that says `running` with no owner was interrupted.

    Raises:
        UsageError: the folder is no run folder.
    """
    path = folder / RUN_JSON
    try:
        document: Any = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise UsageError(f"{folder}: no run folder (it has no {RUN_JSON}); see `middo list`") from (
            error
        )
    except (ValueError, OSError) as error:
        raise UsageError(f"{path}: can't be read ({error})") from error
    if not isinstance(document, dict):
        raise UsageError(f"{path}: holds no JSON object; it was not written by Middo")
    if document.get("status") == "running" and not is_locked(folder):
        return {**document, "status": "interrupted"}
    return document


def list_runs(root: Path) -> list[dict[str, Any]]:
    """Return the `run.json` of every run folder in a folder, in order of name."""
    return [_listed(path.parent) for path in sorted(root.glob(f"*/{RUN_JSON}"))]


def _listed(folder: Path) -> dict[str, Any]:
    """Return a run's document; one that can't be read must not hide the others."""
    try:
        return read_run(folder)
    except UsageError:
        return {"run": folder.name, "status": "unreadable"}
