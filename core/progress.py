"""What a run tells while it goes on. The library reports events; only `cli/` prints them."""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Started:
    """A node of the loop begins."""

    node: str
    round: int


@dataclass(frozen=True, slots=True)
class Progress:
    """A node has done part of its work. `eta` is in seconds, None while unknown."""

    node: str
    round: int
    done: int
    total: int
    unit: str
    eta: float | None = None
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Finished:
    """A node has ended after `seconds`; `summary` is one line of figures."""

    node: str
    round: int
    seconds: float
    summary: str


@dataclass(frozen=True, slots=True)
class Note:
    """One line that the user should read: a caution, a choice that was made."""

    text: str


Event = Started | Progress | Finished | Note
Report = Callable[[Event], None]


def silent(event: Event) -> None:
    """Ignore an event: the report of an embedded run that nobody watches."""
