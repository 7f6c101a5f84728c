"""Finalize: export the best round's data, its model, and a data card with the figures."""

import re
import shutil
from typing import Any

from ..core.config import RunConfig
from ..core.disk import writing
from ..curation.verdict import verdict
from ..formats.exporting import export_samples
from ..stores.reviews import review_fact
from ..stores.runs import write_text
from .deps import Deps
from .document import rounds
from .state import LoopState


def finalize(deps: Deps, state: LoopState) -> tuple[dict[str, Any], str]:
    """Write `export/` and the run's result."""
    gate = deps.facts.get(f"round.{state['round']}.gate")
    best: int = gate["best"]
    sentence = verdict(rounds(deps), best)
    partial = deps.folder / "export.partial"
    shutil.rmtree(partial, ignore_errors=True)
    form = deps.facts.get("data")["format"]
    count = export_samples(deps.version(best), form, partial / "data.jsonl")
    with writing(deps.folder / "export"):  # of what it can't copy it tells in words alone
        shutil.copytree(deps.round_folder(best) / "model", partial / "model")
    write_text(partial / "README.md", _card(deps, best, sentence, state["stop"], count))
    target = deps.folder / "export"
    shutil.rmtree(target, ignore_errors=True)
    partial.rename(target)
    deps.facts.put(
        "result",
        {
            "best_round": best,
            "result": sentence,
            "stopped": state["stop"],
            "export": "export",
        },
    )
    return {}, sentence


def _card(deps: Deps, best: int, sentence: str, stopped: str, rows: int) -> str:
    """Return the data card: what this is, how it was made, what was measured."""
    facts, config = deps.facts, deps.config
    data = facts.get("data")
    base = facts.get("base_holdout")["loss"]
    lines = [
        f"# Data set curated by Middo, round {best} of {_visible(deps.folder.name)}",
        "",
        f"- **Rows**: {rows} in `data.jsonl`, in the form of the input ({data['format']}).",
        f"- **From**: {_code(config.data.path)}: {data['imported']} rows imported,"
        f" {data['holdout']} held out, {data['quarantined']} quarantined,"
        f" {data['not_selected']} not selected.",
        f"- **Result**: {sentence}.",
        f"- **Ended**: {stopped}.",
        f"- **Model**: `model/`, {_kind(config)} of {_code(config.model.base)}.",
        f"- **Agents**: rewriter {_code(config.agents.rewriter.model)}, critic"
        f" {_code(config.agents.judge.model)}.",
        *_reviewed(deps),
        "",
        "| round | rows | hold-out loss | 95 % interval | accepted | rejected | failed | deferred"
        " | gate |",
        "|---|---|---|---|---|---|---|---|---|",
        f"| untuned base | | {_number(base)} | | | | | | |",
        *(_row(deps, number) for number in range(facts.get("rounds_seen"))),
        "",
        "Loss is the token-weighted mean cross-entropy of the answers, nats per token, on rows that"
        " were never trained on or rewritten. The gate compares rounds paired by row.",
        "",
        "Rewritten and new rows come from the agents named above; each of them passed the checks,"
        " the critic and the proof of the trained model. The input's licence goes on to hold for"
        " what is taken from it.",
    ]
    return "\n".join(lines) + "\n"


def _reviewed(deps: Deps) -> list[str]:
    """Say what people decided, over all rounds; nothing where nobody was asked."""
    found = [deps.facts.get(review_fact(k)) for k in range(deps.facts.get("rounds_seen"))]
    tallies = [tally for tally in found if tally is not None]
    asked, accepted, rejected, edited, undecided = (
        sum(tally[name] for tally in tallies)
        for name in ("asked", "accepted", "rejected", "edited", "undecided")
    )
    if not tallies:
        return []
    text = (
        f"- **Review**: {asked} proposals passed every gate and were put before a person:"
        f" {accepted} accepted, {rejected} rejected, {edited} edited"
    )
    text += f", {undecided} went on without a decision." if undecided else "."
    return [text + " An edited text stands on the person's word." if edited else text]


def _row(deps: Deps, number: int) -> str:
    facts = deps.facts.under(f"round.{number}")
    evaluation, counts = facts["evaluation"], facts.get("counts", {})
    interval = evaluation["interval"]
    cells = [
        number,
        facts["dataset"]["rows"],
        _number(evaluation["holdout_loss"]),
        "" if interval is None else f"{interval[0]:.4f} to {interval[1]:.4f}",
        *(counts.get(fate, "") for fate in ("accepted", "rejected", "failed", "deferred")),
        facts["gate"]["verdict"],
    ]
    return "| " + " | ".join(str(cell) for cell in cells) + " |"


def _code(text: object) -> str:
    """Return a name as a code span that nothing in it can end; the card is shown as a page."""
    name = _visible(str(text))
    fence = "`" * (max((len(run) for run in re.findall("`+", name)), default=0) + 1)
    space = " " if name.startswith("`") or name.endswith("`") else ""
    return f"{fence}{space}{name}{space}{fence}"


def _visible(text: str) -> str:
    return "".join(char if char.isprintable() else "\ufffd" for char in text)


def _kind(config: RunConfig) -> str:
    return "a LoRA adapter" if config.training.method == "lora" else "all weights, fine-tuned"


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.4f}"
