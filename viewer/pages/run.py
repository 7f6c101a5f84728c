"""The Run page: where the run stands, what its rounds brought, and what was decided and why.

While a run goes on, the page asks for `/progress` every two seconds: one line of news each time,
and the whole of it only when something has changed, so that what a person reads stays still.
"""

import hashlib
import json
import shlex
from collections.abc import Mapping
from typing import Any

from starlette.requests import Request

from ...core.amounts import several
from ...core.config import RunConfig
from ...core.errors import ConfigError
from ...inspection import sentences, task_scores
from ...inspection.figures import DASH, count, duration, loss
from ...inspection.record import Record
from ...inspection.spending import spending
from ...inspection.steps import Standing, standing
from ..machine import described, machine
from .frame import frame
from .run_curves import curves

FATES = ("accepted", "rejected", "failed", "deferred")
AXES = ("complexity", "diversity", "quality")


def page(record: Record, request: Request) -> tuple[str, dict[str, Any]]:
    """Return the whole page."""
    return "run.html", context(record)


def progress(record: Record, request: Request) -> tuple[str, dict[str, Any]]:
    """Return the news since the state that the page says it has seen."""
    found = context(record)
    return "run_progress.html", {
        **found,
        "is_news": request.query_params.get("seen") != found["state"],
    }


def context(record: Record) -> dict[str, Any]:
    """Return what `run.html` shows."""
    document = record.document()
    events = record.traces.nodes() if record.traces is not None else []
    config = _config(record)
    where = standing(document, events, reviews=config is not None and config.review)
    return {
        **frame(record, "run"),
        "state": _state(document, where),
        "document": document,
        "standing": where,
        "now": _now(document, where),
        "machine_wide": machine(where, is_tall=False),
        "machine_tall": machine(where, is_tall=True),
        "machine_words": described(where),
        "headline": _headline(document),
        "figures": _figures(document),
        "details": _details(record, document),
        "next_step": _next_step(record, document),
        "curves": curves(document, spending(record)),
        "task_head": task_scores.HEAD,
        "tasks": task_scores.task_lines(document),
        "rounds": [_row(entry) for entry in document.get("rounds") or []],
        "fates": FATES,
        "axes": AXES,
        "decisions": _decisions(document, record.margin()),
        "cautions": _cautions(document),
        "times": _times(where),
    }


def _config(record: Record) -> RunConfig | None:
    """Return the configuration; None where another version of Middo wrote it."""
    try:
        return record.config()
    except ConfigError:
        return None


def _state(document: Mapping[str, Any], where: Standing) -> str:
    """Return what changes with anything that the page shows, the passing of time left out."""
    known = {name: value for name, value in document.items() if name != "seconds"}
    text = json.dumps([known, where.round, where.current, where.reason], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _now(document: Mapping[str, Any], where: Standing) -> str:
    """Say in one line what is going on, or how it ended."""
    status = document.get("status")
    place = "" if where.round is None else f" of round {where.round}"
    if status == "running":
        return f"At work: {where.current}{place}"
    if status == "paused":
        return f"Waiting for a person's review{place}"
    if status == "finished":
        return "Finished" + (f": {document['stopped']}" if document.get("stopped") else "")
    names = {
        "failed": "Failed",
        "interrupted": "Interrupted",
        "budget": "Stopped at a cap of the budget",
    }
    text = f"{names.get(str(status), 'Unknown')} in {where.current}{place}"
    return f"{text}: {where.reason}" if where.reason else text


def _headline(document: Mapping[str, Any]) -> str:
    if document.get("result"):
        text = str(document["result"])
        return text[0].upper() + text[1:] + "."
    if not document.get("rounds"):
        is_on = document.get("status") == "running"
        work = ": it is reading the rows and setting the hold-out aside" if is_on else ""
        return f"The run has no data set yet{work}."
    if not any(entry.get("evaluation") for entry in document["rounds"]):
        return "No round was evaluated yet."
    return "There is no result yet."


def _figures(document: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """Return label, figure and a word on it, for the row of large figures."""
    rounds = document.get("rounds") or []
    evaluated = [entry for entry in rounds if entry.get("evaluation")]
    best = document.get("best_round")
    shown = next((e for e in evaluated if e["round"] == best), evaluated[-1] if evaluated else None)
    found = []
    if shown is not None:
        untuned = document.get("base_holdout_loss")
        where = f"round {shown['round']}" + (", the best" if shown["round"] == best else "")
        word = where if untuned is None else f"{where}; {loss(untuned)} untuned"
        found.append(("Hold-out loss, nats per token", _loss(shown), word))
    flagged = [entry for entry in rounds if entry.get("flagged")]
    if any(entry.get("accepted") is not None for entry in flagged):
        samples = sum(entry["flagged"].get("samples") or 0 for entry in flagged)
        accepted = sum(entry.get("accepted") or 0 for entry in flagged)
        found.append(("Rewrites accepted", count(accepted), f"of {count(samples)} flagged"))
    tokens = document.get("tokens")
    if tokens:
        used = (tokens.get("prompt") or 0) + (tokens.get("completion") or 0)
        calls, replayed = tokens.get("calls") or 0, tokens.get("replayed") or 0
        word = several(calls - replayed, "call") + (
            f", {count(replayed)} replayed" * bool(replayed)
        )
        found.append(("Tokens of the agents", count(used), word))
    cost = document.get("cost_usd")
    if tokens:
        word = (
            "no price known" if cost is None else "no cost, all local" if not cost else "all calls"
        )
        found.append(("Cost", DASH if cost is None else f"{_usd(cost)} USD", word))
    if document.get("seconds") is not None:
        found.append(("Time", duration(document["seconds"]), several(len(rounds), "round")))
    return found


def _loss(entry: Mapping[str, Any]) -> str:
    return loss(entry["evaluation"].get("holdout_loss"))


def _usd(cost: Any) -> str:
    return f"{cost:.{2 if cost >= 0.1 or not cost else 4}f}"


def _details(record: Record, document: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return label and sentence, for what is known."""
    machine_ = document.get("machine") or {}
    made_on = ", ".join(
        str(machine_[name]) for name in ("device", "dtype") if machine_.get(name)
    ) + (f", {several(machine_['cores'], 'core')}" if machine_.get("cores") else "")
    config = _config(record)
    pairs = (
        ("Data", sentences.data_line(document)),
        ("Hold-out", sentences.set_aside_line(document.get("rounds") or [])),
        ("Base model", None if config is None else config.model.base),
        ("Tokens", sentences.tokens_line(document)),
        ("Time", sentences.time_line(document) if document.get("seconds") is not None else None),
        ("Started", document.get("started")),
        ("Machine", made_on or None),
        ("Folder", str(record.folder)),
        ("Export", _export(record, document)),
    )
    return [(label, str(text)) for label, text in pairs if text]


def _export(record: Record, document: Mapping[str, Any]) -> str | None:
    if not document.get("export"):
        return None
    return f"{record.folder / document['export']} (data, model, README.md)"


def _next_step(record: Record, document: Mapping[str, Any]) -> tuple[str, str] | None:
    """Return the command that goes on from here, and what it does."""
    folder, status = shlex.quote(str(record.folder)), document.get("status")
    if status == "running":
        return None
    if status == "finished":
        command = f"middo export {folder} --format messages --to FILE"
        return command, "writes the data of the best round in another form"
    if status == "paused":
        return f"middo review {folder}", "decides on the proposals that wait"
    return f"middo resume {folder}", "goes on where the run stopped"


def _row(entry: Mapping[str, Any]) -> dict[str, Any]:
    evaluation = entry.get("evaluation") or {}
    difference = entry.get("difference")
    times = entry.get("times") or {}
    return {
        "round": entry["round"],
        "rows": (entry.get("dataset") or {}).get("rows"),
        "loss": evaluation.get("holdout_loss"),
        "interval": evaluation.get("interval"),
        "against": f"{difference['mean']:+.4f}" if difference and entry["round"] else DASH,
        "gate": entry.get("gate"),
        "flagged": (entry.get("flagged") or {}).get("samples"),
        "is_diagnosed": entry.get("flagged") is not None,
        "fates": [entry.get(fate) for fate in FATES],
        "seconds": sum(times.values()) if times else None,
    }


def _decisions(document: Mapping[str, Any], margin: float | None) -> list[tuple[int, str]]:
    rounds = document.get("rounds") or []
    told = ((entry["round"], sentences.gate_line(entry, margin)) for entry in rounds)
    return [(number, line) for number, line in told if line]


def _cautions(document: Mapping[str, Any]) -> list[tuple[int, list[str]]]:
    """Return what the diagnostician warned of, by round; what it planned comes first."""
    found = []
    for entry in document.get("rounds") or []:
        lines = list(entry.get("cautions") or [])
        plan = entry.get("plan")
        if plan:
            lines.insert(0, f"planned by a model: {plan.get('rationale')}")
        if lines:
            found.append((entry["round"], lines))
    return found


def _times(where: Standing) -> dict[str, Any]:
    """Return the table of time per node: its rounds, its lines, and the sum of each column."""
    rounds = sorted({k for step in where.steps for k in step.by_round})
    lines = [
        (step.node, [step.by_round.get(k) for k in rounds], sum(step.by_round.values()))
        for step in where.steps
        if step.by_round
    ]
    totals = [sum(step.by_round.get(k, 0.0) for step in where.steps) for k in rounds]
    return {"rounds": rounds, "lines": lines, "totals": totals, "total": sum(totals)}
