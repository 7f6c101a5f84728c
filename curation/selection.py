"""Which samples are sent to refinement: those that the signals flag, as many at random, or all.

The other two ways are control arms. What a loop gains may come from rewriting as such; only against
as many samples that were drawn blindly does it show what choosing them is worth.
"""

import random
from collections.abc import Mapping, Sequence
from typing import Literal

from ..core.records import Axis, Flag

Selection = Literal["signals", "random", "all"]

DRAWN = "drawn at random, whatever its score"
EVERY = "every sample is refined, whatever its score"

Scores = Mapping[Axis, Mapping[str, float]]
"""Axis -> id -> score of the samples that can be refined on it; axes that are off are left out."""


def select(
    flags: Sequence[Flag],
    scores: Scores,
    bounds: Mapping[Axis, float],
    *,
    how: Selection,
    seed: int,
    round: int,
) -> list[Flag]:
    """Return the flags that stand, in order of axis, then id.

    `random` hands the flags of each flagged sample to another one, so that as many samples are
    flagged, per axis and in all, as the signals flag. Each is drawn among the samples that can be
    refined on all of its axes; where those run out it is left without. `all` flags every sample
    that can be refined, on every axis on which it can.

    Args:
        flags: of the signals.
        scores: of the samples that can be refined.
        bounds: axis -> threshold; one for each axis of `scores`.
        how: as `signals.selection`.
        seed: of the run.
        round: another round draws anew.
    """
    if how == "signals":
        return list(flags)
    if how == "all":
        found = {(axis, name) for axis, known in scores.items() for name in known}
    else:
        found = _drawn(flags, scores, random.Random(f"select {seed} {round}"))
    order = list(Axis)
    reason = EVERY if how == "all" else DRAWN
    return [
        Flag(name, axis, scores[axis][name], bounds[axis], reason)
        for axis, name in sorted(found, key=lambda one: (order.index(one[0]), one[1]))
    ]


def shuffled(flags: Sequence[Flag], *, seed: int, round: int) -> dict[str, int]:
    """Return a place in a drawn order for each flagged sample: no sample is worse than another."""
    names = sorted({flag.sample_id for flag in flags})
    random.Random(f"order {seed} {round}").shuffle(names)
    return {name: place for place, name in enumerate(names)}


def _drawn(flags: Sequence[Flag], scores: Scores, chance: random.Random) -> set[tuple[Axis, str]]:
    """Hand each flagged sample's axes to a sample drawn without replacement."""
    axes: dict[str, set[Axis]] = {}
    for flag in flags:
        axes.setdefault(flag.sample_id, set()).add(flag.axis)
    # Those that need the most come first, while there are samples that can be refined on all of it.
    wanted = sorted((sorted(found) for found in axes.values()), key=lambda one: (-len(one), one))
    taken: set[str] = set()
    found: set[tuple[Axis, str]] = set()
    for group in wanted:
        able = set.intersection(*(set(scores.get(axis, ())) for axis in group)) - taken
        if able:
            name = chance.choice(sorted(able))
            taken.add(name)
            found |= {(axis, name) for axis in group}
    return found
