"""Survey: measure every sample with base and tuned model, and map the data set."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..agents.calibrating import OF_PROMPT, ROW_ASKS, calibrate_quality
from ..agents.measuring import Measuring
from ..agents.signal_table import Signals, collect
from ..core.measures import Ask, Measured
from ..core.progress import Note
from ..core.records import Axis
from ..signals.clusters import ClusterMap, Match, find_clusters, match_clusters
from ..signals.density import Density, centre_and_normalise, density
from ..signals.quality import Calibration
from ..stores.samples import Version
from ..stores.tables import read_embeddings, read_signals, write_embeddings
from ..stores.vectors import ChromaIndex
from .deps import Deps
from .reporting import advance_in
from .samples import Samples

FEWEST_VECTORS = 8


@dataclass(frozen=True, slots=True)
class Survey:
    """What was measured of a round's data set.

    Attributes:
        signals: of every sample.
        near: density of the embedded samples; None where there are too few.
        calibration: of quality.
        clusters: the map of the data set; None where there are too few embeddings.
        drift: how the map changed since the last round.
        held_quality: quality of the hold-out rows by id.
        holdout_loss: the tuned model's mean loss on all hold-out rows, nats per token.
        cost: what scoring took.
    """

    signals: Signals
    near: Density | None
    calibration: Calibration
    clusters: ClusterMap | None
    drift: Match | None
    held_quality: dict[str, float]
    holdout_loss: float | None
    cost: dict[str, Any]


def survey_round(deps: Deps, number: int, source: int) -> Survey:
    """Measure the data of round `source` with its model, for the diagnosis of round `number`."""
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
    return Survey(
        signals=signals,
        near=near,
        calibration=calibration,
        clusters=clusters,
        drift=_drift(deps, number, clusters),
        held_quality=held_quality,
        holdout_loss=deps.facts.get(f"round.{source}.evaluation")["all_rows"]["loss"],
        cost=cost,
    )


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
    asks = _row_asks(calibration)
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
    ids, raw = tuned.embeddings(sorted(measured), _row_asks(calibration))
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


def _row_asks(calibration: Calibration) -> frozenset[Ask]:
    return calibration.asks | OF_PROMPT


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


def _drift(deps: Deps, number: int, clusters: ClusterMap | None) -> Match | None:
    before = deps.round_folder(number - 1) / "signals.parquet"
    if clusters is None or number == 0 or not before.exists():
        return None
    rows = read_signals(before, columns=("id", "cluster"))
    previous = {row["id"]: row["cluster"] for row in rows if row["cluster"] is not None}
    return match_clusters(previous, clusters.labels)
