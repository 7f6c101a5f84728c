"""The final summary of a run, and the shorter status, from the document of `run.json`.

Keys may be missing or null while a run goes on; nothing that wasn't measured is shown as a number.
"""

import textwrap
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ..core.amounts import several
from ..curation.verdict import verdict
from ..inspection.figures import DASH, duration, loss
from ..inspection.sentences import data_line, set_aside_line, time_line, tokens_line
from .output import clean
from .rounds import round_steps, round_table, waiting
from .tasks import task_table

Document = Mapping[str, Any]
WIDTH = 96
_LABEL = 12


def summary_text(document: Document, folder: Path) -> str:
    """Return what a finished or stopped run did, for people."""
    parts = [
        _head(document),
        _lines(
            ("Data", data_line(document)),
            ("Untuned", _base_line(document)),
            ("Hold-out", set_aside_line(document.get("rounds", []))),
        ),
        "\n".join(round_table(document.get("rounds", []), document.get("base_holdout_loss"))),
        task_table(document),
        *round_steps(document.get("rounds", [])),
        _lines(
            ("Result", verdict(document.get("rounds", []), document.get("best_round"))),
            ("Tokens", tokens_line(document)),
            ("Time", time_line(document)),
            ("Export", _export_line(document, folder)),
            ("Next", _next_line(document, folder)),
        ),
    ]
    return "\n\n".join(part for part in parts if part)


def status_text(document: Document, folder: Path) -> str:
    """Return where a run stands: its rounds in a table."""
    table = round_table(document.get("rounds", []), document.get("base_holdout_loss"))
    tail = _lines(
        ("Tokens", tokens_line(document)),
        ("Time", duration(document.get("seconds"))),
        ("Export", _export_line(document, folder)),
        ("Next", _next_line(document, folder)),
    )
    parts = (_head(document), "\n".join(table), task_table(document), tail)
    return "\n\n".join(part for part in parts if part)


def status_words(document: Document) -> str:
    """Return the status; of a paused run also how many proposals wait for a person."""
    status = clean(document.get("status", "?"))
    if status != "paused":
        return status
    left = waiting(document.get("rounds", []))
    return f"paused, {several(left, 'proposal')} to review" if left else "paused, all decided"


def _head(document: Document) -> str:
    text = f"Run {clean(document.get('run', '?'))}: {status_words(document)}"
    return f"{text} ({clean(document['stopped'])})" if document.get("stopped") else text


def _base_line(document: Document) -> str | None:
    base = document.get("base_holdout_loss")
    return None if base is None else f"hold-out loss {loss(base)} nats per token before training"


def _export_line(document: Document, folder: Path) -> str | None:
    export = document.get("export")
    return None if export is None else f"{folder / export} (data, model, README.md)"


def _next_line(document: Document, folder: Path) -> str:
    if document.get("status") == "running":
        return f"`middo status {folder} --watch` follows the run"
    if document.get("status") == "paused" and waiting(document.get("rounds", [])):
        return (
            f"`middo review {folder}` decides on the proposals that wait, then"
            f" `middo resume {folder}` goes on"
        )
    if document.get("status") != "finished":
        return f"`middo resume {folder}` goes on where the run stopped"
    return (
        f"`middo export {folder} --format messages --to FILE` writes the data in another form; "
        f"`middo view {folder}` shows rounds, samples and proposals"
    )


def _lines(*pairs: tuple[str, Any]) -> str:
    return "\n".join(line for label, text in pairs if text for line in _labelled(label, str(text)))


def _labelled(label: str, text: str) -> Iterator[str]:
    """Yield a text wrapped beside its label; no word is broken, since it may be a path."""
    wrapped = textwrap.wrap(
        clean(text), WIDTH - _LABEL, break_long_words=False, break_on_hyphens=False
    )
    for number, line in enumerate(wrapped or [DASH]):
        yield (label if number == 0 else "").ljust(_LABEL) + line
