"""Put a folder of files in its place whole: it is there as it was, or as it is meant to be.

A report is written beside its place and then moved. An earlier report is replaced, and known by a
list of its own files: where anything else lies in the folder, nothing is touched.
"""

import json
import secrets
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from ..core.errors import UsageError

MARKER = "report.json"
Value = TypeVar("Value")


def place(to: Path, write: Callable[[Path], tuple[Value, dict[str, Any]]]) -> Value:
    """Let `write` fill an empty folder, and move it to `to`.

    Args:
        to: new, an empty folder, or an earlier report.
        write: fills the folder that it is given; returns its result and what the marker tells.

    Raises:
        UsageError: `to` holds anything but an earlier report, or can't be written.
    """
    to = to.absolute()
    _refuse_strangers(to)
    new = to.with_name(f".{to.name}.{secrets.token_hex(4)}")
    try:
        to.parent.mkdir(parents=True, exist_ok=True)
        new.mkdir()
        try:
            value, told = write(new)
            (new / MARKER).write_text(
                json.dumps({**told, "files": _files(new)}, indent=1) + "\n", encoding="utf-8"
            )
            # It may have been filled while the pages were written.
            _refuse_strangers(to)
            _exchange(new, to)
        finally:
            shutil.rmtree(new, ignore_errors=True)
    except OSError as error:
        raise UsageError(
            f"--to {to}: can't be written ({error.strerror or error}); name another folder"
        ) from error
    return value


def _exchange(new: Path, to: Path) -> None:
    """Move a folder to its place, and what was there away; the old one comes back on failure."""
    if not to.exists():
        new.rename(to)
        return
    old = new.with_name(new.name + ".old")
    to.rename(old)
    try:
        new.rename(to)
    except OSError:
        old.rename(to)
        raise
    shutil.rmtree(old, ignore_errors=True)


def _refuse_strangers(to: Path) -> None:
    if to.is_symlink() or (to.exists() and not to.is_dir()):
        raise UsageError(f"--to {to}: is no folder; name a new one")
    if not to.is_dir():
        return
    there = _files(to)
    if not there:
        return
    strange = sorted(set(there) - _known(to / MARKER))
    if strange:
        raise UsageError(
            f"--to {to}: holds {strange[0]!r}, which no earlier report wrote; name a new folder"
        )


def _known(marker: Path) -> set[str]:
    """Return the files of an earlier report, none where there is no marker."""
    try:
        document = json.loads(marker.read_text(encoding="utf-8"))
        return {MARKER, *map(str, document["files"])}
    except (OSError, ValueError, TypeError, KeyError):
        return set()


def _files(folder: Path) -> list[str]:
    return sorted(
        path.relative_to(folder).as_posix()
        for path in folder.rglob("*")
        if path.is_symlink() or not path.is_dir()
    )
