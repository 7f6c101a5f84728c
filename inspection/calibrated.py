"""The calibration of quality as a table: which ways of breaking an answer the model can tell."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from .figures import percent


@dataclass(frozen=True, slots=True)
class Kind:
    """One way of breaking an answer, and how well the broken ones were told from the true ones.

    Attributes:
        name: of the way.
        rows: answers that were broken so.
        auc: area under the ROC curve, out of fold.
        low: lower end of its 95 % interval.
        high: upper end.
        counts: whether quality uses it.
        best: the signal that tells most alone; empty where none is used.
        best_auc: its area, on whichever side it tells.
    """

    name: str
    rows: int
    auc: float
    low: float
    high: float
    counts: bool
    best: str
    best_auc: float


def kinds(calibration: Mapping[str, Any]) -> tuple[Kind, ...]:
    """Return a row per kind of the calibration in `diagnosis.json`."""
    return tuple(_kind(one, calibration["signals"]) for one in calibration["kinds"])


def _kind(plain: Mapping[str, Any], signals: list[str]) -> Kind:
    alone = [
        (max(area, 1 - area), name) for name, area in plain["alone"].items() if name in signals
    ]
    area, name = min(alone, key=lambda item: (-item[0], item[1]), default=(0.0, ""))
    best = name.removeprefix("rating_").replace("_", " ")
    figures = (plain["rows"], plain["auc"], plain["low"], plain["high"], plain["counts"])
    return Kind(plain["kind"], *figures, best, area)


def ratings(trial: Mapping[str, Any] | None) -> str:
    """Say whether the model's own ratings, which cost extra, earned it; empty if untried."""
    if trial is None:
        return ""
    if trial["added"] is None:
        share = percent(trial["mass"])
        return f"The model's own ratings: not computed, it gives them {share} of its probability"
    error = trial["standard_error"]
    change = f"the mean area changes by {trial['added']:+.4f}"
    change += "" if error is None else f" (standard error {error:.4f})"
    verdict = "used" if trial["kept"] else "not used, too little for the cost"
    return f"The model's own ratings: {change}; {verdict}"
