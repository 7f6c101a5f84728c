"""Shares with their intervals, and an even choice of cases."""

import math
from collections.abc import Sequence
from typing import TypeVar

Case = TypeVar("Case")


def interval(hits: int, asked: int) -> tuple[float, float]:
    """Return Wilson's 95 % interval of a share."""
    z = 1.96
    share, spare = hits / asked, z * z / asked
    centre = (share + spare / 2) / (1 + spare)
    half = z / (1 + spare) * math.sqrt(share * (1 - share) / asked + spare / (4 * asked))
    return round(max(0.0, centre - half), 3), round(min(1.0, centre + half), 3)


def told(hits: int, asked: int) -> str | None:
    """Return a share with its interval as a table shows it; None where nothing was asked."""
    if not asked:
        return None
    low, high = interval(hits, asked)
    return f"{hits / asked:.2f} ({low:.2f}-{high:.2f})"


def chosen(cases: Sequence[Case], limit: int | None) -> Sequence[Case]:
    """Return at most `limit` cases, evenly spread over the list."""
    if limit is None or limit >= len(cases):
        return cases
    return [cases[number * len(cases) // limit] for number in range(limit)]
