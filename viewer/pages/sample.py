"""The Sample page: a life as `middo explain` tells it, with the diffs and the agents' own words."""

import json
from collections.abc import Sequence
from typing import Any

from starlette.requests import Request

from ...core.records import Message
from ...inspection.bounds import held_to
from ...inspection.life import Attempt, Gate, Reading, RoundOfLife
from ...inspection.lives import life
from ...inspection.names import resolve
from ...inspection.record import Record
from ...inspection.reviews import edited
from ...inspection.sentences import word_line
from ..gauge import gauge
from .compared import compared, is_long
from .frame import frame

LOSSES = (
    ("loss_base", "before training"),
    ("loss_tuned", "after training"),
    ("loss_prompt", "of the prompt"),
)
"""Columns of `signals.parquet` that the caption tells, and what it calls them."""


def page(record: Record, request: Request) -> tuple[str, dict[str, Any]]:
    """Return the page of the sample that the address names.

    Raises:
        UsageError: no sample of the run has this id, or several begin so.
    """
    return "sample.html", context(record, resolve(record, request.path_params["sample_id"]))


def context(record: Record, sample_id: str) -> dict[str, Any]:
    """Return what `sample.html` shows of a sample, by its full id."""
    found = life(record, sample_id)
    rounds = []
    before: tuple[Message, ...] | None = None
    for one in found.rounds:
        rounds.append(_round(one, before))
        before = one.messages
    return {
        **frame(record, "sample"),
        "life": found,
        "title": _title(found.rounds),
        "rounds": rounds,
    }


def _title(rounds: Sequence[RoundOfLife]) -> str:
    """Return the first words of the prompt, as people remember a sample by them."""
    prompts = [m.content for one in rounds for m in one.messages if m.role == "user"]
    lines = [line.strip() for line in prompts[0].splitlines() if line.strip()] if prompts else []
    words = " ".join(lines[0].split()) if lines else ""
    return words if len(words) <= 90 else words[:90].rsplit(" ", 1)[0] + "…"


def _round(one: RoundOfLife, before: tuple[Message, ...] | None) -> dict[str, Any]:
    return {
        "it": one,
        "is_changed": one.messages != before,
        "turns": [_turn(message) for message in one.messages],
        "readings": [_reading(reading) for reading in one.readings],
        "attempts": [_attempt(attempt, one.messages) for attempt in one.attempts],
        "losses": [(label, one.values[name]) for name, label in LOSSES if name in one.values],
        "words": [word_line(word) for word in one.words],
        "edit": _edit(one),
        "effort": _effort(one),
    }


def _edit(one: RoundOfLife) -> list[dict[str, Any]]:
    """Return what a person made of the last proposal, compared with it; empty without an edit."""
    proposal = one.attempts[-1].messages if one.attempts else ()
    text = edited(one.words[-1], proposal) if one.words else ()
    return compared(proposal, text, adds=False)


def _turn(message: Message) -> dict[str, Any]:
    text = message.content
    return {"role": message.role, "text": text, "is_long": is_long(text)}


def _reading(reading: Reading) -> dict[str, Any]:
    return {"it": reading, "gauge": gauge(reading)}


def _attempt(attempt: Attempt, old: tuple[Message, ...]) -> dict[str, Any]:
    checks = [gate for gate in attempt.gates if gate.node == "checks"]
    return {
        "it": attempt,
        "turns": compared(old, attempt.messages, adds=attempt.adds),
        "refusals": [_gate(gate) for gate in attempt.gates if not gate.passed],
        "checks": [_gate(gate) for gate in checks],
        "passed": sum(gate.passed for gate in checks),
        "judges": [_gate(gate) for gate in attempt.gates if gate.node != "checks"],
        "calls": [
            {"it": call, "value": None if call.value is None else _json(call.value)}
            for call in attempt.calls
        ],
    }


def _gate(gate: Gate) -> dict[str, Any]:
    return {"it": gate, "figures": held_to(gate.numbers)}


def _json(value: Any) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False)


def _effort(one: RoundOfLife) -> dict[str, Any] | None:
    """Return what the calls of a round took; a sum that leaves some out is not one."""
    calls = one.calls
    if not calls:
        return None
    read = [call.prompt_tokens for call in calls]
    written = [call.completion_tokens for call in calls]
    usd = [call.usd for call in calls]
    return {
        "calls": len(calls),
        "replayed": sum(call.source == "replayed" for call in calls),
        "read": _sum(read),
        "written": _sum(written),
        "usd": _sum(usd),
        "seconds": sum(call.seconds for call in calls),
    }


def _sum(values: Sequence[Any]) -> Any:
    return None if any(value is None for value in values) else sum(values)
