"""The table of a round's samples: search, facets, order, pages."""

from dataclasses import dataclass, field
from typing import Literal

Order = Literal["id", "complexity", "density", "quality", "loss_base", "loss_tuned", "cluster"]
PAGE_ROWS = 50


@dataclass(frozen=True, slots=True)
class Query:
    """What is asked of the table.

    Attributes:
        round: whose data set.
        text: words or a part of a word that prompt or answer hold; an id or its beginning is found
            too. Nothing in it is syntax.
        axis: only samples flagged on this axis; `any` for all flagged, `none` for the others.
        fate: accepted, rejected, failed, deferred, or `none`.
        reason: the gate that refused last, such as `critic`.
        cluster: label, -1 for noise.
        order: column to sort by; rows without a value come last.
        descending: the other way round.
        page: from 1; a page beyond the end is empty.
    """

    round: int
    text: str = ""
    axis: str = ""
    fate: str = ""
    reason: str = ""
    cluster: int | None = None
    order: Order = "id"
    descending: bool = False
    page: int = 1


@dataclass(frozen=True, slots=True)
class Row:
    """A sample in the table; `prompt` and `answer` are cut to 200 characters."""

    sample_id: str
    prompt: str
    answer: str
    flags: tuple[str, ...]
    fate: str | None
    reason: str
    cluster: int | None
    complexity: float | None
    density: float | None
    quality: float | None
    loss_base: float | None
    loss_tuned: float | None


@dataclass(frozen=True, slots=True)
class Facet:
    """One value of a facet, and how many rows of the query have it, were it chosen."""

    value: str
    count: int


@dataclass(frozen=True, slots=True)
class Page:
    """A part of the table.

    Attributes:
        rows: at most `PAGE_ROWS`.
        total: rows of the query on all pages.
        pages: pages of the query, at least 1.
        facets: `axis`, `fate`, `reason`, `cluster` -> values, each counted under the other filters.
    """

    rows: tuple[Row, ...]
    total: int
    pages: int
    facets: dict[str, tuple[Facet, ...]] = field(default_factory=dict)
