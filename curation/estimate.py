"""What a run will ask of its models: flagged samples, calls and tokens, as arithmetic.

Nothing is known of a run before its first diagnosis, so three courses are told: `low`, where each
sample's first proposal is accepted; `high`, where every attempt is used and each gets as far as the
critic; and `middle`, where half of the proposals are accepted and half of the others are stopped by
the checks before a critic reads them.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from statistics import NormalDist
from typing import Literal

from ..core.config import SignalsConfig
from ..core.records import Axis
from .plan import PRECEDENCE

Course = Literal["low", "middle", "high"]
COURSES: tuple[Course, ...] = ("low", "middle", "high")

ACCEPTED = 0.5
"""Middle: share of the proposals that are accepted."""
REACHES_CRITIC = 0.5
"""Middle: share of the refused proposals that the checks let through to the critic."""
SEEDS = 0.5
"""Share of sparse samples that get a neighbour: those below the median quality don't."""
AGAIN = 0.5
"""Flags of a round as a share of those of the round before; the thresholds stay where they are."""


@dataclass(frozen=True, slots=True)
class Flagged:
    """Expected samples to refine in one round, by the axis that they are refined for."""

    by_axis: Mapping[Axis, float]

    @property
    def samples(self) -> float:
        """All of them; a sample is refined once."""
        return sum(self.by_axis.values())

    def scaled(self, factor: float) -> "Flagged":
        """Return a share of them."""
        return Flagged({axis: count * factor for axis, count in self.by_axis.items()})


def expected_flags(
    rows: float, signals: SignalsConfig, *, quality: bool, rounds: int, max_samples: int | None
) -> list[Flagged]:
    """Return what each round is expected to refine.

    Each axis flags `signals.share` of the rows, or the tail of a normal distribution beyond a fixed
    k. Axes are taken as independent; a sample with several flags is refined for the first of
    `PRECEDENCE`. With `signals.selection: all` every row is refined, in every round.

    Args:
        rows: trained rows that can be scored.
        signals: axes, selection, share, k.
        quality: whether there are rows enough to calibrate the quality axis on.
        rounds: refinements.
        max_samples: `refinement.max_samples`.
    """
    shares = {}
    for axis in Axis:
        k = signals.k.get(axis)
        share = signals.share if k is None else NormalDist().cdf(-k)
        if signals.selection == "all":
            share = 1.0
        shares[axis] = share if axis in signals.axes else 0.0
    if not quality:
        shares[Axis.QUALITY] = 0.0
    if shares[Axis.QUALITY]:
        shares[Axis.DIVERSITY] *= SEEDS
    left, first = float(rows), {}
    for axis in PRECEDENCE:
        first[axis] = left * shares[axis]
        left -= first[axis]
    again = 1.0 if signals.selection == "all" else AGAIN
    found = [Flagged(first).scaled(again**number) for number in range(rounds)]
    if max_samples is None:
        return found
    return [
        one.scaled(min(1.0, max_samples / one.samples if one.samples else 1.0)) for one in found
    ]


@dataclass(frozen=True, slots=True)
class Traffic:
    """Calls to LLMs and their tokens; expected values, so not whole numbers."""

    calls: float = 0.0
    prompt: float = 0.0
    completion: float = 0.0

    def __add__(self, other: "Traffic") -> "Traffic":
        """Return both together."""
        return Traffic(
            self.calls + other.calls,
            self.prompt + other.prompt,
            self.completion + other.completion,
        )

    def times(self, count: float) -> "Traffic":
        """Return this traffic, `count` times."""
        return Traffic(self.calls * count, self.prompt * count, self.completion * count)

    @property
    def tokens(self) -> float:
        """Prompt and completion tokens."""
        return self.prompt + self.completion


def total(parts: Iterable[Traffic]) -> Traffic:
    """Return the sum."""
    return sum(parts, Traffic())


@dataclass(frozen=True, slots=True)
class PerSample:
    """Traffic of one sample on one axis: a first proposal, a later one, and critiques."""

    first: Traffic
    again: Traffic
    approval: Traffic
    refusal: Traffic


@dataclass(frozen=True, slots=True)
class Attempts:
    """Expected proposals of one sample, and how many the critic reads.

    Attributes:
        proposals: in all, the first included.
        approved: read by the critic and accepted.
        refused: read by the critic and refused, by it or by the proof.
    """

    proposals: float
    approved: float
    refused: float

    @property
    def criticised(self) -> float:
        """Proposals that the critic reads."""
        return self.approved + self.refused


def attempts_of(course: Course, most: int) -> Attempts:
    """Return what a course expects of a sample that may have `most` proposals."""
    if course == "low":
        return Attempts(1.0, 1.0, 0.0)
    if course == "high":
        return Attempts(float(most), 0.0, float(most))
    refusing = 1 - ACCEPTED
    proposals = sum(refusing**number for number in range(most))
    approved = 1 - refusing**most
    return Attempts(proposals, approved, (proposals - approved) * REACHES_CRITIC)


def traffic_of(
    flagged: Iterable[Flagged], costs: Mapping[Axis, PerSample], attempts: Attempts
) -> dict[str, Traffic]:
    """Return the traffic of all rounds by role, `rewriter` and `critic`."""
    rewriter, critic = Traffic(), Traffic()
    for one in flagged:
        for axis, count in one.by_axis.items():
            cost = costs[axis]
            rewriter += cost.first.times(count)
            rewriter += cost.again.times(count * (attempts.proposals - 1))
            critic += cost.approval.times(count * attempts.approved)
            critic += cost.refusal.times(count * attempts.refused)
    return {"rewriter": rewriter, "critic": critic}


def against_cap(cap: float, expected: Mapping[Course, float]) -> str:
    """Say in words where a cap lies within an estimate."""
    ends: dict[Course, str] = {
        "low": "will stop there",
        "middle": "will probably stop there",
        "high": "may stop there",
    }
    for course, end in ends.items():
        if cap < expected[course]:
            return f"is below the {course} estimate: the run {end}"
    return "is above the high estimate"
