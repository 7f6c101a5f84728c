"""Commands of `middo` on a disk that fails, and run folders as they were after each node."""

import errno
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from middo import run
from middo.core.config import RunConfig
from middo.core.progress import Event, Finished
from tests.loop import config, write_rows

ROOT = Path(__file__).parents[2]
SHIM = Path(__file__).with_name("failing_disk.c")
ERRORS = {
    "no space": errno.ENOSPC,
    "broken": errno.EIO,
    "read-only": errno.EROFS,
    "forbidden": errno.EACCES,
}


@dataclass(frozen=True)
class Fault:
    """What the disk refuses.

    Attributes:
        part: of the paths that it concerns.
        error: the errno.
        after: so many refusals are let pass first.
    """

    part: str
    error: int
    after: int = 0


@dataclass(frozen=True)
class Ended:
    """How a command ended; `refusals` holds what the disk refused, as `operation path`."""

    code: int
    out: str
    err: str
    refusals: list[str]

    @property
    def error(self) -> str:
        """The line that says what was wrong."""
        return next((line for line in self.err.splitlines() if line.startswith("middo: ")), "")


class FailingDisk:
    """Carries out commands one by one; the disk of each fails as it is told."""

    def __init__(self, folder: Path) -> None:
        """Compile the shim into a folder and load the libraries."""
        compiler = shutil.which("cc")
        assert compiler is not None
        shim = folder / "failing_disk.so"
        line = [compiler, "-shared", "-fPIC", "-O1", "-o", str(shim), str(SHIM), "-ldl"]
        subprocess.run(line, check=True)
        self._folder = folder
        self._server = subprocess.Popen(
            [sys.executable, "-m", "tests.torture.commands"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
            env={**os.environ, "LD_PRELOAD": str(shim), "PYTHONWARNINGS": "ignore"},
        )

    def __enter__(self) -> "FailingDisk":
        """Be closed at the end."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End the server; it is between two commands."""
        self._server.kill()
        self._server.communicate()

    def middo(
        self,
        *arguments: object,
        at: Path,
        fault: Fault | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> Ended:
        """Carry out a command in the folder `at` and return how it ended."""
        log, out, err = (self._folder / name for name in ("refusals", "out", "err"))
        log.unlink(missing_ok=True)
        order = {
            "arguments": [str(argument) for argument in arguments],
            "folder": str(at),
            "environment": {**(environment or {}), **_told(fault, log)},
            "out": str(out),
            "err": str(err),
        }
        assert self._server.stdin is not None
        assert self._server.stdout is not None
        self._server.stdin.write(json.dumps(order) + "\n")
        self._server.stdin.flush()
        code = int(self._server.stdout.readline())
        refusals = log.read_text("utf-8").splitlines() if log.exists() else []
        return Ended(code, out.read_text("utf-8"), err.read_text("utf-8"), refusals)


def _told(fault: Fault | None, log: Path) -> dict[str, str]:
    if fault is None:
        return {}
    return {
        "DISK_FAILS": fault.part,
        "DISK_ERROR": str(fault.error),
        "DISK_AFTER": str(fault.after),
        "DISK_LOG": str(log),
    }


@dataclass(frozen=True)
class Stages:
    """A run that nobody disturbed, and what it was like at each node's end.

    Attributes:
        folder: holds a run folder per stage, under names such as `refine-0` and `finished`.
        config: of the run.
        document: its `run.json`.
    """

    folder: Path
    config: RunConfig
    document: dict[str, object]

    def copy(self, stage: str, to: Path, models: Sequence[int] = (0, 1)) -> Path:
        """Copy the run folder of a stage, with these rounds' models, which need no training."""
        shutil.copytree(self.folder / stage, to)
        for number in models:
            model = to / "rounds" / str(number) / "model"
            if not (model / "training.json").exists():
                shutil.rmtree(model, ignore_errors=True)
                shutil.copytree(self.folder / f"finished/rounds/{number}/model", model)
        return to


def run_in_stages(folder: Path, model: Path) -> Stages:
    """Run the loop once, with one refinement, and keep a copy of its folder at each node's end."""
    base = folder / "run"
    teacher = {"model": "import:tests.loop:teacher", "params": {"log": "calls"}}
    rows = write_rows(folder / "rows.jsonl")
    with rows.open("a", encoding="utf-8") as file:
        file.write('{"instruction": "An answer is missing."}\n')  # for the quarantine
    wanted = config(rows, model, agents={"rewriter": teacher}, rounds=1)

    def keep(event: Event) -> None:
        if isinstance(event, Finished):
            shutil.copytree(base, folder / f"{event.node}-{event.round}")

    with _inside(folder):
        document = run(wanted, base, report=keep)
    base.rename(folder / "finished")
    return Stages(folder, wanted, document)


@contextmanager
def _inside(folder: Path) -> Iterator[None]:
    before = Path.cwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)
