"""Which flagged samples are refined, and on which axis, where the budget is smaller than the list.

The budget is shared in proportion to what each axis flagged, so that no axis starves, or by given
weights; within an axis the worst come first. A sample with several flags is refined once: what is
broken is repaired before it is made easier, and a new sample beside it comes last.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..core.records import Axis, Flag

PRECEDENCE = (Axis.QUALITY, Axis.COMPLEXITY, Axis.DIVERSITY)
_PARTS = 10_000  # weights are shared as whole numbers, so that no rounding decides


@dataclass(frozen=True, slots=True)
class Task:
    """One flagged sample to refine.

    Attributes:
        sample_id: the sample.
        axis: what it is refined for.
        axes: every axis that flagged it.
        adds: True where a new sample is written beside it: it is flagged for diversity alone.
    """

    sample_id: str
    axis: Axis
    axes: tuple[Axis, ...]
    adds: bool


@dataclass(frozen=True, slots=True)
class Plan:
    """The refine plan of a round.

    Attributes:
        selected: what is refined, in order of sample id.
        deferred: flagged samples beyond the budget, in order of id.
        shares: axis -> samples refined for it.
        flagged: samples with at least one flag, after suppression.
        suppressed: flags left out because all proposals for them were rejected before.
        rationale: the decision in words and figures.
    """

    selected: tuple[Task, ...]
    deferred: tuple[Task, ...]
    shares: dict[Axis, int]
    flagged: int
    suppressed: int
    rationale: str

    def as_dict(self) -> dict[str, Any]:
        """Return the plan as JSON types, samples as ids."""
        return {
            "selected": [task.sample_id for task in self.selected],
            "deferred": [task.sample_id for task in self.deferred],
            "shares": {str(axis): count for axis, count in self.shares.items()},
            "flagged": self.flagged,
            "suppressed": self.suppressed,
            "rationale": self.rationale,
        }


def plan_refinement(
    flags: Iterable[Flag],
    max_samples: int | None,
    suppressed: Collection[tuple[str, Axis]] = frozenset(),
    *,
    weights: Mapping[Axis, float] | None = None,
    places: Mapping[str, int] | None = None,
) -> Plan:
    """Share the refine budget among the axes and choose the samples.

    Shares are proportional to the samples per axis, remainders to the largest fraction, ties in
    order of precedence (quality, complexity, diversity). Within an axis the samples farthest
    beyond their threshold come first, ties by id.

    Args:
        flags: of this round.
        max_samples: samples to refine at most; None for no limit.
        suppressed: (sample id, axis) whose proposals were all rejected while the text was the
            same; an id is the hash of the text, so a changed text is another id.
        weights: part of the budget that each axis gets, instead of the proportion of its samples.
            What an axis has no samples for goes to the others.
        places: of each flagged sample in an order that was drawn, where no sample counts as worse
            than another.
    """
    listed = list(flags)
    by_sample = _by_sample(flag for flag in listed if (flag.sample_id, flag.axis) not in suppressed)
    tasks = {name: _task(name, found) for name, found in by_sample.items()}
    queues: dict[Axis, list[tuple[float, str]]] = {axis: [] for axis in PRECEDENCE}
    for name, task in tasks.items():
        first = -_severity(by_sample[name][task.axis]) if places is None else places[name]
        queues[task.axis].append((first, name))
    budget = len(tasks) if max_samples is None else min(max_samples, len(tasks))
    counts = {axis: len(queue) for axis, queue in queues.items()}
    shares = _shares(counts, budget) if weights is None else _weighted(counts, weights, budget)
    chosen = {name for axis, queue in queues.items() for _, name in sorted(queue)[: shares[axis]]}
    left_out = sum((flag.sample_id, flag.axis) in suppressed for flag in listed)
    return Plan(
        selected=tuple(tasks[name] for name in sorted(chosen)),
        deferred=tuple(tasks[name] for name in sorted(tasks.keys() - chosen)),
        shares=shares,
        flagged=len(tasks),
        suppressed=left_out,
        rationale=_rationale(
            queues,
            shares,
            max_samples,
            left_out,
            rule="in proportion to the flags" if weights is None else "as planned",
            order="the worst first" if places is None else "in a drawn order",
        ),
    )


def plan_from(plain: dict[str, Any], flags: Iterable[Flag]) -> Plan:
    """Rebuild a plan from `Plan.as_dict` and the flags that it was made from."""
    by_sample = _by_sample(flags)
    return Plan(
        selected=tuple(_task(name, by_sample[name]) for name in plain["selected"]),
        deferred=tuple(_task(name, by_sample[name]) for name in plain["deferred"]),
        shares={Axis(axis): count for axis, count in plain["shares"].items()},
        flagged=plain["flagged"],
        suppressed=plain["suppressed"],
        rationale=plain["rationale"],
    )


def _by_sample(flags: Iterable[Flag]) -> dict[str, dict[Axis, Flag]]:
    found: dict[str, dict[Axis, Flag]] = {}
    for flag in flags:
        found.setdefault(flag.sample_id, {})[flag.axis] = flag
    return found


def _task(name: str, found: Mapping[Axis, Flag]) -> Task:
    axes = tuple(axis for axis in PRECEDENCE if axis in found)
    return Task(name, axes[0], axes, axes == (Axis.DIVERSITY,))


def _severity(flag: Flag) -> float:
    """Return how far a flag lies beyond its threshold; high complexity is bad, all else low."""
    beyond = flag.score - flag.threshold
    return round(beyond if flag.axis is Axis.COMPLEXITY else -beyond, 4)


def _shares(counts: Mapping[Axis, int], budget: int) -> dict[Axis, int]:
    total = sum(counts.values())
    if not total:
        return dict.fromkeys(counts, 0)
    shares = {axis: budget * count // total for axis, count in counts.items()}
    rest = budget - sum(shares.values())
    by_fraction = sorted(counts, key=lambda axis: -(budget * counts[axis] % total))
    for axis in by_fraction[:rest]:
        shares[axis] += 1
    return shares


def _weighted(
    counts: Mapping[Axis, int], weights: Mapping[Axis, float], budget: int
) -> dict[Axis, int]:
    """Share by weight; what an axis can't use goes to the others by theirs, then to any."""
    whole = {axis: round(weights.get(axis, 0.0) * _PARTS) for axis in counts}
    shares = dict.fromkeys(counts, 0)
    while rest := budget - sum(shares.values()):
        room = {axis: counts[axis] - shares[axis] for axis in counts}
        able = {axis: whole[axis] if left else 0 for axis, left in room.items()}
        for axis, more in _shares(able if any(able.values()) else room, rest).items():
            shares[axis] += min(more, room[axis])
    return shares


def _rationale(
    queues: Mapping[Axis, Sequence[object]],
    shares: Mapping[Axis, int],
    max_samples: int | None,
    suppressed: int,
    *,
    rule: str,
    order: str,
) -> str:
    parts = [f"{axis} {shares[axis]} of {len(queue)}" for axis, queue in queues.items() if queue]
    if not parts:
        text = "no sample is flagged"
    elif max_samples is None or sum(shares.values()) == sum(map(len, queues.values())):
        text = f"every flagged sample is refined: {', '.join(parts)}"
    else:
        text = (
            f"at most {max_samples} samples are refined, shared {rule}, {order}: {', '.join(parts)}"
        )
    if suppressed:
        text += f"; {suppressed} flags left out, their proposals were all rejected before"
    return text
