"""`run.json`: the whole state of a run as one JSON document, composed from its facts."""

from typing import Any

from ..stores.runs import write_run
from .deps import Deps

_COUNTS = ("accepted", "rejected", "failed", "deferred", "kept", "replaced", "added", "dropped")


def compose(deps: Deps, status: str) -> dict[str, Any]:
    """Return the document that every command with `--json` prints.

    Counts of round k describe the step from D_k to D_{k+1}; they are null while there is none.
    """
    facts = deps.facts
    data = facts.get("data", {})
    result = facts.get("result", {})
    spent = deps.ledger.spent()
    return {
        "run": deps.folder.name,
        "status": status,
        "config_hash": facts.get("config_hash"),
        "started": facts.get("started"),
        "machine": facts.get("machine"),
        "rounds": rounds(deps),
        "base_holdout_loss": facts.get("base_holdout", {}).get("loss"),
        "base_tasks": facts.get("base_tasks", []),
        "best_round": result.get("best_round"),
        "result": result.get("result"),
        "stopped": result.get("stopped"),
        "export": result.get("export"),
        "imported": data.get("imported"),
        "holdout": data.get("holdout"),
        "quarantined": data.get("quarantined"),
        "not_selected": data.get("not_selected"),
        "overlapping": data.get("overlapping"),
        "format": data.get("format"),
        "tokens": {
            "prompt": spent.prompt_tokens,
            "completion": spent.completion_tokens,
            "calls": spent.calls,
            "replayed": spent.replayed,
            "unknown_calls": spent.unknown_calls,
        },
        # A sum that leaves calls out would be read as the cost.
        "cost_usd": None if spent.unpriced_calls else round(spent.usd, 6),
        "seconds": round(deps.seconds_used(), 1),
    }


def write_document(deps: Deps, status: str) -> dict[str, Any]:
    """Compose `run.json` and replace it on disk."""
    document = compose(deps, status)
    write_run(deps.folder, document)
    return document


def rounds(deps: Deps) -> list[dict[str, Any]]:
    """Return the rounds so far, as `run.json` has them."""
    return [_round(deps, k) for k in range(deps.facts.get("rounds_seen", 0))]


def _round(deps: Deps, k: int) -> dict[str, Any]:
    facts = deps.facts.under(f"round.{k}")
    diagnosis = facts.get("diagnosis", {})
    counts = facts.get("counts", {})
    gate = facts.get("gate", {})
    return {
        "round": k,
        "dataset": facts.get("dataset"),
        "training": facts.get("training"),
        "evaluation": facts.get("evaluation"),
        "tasks": facts.get("tasks", []),
        "flagged": diagnosis.get("flagged"),
        **{name: counts.get(name) for name in _COUNTS},
        "gate": gate.get("verdict"),
        "difference": gate.get("difference"),
        "axes": diagnosis.get("axes"),
        "cautions": diagnosis.get("cautions", []),
        "plan": diagnosis.get("plan"),
        "source_round": diagnosis.get("source_round"),
        "reasons": facts.get("reasons"),
        "review": facts.get("review"),
        "failures": _failures(facts.get("fates", {})),
        "times": facts.get("times", {}),
    }


def _failures(fates: dict[str, list[str]]) -> dict[str, str]:
    """Return why samples got no usable answer, by id: each is worth a look."""
    return {name: reason for name, (fate, reason) in fates.items() if fate == "failed"}
