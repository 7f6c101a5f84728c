"""Area under the ROC curve (AUC) of real rows against controls, with intervals.

The interval is a percentile bootstrap over rows (Efron and Tibshirani 1993, chapter 13): a row is
drawn together with its control, since the two are no independent observations, which formulas such
as Hanley and McNeil's assume.
"""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

RESAMPLES = 1000


def draw_counts(rows: int, rng: np.random.Generator, resamples: int = RESAMPLES) -> Floats:
    """Return how often each row is drawn in each bootstrap resample, float64[resamples, rows]."""
    return rng.multinomial(rows, np.full(rows, 1 / rows), size=resamples).astype(np.float64)


def auc(real: Floats, control: Floats) -> float:
    """Return the share of (real, control) pairs in which the control scores higher; ties half.

    Args:
        real: float64[n], no NaN.
        control: float64[n]; NaN where a row has no control of this kind.
    """
    return float(_wins(real, control)[:, np.isfinite(control)].mean())


def auc_resampled(real: Floats, control: Floats, counts: Floats) -> Floats:
    """Return the AUC of each bootstrap resample, float64[resamples].

    Args:
        real: float64[n], no NaN.
        control: float64[n]; NaN where a row has no control of this kind.
        counts: from `draw_counts`; a resample without any control counts as 0.5.
    """
    wins = _wins(real, control)
    of_control = counts * np.isfinite(control)
    pairs = counts.sum(axis=1) * of_control.sum(axis=1)
    won = ((counts @ wins) * of_control).sum(axis=1)
    return np.asarray(np.where(pairs > 0, won / np.maximum(pairs, 1), 0.5))


def _wins(real: Floats, control: Floats) -> Floats:
    above = (control[None, :] > real[:, None]).astype(np.float64)
    return np.asarray(above + 0.5 * (control[None, :] == real[:, None]))
