"""Samples that are streamed again and again, whole or in part."""

from collections.abc import Container, Iterator
from dataclasses import dataclass
from typing import Protocol

from ..core.records import Sample


class Samples(Protocol):
    """Samples that can be counted and streamed again and again."""

    def __len__(self) -> int:
        """Return how many there are."""
        ...

    def __iter__(self) -> Iterator[Sample]:
        """Yield them, in the same order each time."""
        ...


@dataclass(frozen=True, slots=True)
class Chosen:
    """Those of some samples whose ids were chosen, or were not, in their own order."""

    rows: Samples
    ids: Container[str]
    count: int
    inside: bool = True

    def __len__(self) -> int:
        """Return how many were chosen."""
        return self.count

    def __iter__(self) -> Iterator[Sample]:
        """Stream them."""
        return (sample for sample in self.rows if (sample.id in self.ids) == self.inside)
