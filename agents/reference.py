"""The thresholds of a run: fitted at the first diagnosis and kept, so that a run can end.

What is fitted (centres, spreads, means) never moves. A plan may move k, and with it the bound that
k gives; see `agents.planner`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..core.config import SignalsConfig
from ..core.records import Axis
from ..signals.complexity import ComplexityModel, complexity_from, fit_complexity
from ..signals.density import Density
from ..signals.thresholds import (
    DECIMALS,
    SOUND,
    Choice,
    Threshold,
    choice_from,
    choose_k,
    fit_threshold,
    threshold_from,
)
from .signal_table import Signals, floats

Floats = NDArray[np.float64]

_LOSSES = ("loss_base", "loss_tuned", "loss_prompt")
_LENGTHS = ("answer_tokens", "prompt_tokens")
COMPLEXITY_COLUMNS = (*_LOSSES, *_LENGTHS)
"""Columns of `signals.parquet` that complexity is computed from."""

CAPS: Mapping[Axis, float | None] = {Axis.DIVERSITY: None, Axis.QUALITY: SOUND}
"""The largest bound of the axes whose low values are bad."""


@dataclass(frozen=True, slots=True)
class Reference:
    """The thresholds that a diagnosis applies.

    Attributes:
        complexity: usual losses per length of answers and prompts.
        complexity_k: factor of the spread above which a row is flagged.
        diversity: lower bound of density; None where the axis was off.
        quality: lower bound of quality; None where the axis was off.
        holdout_loss: the tuned model's mean hold-out loss at that time, nats per token.
    """

    complexity: ComplexityModel
    complexity_k: Choice
    diversity: Threshold | None
    quality: Threshold | None
    holdout_loss: float | None

    def prompt_alone(self, row: Mapping[str, Any], shift: float) -> bool:
        """Return whether a sample is complex for its prompt and not for its answer.

        Args:
            row: of `signals.parquet`, `COMPLEXITY_COLUMNS` among its columns.
            shift: as in `ComplexityModel.score`.
        """
        answers, prompts = parts_of_rows(self.complexity, [row], shift)
        return bool(prompts[0] > self.complexity_k.k >= answers[0])

    def share(self, axis: Axis, k: float, values: Floats) -> float:
        """Return the share of the finite values that k would flag on an axis, 4 decimals.

        Args:
            axis: one that was on at the fit.
            k: factor of the spread.
            values: float64[n]: scores of complexity, or values of density or quality.
        """
        if axis is Axis.COMPLEXITY:
            finite = values[np.isfinite(values)]
            return round(float((finite > k).sum() / max(finite.size, 1)), DECIMALS)
        return self._threshold(axis).moved(k, values, CAPS[axis]).choice.share

    def moved(self, axis: Axis, k: float, values: Floats) -> "Reference":
        """Return the reference with another k on one axis; all that was fitted stays.

        Arguments as in `share`.
        """
        if axis is Axis.COMPLEXITY:
            share = self.share(axis, k, values)
            return replace(self, complexity_k=self.complexity_k.moved(k, share))
        moved = self._threshold(axis).moved(k, values, CAPS[axis])
        if axis is Axis.DIVERSITY:
            return replace(self, diversity=moved)
        return replace(self, quality=moved)

    def _threshold(self, axis: Axis) -> Threshold:
        found = self.diversity if axis is Axis.DIVERSITY else self.quality
        if found is None:
            raise ValueError(f"Reference: {axis} was off at the first diagnosis")
        return found

    def as_dict(self) -> dict[str, Any]:
        """Return JSON types; `reference_from` is the inverse."""
        return {
            "complexity": self.complexity.as_dict(),
            "complexity_k": self.complexity_k.as_dict(),
            "diversity": self.diversity and self.diversity.as_dict(),
            "quality": self.quality and self.quality.as_dict(),
            "holdout_loss": self.holdout_loss,
        }


def reference_from(plain: dict[str, Any]) -> Reference:
    """Rebuild a reference from `Reference.as_dict`."""
    thresholds = {
        key: None if plain[key] is None else threshold_from(plain[key])
        for key in ("diversity", "quality")
    }
    return Reference(
        complexity=complexity_from(plain["complexity"]),
        complexity_k=choice_from(plain["complexity_k"]),
        holdout_loss=plain["holdout_loss"],
        **thresholds,
    )


def complexity_parts(
    model: ComplexityModel, signals: Signals, shift: float = 0.0
) -> tuple[Floats, Floats]:
    """Return the complexity of each sample's answer and of its prompt, both float64[n].

    A prompt is not judged where its answer can't be: no rewrite of such a row could be proved.

    Args:
        model: what is usual.
        signals: of the data set.
        shift: as in `ComplexityModel.score`.
    """
    answers = model.score(signals.loss_base, signals.loss_tuned, signals.answer_tokens, shift)
    return _judged(answers, model.score_prompts(signals.loss_prompt, signals.prompt_tokens))


def parts_of_rows(
    model: ComplexityModel, rows: Sequence[Mapping[str, Any]], shift: float = 0.0
) -> tuple[Floats, Floats]:
    """Return `complexity_parts` of rows of `signals.parquet` with their `COMPLEXITY_COLUMNS`."""
    base, tuned, prompt = (floats(row[key] for row in rows) for key in _LOSSES)
    answer_tokens, prompt_tokens = (
        np.array([row[key] or 0 for row in rows], dtype=np.int64) for key in _LENGTHS
    )
    answers = model.score(base, tuned if model.tuned else None, answer_tokens, shift)
    return _judged(answers, model.score_prompts(prompt, prompt_tokens))


def _judged(answers: Floats, prompts: Floats) -> tuple[Floats, Floats]:
    return answers, np.where(np.isfinite(answers), prompts, -np.inf)


def fit_reference(
    signals: Signals, density: Density | None, config: SignalsConfig, holdout_loss: float | None
) -> Reference:
    """Choose the thresholds from a first look at the data."""
    complexity = fit_complexity(
        signals.loss_base,
        signals.loss_tuned,
        signals.answer_tokens,
        (signals.loss_prompt, signals.prompt_tokens),
    )
    scores = np.maximum(*complexity_parts(complexity, signals))
    k = {axis: config.k.get(axis) for axis in Axis}
    sparse = None
    if density is not None and np.isfinite(density.values).any():
        sparse = fit_threshold(density.values, config.share, fixed=k[Axis.DIVERSITY])
    weak = None
    if np.isfinite(signals.quality).any():
        weak = fit_threshold(
            signals.quality, config.share, fixed=k[Axis.QUALITY], cap=CAPS[Axis.QUALITY]
        )
    return Reference(
        complexity=complexity,
        complexity_k=choose_k(scores, config.share, fixed=k[Axis.COMPLEXITY]),
        diversity=sparse,
        quality=weak,
        holdout_loss=holdout_loss,
    )
