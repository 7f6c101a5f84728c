"""Diagnose: measure every sample with base and tuned model, map them, flag, and write it down."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from ..agents.calibrating import ROW_ASKS, calibrate_quality
from ..agents.diagnostician import Diagnosis, diagnose, fit_reference, reference_from
from ..agents.measuring import Measuring
from ..agents.signal_table import Signals, collect, table
from ..core.measures import Ask, Measured
from ..core.progress import Note
from ..core.records import Axis
from ..curation.plan import plan_refinement
from ..curation.stop import should_stop
from ..signals.clusters import ClusterMap, Match, find_clusters, match_clusters
from ..signals.density import Density, centre_and_normalise, density
from ..signals.proof import Terms, loss_floor, median_quality, memorisation_offset
from ..signals.quality import Calibration
from ..stores.runs import write_json
from ..stores.samples import Version
from ..stores.tables import read_embeddings, read_signals, write_embeddings, write_signals
from ..stores.vectors import ChromaIndex
from .deps import Deps
from .evaluation import read_holdout, refresh_figures
from .preparing import Samples
from .reporting import advance_in
from .state import LoopState

FEWEST_VECTORS = 8


def diagnose_round(deps: Deps, state: LoopState) -> tuple[dict[str, Any], str]:
    """Write signals, embeddings and diagnosis of the round, and choose what to refine."""
    number, source = state["round"], state["source_round"]
    config = deps.config.signals
    samples, held = deps.version(source), deps.holdout()
    prefix = f"round.{source}"
    with deps.comparing(source) as models:
        on_base = models.base.measure(
            f"{prefix}.base",
            samples,
            advance=advance_in(deps, "diagnose", number, "base losses"),
        )
        tuned = models.tuned
        calibration, on_tuned = measure_tuned(deps, tuned, prefix, number, samples, held)
        held_quality = _held_quality(deps, tuned, prefix, number, held, calibration)
        cost = scoring_cost(deps, tuned)
    folder = deps.round_folder(number)
    embedded = write_vectors(tuned, folder, on_tuned, calibration)
    signals = collect(samples, on_base, on_tuned, calibration, embedded, one_model=False)
    del on_base, on_tuned
    near, clusters = map_vectors(deps, folder, f"round-{number}", signals)
    drift = _drift(deps, number, clusters)

    holdout_loss = deps.facts.get(f"round.{source}.evaluation")["all_rows"]["loss"]
    plain = deps.facts.get("reference")
    if plain is None:
        first = fit_reference(signals, near, config, holdout_loss).as_dict()
        # Before the reference: a run that is killed between the two finds no reference and comes
        # here again.
        deps.facts.put_once("set_aside", _broken(held_quality, first["quality"]))
        plain = deps.facts.put_once("reference", first)
    found = diagnose(
        signals,
        near,
        calibration,
        reference_from(plain),
        config,
        holdout_loss=holdout_loss,
        suppressed=_suppressed(deps, number),
        clusters=clusters,
        drift=drift,
    )
    refresh_figures(deps, source)
    plan = plan_refinement(list(found.flags), deps.config.refinement.max_samples)
    flagged = {
        "samples": len({flag.sample_id for flag in found.flags}),
        **{str(axis): report.flagged for axis, report in found.axes.items()},
    }
    write_signals(
        folder / "signals.parquet",
        table(signals, found.complexity, near, clusters.labels if clusters else {}, found.flags),
    )
    write_json(
        folder / "diagnosis.json",
        {
            "round": number,
            "source_round": source,
            **as_document(found, calibration, clusters, drift),
            "scoring": cost,
            "proof": _proof_figures(deps, source, signals, calibration, found),
            "plan": plan.as_dict(),
        },
    )
    deps.facts.put(
        f"round.{number}.diagnosis",
        {
            "flagged": flagged,
            "axes": {str(axis): report.as_dict() for axis, report in found.axes.items()},
            "cautions": list(found.cautions),
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
    }, f"{flagged['samples']} of {samples.rows} samples flagged ({parts})"


def measure_tuned(
    deps: Deps, tuned: Measuring, prefix: str, number: int, samples: Samples, held: Samples
) -> tuple[Calibration, dict[str, Measured]]:
    """Calibrate quality first, then measure all samples with what earned a weight."""
    config = deps.config
    if Axis.QUALITY in config.signals.axes:
        calibration = calibrate_quality(
            tuned,
            f"{prefix}.calibration",
            samples,
            held,
            rows=config.signals.calibration,
            seed=config.seed,
            advance=advance_in(deps, "diagnose", number, "calibration answers"),
        )
    else:
        calibration = Calibration(False, "not among signals.axes", 0)
    advance = advance_in(deps, "diagnose", number, "signals")
    asks = _with_embedding(calibration)
    measured = tuned.measure(f"{prefix}.tuned", samples, asks, advance, wider=ROW_ASKS)
    return calibration, measured


def scoring_cost(deps: Deps, tuned: Measuring) -> dict[str, Any]:
    """Return what scoring took in this process, and tell of batches that memory was too small for.

    A resumed run counts what it did itself, not what was scored before.
    """
    cost = tuned.scorer.cost()
    if cost["splits"]:
        deps.report(Note(f"memory was too small for {cost['splits']} batches: they were split"))
    return cost


def write_vectors(
    tuned: Measuring, folder: Path, measured: Iterable[str], calibration: Calibration
) -> list[str]:
    """Write `embeddings.parquet` in order of id; return whose embeddings these are."""
    ids, raw = tuned.embeddings(sorted(measured), _with_embedding(calibration))
    write_embeddings(folder / "embeddings.parquet", ids, raw)
    return ids


def map_vectors(
    deps: Deps, folder: Path, name: str, signals: Signals
) -> tuple[Density | None, ClusterMap | None]:
    """Index the embeddings, measure density and find clusters; None where there are too few."""
    ids, vectors = read_embeddings(folder / "embeddings.parquet")
    if len(ids) < FEWEST_VECTORS:
        return None, None
    vectors = centre_and_normalise(vectors)
    index = ChromaIndex(deps.folder / "vectors", name)
    try:
        index.clear()
        index.add(ids, vectors)
        prompts = signals.prompts[signals.embedded]
        near = density(ids, vectors, prompts, index.nearest, deps.config.signals.neighbours)
    finally:
        index.close()
    return near, find_clusters(ids, vectors, near.values, deps.config.seed)


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


def _with_embedding(calibration: Calibration) -> frozenset[Ask]:
    return calibration.asks | {"embedding"}


def _held_quality(
    deps: Deps,
    tuned: Measuring,
    prefix: str,
    number: int,
    held: Version,
    calibration: Calibration,
) -> dict[str, float]:
    """Return the quality of the hold-out rows, so that broken ones are no measure of a round."""
    if not calibration.on or not held.rows:
        return {}
    measured = tuned.measure(
        f"{prefix}.held",
        held,
        calibration.asks,
        advance_in(deps, "diagnose", number, "hold-out signals"),
        wider=ROW_ASKS,
    )
    qualities = {name: calibration.probability(one) for name, one in measured.items()}
    return {name: quality for name, quality in qualities.items() if quality is not None}


def _broken(qualities: dict[str, float], threshold: dict[str, Any] | None) -> list[str]:
    if threshold is None:
        return []
    return sorted(name for name, quality in qualities.items() if quality < threshold["value"])


def _suppressed(deps: Deps, number: int) -> dict[Axis, frozenset[str]]:
    """Return samples not to be flagged again: refused on every attempt, or rolled back since.

    Ids are hashes of content, so a sample whose text changed has another id and starts afresh.
    """
    names: dict[Axis, set[str]] = {axis: set() for axis in Axis}
    for earlier in range(number):
        undone = deps.facts.get(f"round.{earlier + 1}.gate", {}).get("verdict") == "rolled_back"
        fates = deps.facts.get(f"round.{earlier}.fates", {})
        for outcome in deps.ledger.outcomes(earlier):
            fate, _ = fates[outcome.sample_id]
            if fate == "rejected" or (undone and fate == "accepted"):
                names[outcome.axis].add(outcome.sample_id)
    return {axis: frozenset(found) for axis, found in names.items()}


def _drift(deps: Deps, number: int, clusters: ClusterMap | None) -> Match | None:
    before = deps.round_folder(number - 1) / "signals.parquet"
    if clusters is None or number == 0 or not before.exists():
        return None
    rows = read_signals(before, columns=("id", "cluster"))
    previous = {row["id"]: row["cluster"] for row in rows if row["cluster"] is not None}
    return match_clusters(previous, clusters.labels)


def _proof_figures(
    deps: Deps, source: int, signals: Signals, calibration: Calibration, found: Diagnosis
) -> dict[str, Any] | None:
    """Return what proposals of this round are held against; see `agents.prover.Evidence`.

    The measure are the unflagged rows, or all of them where each is flagged. None where no row
    could be scored: then none is flagged, and there is nothing to prove.
    """
    if signals.loss_tuned is None:
        raise ValueError("a round's signals come from base and tuned model")
    flagged = {flag.sample_id for flag in found.flags}
    scored = np.isfinite(signals.loss_tuned)
    if not scored.any():
        return None
    calm = scored & np.array([name not in flagged for name in signals.ids], dtype=np.bool_)
    calm = calm if calm.any() else scored
    losses = signals.loss_tuned[calm]
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
        loss_floor=loss_floor(losses),
        margin=calibration.margin,
        quality_threshold=quality.value if quality and calibration.on else None,
        quality_median=median_quality(signals.quality[calm]) if calibration.on else None,
    )
    ceiling = round(float(losses.max()), 4)
    return {"terms": terms.as_dict(), "loss_ceiling": ceiling, "holdout_rows": len(pairs)}
