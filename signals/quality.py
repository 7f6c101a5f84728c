"""Quality: the chance that an answer is sound, by signals that calibrated themselves on the data.

Real answers are set against control answers made from them (`signals.controls`), per kind of
control. A kind counts where its classifier finds unseen controls: the lower 95 % bound of its
out-of-fold area under the ROC curve is above 0.6. Quality is 1 − the probability of being broken in
any of the ways that count: the odds of the kinds are added, and the sum is calibrated.

The probability is at even odds: as if a row were as likely to be broken in one of these ways as to
be sound. Nobody knows the true share of broken rows; with even odds quality < 0.5 reads "more like
a broken answer than like a real one", and the worst share of a data set, which a flag needs too,
keeps false alarms rare where nearly all rows are sound.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..core.measures import Ask, Measured
from .classifiers import Block, Classifiers
from .features import LengthScale, features, log_length, scale_from

Floats = NDArray[np.float64]

SHORTEST_ANSWER = 8
"""Tokens; calibration never saw answers shorter than this, and takes their signals for damage."""


@dataclass(frozen=True, slots=True)
class KindReport:
    """How well one kind of control is found.

    Attributes:
        kind: of control.
        rows: controls of this kind.
        auc: out-of-fold area under the ROC curve.
        low: lower end of its 95 % interval.
        high: upper end.
        counts: whether `low` is above 0.6.
        coefficients: of the final classifier, per scaled signal; positive means broken.
        intercept: of the final classifier.
        alone: per signal (and `log_length`) the share of (real, control) pairs in which the real
            answer has the higher value: 0.5 tells nothing, far from it on either side tells much.
    """

    kind: str
    rows: int
    auc: float
    low: float
    high: float
    counts: bool
    coefficients: tuple[float, ...]
    intercept: float
    alone: dict[str, float]


@dataclass(frozen=True, slots=True)
class Calibration:
    """The quality axis of a round: fitted classifiers, or why there are none.

    Attributes:
        on: whether quality can be told at all.
        reason: why not; empty where it is on.
        rows: real rows that the calibration used.
        asks: what must be measured for `probability`; empty where the axis is off.
        signals: names in the order of the coefficients.
        kinds: one report per kind of control.
        scale: length trend and unit of each signal; None where off before any fit.
        slope: of the odds' calibration over several kinds.
        intercept: of the same.
        standard_error: of a row's quality, see `signals.calibration`.
        ratings: `mass`, the mean probability that the model gives to ratings; `added`, the mean
            AUC that they add, and its `standard_error`, None where they were not asked of all
            rows; whether they were `kept`. None where no ratings were measured.
    """

    on: bool
    reason: str
    rows: int
    asks: frozenset[Ask] = frozenset()
    signals: tuple[str, ...] = ()
    kinds: tuple[KindReport, ...] = ()
    scale: LengthScale | None = None
    slope: float = 1.0
    intercept: float = 0.0
    standard_error: float | None = None
    ratings: dict[str, Any] | None = None

    @property
    def margin(self) -> float | None:
        """The proof's margin: twice the standard error of a row's quality; None where off."""
        if not self.on or self.standard_error is None:
            return None
        return round(2 * self.standard_error, 4)

    def probability(self, measured: Measured) -> float | None:
        """Return the quality of an answer, the chance that it is sound, 4 decimals.

        None where the axis is off, the answer has fewer than 8 tokens, or the measurement lacks a
        signal that the calibration uses.
        """
        odds = self._odds(measured)
        if not odds:
            return None
        both = together([np.array(value) for value in odds.values()])
        return round(float(soundness(both, self.slope, self.intercept)), 4)

    def likeness(self, measured: Measured) -> str | None:
        """Return the kind of control that the answer is most like; None as in `probability`."""
        odds = self._odds(measured)
        return max(sorted(odds), key=lambda kind: odds[kind]) if odds else None

    def _odds(self, measured: Measured) -> dict[str, float]:
        if not self.on or self.scale is None or measured.answer_tokens < SHORTEST_ANSWER:
            return {}
        values = features(measured, self.signals)
        if values is None:
            return {}
        counting = {k.kind: (k.coefficients, k.intercept) for k in self.kinds if k.counts}
        block = Block(values[None, :], np.array([log_length(measured)]))
        fitted = Classifiers(self.scale, counting)
        return {kind: float(fitted.logits(kind, block)[0]) for kind in counting}

    def as_dict(self) -> dict[str, Any]:
        """Return the calibration as JSON types; `calibration_from` is the inverse."""
        plain = asdict(self)
        plain["asks"] = sorted(self.asks)
        plain["signals"] = list(self.signals)
        plain["scale"] = self.scale and self.scale.as_dict()
        plain["kinds"] = [{**k, "coefficients": list(k["coefficients"])} for k in plain["kinds"]]
        return plain


def calibration_from(plain: dict[str, Any]) -> Calibration:
    """Rebuild a calibration from `Calibration.as_dict`."""
    kinds = [KindReport(**{**k, "coefficients": tuple(k["coefficients"])}) for k in plain["kinds"]]
    rebuilt = {
        "asks": frozenset(plain["asks"]),
        "signals": tuple(plain["signals"]),
        "kinds": tuple(kinds),
        "scale": None if plain["scale"] is None else scale_from(plain["scale"]),
    }
    return Calibration(**{**plain, **rebuilt})


def soundness(odds: Floats, slope: float, intercept: float) -> Floats:
    """Return 1 − the probability of being broken: the logistic function of −(log odds)."""
    return np.asarray(0.5 * (1 - np.tanh((slope * odds + intercept) / 2)))


def together(odds: Sequence[Floats]) -> Floats:
    """Return the log of the summed odds of several kinds, each given as log odds float64[n].

    A row can be broken in one way or another: with the same prior for each kind, the odds of any of
    them against sound are the sum.
    """
    return np.asarray(np.logaddexp.reduce(list(odds), axis=0))
