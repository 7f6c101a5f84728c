"""An even choice of cases."""

from collections.abc import Sequence
from typing import TypeVar

Case = TypeVar("Case")


def chosen(cases: Sequence[Case], limit: int | None) -> Sequence[Case]:
    """Return at most `limit` cases, evenly spread over the list."""
    if limit is None or limit >= len(cases):
        return cases
    return [cases[number * len(cases) // limit] for number in range(limit)]
