"""The planner: the diagnostician's model, which may move k and the shares of the refine budget.

It sees a diagnosis in words and figures (`agents.plan_summary`), never a sample. What it answers is
a wish: `hold` reads it, holds it to the configured bounds and notes what was not granted, so that
no answer can spend more than the budget, turn on an axis that can't be trusted, or leave an axis
out that the bounds keep in.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, Field, FiniteFloat

from ..core.chat import Chat
from ..core.config import PlanBounds
from ..core.records import Axis
from ..prompts.loader import load
from .diagnostician import AxisReport

Bounds = tuple[float, float]
HALVINGS = 60


class PlanWish(BaseModel):
    """How the model would plan the round. A k of null leaves that axis as it is."""

    rationale: str = Field(max_length=400)
    complexity_k: FiniteFloat | None
    diversity_k: FiniteFloat | None
    quality_k: FiniteFloat | None
    complexity_share: FiniteFloat
    diversity_share: FiniteFloat
    quality_share: FiniteFloat

    def k(self, axis: Axis) -> float | None:
        """Return the k asked for an axis; None leaves it as it is."""
        found: float | None = getattr(self, f"{axis}_k")
        return found

    def share(self, axis: Axis) -> float:
        """Return the share asked for an axis, in whatever unit the model chose."""
        found: float = getattr(self, f"{axis}_share")
        return found


@dataclass(frozen=True, slots=True)
class Moves:
    """What a wish comes to within the bounds.

    Attributes:
        k: the axes whose k changes, with the new one.
        weights: part of the refine budget per axis that is on, in sum 1; None where no share was
            asked for any of them.
        held: what was asked and not granted, a line each.
    """

    k: dict[Axis, float]
    weights: dict[Axis, float] | None
    held: tuple[str, ...]

    def as_dict(self) -> dict[str, Any]:
        """Return JSON types."""
        weights = self.weights
        return {
            "k": {str(axis): k for axis, k in self.k.items()},
            "weights": weights and {str(axis): part for axis, part in weights.items()},
            "held": list(self.held),
        }


class Planner:
    """Ask an LLM how to plan a round."""

    def __init__(self, chat: Chat) -> None:
        """Take the model behind the role `diagnostician`."""
        self._chat = chat

    async def ask(self, summary: str, bounds: PlanBounds) -> PlanWish:
        """Return the model's wish for a round that the summary tells of.

        Raises:
            AnswerFailed: the model gave no usable plan.
        """
        filled = load("plan").render(
            summary=summary, k_bounds=_words(bounds.k), share_bounds=_words(bounds.share)
        )
        return await self._chat(filled, PlanWish, attempt=1)


def hold(
    wish: PlanWish,
    axes: Mapping[Axis, AxisReport],
    bounds: PlanBounds,
    fixed: Mapping[Axis, float],
) -> Moves:
    """Hold a wish to the bounds.

    Args:
        wish: of the model.
        axes: the diagnosis that it was asked about.
        bounds: of the configuration.
        fixed: the k that a person set in `signals.k`; no model moves these.
    """
    held: list[str] = []
    k = {}
    for axis in Axis:
        moved = _moved_k(axis, wish.k(axis), axes[axis], bounds.k, fixed, held)
        if moved is not None:
            k[axis] = moved
    return Moves(k, _weights(wish, axes, bounds.share, held), tuple(held))


def _moved_k(
    axis: Axis,
    asked: float | None,
    report: AxisReport,
    bounds: Bounds,
    fixed: Mapping[Axis, float],
    held: list[str],
) -> float | None:
    """Return the k to move an axis to; None where it stays. Notes what is not granted."""
    if asked is None or (report.k is not None and round(asked, 2) == round(report.k, 2)):
        return None
    if not report.on or report.k is None:
        held.append(f"{axis} k: asked {asked:g}, but the axis is off")
        return None
    if axis in fixed:
        held.append(f"{axis} k: asked {asked:g}, but signals.k sets it to {fixed[axis]:g}")
        return None
    low, high = bounds
    granted = min(max(round(asked, 2), low), high)
    if granted != round(asked, 2):
        held.append(f"{axis} k: asked {asked:g}, held at {granted:g}")
    return None if granted == report.k else granted


def _weights(
    wish: PlanWish, axes: Mapping[Axis, AxisReport], bounds: Bounds, held: list[str]
) -> dict[Axis, float] | None:
    for axis in Axis:
        if not axes[axis].on and wish.share(axis) > 0:
            held.append(f"{axis} share: asked {wish.share(axis):g}, but the axis is off")
    asked = {axis: wish.share(axis) for axis in Axis if axes[axis].on}
    # Percent and parts of any whole read the same; dividing by the largest first keeps sums finite.
    largest = max(asked.values(), default=0.0)
    if largest <= 0:
        held.append("shares: none asked for an axis that is on, so they follow the flags")
        return None
    scaled = {axis: max(share, 0.0) / largest for axis, share in asked.items()}
    total = sum(scaled.values())
    parts = {axis: share / total for axis, share in scaled.items()}
    # One axis alone gets all, whatever the bounds are; two can't both have less than half.
    even = 1 / len(parts)
    low, high = min(bounds[0], even), max(bounds[1], even)
    weights = _within(parts, low, high)
    for axis, part in parts.items():
        if asked[axis] < 0 or not low <= part <= high:
            held.append(f"{axis} share: asked {asked[axis]:g}, held at {weights[axis]:.2f}")
    return weights


def _within(parts: Mapping[Axis, float], low: float, high: float) -> dict[Axis, float]:
    """Return the shares in sum 1 and within the bounds that are nearest to the asked ones.

    All are moved by the same amount and cut at the bounds; the amount is found by halving.
    """

    def moved(amount: float) -> dict[Axis, float]:
        return {axis: min(max(part + amount, low), high) for axis, part in parts.items()}

    below, above = -1.0, 1.0
    for _ in range(HALVINGS):
        middle = (below + above) / 2
        if sum(moved(middle).values()) < 1:
            below = middle
        else:
            above = middle
    return {axis: round(part, 4) for axis, part in moved(above).items()}


def _words(bounds: Bounds) -> str:
    return f"{bounds[0]:g} to {bounds[1]:g}"
