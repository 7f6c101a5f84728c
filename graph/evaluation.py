"""Hold-out figures: per-row losses on disk, the figures of a round as a fact."""

from typing import Any

import numpy as np

from ..agents.evaluator import Holdout, holdout_from
from ..curation.gate import holdout_loss
from ..stores.runs import read_json, write_json
from .deps import Deps
from .sealing import EVALUATION, seal


def write_holdout(
    deps: Deps,
    round: int,
    tuned: Holdout,
    base: Holdout | None,
    tasks: list[dict[str, Any]] | None = None,
) -> None:
    """Write `evaluation.json` of a round; round 0 also holds the untuned base's losses.

    `tasks` are the figures of `evaluation.tasks`, where there are any.
    """
    folder = deps.round_folder(round)
    folder.mkdir(parents=True, exist_ok=True)
    document: dict[str, Any] = {
        "round": round,
        "tuned": tuned.as_dict(),
        "base": base and base.as_dict(),
    }
    if tasks:
        document["tasks"] = tasks
    write_json(folder / EVALUATION, document)
    seal(deps, folder / EVALUATION)


def read_holdout(deps: Deps, round: int, which: str = "tuned") -> Holdout:
    """Return the per-row losses of a round, all rows."""
    return holdout_from(read_json(deps.round_folder(round) / EVALUATION)[which])


def gate_rows(deps: Deps, round: int) -> Holdout:
    """Return the rows that the gate compares: without those set aside as broken."""
    return read_holdout(deps, round).without(frozenset(deps.facts.get("set_aside", [])))


def refresh_figures(deps: Deps, round: int) -> dict[str, Any]:
    """Compute the figures of a round from its rows and keep them.

    `holdout_loss` is what the gate uses; `all_rows` has the rows that were set aside too.
    """
    everything, used = read_holdout(deps, round), gate_rows(deps, round)
    figures = {
        **_figure(deps, used),
        "all_rows": _plain(_figure(deps, everything)),
        "set_aside": len(everything.rows) - len(used.rows),
        "unscored": everything.unscored,
    }
    deps.facts.put(f"round.{round}.evaluation", figures)
    if round == 0:
        set_aside = frozenset(deps.facts.get("set_aside", []))
        base = read_holdout(deps, 0, "base").without(set_aside)
        deps.facts.put("base_holdout", _plain(_figure(deps, base)))
    return figures


def _figure(deps: Deps, holdout: Holdout) -> dict[str, Any]:
    if not holdout.rows:
        return {"holdout_loss": None, "interval": None, "rows": 0}
    found = holdout_loss(
        np.array(holdout.losses), np.array(holdout.tokens, dtype=np.int64), seed=deps.config.seed
    )
    return {
        "holdout_loss": found.mean,
        "interval": [found.low, found.high],
        "rows": found.rows,
    }


def _plain(figure: dict[str, Any]) -> dict[str, Any]:
    return {"loss": figure["holdout_loss"], "interval": figure["interval"], "rows": figure["rows"]}
