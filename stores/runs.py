"""A run folder from outside: `run.json`, replaced atomically, and the list of runs."""

import json
import os
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from ..core.disk import writing
from ..core.errors import DataError, UsageError
from .lock import NAME as LOCK
from .lock import is_locked

RUN_JSON = "run.json"
CONFIG = "config.yaml"
PARTIAL = ".partial"
"""Ending of a file that is being written; it takes its own name when it is whole."""


def make_folder(folder: Path) -> None:
    """Make the folder that a command writes to, with its parents.

    Raises:
        UsageError: it can't be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(
            f"--out: {folder} can't be made ({error.strerror}); name another folder"
        ) from error


def write_text(path: Path, text: str) -> None:
    """Replace a text file atomically: a reader sees the old text or the new one, whole.

    Raises:
        StorageError: the disk refuses it; the old text stands.
    """
    write_pieces(path, (text,))


def write_pieces(path: Path, pieces: Iterable[str]) -> None:
    """Replace a text file atomically by pieces of text, which are never in memory together.

    Raises:
        StorageError: the disk refuses it; the old text stands.
    """
    partial = path.with_name(path.name + PARTIAL)
    try:
        with writing(path):
            with partial.open("w", encoding="utf-8") as file:
                file.writelines(pieces)
                file.flush()
                os.fsync(file.fileno())
            partial.replace(path)
    except BaseException:
        with suppress(OSError):
            partial.unlink(missing_ok=True)
        raise


def write_json(path: Path, value: Any) -> None:
    """Replace a JSON file atomically."""
    write_text(path, json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False) + "\n")


def read_json(path: Path) -> dict[str, Any]:
    """Return the object in a JSON file that a run wrote.

    Raises:
        DataError: there is none, or it can't be read.
    """
    try:
        document: Any = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, OSError, RecursionError) as error:
        raise DataError(
            f"{path}: can't be read ({type(error).__name__}); `middo resume` makes it again"
        ) from error
    if not isinstance(document, dict):
        raise DataError(f"{path}: holds no JSON object; `middo resume` makes it again")
    return document


def write_run(folder: Path, document: dict[str, Any]) -> None:
    """Replace `run.json`."""
    write_json(folder / RUN_JSON, document)


def read_run(folder: Path) -> dict[str, Any]:
    """Return a run's `run.json`; a run that says `running` with no owner was interrupted.

    Raises:
        UsageError: the folder is no run folder.
        DataError: the file can't be read, or is none that Middo wrote.
    """
    document = _document(folder)
    if document["status"] != "running" or is_locked(folder):
        return document
    # Its owner is gone, maybe since the first look: what it wrote last stands.
    document = _document(folder)
    return {**document, "status": "interrupted"} if document["status"] == "running" else document


def _document(folder: Path) -> dict[str, Any]:
    path = folder / RUN_JSON
    try:
        document: Any = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError) as error:
        if (folder / CONFIG).exists() and (folder / LOCK).exists():  # it has only just begun
            return {"run": folder.name, "status": "running", "rounds": []}
        raise UsageError(f"{folder}: no run folder (it has no {RUN_JSON}); see `middo list`") from (
            error
        )
    except RecursionError as error:
        raise DataError(f"{path}: can't be read (nested too deeply)") from error
    except (ValueError, OSError) as error:
        raise DataError(f"{path}: can't be read ({error})") from error
    if not isinstance(document, dict):
        raise DataError(f"{path}: holds no JSON object; it was not written by Middo")
    if not _is_run(document):
        raise DataError(
            f"{path}: holds no status, or rounds without numbers; it was not written by Middo"
        )
    return document


def _is_run(document: dict[str, Any]) -> bool:
    """Return whether a document has what every reader relies on; rounds may not have begun."""
    rounds = [] if document.get("rounds") is None else document["rounds"]
    return (
        isinstance(document.get("status"), str)
        and isinstance(rounds, list)
        and all(isinstance(one, dict) and isinstance(one.get("round"), int) for one in rounds)
    )


def list_runs(root: Path) -> list[dict[str, Any]]:
    """Return the `run.json` of every run folder in a folder, in order of name."""
    return [document for _, document in runs_in(root)]


def runs_in(root: Path) -> Iterator[tuple[Path, dict[str, Any]]]:
    """Yield every run folder in a folder with its `run.json`, in order of name.

    Of one that can't be read the document holds no more than its name and the status `unreadable`.
    """
    for path in sorted(root.glob(f"*/{RUN_JSON}")):
        yield path.parent, _listed(path.parent)


def _listed(folder: Path) -> dict[str, Any]:
    """Return a run's document; one that can't be read must not hide the others."""
    try:
        return read_run(folder)
    except UsageError:
        return {"run": folder.name, "status": "unreadable"}
