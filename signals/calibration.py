"""Calibrate quality on a run's own rows: which broken answers does this model tell from real ones?

Cross-fitting keeps the figures honest, the bootstrap says how far they can be trusted, and what
earns no weight is not measured for the other rows. `signals.quality` holds the result.
"""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..core.measures import Ask, Measured
from .classifiers import Block, Classifiers, OutOfFold, cross_fit, fit_classifiers, fit_odds
from .features import LIKELIHOODS, RATING_SIGNALS, features, log_length
from .quality import Calibration, KindReport, soundness, together
from .roc import auc, auc_resampled, draw_counts

Floats = NDArray[np.float64]

FEWEST_ROWS = 24
FEWEST_CONTROLS = 12
COUNTS_ABOVE = 0.6
REFITS = 40
LITTLE_MASS = 0.2
"""Probability of a rating below which a model doesn't answer in ratings: what is left of them then
says little of the answer. Such a model is asked no more of them."""
ASKS: frozenset[Ask] = frozenset({"alone"})
"""What the signals that are always used need."""


def calibrate(
    real: Mapping[str, Measured],
    controls: Mapping[str, Mapping[str, Measured]],
    seed: int,
    likelihoods: tuple[str, ...] = LIKELIHOODS,
) -> Calibration:
    """Calibrate quality on real rows and their controls.

    The ratings are compared only where each row has them, and kept only where they raise the mean
    out-of-fold AUC over the kinds that count by more than twice that difference's standard error
    (bootstrap over rows, the same resamples for both): six questions are about as many tokens as
    the conversation itself.

    Recoverability, L(p) − L(p|a), is no part of it: beside gain and opening it found nothing more
    with models of 135M to 1.5B parameters, and it is the dearest signal of all.

    `standard_error` is that of a row's quality by refitting: the classifiers are fitted again on
    40 bootstrap resamples of the rows, and the standard deviation of each real row's quality over
    them is averaged.

    Args:
        real: row id -> measurement, with `alone` asked, and `answer_ratings` of all, some or none.
        controls: kind -> row id -> measurement of that control, with `alone`, and `answer_ratings`
            if they are asked of all rows.
        seed: of the run.
        likelihoods: names of the signals to read, without the ratings.
    """
    # Where the chat template ends an answer with no token of its own, no row has `end`.
    ended = any(measured.end is not None for measured in real.values())
    signals = likelihoods if ended else tuple(name for name in likelihoods if name != "end")
    usable = {
        name: real[name] for name in sorted(real) if features(real[name], signals) is not None
    }
    if len(usable) < FEWEST_ROWS:
        reason = f"fewer than {FEWEST_ROWS} rows with answers that can be calibrated on"
        return Calibration(False, reason, len(usable))
    counts = draw_counts(len(usable), np.random.default_rng([seed, 3]))
    chosen = _Trial(usable, controls, signals, ASKS, seed)
    mass = mean_mass(usable.values())
    ratings: dict[str, Any] | None = None
    if mass is not None:
        ratings = {"mass": mass, "added": None, "standard_error": None, "kept": False}
    if ratings is not None and all(
        features(one, RATING_SIGNALS) is not None for one in usable.values()
    ):
        with_ratings: frozenset[Ask] = ASKS | {"ratings"}
        full = _Trial(usable, controls, (*signals, *RATING_SIGNALS), with_ratings, seed)
        ratings |= _compare(chosen, full, counts)
        chosen = full if ratings["kept"] else chosen
    return _report(chosen, counts, seed, ratings)


def mean_mass(measured: Iterable[Measured]) -> float | None:
    """Return the mean probability that the model gives to ratings, 4 decimals.

    None where no row was rated.
    """
    masses = [one.rating_mass for one in measured if one.rating_mass is not None]
    return round(float(np.mean(masses)), 4) if masses else None


class _Trial:
    """One set of signals, cross-fitted."""

    def __init__(
        self,
        real: Mapping[str, Measured],
        controls: Mapping[str, Mapping[str, Measured]],
        signals: tuple[str, ...],
        asks: frozenset[Ask],
        seed: int,
    ) -> None:
        self.asks = asks
        self.signals = signals
        self.real = _block(list(real.values()), signals)
        blocks = {
            kind: _block([found.get(name) for name in real], signals)
            for kind, found in sorted(controls.items())
        }
        self.controls = {
            kind: block
            for kind, block in blocks.items()
            if len(block.present().lengths) >= FEWEST_CONTROLS
        }
        self.unseen: OutOfFold = cross_fit(self.real, self.controls, seed)

    def auc(self, kind: str) -> float:
        return auc(self.unseen.real[kind], self.unseen.controls[kind, kind])

    def resampled(self, kind: str, counts: Floats) -> Floats:
        return auc_resampled(self.unseen.real[kind], self.unseen.controls[kind, kind], counts)

    def counts(self, kind: str, counts: Floats) -> bool:
        return float(np.percentile(self.resampled(kind, counts), 2.5)) > COUNTS_ABOVE


def _block(measured: list[Measured | None], signals: tuple[str, ...]) -> Block:
    missing = np.full(len(signals), np.nan)
    found = [None if m is None else features(m, signals) for m in measured]
    lengths = [np.nan if m is None else log_length(m) for m in measured]
    return Block(np.array([missing if f is None else f for f in found]), np.array(lengths))


def _compare(plain: _Trial, full: _Trial, counts: Floats) -> dict[str, Any]:
    kinds = [
        kind
        for kind in plain.controls
        if kind in full.controls and (plain.counts(kind, counts) or full.counts(kind, counts))
    ]
    if not kinds:
        return {"added": 0.0, "standard_error": None, "kept": False}
    added = float(np.mean([full.auc(kind) - plain.auc(kind) for kind in kinds]))
    drawn = [full.resampled(kind, counts) - plain.resampled(kind, counts) for kind in kinds]
    error = float(np.mean(drawn, axis=0).std())
    return {"added": round(added, 4), "standard_error": round(error, 4), "kept": added > 2 * error}


def _report(
    trial: _Trial, counts: Floats, seed: int, ratings: dict[str, Any] | None
) -> Calibration:
    fitted = fit_classifiers(trial.real, trial.controls)
    kinds = tuple(_kind_report(trial, fitted, kind, counts) for kind in trial.controls)
    counting = [kind.kind for kind in kinds if kind.counts]
    rows = len(trial.real.lengths)
    if not counting:
        reason = "no kind of broken answer is told from real ones by this model"
        return Calibration(
            False, reason, rows, frozenset(), trial.signals, kinds, fitted.scale, ratings=ratings
        )
    sound = together([trial.unseen.real[kind] for kind in counting])
    broken = []
    for of in counting:
        present = np.isfinite(trial.unseen.controls[of, of])
        broken.append(together([trial.unseen.controls[kind, of][present] for kind in counting]))
    slope, intercept = fit_odds(sound, np.concatenate(broken))
    error = _standard_error(trial, counting, slope, intercept, seed)
    return Calibration(
        True,
        "",
        rows,
        trial.asks,
        trial.signals,
        kinds,
        fitted.scale,
        slope,
        intercept,
        error,
        ratings,
    )


def _kind_report(trial: _Trial, fitted: Classifiers, kind: str, counts: Floats) -> KindReport:
    low, high = np.percentile(trial.resampled(kind, counts), [2.5, 97.5])
    block = trial.controls[kind]
    alone = {
        name: round(1 - auc(trial.real.values[:, i], block.values[:, i]), 4)
        for i, name in enumerate(trial.signals)
    }
    present = np.isfinite(block.values).all(axis=1)
    lengths = np.where(present, block.lengths, np.nan)
    alone["log_length"] = round(1 - auc(trial.real.lengths, lengths), 4)
    coefficients, intercept = fitted.models[kind]
    return KindReport(
        kind=kind,
        rows=int(present.sum()),
        auc=round(trial.auc(kind), 4),
        low=round(float(low), 4),
        high=round(float(high), 4),
        counts=trial.counts(kind, counts),
        coefficients=coefficients,
        intercept=intercept,
        alone=alone,
    )


def _standard_error(
    trial: _Trial, counting: list[str], slope: float, intercept: float, seed: int
) -> float:
    rng = np.random.default_rng([seed, 4])
    rows = len(trial.real.lengths)
    qualities = []
    for _ in range(REFITS):
        drawn = rng.integers(rows, size=rows)
        refitted = fit_classifiers(
            trial.real.take(drawn), {kind: trial.controls[kind].take(drawn) for kind in counting}
        )
        odds = together([refitted.logits(kind, trial.real) for kind in counting])
        qualities.append(soundness(odds, slope, intercept))
    return round(float(np.std(qualities, axis=0).mean()), 4)
