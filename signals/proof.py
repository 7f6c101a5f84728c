"""Proof: does the trainee itself find the proposal better? Three decisions on numbers.

A proposal passes on evidence from several signals, so that neither echo nor repetition can win: a
low loss alone falls for a phrase repeated, quality alone for an echo that its controls did not
show. So on every axis an answer must be sound *and* not trivially predictable. Losses of new
answers get the memorisation offset, since the rows that they are compared with were trained on.
Where the quality axis is off, the other bounds decide alone and the numbers say so. Reasons are in
words without numbers: they go into the next attempt's prompt.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..core.records import Verdict
from .complexity import SHORTEST_ANSWER
from .density import density_with
from .thresholds import SOUND

Floats = NDArray[np.float64]

EASY_PERCENTILE = 10.0
KEPT = 0.5
"""Of its loss an answer that stays must keep so much under a new prompt: less is left by a prompt
that gives it away. Plainer prompts left 0.94 to 1.01 of it in the repair benchmark."""
NEAR_COPY = 0.95
"""Similarity above which a new prompt is one that is there already, but for a polite word."""
DECIMALS = 4

UNREADABLE = "the proposal could not be measured by the model"
TOO_SHORT = "the new answer is too short to be judged"
TRIVIAL = (
    "the new answer is trivially predictable: it may be empty, repeat itself or echo the prompt"
)
GIVEN_AWAY = "under the new prompt the answer is trivially predictable: it may be given away there"
HARD = "the new answer is still unusually hard for the model to learn"
STILL_HARD = "under the new prompt the answer is still unusually hard for the model to learn"


@dataclass(frozen=True, slots=True)
class Terms:
    """What a round's diagnosis fixes for all proofs of the round.

    Attributes:
        offset: memorisation offset, nats per token, taken off the L_m of every new answer.
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
    train, holdout = _lowered(base_train, tuned_train), _lowered(base_holdout, tuned_holdout)
    if not train.size or not holdout.size:
        raise ValueError(
            f"memorisation_offset: {train.size} training and {holdout.size} hold-out rows with"
            " both losses; each side needs at least one"
        )
    return max(round(float(train.mean() - holdout.mean()), DECIMALS), 0.0)


def _lowered(base: Floats, tuned: Floats) -> Floats:
    """Return L_b − L_m of the rows where both are finite."""
    both = np.isfinite(base) & np.isfinite(tuned)
    return np.asarray(base[both] - tuned[both])


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


def fewest_tokens(original_tokens: int | None) -> int:
    """Return the fewest tokens of an answer that a proof can judge.

    Losses and quality of shorter answers say little; where the original is as short, its own
    length is enough.
    """
    return SHORTEST_ANSWER if original_tokens is None else min(SHORTEST_ANSWER, original_tokens)


def prove_complexity(
    terms: Terms,
    *,
    loss: float | None,
    loss_bound: float,
    prompt_loss: float | None = None,
    prompt_loss_bound: float | None = None,
    kept_loss: float | None = None,
    quality: float | None,
    original_quality: float | None,
) -> Verdict:
    """Decide whether a simplified pair is easy enough, not trivial, and as sound as the original.

    Where the original itself looks broken, "as sound" is no bound: the answer must then be more
    likely sound than broken.

    Args:
        terms: of the round.
        loss: L_m of the proposed answer, nats per token, as measured; None if unscored.
        loss_bound: loss above which the answer is still complex.
        prompt_loss: L(p) of the proposed prompt, nats per token; None if it was not measured. It
            gets no offset, since no training sees a prompt's loss.
        prompt_loss_bound: L(p) above which the prompt is still complex; None where none is.
        kept_loss: L_m of the original where its answer stays word for word; None where it is new.
        quality: of the proposal; None if unscored or the axis is off.
        original_quality: of the original; None if it was not scored.
    """
    numbers, problems = _loss_bounds(terms, loss, loss_bound, kept_loss)
    if prompt_loss_bound is not None:
        numbers |= {"prompt_loss": prompt_loss, "prompt_loss_at_most": _round(prompt_loss_bound)}
        if prompt_loss is None:
            problems.append(UNREADABLE)
        elif _round(prompt_loss) > _round(prompt_loss_bound):
            problems.append("the new prompt still reads unusually for the model")
    if terms.margin is None:
        numbers["quality"] = "axis off"
    else:
        as_sound = SOUND if original_quality is None else original_quality - terms.margin
        bound = _round(max(as_sound, SOUND))
        numbers |= {
            "quality": quality,
            "original_quality": original_quality,
            "quality_at_least": bound,
        }
        if quality is None:
            problems.append(UNREADABLE)
        elif _round(quality) < bound:
            problems.append(
                "the answer fits the new prompt less well than it did the original one"
                if kept_loss is not None
                else "the new answer fits its prompt less well than the original one did"
            )
    return _verdict("proof.complexity", numbers, problems)


def prove_quality(
    terms: Terms,
    *,
    loss: float | None,
    quality: float | None,
    original_quality: float | None,
) -> Verdict:
    """Decide whether a repaired pair is clearly sounder than the original, and sound in itself.

    Sound in itself is more than the threshold of the flag, which only the worst rows fall below:
    by more than the margin the answer must be more likely sound than broken. The loss has no upper
    bound: a hard answer is no broken one, and such a bound refused true answers (docs/results.md).

    Args:
        terms: of the round.
        loss: L_m of the proposed answer, nats per token, as measured; None if unscored.
        quality: of the proposal; None if unscored.
        original_quality: of the original, which was flagged for it.

    Raises:
        ValueError: the quality axis is off, so nothing can have been flagged on it.
    """
    if terms.margin is None or terms.quality_threshold is None or original_quality is None:
        raise ValueError("prove_quality: the quality axis is off, nothing was flagged on it")
    numbers, problems = _loss_bounds(terms, loss, None)
    bound, sound = _round(original_quality + terms.margin), _round(SOUND + terms.margin)
    numbers |= {
        "quality": quality,
        "original_quality": original_quality,
        "quality_above": bound,
        "quality_at_least": sound,
    }
    if quality is None:
        problems.append(UNREADABLE)
    elif _round(quality) <= bound:
        problems.append("the new answer is not clearly sounder than the original one")
    elif _round(quality) < sound:
        problems.append("the new answer still reads like a broken one")
    return _verdict("proof.quality", numbers, problems)


def prove_diversity(
    terms: Terms,
    *,
    similarity: float | None,
    neighbours: Sequence[float],
    nearest: float | None,
    loss: float | None,
    quality: float | None,
    count: int = 2,
) -> Verdict:
    """Decide whether a new sample fills the sparse region, is no copy, not trivial, and sound.

    Args:
        terms: of the round.
        similarity: of the new prompt's vector to the sparse original's; None if unscored.
        neighbours: similarities of the original to its nearest others, before.
        nearest: largest similarity of the new vector to any sample; None if unscored.
        loss: L_m of the new answer, nats per token, as measured; None if unscored.
        quality: of the new sample; None if unscored or the axis is off.
        count: neighbours that density averages.
    """
    numbers, problems = _loss_bounds(terms, loss, None)
    numbers |= {
        "similarity": similarity,
        "nearest": nearest,
        "nearest_at_most": NEAR_COPY,
        "density": _round(float(np.mean(neighbours))) if neighbours else None,
        "density_with": None,
    }
    if similarity is None or nearest is None:
        problems.append(UNREADABLE)
    else:
        numbers["density_with"] = density_with(neighbours, similarity, count)
        if _round(max(nearest, similarity)) > NEAR_COPY:
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
    terms: Terms, loss: float | None, bound: float | None, kept_loss: float | None = None
) -> tuple[dict[str, Any], list[str]]:
    """Return the numbers of a loss and what is wrong with it.

    An answer that stays was trained on like those that gave the bounds, so it gets no offset. It
    may be as easy as it was before, and is held to its own loss then; see `KEPT`.
    """
    offset, floor, trivial, hard = terms.offset, terms.loss_floor, TRIVIAL, HARD
    if kept_loss is not None:
        offset, floor = 0.0, min(floor, _round(KEPT * kept_loss))
        trivial, hard = GIVEN_AWAY, STILL_HARD
    compared = None if loss is None else _round(loss - offset)
    numbers: dict[str, Any] = {
        "loss": loss,
        "offset": offset,
        "loss_compared": compared,
        "loss_at_least": floor,
    }
    if kept_loss is not None:
        numbers["original_loss"] = kept_loss
    if bound is not None:
        numbers["loss_at_most"] = _round(bound)
    if compared is None:
        return numbers, [UNREADABLE]
    if compared < floor:
        return numbers, [trivial]
    if bound is not None and compared > _round(bound):
        return numbers, [hard]
    return numbers, []


def _verdict(name: str, numbers: dict[str, Any], problems: list[str]) -> Verdict:
    return Verdict(name, not problems, numbers, "; ".join(dict.fromkeys(problems)))


def _round(value: float) -> float:
    return round(float(value), DECIMALS)
