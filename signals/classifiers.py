"""One regularised logistic regression per kind of control: real answers against broken ones.

The numeric part of the calibration, on plain arrays. Rows are cross-fitted: a row and its controls
are never split over folds, so no score is of a row that its classifier has seen.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .features import LengthScale, fit_scale
from .logistic import fit_logistic

Floats = NDArray[np.float64]
Indices = NDArray[np.int64]

FOLDS = 5


@dataclass(frozen=True, slots=True)
class Block:
    """Signals of n answers, real or of one kind of control, one per row of the calibration.

    Attributes:
        values: float64[n, f]; NaN in rows without such a control.
        lengths: float64[n], log answer tokens.
    """

    values: Floats
    lengths: Floats

    def take(self, rows: Indices) -> "Block":
        """Return the block of these rows."""
        return Block(self.values[rows], self.lengths[rows])

    def present(self) -> "Block":
        """Return the block without rows that hold NaN."""
        return self.take(np.flatnonzero(np.isfinite(self.values).all(axis=1)))


@dataclass(frozen=True, slots=True)
class Classifiers:
    """A length scale, and per kind coefficients (tuple of f) and intercept on scaled signals."""

    scale: LengthScale
    models: dict[str, tuple[tuple[float, ...], float]]

    def logits(self, kind: str, block: Block) -> Floats:
        """Return log odds of being broken in that way, float64[n], at even prior odds."""
        coefficients, intercept = self.models[kind]
        scaled = self.scale.apply(block.values, block.lengths)
        return np.asarray(scaled @ np.asarray(coefficients) + intercept)


def fit_classifiers(real: Block, controls: Mapping[str, Block]) -> Classifiers:
    """Fit one classifier per kind, real rows and controls weighing the same in total."""
    present = {kind: block.present() for kind, block in controls.items()}
    scale = fit_scale(
        real.values, real.lengths, [(block.values, block.lengths) for block in present.values()]
    )
    sound = scale.apply(real.values, real.lengths)
    models = {
        kind: fit_logistic(sound, scale.apply(block.values, block.lengths))
        for kind, block in present.items()
    }
    return Classifiers(scale, models)


@dataclass(frozen=True, slots=True)
class OutOfFold:
    """Log odds by classifiers that have not seen the row.

    Attributes:
        real: classifier's kind -> float64[n].
        controls: (classifier's kind, control's kind) -> float64[n], NaN without such a control.
    """

    real: dict[str, Floats]
    controls: dict[tuple[str, str], Floats]


def cross_fit(real: Block, controls: Mapping[str, Block], seed: int) -> OutOfFold:
    """Score every row with classifiers fitted on the other folds, drawn from `seed`."""
    rows = len(real.lengths)
    folds = np.random.default_rng([seed, 2]).permutation(rows) % min(FOLDS, rows)
    empty = np.full(rows, np.nan)
    found = OutOfFold(
        {kind: empty.copy() for kind in controls},
        {(kind, other): empty.copy() for kind in controls for other in controls},
    )
    for fold in range(int(folds.max()) + 1):
        inside, outside = np.flatnonzero(folds != fold), np.flatnonzero(folds == fold)
        fitted = fit_classifiers(
            real.take(inside), {kind: block.take(inside) for kind, block in controls.items()}
        )
        for kind in controls:
            found.real[kind][outside] = fitted.logits(kind, real.take(outside))
            for other, block in controls.items():
                found.controls[kind, other][outside] = fitted.logits(kind, block.take(outside))
    return found


def fit_odds(sound: Floats, broken: Floats) -> tuple[float, float]:
    """Fit slope and intercept that turn the summed odds of several kinds into calibrated ones.

    A sum over several kinds is too high even for sound rows; a logistic regression on it (Platt
    1999), sound and broken rows weighing the same in total, undoes that.

    Args:
        sound: float64[n], log of the summed out-of-fold odds of real rows.
        broken: float64[m], the same of controls.
    """
    (slope,), intercept = fit_logistic(sound[:, None], broken[:, None])
    # More log odds must never mean less broken, whatever a handful of rows say.
    return max(slope, 0.05), intercept
