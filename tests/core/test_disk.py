import errno
import os
import shutil
import sqlite3
from pathlib import Path

import pytest

from middo.core.disk import disk_error, writing
from middo.core.errors import DataError, StorageError


@pytest.mark.parametrize(
    ("number", "line"),
    [
        (errno.ENOSPC, "a: can't be written (No space left on device); free space on the disk"),
        (errno.EROFS, "a: can't be written (Read-only file system); make it writable"),
        (errno.EACCES, "a: can't be written (Permission denied); make it writable"),
        (
            errno.EIO,
            "a: can't be read or written (Input/output error); check the disk and the room on it",
        ),
    ],
)
def test_what_a_disk_refuses_is_one_line(number: int, line: str) -> None:
    assert str(disk_error(OSError(number, os.strerror(number)), "a")) == line


def test_the_file_that_an_error_names_is_named() -> None:
    assert str(disk_error(OSError(errno.ENOSPC, "full", "b"), "a")).startswith("b: ")
    assert str(disk_error(OSError(errno.ENOSPC, "full", "b", None, "c"), "a")).startswith("c: ")


@pytest.mark.parametrize(
    "error",
    [
        ConnectionRefusedError(errno.ECONNREFUSED, "Connection refused"),
        ConnectionResetError(errno.ECONNRESET, "Connection reset by peer"),
        BrokenPipeError(errno.EPIPE, "Broken pipe"),
        TimeoutError("no reply within 5 s"),
        TimeoutError(errno.ETIMEDOUT, "Connection timed out"),
        OSError(errno.ENETUNREACH, "Network is unreachable"),
        OSError("an OSError without a number"),
        FileNotFoundError(errno.ENOENT, "No such file or directory", "a"),
        RuntimeError("the model said: No space left on device"),
        sqlite3.ProgrammingError("Cannot operate on a closed database."),
        DataError("a: no rows"),
    ],
)
def test_what_is_no_refusal_of_a_disk_is_not_taken_for_one(error: Exception) -> None:
    assert disk_error(error, "a") is None


def test_a_database_that_can_not_grow_is_told_as_a_full_disk(tmp_path: Path) -> None:
    database = sqlite3.connect(tmp_path / "a.db")
    database.execute("CREATE TABLE texts (text TEXT)")
    database.execute("PRAGMA max_page_count=2")
    with pytest.raises(sqlite3.OperationalError) as caught:
        database.execute("INSERT INTO texts VALUES (?)", ("x" * 100_000,))
    database.close()
    assert str(disk_error(caught.value, "a.db")) == (
        "a.db: can't be written (database or disk is full); free space on the disk"
    )


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, "No space left on device"),
        RuntimeError("Error in compaction: (code: 13) database or disk is full"),
        Exception("I/O error: Permission denied (os error 13)"),
        shutil.Error([("a", "b", "[Errno 28] No space left on device: 'a' -> 'b'")]),
    ],
)
def test_while_writing_the_words_of_any_library_count(error: Exception, tmp_path: Path) -> None:
    told = pytest.raises(StorageError, match="model: can't be written")
    with told as caught, writing(tmp_path / "model"):
        raise error
    assert caught.value.__cause__ is error


def test_while_writing_all_else_stays_what_it_is(tmp_path: Path) -> None:
    for error in (ValueError("no form"), DataError("Permission denied by the form")):
        with pytest.raises(type(error)) as caught, writing(tmp_path):
            raise error
        assert caught.value is error


def test_a_device_without_room_is_told_by_its_path() -> None:
    full = Path("/dev/full")
    if not full.exists():
        pytest.skip("needs /dev/full")
    told = pytest.raises(StorageError, match="/dev/full: can't be written .No space left")
    with told, writing(full), full.open("wb", buffering=0) as file:
        file.write(b"x")
