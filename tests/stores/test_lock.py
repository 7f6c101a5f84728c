"""The lock is the kernel's: held by one living process, gone with it, even by SIGKILL."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Timer

import pytest

from middo.core.errors import RunLocked
from middo.stores.lock import NAME, is_locked, run_lock

OWNER = """
import sys, pathlib
from middo.stores.lock import run_lock
with run_lock(pathlib.Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


@contextmanager
def owner(folder: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that holds the lock, with its pid in the file."""
    process = subprocess.Popen(
        [sys.executable, "-c", OWNER, str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=folder,
    )
    with process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "held\n"
            until = time.monotonic() + 10
            while str(process.pid) not in (folder / NAME).read_text("utf-8"):
                assert time.monotonic() < until, "no heartbeat"
                time.sleep(0.01)
            yield process
        finally:
            process.kill()


def test_another_process_is_named_and_a_killed_one_leaves_nothing_behind(tmp_path: Path) -> None:
    with owner(tmp_path) as process:
        assert is_locked(tmp_path)
        with (
            pytest.raises(RunLocked, match=rf"process {process.pid} .*heartbeat \d s ago"),
            run_lock(tmp_path),
        ):
            pass
        process.kill()
        process.wait()
        assert not is_locked(tmp_path)
        with run_lock(tmp_path):
            assert is_locked(tmp_path)


def test_the_owner_writes_its_pid_and_the_time(tmp_path: Path) -> None:
    before = time.time()
    with run_lock(tmp_path):
        pass
    plain = json.loads((tmp_path / NAME).read_text("utf-8"))
    assert plain["pid"] == os.getpid()
    assert before - 1 <= plain["heartbeat"] <= time.time() + 1


def test_a_folder_is_free_before_and_after(tmp_path: Path) -> None:
    assert not is_locked(tmp_path)
    assert not (tmp_path / NAME).exists()
    with pytest.raises(RuntimeError, match="inside"), run_lock(tmp_path):
        raise RuntimeError("inside")
    assert not is_locked(tmp_path)


def test_one_who_looks_is_no_owner(tmp_path: Path) -> None:
    import fcntl

    with run_lock(tmp_path):
        pass
    with (tmp_path / NAME).open("r", encoding="utf-8") as looking:
        fcntl.flock(looking, fcntl.LOCK_SH)  # what is_locked does, at its slowest
        assert not is_locked(tmp_path)


def test_who_only_looks_does_not_keep_an_owner_out(tmp_path: Path) -> None:
    import fcntl

    with run_lock(tmp_path):
        pass
    with (tmp_path / NAME).open("r", encoding="utf-8") as looking:
        fcntl.flock(looking, fcntl.LOCK_SH)
        done = Timer(0.1, fcntl.flock, (looking, fcntl.LOCK_UN))
        done.start()
        with run_lock(tmp_path):
            assert is_locked(tmp_path)
        done.join()


def test_who_looks_for_ever_is_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import fcntl

    monkeypatch.setattr("middo.stores.lock.LOOKING_SECONDS", 0.05)
    with run_lock(tmp_path):
        pass
    with (tmp_path / NAME).open("r", encoding="utf-8") as looking:
        fcntl.flock(looking, fcntl.LOCK_SH)
        with pytest.raises(RunLocked), run_lock(tmp_path):
            pass


def test_a_lock_file_without_a_readable_owner_still_locks(tmp_path: Path) -> None:
    with owner(tmp_path):
        (tmp_path / NAME).write_text("", encoding="utf-8")
        with pytest.raises(RunLocked, match="working on this run"), run_lock(tmp_path):
            pass


@pytest.mark.parametrize(("hours", "said"), [(-1, "on this run; wait"), (2, "heartbeat 720")])
def test_a_clock_that_was_moved_shows_no_heartbeat_of_the_future(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, hours: int, said: str
) -> None:
    with owner(tmp_path):
        true = time.time
        monkeypatch.setattr(time, "time", lambda: true() + hours * 3600)
        with pytest.raises(RunLocked, match=said) as refused, run_lock(tmp_path):
            pass
        assert "-" not in str(refused.value).removeprefix(str(tmp_path))
