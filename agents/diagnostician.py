"""The diagnostician: from signals to thresholds, flags and cautions. Deterministic.

Thresholds come from outside (`agents.reference`) and are the same in every round, so that the
number of flags can fall to zero and a run can end. An axis that can't be trusted is off and says
why; it never sends noise to paid models.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..core.config import SignalsConfig
from ..core.records import Axis, Flag
from ..curation.selection import select
from ..signals.clusters import ClusterMap, Match
from ..signals.density import Density
from ..signals.quality import Calibration
from .reference import Reference, complexity_parts
from .signal_table import Signals

MUCH_DRIFT = 0.5
MUCH_OVERLAP = 0.5


@dataclass(frozen=True, slots=True)
class AxisReport:
    """One axis of a diagnosis, for people: is it on, what is its bound, what did it flag?"""

    on: bool
    reason: str
    k: float | None
    threshold: float | None
    flagged: int
    suppressed: int

    def as_dict(self) -> dict[str, Any]:
        """Return JSON types."""
        return {
            "on": self.on,
            "reason": self.reason,
            "k": self.k,
            "threshold": self.threshold,
            "flagged": self.flagged,
            "suppressed": self.suppressed,
        }


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """What the diagnostician found.

    Attributes:
        flags: one per sample and axis to refine, in order of axis, then id.
        beyond: samples beyond a threshold: the flagged ones, whatever `signals.selection` sends to
            refinement instead.
        axes: a report per configured axis.
        cautions: what a reader should know before trusting the figures.
        complexity: float64[n], the score of each sample in order of id.
        reference: the thresholds that were applied.
        shift: change of the tuned model's hold-out mean since they were fitted, nats per token.
    """

    flags: tuple[Flag, ...]
    beyond: frozenset[str]
    axes: dict[Axis, AxisReport]
    cautions: tuple[str, ...]
    complexity: NDArray[np.float64]
    reference: Reference
    shift: float


def diagnose(
    signals: Signals,
    density: Density | None,
    calibration: Calibration,
    reference: Reference,
    config: SignalsConfig,
    *,
    holdout_loss: float | None,
    suppressed: Mapping[Axis, frozenset[str]],
    clusters: ClusterMap | None,
    drift: Match | None,
    seed: int,
    number: int,
) -> Diagnosis:
    """Apply the thresholds, and select by them what is refined, or without them.

    Args:
        signals: of the data set.
        density: of its embedded samples; None where the axis is off.
        calibration: of quality.
        reference: thresholds of the first diagnosis.
        config: which axes to look at.
        holdout_loss: the tuned model's mean hold-out loss now.
        suppressed: samples whose proposals were all refused on an axis; not flagged there again.
        clusters: the map of the data set.
        drift: how the map changed since the last diagnosis.
        seed: of the run, for samples that are drawn.
        number: of the round, for the same.
    """
    shift = 0.0
    if holdout_loss is not None and reference.holdout_loss is not None:
        shift = round(holdout_loss - reference.holdout_loss, 4)
    answers, prompts = complexity_parts(reference.complexity, signals, shift)
    scores = np.maximum(answers, prompts)
    found = {
        Axis.COMPLEXITY: _complexity(signals, answers, prompts, reference),
        Axis.DIVERSITY: _diversity(signals, density, reference),
        Axis.QUALITY: _quality(signals, calibration, reference),
    }
    flags: list[Flag] = []
    reports: dict[Axis, AxisReport] = {}
    for axis in Axis:
        if axis not in config.axes:
            reports[axis] = AxisReport(False, "not among signals.axes", None, None, 0, 0)
            continue
        candidates, report = found[axis]
        kept = [flag for flag in candidates if flag.sample_id not in suppressed[axis]]
        flags += kept
        reports[axis] = AxisReport(
            report.on,
            report.reason,
            report.k,
            report.threshold,
            len(kept),
            len(candidates) - len(kept),
        )
    cautions = _cautions(signals, calibration, reference, reports, flags, clusters, drift)
    beyond = frozenset(flag.sample_id for flag in flags)
    if config.selection != "signals":
        able = _able(signals, density, scores, reports, suppressed)
        bounds = {axis: reports[axis].threshold or 0.0 for axis in able}
        flags = select(flags, able, bounds, how=config.selection, seed=seed, round=number)
        count = len({flag.sample_id for flag in flags})
        cautions = (_told(config.selection, count, len(beyond)), *cautions)
        for axis in able:
            mine = sum(flag.axis is axis for flag in flags)
            reports[axis] = replace(reports[axis], flagged=mine)
    return Diagnosis(tuple(flags), beyond, reports, cautions, scores, reference, shift)


def _able(
    signals: Signals,
    density: Density | None,
    complexity: NDArray[np.float64],
    reports: Mapping[Axis, AxisReport],
    suppressed: Mapping[Axis, frozenset[str]],
) -> dict[Axis, dict[str, float]]:
    """Return the samples that can be refined on each axis that is on, with their scores."""
    sparse = np.full(len(signals.ids), np.nan)
    if density is not None:
        sparse[signals.embedded] = density.values
    columns = {
        Axis.COMPLEXITY: complexity,
        Axis.DIVERSITY: sparse,
        Axis.QUALITY: signals.quality,
    }
    return {
        axis: {
            name: float(score)
            for name, score, why in zip(signals.ids, column, signals.unscored, strict=True)
            if why is None and np.isfinite(score) and name not in suppressed[axis]
        }
        for axis, column in columns.items()
        if reports[axis].on
    }


def _told(selection: str, count: int, flagged: int) -> str:
    """Say what is refined instead of what the signals flag."""
    how = "drawn at random" if selection == "random" else "all that can be"
    return (
        f"signals.selection is {selection}: {count} samples are refined, {how}, in place of the"
        f" {flagged} that the signals flag"
    )


def _complexity(
    signals: Signals,
    answers: NDArray[np.float64],
    prompts: NDArray[np.float64],
    reference: Reference,
) -> tuple[list[Flag], AxisReport]:
    model, k = reference.complexity, reference.complexity_k.k
    if not model.on:
        return [], _off(model.reason)
    hard = f"loss unusually high under {'base and tuned model' if model.tuned else 'base model'}"
    odd = "prompt unusually unlikely for its length"
    flags = []
    for name, answer, prompt in zip(signals.ids, answers.tolist(), prompts.tolist(), strict=True):
        reasons = [text for text, score in ((hard, answer), (odd, prompt)) if score > k]
        if reasons:
            score = max(answer, prompt)
            flags.append(Flag(name, Axis.COMPLEXITY, score, k, "; ".join(reasons)))
    reason = "" if model.tuned else "no tuned model: the base model's loss alone decides"
    return flags, AxisReport(True, reason, k, k, 0, 0)


def _diversity(
    signals: Signals, density: Density | None, reference: Reference
) -> tuple[list[Flag], AxisReport]:
    bound = reference.diversity
    if density is None or bound is None:
        return [], _off("too few samples with an embedding")
    finite = signals.quality[np.isfinite(signals.quality)]
    median = float(np.median(finite)) if finite.size else None
    flags = []
    sparse = np.flatnonzero(bound.flags(density.values))
    for place in sparse:
        i = int(signals.embedded[place])
        # A broken sample is no seed for a new one; one whose answer is too short to judge may be.
        if median is None or not signals.quality[i] < median:
            score = float(density.values[place])
            reason = "far from its nearest neighbours"
            flags.append(Flag(signals.ids[i], Axis.DIVERSITY, score, bound.value, reason))
    return flags, AxisReport(True, "", bound.k, bound.value, 0, 0)


def _quality(
    signals: Signals, calibration: Calibration, reference: Reference
) -> tuple[list[Flag], AxisReport]:
    bound = reference.quality
    if not calibration.on:
        return [], _off(calibration.reason)
    if bound is None:
        return [], _off("the axis was off at the first diagnosis")
    flags = []
    for i in np.flatnonzero(bound.flags(signals.quality)):
        reason = f"more like a broken answer ({signals.likeness[int(i)]}) than like a sound one"
        flags.append(
            Flag(signals.ids[i], Axis.QUALITY, float(signals.quality[i]), bound.value, reason)
        )
    return flags, AxisReport(True, "", bound.k, bound.value, 0, 0)


def _off(reason: str) -> AxisReport:
    return AxisReport(False, reason, None, None, 0, 0)


def _cautions(
    signals: Signals,
    calibration: Calibration,
    reference: Reference,
    reports: dict[Axis, AxisReport],
    flags: list[Flag],
    clusters: ClusterMap | None,
    drift: Match | None,
) -> tuple[str, ...]:
    cautions = [
        f"{axis} is off: {report.reason}" for axis, report in reports.items() if not report.on
    ]
    if reference.complexity.one_model:
        cautions.append(
            f"base and tuned losses correlate at {reference.complexity.correlation}: for"
            " complexity the two models are one"
        )
    if calibration.ratings is not None and (told := _ratings(calibration.ratings)):
        cautions.append(told)
    by_axis = {axis: {f.sample_id for f in flags if f.axis is axis} for axis in Axis}
    for one, other in ((Axis.COMPLEXITY, Axis.QUALITY), (Axis.COMPLEXITY, Axis.DIVERSITY)):
        small = min(len(by_axis[one]), len(by_axis[other]))
        common = len(by_axis[one] & by_axis[other])
        if small >= 4 and common / small > MUCH_OVERLAP:
            cautions.append(f"{one} and {other} flag mostly the same samples ({common} in common)")
    if drift is not None and drift.drift is not None and drift.drift > MUCH_DRIFT:
        cautions.append(f"{drift.drift:.0%} of the samples changed their cluster since last time")
    if clusters is not None and clusters.method == "single":
        cautions.append("the data set is too small or too uniform for clusters")
    missing = Counter(reason for reason in signals.unscored if reason)
    cautions += [f"{count} samples unscored: {reason}" for reason, count in sorted(missing.items())]
    return tuple(cautions)


def _ratings(trial: Mapping[str, Any]) -> str | None:
    """Return why the model's own ratings are not computed; None where they are."""
    if trial["kept"]:
        return None
    if trial["added"] is None:
        return (
            f"the model gives ratings only {trial['mass']:.0%} of its probability: it can't judge,"
            " so they are not computed"
        )
    return "the model's own ratings tell nothing here and are not computed"
