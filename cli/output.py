"""What a command answers: one JSON document, or text for people. Nothing else goes to stdout."""

import json
import os
import re
import sys
import textwrap
import unicodedata
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from rich.cells import cell_len, set_cell_size

from ..core.disk import disk_error
from ..core.redaction import redact

_ESCAPES = re.compile(
    r"\x1b\[[0-?]*[ -/]*[@-~]"  # colours and cursor movements
    r"|\x1b[\]PX^_][^\x07\x1b]*(?:\x07|\x1b\\)?"  # titles, links and other strings
    r"|\x1b[ -~]"
)
_BREAKS = frozenset("\r\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029")
_COLOUR = re.compile(r"(\x1b\[[0-9;]*m)")
_HIDDEN = {"Cc", "Cf", "Cs", "Zl", "Zp"}


@dataclass(frozen=True)
class Reply:
    """The answer of a command.

    Attributes:
        document: what `--json` prints; None for nothing.
        text: what is printed otherwise.
        exit_code: the exit code of the process.
        error: one line for stderr, or None.
        then: what goes on after the reply is printed, such as a server; it prints by itself, and
            only its error and exit code are told.
    """

    document: Any
    text: str
    exit_code: int = 0
    error: str | None = None
    then: "Task | None" = None


Task = Callable[[], Reply]
"""A command whose arguments are parsed, ready to be carried out."""


def clean(text: object) -> str:
    """Return untrusted text on one line without anything that could steer a terminal.

    Escape sequences, control characters and invisible formatting (such as reversed writing
    direction) are removed; line breaks and runs of spaces become one space.
    """
    plain = _ESCAPES.sub("", str(text))
    spaced = "".join(" " if char.isspace() else char for char in plain)
    visible = "".join(char for char in spaced if unicodedata.category(char) not in _HIDDEN)
    return " ".join(visible.split())


def clean_lines(text: object) -> str:
    """Return untrusted text without anything that could steer a terminal, its lines kept.

    As `clean`, but every kind of line break becomes a plain one, other white space keeps its length
    (a tab becomes four spaces), and nothing is joined.
    """
    plain = _ESCAPES.sub("", str(text)).replace("\r\n", "\n").replace("\t", " " * 4)
    broken = "".join("\n" if char in _BREAKS else char for char in plain)
    spaced = "".join(" " if char.isspace() and char != "\n" else char for char in broken)
    return "".join(
        char for char in spaced if char == "\n" or unicodedata.category(char) not in _HIDDEN
    )


def _harmless(text: str) -> str:
    """Return what is to be printed without anything but colours that could steer a terminal.

    Texts are cleaned where they are put together; here nothing depends on who forgot it.
    """
    parts = _COLOUR.split(text)
    return "".join(part if place % 2 else clean_lines(part) for place, part in enumerate(parts))


def colours_wanted() -> bool:
    """Return whether to colour what goes to stdout: a terminal, and NO_COLOR not set.

    Ask before the command is carried out: stdout is set aside meanwhile.
    """
    dumb = os.environ.get("TERM") == "dumb"
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR") and not dumb


def shortened(text: object, width: int) -> str:
    """Return cleaned text of at most `width` terminal cells, with `...` where it was cut.

    Chinese and Japanese characters and many emoji take two cells.
    """
    line = clean(text)
    return line if cell_len(line) <= width else set_cell_size(line, width - 3).rstrip() + "..."


def wrapped(text: object, width: int = 78, *, hanging: str = "") -> list[str]:
    """Return cleaned text in lines of at most `width`; no word is broken, it may be a path."""
    return textwrap.wrap(
        clean(text),
        width,
        subsequent_indent=hanging,
        break_long_words=False,
        break_on_hyphens=False,
    )


def labelled(label: str, text: object, column: int, width: int = 78) -> list[str]:
    """Return a text wrapped beside its label, from `column` on."""
    lines = wrapped(text, width - column)
    return [(label if n == 0 else "").ljust(column) + line for n, line in enumerate(lines)]


def write(reply: Reply, *, as_json: bool) -> int:
    """Print a reply and return its exit code."""
    if reply.error is not None:
        print(f"middo: {redact(clean(reply.error))}", file=sys.stderr, flush=True)
    # ASCII only: JSON then reads the same under every locale and steers no terminal.
    text = reply.text
    if as_json:
        text = "" if reply.document is None else json.dumps(reply.document, indent=2)
    if text:
        _print(text)
    return reply.exit_code


def write_lines(lines: Iterator[str]) -> None:
    """Print lines as they come, as long as somebody reads them."""
    for line in lines:
        if not _print(line):
            return


def _print(text: str) -> bool:
    """Print to stdout; False where its reader (`head`) has gone.

    Raises:
        StorageError: it goes to a file that takes no more.
    """
    encoding = sys.stdout.encoding or "utf-8"
    text = _harmless(text)
    try:
        print(text.encode(encoding, "replace").decode(encoding), flush=True)
        return True
    except BrokenPipeError:
        _silence()
        return False
    except OSError as error:
        _silence()
        refused = disk_error(error, "standard output")
        if refused is None:
            raise
        raise refused from error


def _silence() -> None:
    """Keep Python from complaining again at exit of a stdout that takes nothing."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


@contextmanager
def stdout_reserved() -> Iterator[None]:
    """Send everything that is written to stdout inside to stderr, child processes included.

    Libraries print where they like; stdout holds the reply and nothing else.
    """
    sys.stdout.flush()
    python_stdout, sys.stdout = sys.stdout, sys.stderr
    kept = os.dup(1)
    os.dup2(2, 1)
    try:
        yield
    finally:
        sys.stdout = python_stdout
        os.dup2(kept, 1)
        os.close(kept)
