"""How an axis is read: what its score means, which side is flagged, where its bound comes from.

The words are the same on paper and on a page; how they are laid out is for others.
"""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..core.amounts import several
from ..signals.complexity import SHORTEST_ANSWER
from .figures import count, percent


@dataclass(frozen=True, slots=True)
class View:
    """How the scores of an axis are read.

    Attributes:
        name: of the axis.
        column: of `signals.parquet`.
        question: what the axis asks of a row.
        meaning: what the score is.
        unit: what the score is, in a few words.
        flags_high: whether high scores are flagged, or low ones.
        bounds: lowest and highest possible score.
    """

    name: str
    column: str
    question: str
    meaning: str
    unit: str
    flags_high: bool
    bounds: tuple[float, float] = (-math.inf, math.inf)


VIEWS = (
    View(
        "complexity",
        "complexity",
        "is the row harder for the model than usual?",
        "the answer's loss above the median at similar lengths, in robust standard deviations",
        "loss above usual, in robust std. deviations",
        True,
    ),
    View(
        "diversity",
        "density",
        "does the prompt stand alone?",
        "the mean cosine similarity to the nearest other prompts",
        "similarity to the nearest prompts",
        False,
        (-1.0, 1.0),
    ),
    View(
        "quality",
        "quality",
        "is the answer broken?",
        "the chance that it is sound, by the calibration below",
        "chance that the answer is sound",
        False,
        (0.0, 1.0),
    ),
)


def meaning(view: View, thresholds: Mapping[str, Any]) -> str:
    """Return what the score of an axis is; `thresholds` are those of `diagnosis.json`."""
    if view.name != "complexity":
        return view.meaning
    model = thresholds["complexity"]
    if model["tuned"] is None:
        text = f"{view.meaning}; the base model's loss alone, since there is no tuned model"
    else:
        text = f"{view.meaning}; the smaller one of base and tuned model"
    if model.get("prompt") is None:  # a run of a version that read no prompts, or too few of them
        return text
    return f"{text}; or the same of the prompt's own loss, where that is larger"


def beyond(axis: Mapping[str, Any], rows: int, scored: int) -> str:
    """Say how many rows lie beyond the threshold, and why fewer of them are flagged.

    Args:
        axis: of the diagnosis.
        rows: rows beyond the threshold.
        scored: rows with a score.
    """
    share = f" ({percent(rows / scored)})" if scored else ""
    text = f"{count(rows)} of {several(scored, 'row')} with a score{share}"
    if rows == axis["flagged"]:
        return text
    text += f", {count(axis['flagged'])} of them flagged"
    why, suppressed = [], axis.get("suppressed", 0)
    if suppressed:
        why.append(f"{count(suppressed)} were refused on every attempt before")
    if rows > axis["flagged"] + suppressed:
        why.append(
            "where an answer is below the median of quality, its prompt is no seed for a new row"
        )
    return f"{text}: {'; '.join(why)}" if why else text


def threshold(view: View, axis: Mapping[str, Any], thresholds: Mapping[str, Any]) -> str:
    """Return the threshold with what it was computed from."""
    if view.name == "complexity":
        return f"{axis['threshold']:.2f} = k"
    bound = thresholds[view.name]
    plain = bound["mean"] - bound["k"] * bound["std"]
    parts = f"mean {bound['mean']:.4f} - k {bound['k']:.2f} x std {bound['std']:.4f}"
    if axis["threshold"] < round(plain, 4):
        return (
            f"{axis['threshold']:.4f}, since a row above that is more likely sound than broken;"
            f" {parts} would be {plain:.4f}"
        )
    return f"{axis['threshold']:.4f} = {parts}"


def choice(view: View, thresholds: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return how k was chosen: k, share, curve, fixed."""
    found: Mapping[str, Any] = (
        thresholds["complexity_k"] if view.name == "complexity" else thresholds[view.name]["choice"]
    )
    return found


def origin(chosen: Mapping[str, Any]) -> str:
    """Return k and where it comes from."""
    k = f"{chosen['k']:.2f}"
    if chosen["fixed"]:
        return f"{k}, fixed by signals.k"
    return f"{k}, chosen to come nearest to the share in signals.share"


def missing(
    view: View,
    scored: Sequence[bool],
    unscored: Sequence[str | None],
    answer_tokens: Sequence[int | None],
) -> Counter[str]:
    """Count why rows have no score, by reason.

    Args:
        view: of the axis.
        scored: whether each row has a score.
        unscored: why each row was not measured; None where it was.
        answer_tokens: length of each answer.
    """
    reasons: Counter[str] = Counter()
    for has, why, tokens in zip(scored, unscored, answer_tokens, strict=True):
        if has:
            continue
        if why:
            reasons[why] += 1
        elif view.name == "complexity" and tokens is not None and tokens < SHORTEST_ANSWER:
            reasons[f"answer under {SHORTEST_ANSWER} tokens"] += 1
        else:
            reasons["a signal is missing"] += 1
    return reasons
