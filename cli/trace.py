"""`middo trace`: the LLM calls of a run, one line each, found by who asked and what came of it."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from json import dumps
from pathlib import Path

from ..core.amounts import several
from ..core.errors import UsageError
from ..core.prefixes import beginning, near, some
from ..core.trace import Call
from ..inspection.figures import DASH, aligned, count, duration
from ..stores.lock import is_locked
from ..stores.runs import read_run
from ..stores.trace_reader import CallsWanted, Sums, TraceReader, open_traces
from ..stores.trace_schema import TRACES_DB
from .output import Reply, clean, shortened, write_lines

SLOWEST = 20
LAST = 10
"""Calls of the past that `--follow` begins with."""
FOLLOW_SECONDS = 0.5
APPEARS_SECONDS = 10.0
"""So long `--follow` waits for the traces of a run that has just begun."""
_HEADER = (
    *("Time", "Round", "Sample", "Agent", "Try", "Prompt", "Model", "Read", "Written", "Took"),
    *("USD", "Outcome"),
)
_RIGHT = (False, True, False, False, True, False, False, True, True, True, True, False)
_WIDTHS = (14, 5, 12, 8, 3, 25, 28, 6, 7, 7, 8, 0)
"""Of lines that are printed before the next one is known."""


@dataclass(frozen=True)
class Wanted:
    """Which calls to show: those for a sample (a prefix of its id), of an agent, without answer."""

    sample: str | None = None
    agent: str | None = None
    failed: bool = False


def show(folder: Path, wanted: Wanted, *, slow: bool, as_json: bool) -> Reply:
    """Reply with the calls so far in the order in which they ended, or the slowest first.

    The texts of calls are most of a trace store: they are read for `as_json` alone.
    """
    reader = _opened(folder)
    try:
        conditions = _conditions(reader, wanted)
        conditions["until"] = reader.newest()  # lines and sums are of the same calls
        sums = reader.sums(**conditions)
        slowest = SLOWEST if slow else None
        calls = reader.calls(texts=as_json, slowest=slowest, **conditions)
    finally:
        reader.close()
    if as_json:
        document = {"calls": [asdict(call) for call in calls], "matching": sums.calls}
        return Reply(document, "")
    if not calls:
        every = wanted == Wanted()
        return Reply(None, "no call was made so far" if every else "no call matches")
    lines = aligned([_HEADER, *map(_cells, calls)], _RIGHT)
    return Reply(None, "\n".join([*lines, "", _total(sums, len(calls))]))


def follow(folder: Path, wanted: Wanted, *, as_json: bool) -> Reply:
    """Reply with the last calls and then each new one, until the run has ended.

    With `as_json` each call is one JSON document on a line of its own.
    """
    reader = _opened(folder, wait=True)
    try:
        conditions = _conditions(reader, wanted)
    except BaseException:
        reader.close()
        raise
    calls = _as_they_come(folder, reader, conditions, texts=as_json)
    lines = (dumps(asdict(call)) for call in calls) if as_json else _in_columns(calls)

    def printed() -> Reply:
        write_lines(lines)
        return Reply(None, "")

    return Reply(None, "", then=printed)


def _as_they_come(
    folder: Path, reader: TraceReader, conditions: CallsWanted, *, texts: bool
) -> Iterator[Call]:
    try:
        seen = max(0, reader.newest() - LAST)
        while True:
            # The last events are written after `run.json`, before the folder is given back.
            ends = not (read_run(folder).get("status") == "running" or is_locked(folder))
            newest = reader.newest()
            conditions["after"], conditions["until"] = seen, newest
            yield from reader.calls(texts=texts, **conditions)
            seen = newest
            if ends:
                return
            time.sleep(FOLLOW_SECONDS)
    finally:
        reader.close()


def _in_columns(calls: Iterator[Call]) -> Iterator[str]:
    yield _line(_HEADER)
    yield from map(_line, map(_cells, calls))


def _opened(folder: Path, *, wait: bool = False) -> TraceReader:
    """Open the traces of a run.

    Raises:
        UsageError: it is no run folder, or has no traces.
    """
    running = read_run(folder).get("status") == "running"
    until = time.monotonic() + (APPEARS_SECONDS if wait and running else 0.0)
    while (reader := open_traces(folder / TRACES_DB)) is None:
        if time.monotonic() >= until:
            raise UsageError(
                f"{folder}: has no {TRACES_DB}: its calls were not traced (traces.store was false,"
                " or the run is older than traces); `middo status` shows what is known"
            )
        time.sleep(FOLLOW_SECONDS)
    return reader


def _conditions(reader: TraceReader, wanted: Wanted) -> CallsWanted:
    sample = None if wanted.sample is None else _sample(reader, wanted.sample)
    return {"sample_id": sample, "agent": wanted.agent, "failed": wanted.failed}


def _sample(reader: TraceReader, text: str) -> str:
    """Return the id that `text` is, or is the only one to begin with, among traced samples.

    Raises:
        UsageError: none or several begin so; the message names some.
    """
    if not text.strip():
        raise UsageError(
            f"--sample {text!r}: an id is missing; without --sample all calls are shown"
        )
    known = reader.sample_ids()
    found = beginning(text, known)
    if len(found) == 1:
        return found[0]
    if found:
        raise UsageError(
            f"--sample {text!r}: several samples begin so: {some(found)}; give more digits"
        )
    like = near(text, known)
    hint = f"; near it: {some(like)}" if like else ": only flagged ones are refined"
    raise UsageError(f"--sample {text!r}: no call was made for a sample that begins so{hint}")


def _cells(call: Call) -> list[str]:
    """Return what the columns of `_HEADER` say of a call."""
    return [
        datetime.fromtimestamp(call.began).strftime("%m-%d %H:%M:%S"),
        str(call.round),
        clean(call.sample_id)[:12] or DASH,
        clean(call.agent),
        str(call.attempt),
        shortened(call.prompt, 25),
        shortened(call.model, 28),
        count(call.prompt_tokens),
        count(call.completion_tokens),
        duration(call.seconds),
        DASH if call.usd is None else f"{call.usd:.4f}",
        _outcome(call),
    ]


def _outcome(call: Call) -> str:
    if call.status == "failed":
        return f"failed: {shortened(call.error or 'no answer', 160)}"
    return "replayed" if call.source == "replayed" else "answered"


def _line(cells: Sequence[str]) -> str:
    columns = zip(cells, _WIDTHS, _RIGHT, strict=True)
    return "  ".join(c.rjust(width) if right else c.ljust(width) for c, width, right in columns)


def _total(sums: Sums, shown: int) -> str:
    """Say how many calls there are and what they took; what is not known is not added as 0."""
    which = "all" if sums.replayed == sums.calls else f"{sums.replayed:,}"
    replayed = f" ({which} replayed)" if sums.replayed else ""
    unmeasured = f" and {several(sums.unmeasured, 'call')} unmeasured" if sums.unmeasured else ""
    unpriced = f" and {several(sums.unpriced, 'call')} unpriced" if sums.unpriced else ""
    said = [
        (several(sums.calls, "call") if shown == sums.calls else f"{shown} of {sums.calls:,} calls")
        + replayed,
        f"{sums.failed:,} failed",
        several(sums.tokens, "token") + unmeasured,
        f"{sums.usd:.4f} USD{unpriced}",
        f"{duration(sums.seconds)} of waiting",
    ]
    return ", ".join(said)
