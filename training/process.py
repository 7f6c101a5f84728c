"""The child process of a training, seen from the parent: start, watch, stop, and read its end.

Two pipes besides the log: on one the child sends events as JSON lines, a heartbeat among them; the
other is only held open, so that its end tells the child that the parent is gone, SIGKILL included.
"""

import json
import os
import re
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..core import errors
from ..core.errors import Interrupted, TrainingError
from .device import quiet_environment

POLL_SECONDS = 0.2
GRACE_SECONDS = 120.0
"""How long a child that was asked to stop may take for its step and checkpoint."""

LOG_TAIL_BYTES = 8192
ERROR_LINE = re.compile(r"Fatal Python error|[\w.]+(Error|Exception|Interrupt)\b")


@dataclass(frozen=True, slots=True)
class Work:
    """What a child process does, in words for messages.

    Attributes:
        module: that is run with the job file.
        name: of the work.
        goes_on: what to do after it was stopped.
        remedy: what to do where memory runs out.
    """

    module: str
    name: str
    goes_on: str
    remedy: str


TRAINING = Work(
    "middo.training.worker",
    "training",
    "resume to go on from its checkpoint",
    "lower model.max_length or training.batch_tokens, or take a smaller model",
)


def worker_environment(
    device: str, threads: int | None, own: Mapping[str, str] = os.environ
) -> dict[str, str]:
    """Return the child's environment: quiet, offline, with exactly one GPU to be seen.

    The base model is a local folder, so nothing of the hub is needed. With several GPUs in sight
    the trainer would split batches over them, which TRL refuses.
    """
    environment = {
        **own,
        **quiet_environment(threads),
        "HF_HUB_OFFLINE": "1",
        "PYTHONFAULTHANDLER": "1",
    }
    if device.startswith("cuda"):
        index = int(device.partition(":")[2] or 0)
        seen = [name for name in own.get("CUDA_VISIBLE_DEVICES", "").split(",") if name.strip()]
        environment["CUDA_VISIBLE_DEVICES"] = seen[index] if index < len(seen) else str(index)
    return environment


class Worker:
    """Runs one job file to its end."""

    def __init__(
        self,
        job: Path,
        *,
        log: Path,
        environment: Mapping[str, str],
        on_progress: Callable[[int, int, float | None], None],
        should_stop: Callable[[], bool],
        silence: float,
        work: Work = TRAINING,
    ) -> None:
        """Keep what to run and whom to tell; arguments as in `job.train`."""
        self._work = work
        self._job = job
        self._log = log
        self._environment = environment
        self._on_progress = on_progress
        self._should_stop = should_stop
        self._silence = silence
        self._error: tuple[str, str] | None = None
        self._steps: tuple[int, float] | None = None
        self._stop_asked: float | None = None
        self._log_start = 0

    def run(self) -> None:
        """Start the child and wait for its end.

        Raises:
            Interrupted: `should_stop` said so, and the child has ended.
            MiddoError: the class that the child named, or `TrainingError` where it just died.
        """
        events, child_events = os.pipe()
        child_life, life = os.pipe()
        try:
            with self._log.open("ab") as log:
                self._log_start = log.tell()
                # A session of its own: Ctrl-C at the terminal reaches the parent alone, which asks
                # the child to stop in good order.
                child = subprocess.Popen(
                    [
                        *(sys.executable, "-m", self._work.module, str(self._job)),
                        *(str(child_events), str(child_life)),
                    ],
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    env=dict(self._environment),
                    pass_fds=(child_events, child_life),
                    start_new_session=True,
                )
        except BaseException:
            os.close(events)
            os.close(life)
            raise
        finally:
            os.close(child_events)
            os.close(child_life)
        try:
            self._watch(child, events)
            code = child.wait()
        finally:
            child.kill()
            child.wait()
            os.close(events)
            os.close(life)
        self._judge(code)

    def _watch(self, child: subprocess.Popen[bytes], events: int) -> None:
        """Handle events until the child closes the pipe; kill it when it hangs."""
        buffer = b""
        heard = time.monotonic()
        while True:
            ready, _, _ = select.select([events], [], [], POLL_SECONDS)
            now = time.monotonic()
            if ready:
                chunk = os.read(events, 65536)
                if not chunk:
                    return
                heard = now
                *lines, buffer = (buffer + chunk).split(b"\n")
                for line in lines:
                    self._handle(json.loads(line), now)
            elif child.poll() is not None:
                return
            elif now - heard > self._silence:
                child.kill()
                raise TrainingError(
                    f"the {self._work.name} process gave no sign of life for"
                    f" {self._silence:.0f} seconds and"
                    f" was killed; see {self._log} and resume"
                )
            if self._stop_asked is None:
                if self._should_stop():
                    self._stop_asked = now
                    child.send_signal(signal.SIGTERM)
            elif now - self._stop_asked > GRACE_SECONDS:
                child.kill()

    def _handle(self, event: dict[str, Any], now: float) -> None:
        if event["event"] == "error":
            self._error = (event["kind"], event["message"])
        elif event["event"] == "step":
            done, total = event["done"], event["total"]
            if self._steps is None:
                self._steps = (done, now)
            first, since = self._steps
            eta = (now - since) / (done - first) * (total - done) if done > first else None
            self._on_progress(done, total, eta)

    def _judge(self, code: int) -> None:
        """Raise what the child's end means; return where it ended well."""
        if self._stop_asked is not None:
            raise Interrupted(f"the {self._work.name} was stopped; {self._work.goes_on}")
        if self._error is not None:
            kind, message = self._error
            where = f"; see {self._log}" if kind == TrainingError.__name__ else ""
            raise getattr(errors, kind)(message + where)
        if code == 0:
            return
        if code == -signal.SIGKILL:
            raise TrainingError(
                f"the {self._work.name} process was killed (out of memory?);"
                f" {self._work.remedy}; see {self._log}"
            )
        how = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
        raise TrainingError(
            f"the {self._work.name} process died ({how}): {self._last_line()}; {self._log}"
        )

    def _last_line(self) -> str:
        """Return what this child wrote last: the line that names an error, where there is one."""
        with self._log.open("rb") as log:
            log.seek(max(self._log_start, self._log.stat().st_size - LOG_TAIL_BYTES))
            lines = log.read().decode("utf-8", "replace").split("\n")
        said = [line.strip() for line in lines if line.strip()]
        named = [line for line in said if ERROR_LINE.match(line)]
        return (named or said or ["the log is empty"])[-1][:300]
