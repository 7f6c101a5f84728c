"""What a disk refuses, in one line: there is no room, no right to write, or the device fails.

Python says it with an errno, SQLite with a code of its own, and libraries written in other
languages with the system's words somewhere in their message. Connections fail with other numbers,
so an error of a provider is never taken for one of the disk.
"""

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from .errors import MiddoError, StorageError


@dataclass(frozen=True, slots=True)
class _Kind:
    """One way to refuse: what can't be done, and what a person can do about it."""

    undone: str
    advice: str


_ROOM = _Kind("written", "free space on the disk")
_RIGHTS = _Kind("written", "make it writable")
_DEVICE = _Kind("read or written", "check the disk and the room on it")

_NUMBERS = {
    **dict.fromkeys((errno.ENOSPC, errno.EDQUOT, errno.EFBIG), _ROOM),
    **dict.fromkeys((errno.EROFS, errno.EACCES, errno.EPERM), _RIGHTS),
    errno.EIO: _DEVICE,
}
_SQLITE = {3: _RIGHTS, 8: _RIGHTS, 10: _DEVICE, 13: _ROOM, 14: _RIGHTS}
"""SQLITE_PERM, READONLY, IOERR, FULL and CANTOPEN; the finer codes are above the lowest byte."""
_WORDS = {
    "No space left on device": _ROOM,
    "Disk quota exceeded": _ROOM,
    "File too large": _ROOM,
    "database or disk is full": _ROOM,
    "Read-only file system": _RIGHTS,
    "Permission denied": _RIGHTS,
    "readonly database": _RIGHTS,
    "unable to open database file": _RIGHTS,
    "Input/output error": _DEVICE,
    "disk I/O error": _DEVICE,
    "file write failed": _DEVICE,  # torch, of whatever reason
}


def disk_error(error: BaseException, place: object) -> StorageError | None:
    """Return what an exception says of a disk as one line; None where it is about something else.

    Args:
        error: what was raised.
        place: what to name where the exception names no file.
    """
    if isinstance(error, StorageError):
        return error
    kind, said = _read(error)
    named = error.filename2 or error.filename if isinstance(error, OSError) else None
    return None if kind is None else _told(named or place, kind, said)


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn what a disk refuses while `path` is written into one line that names it.

    Here the words of a message count too, so nothing but writing belongs inside.

    Raises:
        StorageError: instead of what the system or a library said.
    """
    try:
        yield
    except MiddoError:
        raise
    except Exception as error:
        kind, said = _read(error)
        if kind is None:
            said = next((words for words in _WORDS if words in str(error)), "")
            kind = _WORDS.get(said)
        if kind is None:
            raise
        raise _told(path, kind, said) from error


def _read(error: BaseException) -> tuple[_Kind | None, str]:
    """Return the kind of refusal and its words by the error's number."""
    code = getattr(error, "sqlite_errorcode", None)
    if code is not None:
        return _SQLITE.get(code & 0xFF), str(error)
    if not isinstance(error, OSError) or error.errno is None:
        return None, ""
    return _NUMBERS.get(error.errno), error.strerror or str(error)


def _told(place: object, kind: _Kind, said: str) -> StorageError:
    shown = place.decode(errors="replace") if isinstance(place, bytes) else place
    return StorageError(f"{shown}: can't be {kind.undone} ({said}); {kind.advice}")
