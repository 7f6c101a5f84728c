"""Ways to damage a file, and one run that was killed among its LLM calls to try them on."""

import multiprocessing
import os
import shutil
import signal
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from middo import resume, run
from middo.core.progress import Event, Progress
from tests.loop import config, write_rows

PAGE = 4096


def page(path: Path) -> None:
    """Overwrite what follows the first page; of a small file its second half."""
    content = bytearray(path.read_bytes())
    start = PAGE if len(content) > 2 * PAGE else len(content) // 2
    content[start:] = b"\xa5" * (len(content) - start)
    path.write_bytes(content)


def header(path: Path) -> None:
    """Overwrite the first bytes."""
    path.write_bytes(b"\x5a" * 100 + path.read_bytes()[100:])


def one_bit(path: Path) -> None:
    """Change one bit in the middle, which many formats do not notice."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def cut(path: Path) -> None:
    """Cut a file in half, as a copy that was interrupted."""
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def emptied(path: Path) -> None:
    """Leave nothing in it."""
    path.write_bytes(b"")


def deleted(path: Path) -> None:
    """Remove a file or a folder."""
    shutil.rmtree(path) if path.is_dir() else path.unlink()


Damage = Callable[[Path], None]


@dataclass(frozen=True)
class HalfWay:
    """A run folder killed while agents worked, and what comes of it where nobody disturbs it."""

    killed: Path
    finished: Path
    data: Path

    def copy(self, to: Path, *, settled: bool = False) -> Path:
        """Copy the killed run; `settled` moves the logs of its databases into the files.

        The training of round 1 is in the copy: it has the same key wherever the data is the same.
        """
        shutil.copytree(self.killed, to)
        shutil.copytree(self.finished / "rounds/1/model", to / "rounds/1/model")
        for name in ("ledger.db", "checkpoints.db", "traces.db") if settled else ():
            connection = sqlite3.connect(to / name)
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            connection.close()
        return to


def killed_half_way(folder: Path, model: Path) -> HalfWay:
    """Kill a run by SIGKILL after five refined samples, and finish a copy of it."""
    data = write_rows(folder / "rows.jsonl")
    processes = multiprocessing.get_context("forkserver")
    child = processes.Process(target=_work, args=(folder / "killed", data, model))
    child.start()
    child.join(540)
    assert child.exitcode == -signal.SIGKILL
    shutil.copytree(folder / "killed", folder / "finished")
    assert resume(folder / "finished")["status"] == "finished"
    return HalfWay(folder / "killed", folder / "finished", data)


def _work(folder: Path, data: Path, model: Path) -> None:
    def report(event: Event) -> None:
        if isinstance(event, Progress) and event.node == "refine" and event.done >= 5:
            os.kill(os.getpid(), signal.SIGKILL)

    run(config(data, model, rounds=1), folder, report=report)
