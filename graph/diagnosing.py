"""Diagnose: survey the data, flag what needs work, plan what is refined, and write it down."""

import asyncio
from typing import Any

import numpy as np

from ..agents.diagnostician import Diagnosis
from ..agents.signal_table import Signals, table
from ..core.progress import Note
from ..curation.stop import should_stop
from ..signals.clusters import ClusterMap, Match
from ..signals.proof import Terms, loss_floor, median_quality, memorisation_offset
from ..signals.quality import Calibration
from ..stores.runs import write_json
from ..stores.tables import write_signals
from .deps import Deps
from .evaluation import read_holdout, refresh_figures
from .indexing import index_diagnosis
from .planning import Planned, plan_round
from .sealing import DIAGNOSIS, seal
from .state import LoopState
from .surveying import Survey, survey_round


async def diagnose_round(deps: Deps, state: LoopState) -> tuple[dict[str, Any], str]:
    """Write signals, embeddings and diagnosis of the round, and choose what to refine."""
    number, source = state["round"], state["source_round"]
    survey = await asyncio.to_thread(survey_round, deps, number, source)
    planned = await plan_round(deps, number, survey)
    return await asyncio.to_thread(write_diagnosis, deps, number, source, survey, planned)


def write_diagnosis(
    deps: Deps, number: int, source: int, survey: Survey, planned: Planned
) -> tuple[dict[str, Any], str]:
    """Write down what was found and planned; return whether the run ends, and a line for people."""
    found, signals, clusters = planned.found, survey.signals, survey.clusters
    refresh_figures(deps, source)
    flagged = {
        "samples": len({flag.sample_id for flag in found.flags}),
        **{str(axis): report.flagged for axis, report in found.axes.items()},
    }
    folder = deps.round_folder(number)
    labels = clusters.labels if clusters else {}
    write_signals(
        folder / "signals.parquet",
        table(signals, found.complexity, survey.near, labels, found.flags),
    )
    write_json(
        folder / "diagnosis.json",
        {
            "round": number,
            "source_round": source,
            **as_document(found, survey.calibration, clusters, survey.drift),
            "scoring": survey.cost,
            "proof": _proof_figures(deps, source, signals, survey.calibration, found),
            "plan": planned.as_dict(),
        },
    )
    seal(deps, *(folder / name for name in DIAGNOSIS))
    index_diagnosis(deps, number, source)
    deps.facts.put(
        f"round.{number}.diagnosis",
        {
            "flagged": flagged,
            "axes": {str(axis): report.as_dict() for axis, report in found.axes.items()},
            "cautions": list(found.cautions),
            "plan": planned.brief(),
            "source_round": source,
        },
    )
    for caution in found.cautions:
        deps.report(Note(caution))
    parts = ", ".join(f"{report.flagged} {axis}" for axis, report in found.axes.items())
    gates = [deps.facts.get(f"round.{k}.gate")["verdict"] for k in range(number + 1)]
    reason = should_stop(
        rounds=deps.config.rounds,
        gates=gates,
        patience=deps.config.gate.patience,
        on_worse=deps.config.gate.on_worse,
        flagged=flagged["samples"],
    )
    return {
        "stop": reason or ""
    }, f"{flagged['samples']} of {len(signals.ids)} samples flagged ({parts})"


def as_document(
    found: Diagnosis, calibration: Calibration, clusters: ClusterMap | None, drift: Match | None
) -> dict[str, Any]:
    """Return the part of `diagnosis.json` that a diagnosis without a run has too."""
    return {
        "axes": {str(axis): report.as_dict() for axis, report in found.axes.items()},
        "cautions": list(found.cautions),
        "thresholds": found.reference.as_dict(),
        "shift": found.shift,
        "calibration": calibration.as_dict(),
        "clusters": clusters.as_dict() if clusters else None,
        "drift": drift.drift if drift else None,
        "flags": [flag.as_dict() for flag in found.flags],
    }


def _proof_figures(
    deps: Deps, source: int, signals: Signals, calibration: Calibration, found: Diagnosis
) -> dict[str, Any] | None:
    """Return what proposals of this round are held against; see `agents.prover.Evidence`.

    The measure are the rows within all thresholds, or all of them where there is none. None where
    no row could be scored: then none is flagged, and there is nothing to prove.
    """
    if signals.loss_tuned is None:
        raise ValueError("a round's signals come from base and tuned model")
    scored = np.isfinite(signals.loss_tuned)
    if not scored.any():
        return None
    calm = scored & np.array([name not in found.beyond for name in signals.ids], dtype=np.bool_)
    calm = calm if calm.any() else scored
    base, tuned = read_holdout(deps, 0, "base"), read_holdout(deps, source)
    held = {row.id: row.loss for row in base.rows}
    pairs = np.array([(held[r.id], r.loss) for r in tuned.rows if r.id in held]).reshape(-1, 2)
    offset = 0.0
    if len(pairs) and np.isfinite(signals.loss_base - signals.loss_tuned).any():
        offset = memorisation_offset(
            signals.loss_base, signals.loss_tuned, pairs[:, 0], pairs[:, 1]
        )
    quality = found.reference.quality
    terms = Terms(
        offset=offset,
        loss_floor=loss_floor(signals.loss_tuned[calm]),
        margin=calibration.margin,
        quality_threshold=quality.value if quality and calibration.on else None,
        quality_median=median_quality(signals.quality[calm]) if calibration.on else None,
    )
    return {"terms": terms.as_dict(), "holdout_rows": len(pairs)}
