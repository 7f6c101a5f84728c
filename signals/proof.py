"""Proof: does the trainee itself find the proposal better? Three decisions on numbers.

A proposal passes on evidence from several signals, so that neither echo nor repetition can win: a
loss alone falls for a phrase repeated, quality alone for a safe but empty answer. Losses of
proposals get the memorisation offset, since the rows that they are compared with were trained on.
Where the quality axis is off, the other bounds decide alone and the numbers say so. Reasons are in
words without numbers: they go into the next attempt's prompt.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..core.records import Verdict
from .density import COPY, density_with
from .thresholds import SOUND

Floats = NDArray[np.float64]

EASY_PERCENTILE = 10.0
DECIMALS = 4

UNREADABLE = "the proposal could not be measured by the model"


@dataclass(frozen=True, slots=True)
class Terms:
    """What a round's diagnosis fixes for all proofs of the round.

    Attributes:
        offset: memorisation offset, nats per token, taken off every proposal's L_m.
        loss_floor: 10th percentile of L_m over unflagged rows.
        margin: twice the standard error of quality; None where the quality axis is off.
        quality_threshold: quality below which rows are flagged; None where the axis is off.
        quality_median: median quality of unflagged rows; None where the axis is off.
    """

    offset: float
    loss_floor: float
    margin: float | None = None
    quality_threshold: float | None = None
    quality_median: float | None = None

    def as_dict(self) -> dict[str, Any]:
        """Return the terms as JSON types; `Terms(**plain)` is the inverse."""
        return asdict(self)


def memorisation_offset(
    base_train: Floats, tuned_train: Floats, base_holdout: Floats, tuned_holdout: Floats
) -> float:
    """Return mean L_b − L_m on training rows minus the same on hold-out rows, nats per token.

    It is what training lowered the loss of the very rows it saw, beyond what it lowered the loss
    of unseen ones. Training can't lower the loss of unseen rows by more than that of seen ones but
    by chance, so the offset is never below zero. Rows where a loss is not finite are left out.

    Raises:
        ValueError: no finite pair on one of the two sides.
    """
    train, holdout = base_train - tuned_train, base_holdout - tuned_holdout
    train, holdout = train[np.isfinite(train)], holdout[np.isfinite(holdout)]
    if not train.size or not holdout.size:
        raise ValueError(
            f"memorisation_offset: {train.size} training and {holdout.size} hold-out rows with"
            " both losses; each side needs at least one"
        )
    return max(round(float(train.mean() - holdout.mean()), DECIMALS), 0.0)


def loss_floor(tuned_losses: Floats) -> float:
    """Return the 10th percentile of L_m over the unflagged rows (float64[n]).

    Raises:
        ValueError: no loss is finite.
    """
    finite = tuned_losses[np.isfinite(tuned_losses)]
    if not finite.size:
        raise ValueError("loss_floor: no unflagged row has a finite loss")
    return round(float(np.percentile(finite, EASY_PERCENTILE)), DECIMALS)


def median_quality(qualities: Floats) -> float | None:
    """Return the median quality of the unflagged rows (float64[n]); None where none is finite."""
    finite = qualities[np.isfinite(qualities)]
    return round(float(np.median(finite)), DECIMALS) if finite.size else None


def prove_complexity(
    terms: Terms,
    *,
    loss: float | None,
    loss_bound: float,
    quality: float | None,
    original_quality: float | None,
) -> Verdict:
    """Decide whether a simplified pair is easy enough, not trivial, and as sound as the original.

    Args:
        terms: of the round.
        loss: L_m of the proposed answer, nats per token, as measured; None if unscored.
        loss_bound: loss above which an answer of the proposal's length is flagged.
        quality: of the proposal; None if unscored or the axis is off.
        original_quality: of the original; None if it was not scored, then the bound of soundness
            takes its place.
    """
    numbers, problems = _loss_bounds(terms, loss, loss_bound)
    if loss is not None and _round(loss - terms.offset) < terms.loss_floor:
        problems.append(
            "the new answer is trivially predictable: it may be empty, repeat itself or echo the"
            " prompt"
        )
    if terms.margin is None:
        numbers["quality"] = "axis off"
    else:
        compared = SOUND if original_quality is None else original_quality
        bound = _round(compared - terms.margin)
        numbers |= {
            "quality": quality,
            "original_quality": original_quality,
            "quality_at_least": bound,
        }
        if quality is None:
            problems.append(UNREADABLE)
        elif _round(quality) < bound:
            problems.append("the new answer fits its prompt less well than the original one did")
    return _verdict("proof.complexity", numbers, problems)


def prove_quality(
    terms: Terms,
    *,
    loss: float | None,
    loss_bound: float,
    quality: float | None,
    original_quality: float | None,
) -> Verdict:
    """Decide whether a repaired pair is clearly sounder than the original, and sound in itself.

    Args:
        terms: of the round.
        loss: L_m of the proposed answer, nats per token, as measured; None if unscored.
        loss_bound: loss above which an answer of the proposal's length counts as complex.
        quality: of the proposal; None if unscored.
        original_quality: of the original, which was flagged for it.

    Raises:
        ValueError: the quality axis is off, so nothing can have been flagged on it.
    """
    if terms.margin is None or terms.quality_threshold is None or original_quality is None:
        raise ValueError("prove_quality: the quality axis is off, nothing was flagged on it")
    numbers, problems = _loss_bounds(terms, loss, loss_bound)
    bound = _round(original_quality + terms.margin)
    numbers |= {
        "quality": quality,
        "original_quality": original_quality,
        "quality_above": bound,
        "quality_threshold": terms.quality_threshold,
    }
    if quality is None:
        problems.append(UNREADABLE)
    elif _round(quality) <= bound:
        problems.append("the new answer is not clearly sounder than the original one")
    elif _round(quality) < terms.quality_threshold:
        problems.append("the new answer still reads like a broken one")
    return _verdict("proof.quality", numbers, problems)


def prove_diversity(
    terms: Terms,
    *,
    similarity: float | None,
    neighbours: Sequence[float],
    nearest: float | None,
    quality: float | None,
    count: int = 2,
) -> Verdict:
    """Decide whether a new sample fills the sparse region, is no copy, and is sound.

    Args:
        terms: of the round.
        similarity: of the new prompt's vector to the sparse original's; None if unscored.
        neighbours: similarities of the original to its nearest others, before.
        nearest: largest similarity of the new vector to any sample; None if unscored.
        quality: of the new sample; None if unscored or the axis is off.
        count: neighbours that density averages.
    """
    numbers: dict[str, Any] = {
        "similarity": similarity,
        "nearest": nearest,
        "nearest_at_most": COPY,
        "density": _round(float(np.mean(neighbours))) if neighbours else None,
        "density_with": None,
    }
    problems: list[str] = []
    if similarity is None or nearest is None:
        problems.append(UNREADABLE)
    else:
        numbers["density_with"] = density_with(neighbours, similarity, count)
        if _round(max(nearest, similarity)) > COPY:
            problems.append("the new prompt is nearly the same as one that is already there")
        elif neighbours and numbers["density_with"] <= numbers["density"]:
            problems.append("the new prompt is too far from the sample that inspired it")
    if terms.quality_median is None:
        numbers["quality"] = "axis off"
    else:
        numbers |= {"quality": quality, "quality_at_least": terms.quality_median}
        if quality is None:
            problems.append(UNREADABLE)
        elif _round(quality) < terms.quality_median:
            problems.append("the new answer is less sound than the usual one")
    return _verdict("proof.diversity", numbers, problems)


def _loss_bounds(
    terms: Terms, loss: float | None, bound: float
) -> tuple[dict[str, Any], list[str]]:
    numbers: dict[str, Any] = {
        "loss": loss,
        "offset": terms.offset,
        "loss_compared": None if loss is None else _round(loss - terms.offset),
        "loss_at_most": _round(bound),
        "loss_at_least": terms.loss_floor,
    }
    if loss is None:
        return numbers, [UNREADABLE]
    if numbers["loss_compared"] > numbers["loss_at_most"]:
        return numbers, ["the new answer is still unusually hard for the model to learn"]
    return numbers, []


def _verdict(name: str, numbers: dict[str, Any], problems: list[str]) -> Verdict:
    return Verdict(name, not problems, numbers, "; ".join(dict.fromkeys(problems)))


def _round(value: float) -> float:
    return round(float(value), DECIMALS)
