"""A diagnosis in words and figures, as a model sees it that plans the round.

It holds no text of a sample. Its figures come from what is stored and rounded, shares with two
decimals, and no times are among them: a run that is resumed asks the same question, and finds the
answer in its ledger.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from ..core.records import Axis
from ..signals.quality import Calibration, KindReport
from .diagnostician import AxisReport, Diagnosis

Curve = Sequence[tuple[float, float]]
TOLD = ((0.9, "clearly"), (0.75, "well"), (0.0, "hardly"))
"""Area under the ROC curve from which on broken answers are told from true ones that well."""


@dataclass(frozen=True, slots=True)
class LastRound:
    """What became of the last round's plan.

    Attributes:
        fates: axis -> fate -> samples.
        gate: what the hold-out said of the model that was trained after it.
    """

    fates: Mapping[Axis, Mapping[str, int]]
    gate: str


def summarise(
    found: Diagnosis,
    calibration: Calibration,
    curves: Mapping[Axis, Curve],
    *,
    rows: int,
    max_samples: int | None,
    fixed: Collection[Axis],
    drift: float | None,
    last: LastRound | None,
) -> str:
    """Return the summary of a diagnosis.

    Args:
        found: the diagnosis, with the thresholds that stand.
        calibration: of quality.
        curves: (k, share of the rows that it would flag now) per axis that is on.
        rows: samples of the data set.
        max_samples: the refine budget; None for no limit.
        fixed: axes whose k a person set.
        drift: share of the samples that changed their cluster since the last round.
        last: the round before; None in round 0.
    """
    flagged = len({flag.sample_id for flag in found.flags})
    lines = [f"{rows} samples, {flagged} flagged. {_budget(flagged, max_samples)}"]
    for axis, report in found.axes.items():
        lines += _axis(axis, report, curves.get(axis, ()), axis in fixed)
    if calibration.on:
        told = ", ".join(_kind(kind) for kind in calibration.kinds)
        lines.append(f"quality tells broken answers from true ones: {told}")
    if drift is not None:
        lines.append(f"drift: {drift:.2f} of the samples changed their cluster")
    lines += [f"caution: {caution}" for caution in found.cautions]
    if last is not None:
        lines += [f"last round, {axis}: {_counts(fates)}" for axis, fates in last.fates.items()]
        lines.append(f"last round, model on the hold-out: {last.gate.replace('_', ' ')}")
    return "\n".join(lines)


def _budget(flagged: int, max_samples: int | None) -> str:
    if max_samples is None or flagged <= max_samples:
        return "All flagged samples can be refined."
    return f"At most {max_samples} can be refined."


def _axis(axis: Axis, report: AxisReport, curve: Curve, fixed: bool) -> list[str]:
    if not report.on or report.k is None or report.threshold is None:
        return [f"{axis}: off"]  # the reason is among the cautions
    text = f"{axis}: on, k {report.k:.2f}, threshold {report.threshold:.2f}"
    text += f", {report.flagged} flagged"
    if report.suppressed:
        text += f", {report.suppressed} left out since their rewrites were refused before"
    if fixed:
        return [text + ", k is fixed"]
    points = ", ".join(f"k {k:.2f} flags {share:.2f}" for k, share in curve)
    return [text, f"{axis}: {points}"]


def _kind(kind: KindReport) -> str:
    if not kind.counts:
        return f"{kind.kind} no"
    return f"{kind.kind} {next(word for area, word in TOLD if kind.auc >= area)}"


def _counts(fates: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {fate}" for fate, count in fates.items())
