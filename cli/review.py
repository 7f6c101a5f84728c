"""`middo review`: decide on the proposals of a paused run, at the terminal or by a file."""

import getpass
import os
import sys
from collections import Counter
from pathlib import Path
from typing import Any

from rich.console import Console

from ..core.amounts import several
from ..core.errors import UsageError
from ..formats.decisions import read_decisions
from ..graph.deciding import Review, open_review
from ..inspection.figures import aligned
from ..inspection.reviews import Waiting, under_review
from ..stores.database import read_database
from ..stores.reviews import Word
from ..stores.runs import read_run
from .conversation import Conversation, Person
from .keyboard import Keyboard
from .output import Reply, clean, wrapped
from .proposal import brief

STDIN = "-"


def overview(folder: Path) -> Reply:
    """List what is under review, decided or not; with everything that deciding needs."""
    document = read_run(folder)
    found = _under_review(folder)
    waiting = [_plain(one) for one in found if one.word is None]
    reply = {
        "run": document.get("run"),
        "status": document.get("status"),
        "round": found[0].round if found else None,
        "waiting": waiting,
        "decided": [_plain(one) for one in found if one.word is not None],
    }
    if not found:
        text = f"nothing waits for review: the run is {clean(document.get('status'))}"
        return Reply(reply, text)
    table = [["Sample", "Axis", "Decision", "Proposed answer"]]
    table += [
        [
            clean(one.sample_id),
            str(one.axis),
            clean(one.word.decision) if one.word else "waits",
            brief(one),
        ]
        for one in found
    ]
    lines = [*aligned(table, [False] * 4), "", *wrapped(_next(folder, len(waiting)), 96)]
    return Reply(reply, "\n".join(lines))


def by_file(folder: Path, file: str, reviewer: str | None) -> Reply:
    """Take decisions from a file of JSON Lines; all of them, or none where a line is wrong."""
    lines = _lines(file)
    decisions = read_decisions(lines, "stdin" if file == STDIN else file)
    with open_review(folder, reviewer or user()) as review:
        words = review.decide(review.planned(decisions))
        return _summary(folder, review, words)


def at_terminal(folder: Path, reviewer: str | None, person: Person | None = None) -> Reply:
    """Show the proposals that wait, one at a time, and take a decision on each."""
    console = Console(file=sys.stderr, highlight=False, soft_wrap=False)
    with open_review(folder, reviewer or user()) as review:
        before = len(review.words())
        waiting = [one for one in _under_review(folder) if one.word is None]
        Conversation(console, person or Keyboard(), review).go_through(waiting)
        return _summary(folder, review, review.words()[before:])


def user() -> str:
    """Return the name of the operating system's user, or its number where it has no name."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return str(os.getuid())


def _under_review(folder: Path) -> list[Waiting]:
    path = folder / "ledger.db"
    if not path.is_file():
        return []
    database = read_database(path)
    try:
        return under_review(folder, database)
    finally:
        database.close()


def _lines(file: str) -> list[bytes]:
    if file == STDIN:
        return sys.stdin.buffer.read().splitlines()
    try:
        return Path(file).read_bytes().splitlines()
    except OSError as error:
        raise UsageError(f"--from: {file} can't be read ({error.strerror})") from error


def _plain(one: Waiting) -> dict[str, Any]:
    return {
        "sample": one.sample_id,
        "round": one.round,
        "axis": str(one.axis),
        "adds": one.adds,
        "source": one.source,
        "flagged": list(one.flagged),
        "old": [message.as_dict() for message in one.old],
        "new": [message.as_dict() for message in one.new],
        "checks": one.row["checks"],
        "critique": one.row["critique"],
        "proof": one.row["proof"],
        "decision": one.word.as_dict() if one.word else None,
    }


def _summary(folder: Path, review: Review, words: list[Word]) -> Reply:
    tally = review.tally
    remarks = {word.sample_id: [c for c in word.checks if not c["passed"]] for word in words}
    said = Counter(word.decision for word in words)
    parts = ", ".join(f"{number:,} {decision}" for decision, number in said.items())
    lines = [f"{several(len(words), 'decision')} stored" + (f": {parts}" if parts else "")]
    for name, refused in remarks.items():
        lines += [f"  {name}: {check['name']}: {clean(check['reason'])}" for check in refused]
    lines.append(
        f"round {review.round}: {tally.accepted:,} accepted, {tally.rejected:,} rejected,"
        f" {tally.edited:,} edited, {tally.undecided:,} waiting"
    )
    document = {
        "run": folder.resolve().name,
        "round": review.round,
        "stored": [word.as_dict() for word in words],
        "review": tally.as_dict(open=True),
    }
    return Reply(document, "\n".join([*lines, *wrapped(_next(folder, tally.undecided), 96)]))


def _next(folder: Path, undecided: int) -> str:
    if not undecided:
        return f"all proposals are decided; `middo resume {folder}` goes on"
    return (
        f"{several(undecided, 'proposal')} to decide: `middo review {folder}` on a terminal, or"
        f" `--from FILE`; then `middo resume {folder}` goes on"
    )
