"""The child process of a training: `python -m middo.training.worker JOB.json [EVENTS_FD LIFE_FD]`.

`job.train` starts it. Events go as JSON lines to EVENTS_FD (standard output where it is not given):
`beat`, `step`, `error`. When LIFE_FD ends, the parent is gone and so is this process, at once.
SIGTERM: finish the step, save a checkpoint, end. Heavy imports come after the heartbeat has begun.
"""

import fcntl
import json
import os
import signal
import sys
import threading
import time
import traceback
from contextlib import suppress
from pathlib import Path
from types import FrameType
from typing import Any

from ..core.disk import writing
from ..core.errors import MiddoError, TrainingError
from .checkpoints import UNFINISHED
from .job import TrainingJob, job_from

BEAT_SECONDS = 5.0
LOCK_SECONDS = 30.0
STANDARD_OUTPUT = 1
FAILED = 1

_MEMORY_WORDS = ("out of memory", "can't allocate memory", "not enough memory")


class Link:
    """The pipes to the parent, and its wish that this process end."""

    def __init__(self, events: int, life: int | None) -> None:
        """Start the heartbeat and, given a life pipe, the watch over the parent."""
        self.stopping = False
        self._events = events
        self._lock = threading.Lock()
        threading.Thread(target=self._beat, daemon=True).start()
        if life is not None:
            threading.Thread(target=_end_with_parent, args=(life,), daemon=True).start()

    def send(self, event: str, **values: Any) -> None:
        """Send one event."""
        line = json.dumps({"event": event, **values}) + "\n"
        with self._lock:
            os.write(self._events, line.encode())

    def ask_to_stop(self, signum: int, frame: FrameType | None) -> None:
        """Remember that the parent wants this process to end (signal handler)."""
        self.stopping = True

    def _beat(self) -> None:
        while True:
            try:
                self.send("beat")
            except OSError:  # the parent no longer reads
                return
            time.sleep(BEAT_SECONDS)


def _end_with_parent(life: int) -> None:
    os.read(life, 1)
    os._exit(FAILED)


def main(arguments: list[str]) -> int:
    """Train as the job file says; return the exit code."""
    started = time.monotonic()
    file = Path(arguments[0])
    events, life = (int(number) for number in arguments[1:3] or (STANDARD_OUTPUT, -1))
    link = Link(events, life if life >= 0 else None)
    signal.signal(signal.SIGTERM, link.ask_to_stop)
    try:
        job = job_from(json.loads(file.read_text(encoding="utf-8"))["job"])
        lock = _lock(job)
        _work(job, link, started)
        os.close(lock)
    except MiddoError as error:
        link.send("error", kind=type(error).__name__, message=str(error))
        return FAILED
    except Exception as error:  # the process boundary: the parent turns it into one line
        link.send("error", kind=TrainingError.__name__, message=_line(error))
        with suppress(OSError):  # the log may be what can't be written
            traceback.print_exc()
        return FAILED
    return 0


def _work(job: TrainingJob, link: Link, started: float) -> None:
    from .sft import fine_tune

    # What is written lies there; libraries that train say of a disk what they like.
    with writing(job.output):
        fine_tune(
            job,
            on_step=lambda done, total: link.send("step", done=done, total=total),
            should_stop=lambda: link.stopping,
            started=started,
        )


def _lock(job: TrainingJob) -> int:
    """Own the folder. The child of a killed parent may take a moment to be gone."""
    handle = os.open(job.output / UNFINISHED / "lock", os.O_CREAT | os.O_RDWR)
    deadline = time.monotonic() + LOCK_SECONDS
    while True:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return handle
        except BlockingIOError:
            if time.monotonic() > deadline:
                raise TrainingError(
                    f"another process trains into {job.output}; wait for it or stop it"
                ) from None
            time.sleep(0.1)


def _line(error: Exception) -> str:
    text = " ".join(str(error).split())[:300]
    if isinstance(error, MemoryError) or any(word in text.lower() for word in _MEMORY_WORDS):
        return (
            "the training ran out of memory; lower model.max_length or training.batch_tokens, or"
            f" take a smaller model ({text})"
        )
    return f"the training failed: {type(error).__name__}: {text}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
