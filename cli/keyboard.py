"""What a person does at the terminal: one key, a line, or a text in an editor of their own."""

import os
import select
import shlex
import subprocess
import sys
import tempfile
import termios
import tty
from pathlib import Path

from ..core.errors import UsageError

_PARTS = ("prompt", "answer")


class Keyboard:
    """The person at stdin and stderr."""

    def key(self) -> str:
        """Return the next key; the end of input counts as `q`, a key without a letter as nothing.

        What was typed ahead is not thrown away, and Ctrl-C goes on to interrupt.
        """
        terminal = sys.stdin.fileno()
        before = termios.tcgetattr(terminal)
        tty.setcbreak(terminal, termios.TCSADRAIN)
        try:
            byte = os.read(terminal, 1)
            if byte == b"\x1b" and select.select([terminal], [], [], 0)[0]:
                os.read(terminal, 32)  # the rest of an arrow or function key
        finally:
            termios.tcsetattr(terminal, termios.TCSADRAIN, before)
        return byte.decode("ascii", "replace") if byte else "q"

    def line(self, question: str) -> str:
        """Return a line of text; empty at the end of input."""
        print(question, end="", file=sys.stderr, flush=True)
        return sys.stdin.readline().rstrip("\n")

    def edit(self, prompt: str, answer: str) -> tuple[str, str]:
        """Return prompt and answer as they were edited: in `$VISUAL` or `$EDITOR`, else typed.

        Raises:
            UsageError: the editor could not be run, or the marks between the texts are gone.
        """
        editor = os.environ.get("VISUAL") or os.environ.get("EDITOR")
        if editor:
            return parted(_edited(editor, joined(prompt, answer)), marks(prompt, answer))
        print("Enter keeps a text; set EDITOR to edit in an editor.", file=sys.stderr)
        new = [self.line(f"new {part}: ") for part in _PARTS]
        return new[0] or prompt, new[1] or answer


def marks(prompt: str, answer: str) -> tuple[str, str]:
    """Return the lines above the two texts in an editor, which neither of them holds."""
    rule = "-" * 10
    lines = {*prompt.splitlines(), *answer.splitlines()}
    while lines & {f"{rule} {part} {rule}" for part in _PARTS}:
        rule += "-"
    return f"{rule} {_PARTS[0]} {rule}", f"{rule} {_PARTS[1]} {rule}"


def joined(prompt: str, answer: str) -> str:
    """Return the text for the editor: each part below its mark."""
    first, second = marks(prompt, answer)
    return f"{first}\n{prompt}\n{second}\n{answer}\n"


def parted(text: str, mark: tuple[str, str]) -> tuple[str, str]:
    """Return prompt and answer from an edited text.

    Raises:
        UsageError: a mark is missing or stands twice.
    """
    lines = text.split("\n")
    places = [[n for n, line in enumerate(lines) if line.rstrip() == one] for one in mark]
    if [len(found) for found in places] != [1, 1] or places[0][0] > places[1][0]:
        raise UsageError(f"keep the lines {mark[0]!r} and {mark[1]!r} as they are; nothing changed")
    first, second = places[0][0], places[1][0]
    prompt, answer = lines[first + 1 : second], lines[second + 1 :]
    if answer and not answer[-1]:  # editors end a file with a line break
        answer = answer[:-1]
    return "\n".join(prompt), "\n".join(answer)


def _edited(editor: str, text: str) -> str:
    with tempfile.TemporaryDirectory(prefix="middo-") as folder:
        path = Path(folder) / "proposal.md"
        path.write_text(text, encoding="utf-8", newline="\n")
        try:
            done = subprocess.run([*shlex.split(editor), str(path)], check=False)
        except (OSError, ValueError) as error:
            raise UsageError(f"EDITOR={editor!r} can't be started ({error})") from error
        if done.returncode:
            raise UsageError(f"EDITOR={editor!r} ended with {done.returncode}; nothing changed")
        return path.read_text(encoding="utf-8", errors="replace")
