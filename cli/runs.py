"""`middo status`, `list` and `export`: look at run folders from outside."""

import sys
import time
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.live import Live
from rich.text import Text

from ..inspection.figures import DASH, aligned, count
from ..stores.runs import list_runs, read_run
from .output import Reply, clean
from .summary import status_text, status_words

WATCH_SECONDS = 2.0


def status(folder: Path) -> Reply:
    """Show the rounds of a run."""
    document = read_run(folder)
    return Reply(document, status_text(document, folder))


def watch(folder: Path) -> Reply:
    """Show a run on stderr until it is no longer running, then as `status` does."""
    document = read_run(folder)
    if not sys.stderr.isatty():
        before = None
        while document.get("status") == "running":
            line = _one_line(document)
            if line != before:
                print(line, file=sys.stderr, flush=True)
            before = line
            time.sleep(WATCH_SECONDS)
            document = read_run(folder)
        return Reply(document, status_text(document, folder))
    console = Console(file=sys.stderr, highlight=False)
    with Live(console=console, transient=True, auto_refresh=False) as live:
        while document.get("status") == "running":
            live.update(Text(status_text(document, folder)), refresh=True)
            time.sleep(WATCH_SECONDS)
            document = read_run(folder)
    return Reply(document, status_text(document, folder))


def _one_line(document: dict[str, Any]) -> str:
    rounds = document.get("rounds") or []
    latest = rounds[-1] if rounds else {}
    steps = ", ".join(clean(node) for node in latest.get("times") or {}) or "nothing yet"
    return f"{clean(document.get('run', '?'))}: round {latest.get('round', 0)}, done: {steps}"


def overview(root: Path) -> Reply:
    """List the runs in a folder with status, rounds, best round and start."""
    found = list_runs(root)
    if not found:
        return Reply([], f"no runs in {root}; `middo run` starts one")
    table = [["Run", "Status", "Rounds", "Best", "Started"]]
    table += [_row(document) for document in found]
    return Reply(found, "\n".join(aligned(table, [False, False, True, True, False])))


def _row(document: dict[str, Any]) -> list[str]:
    return [
        clean(document.get("run", "?")),
        status_words(document),
        count(len(document.get("rounds") or [])),
        count(document.get("best_round")),
        clean(document.get("started") or DASH),
    ]


def export(folder: Path, form: str, to: Path, *, merge: bool) -> Reply:
    """Write the best round's data in a form, and its merged model where asked for."""
    from ..graph.export import export_run

    document = export_run(folder, form, to, merge=merge)
    table = [[clean(key), clean(value)] for key, value in document.items()]
    return Reply(document, "\n".join(aligned(table, [False, False])))
