"""The one place where exceptions become exit codes: one line on stderr, never a traceback.

0 done                   3 provider or credentials     75 another process owns the run
1 internal error         4 budget reached             130 interrupted
2 usage, configuration   5 too many failures
"""

import os
import signal
import sys
import tempfile
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from signal import SIGTERM
from threading import current_thread, main_thread
from typing import Any

import typer

from ..core.disk import disk_error
from ..core.errors import MiddoError
from ..core.redaction import redact
from .output import Reply, Task, clean, stdout_reserved, write

INTERRUPTED = 130
# Click's ClickException, which typer does not export under a name of its own.
_ParseError: Any = typer.BadParameter.__mro__[2]


class Unexpected(Exception):
    """An error that nobody expected, with the run folder it happened in; the cause is chained."""

    def __init__(self, folder: Path) -> None:
        """Remember where the traceback belongs."""
        super().__init__(str(folder))
        self.folder = folder


def carry_out(arguments: Sequence[str], parse: Callable[[Sequence[str]], Any]) -> int:
    """Parse a command line, do what it says, print the reply, and return the exit code.

    Args:
        arguments: the words after `middo`.
        parse: returns a `Task`, or an exit code where parsing itself has answered (`--help`).
    """
    as_json = "--json" in arguments
    try:
        with _terminated_as_interrupted():
            try:
                parsed = parse(arguments)
            except _ParseError as error:
                return write(_refused(error), as_json=as_json)
            if parsed == INTERRUPTED:  # the parser makes a silent exit of Ctrl-C
                raise KeyboardInterrupt
            if not callable(parsed):
                return parsed if isinstance(parsed, int) else 0
            with stdout_reserved():
                reply = _perform(parsed)
            exit_code = _told(reply, as_json=as_json)
    except KeyboardInterrupt:  # outside the task: before it began, or after it ended
        return write(failure("interrupted", INTERRUPTED), as_json=as_json)
    if reply.then is None:
        return exit_code
    # What ends it early is one line on stderr, never a document among what it has printed.
    return write(_perform(reply.then), as_json=False)


@contextmanager
def _terminated_as_interrupted() -> Iterator[None]:
    """Let SIGTERM end a command in good order, as Ctrl-C does.

    A task with a way of its own, such as a run, takes the signals over while it works.
    """
    if current_thread() is not main_thread() or signal.getsignal(SIGTERM) is not signal.SIG_DFL:
        yield
        return
    signal.signal(SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(SIGTERM, signal.SIG_DFL)


def _told(reply: Reply, *, as_json: bool) -> int:
    """Print a reply; where that goes to a full disk, half an answer must not look like one."""
    try:
        return write(reply, as_json=as_json)
    except MiddoError as error:
        return write(failure(str(error), error.exit_code), as_json=False)


def _refused(error: Any) -> Reply:
    message = clean(error.format_message()).replace(": Value error, ", ": ", 1)
    context = getattr(error, "ctx", None)
    if context is not None:
        message = f"{message.rstrip('.')}; see `{context.command_path} --help`"
    return failure(message, 2)


def failure(message: str, exit_code: int) -> Reply:
    """Return the reply of a command that could not do what was asked."""
    line = redact(clean(message))
    return Reply({"error": line, "exit_code": exit_code}, "", exit_code, line)


def _perform(task: Task) -> Reply:
    try:
        return task()
    except MiddoError as error:
        return failure(str(error), error.exit_code)
    except KeyboardInterrupt:
        return failure("interrupted", INTERRUPTED)
    except Unexpected as error:
        return _internal(error.__cause__ or error, error.folder)
    except Exception as error:
        refused = disk_error(error, "a file")
        return failure(str(refused), refused.exit_code) if refused else _internal(error, None)


def _internal(error: BaseException, folder: Path | None) -> Reply:
    text = redact("".join(traceback.format_exception(error)))
    if os.environ.get("MIDDO_DEBUG") == "1":
        print(text, file=sys.stderr)
    where = _keep(text, folder)
    place = f"; the traceback is in {where}" if where else "; MIDDO_DEBUG=1 shows the traceback"
    return failure(f"internal error: {type(error).__name__}: {error}{place}", 1)


def _keep(text: str, folder: Path | None) -> Path | None:
    """Write a traceback into the run folder, else into the folder for temporary files."""
    if folder is not None and folder.is_dir():
        with suppress(OSError):
            path = folder / "error.txt"
            path.write_text(text, encoding="utf-8", errors="replace")
            return path
    with (
        suppress(OSError),
        tempfile.NamedTemporaryFile(
            "w", prefix="middo-", suffix=".txt", delete=False, encoding="utf-8", errors="replace"
        ) as file,
    ):
        file.write(text)
        return Path(file.name)
    return None
