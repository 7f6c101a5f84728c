"""The Samples page: a round's table with search, facets, order and pages, all of it in the address.

Every choice is a link or a form's field, so the page works without a script; HTMX only swaps the
results in place. What an address says is held against closed lists here, and bound as a parameter
in the store: nothing of it is syntax or a path.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, get_args

from starlette.requests import Request

from ...core.errors import UsageError
from ...inspection import table
from ...inspection.record import Record
from ...inspection.samples import PAGE_ROWS, Facet, Order, Page, Query
from .frame import frame

MOST_TEXT = 2_000
"""Characters of a search at most, which is what the form takes."""
FACETS_SHOWN = 12
_ORDERS = frozenset(get_args(Order))
_MOST_PAGE = 10_000_000


@dataclass(frozen=True, slots=True)
class Column:
    """A column that can be sorted by; `worst_first` is the direction that a first click gives."""

    order: Order
    label: str
    means: str
    worst_first: bool


COLUMNS = (
    Column("complexity", "Complexity", "spreads above the usual loss; high is flagged", True),
    Column("density", "Density", "mean similarity to the nearest; low is flagged", False),
    Column("quality", "Quality", "chance of being sound; low is flagged", False),
    Column("loss_base", "Loss before", "nats per token under the base model", True),
    Column("loss_tuned", "Loss after", "nats per token under the tuned model", True),
    Column("cluster", "Cluster", "-1 is noise", False),
)


def page(record: Record, request: Request) -> tuple[str, dict[str, Any]]:
    """Return the page for what the address asks.

    Raises:
        UsageError: it asks for what there is not.
    """
    rounds = record.rounds()
    base = frame(record, "samples")
    if not rounds:
        return "samples.html", {**base, "query": None}
    query = parse(request.query_params, rounds, base["latest_round"])
    found = table.page(record, query)
    return "samples.html", {
        **base,
        "query": query,
        "address": _address(query),
        "found": found,
        "first": (query.page - 1) * PAGE_ROWS + 1,
        "last": min(query.page * PAGE_ROWS, found.total),
        "rounds": rounds,
        "columns": COLUMNS,
        "sorting": {column.order: _sorting(query, column) for column in COLUMNS},
        "facets": _facets(query, found),
        "filters": _filters(query),
        "pager": _pager(query.page, found),
    }


def parse(given: Mapping[str, str], rounds: list[int], latest: int | None) -> Query:
    """Return what an address asks of the table; the round defaults to the latest diagnosed one.

    Raises:
        UsageError: a number is none, or the round or the order is not there.
    """
    round_ = _number(given, "round")
    if round_ is None:
        round_ = latest if latest is not None else rounds[-1]
    if round_ not in rounds:
        raise UsageError(f"round {round_} has no data set; there are rounds {_listed(rounds)}")
    order = given.get("order") or "id"
    if order not in _ORDERS:
        raise UsageError(f"the table can't be sorted by {order[:40]!r}")
    page_ = _number(given, "page") or 1
    return Query(
        round=round_,
        text=given.get("text", "")[:MOST_TEXT],
        axis=given.get("axis", ""),
        fate=given.get("fate", ""),
        reason=given.get("reason", ""),
        cluster=_number(given, "cluster"),
        order=order,  # type: ignore[arg-type]  # it is one of them
        descending=given.get("descending") == "1",
        page=min(max(page_, 1), _MOST_PAGE),
    )


def _number(given: Mapping[str, str], name: str) -> int | None:
    text = given.get(name, "")
    if not text:
        return None
    digits = text.removeprefix("-")
    # `int` takes underscores, spaces and digits of other scripts as well.
    if len(text) > 12 or not (digits.isascii() and digits.isdecimal()):
        raise UsageError(f"{name} is not a whole number: {text[:40]!r}")
    return int(text)


def _listed(rounds: list[int]) -> str:
    return str(rounds[0]) if len(rounds) == 1 else f"{rounds[0]} to {rounds[-1]}"


def _address(query: Query, **changes: Any) -> dict[str, object]:
    """Return a query as an address has it, with changes; a changed filter begins at page 1."""
    if changes and "page" not in changes:
        changes["page"] = 1
    asked = replace(query, **changes)
    return {
        "round": asked.round,
        "text": asked.text,
        "axis": asked.axis,
        "fate": asked.fate,
        "reason": asked.reason,
        "cluster": asked.cluster,
        "order": "" if asked.order == "id" else asked.order,
        "descending": "1" if asked.descending else "",
        "page": "" if asked.page == 1 else asked.page,
    }


def _sorting(query: Query, column: Column) -> dict[str, Any]:
    """Return what a click on a column's head gives, and how the table is sorted by it now."""
    if query.order != column.order:
        changed = _address(query, order=column.order, descending=column.worst_first)
        return {"now": None, "address": changed}
    if query.descending == column.worst_first:
        changed = _address(query, descending=not query.descending)
    else:
        changed = _address(query, order="id", descending=False)
    return {"now": "descending" if query.descending else "ascending", "address": changed}


_FACETS = (
    ("axis", "Flagged for"),
    ("fate", "Fate"),
    ("reason", "Refused by"),
    ("cluster", "Cluster"),
)
_WORDS = {
    ("axis", "any"): "any axis",
    ("axis", "none"): "not flagged",
    ("fate", "none"): "no fate",
    ("cluster", "-1"): "noise",
}


def said(name: str, value: object) -> str:
    """Return a facet's value in words."""
    return _WORDS.get((name, str(value)), str(value).replace("_", " "))


def _facets(query: Query, found: Page) -> list[dict[str, Any]]:
    """Return the facets with their values as links: to choose one, or to let the chosen one go."""
    groups = []
    for name, label in _FACETS:
        values = found.facets.get(name, ())
        chosen = getattr(query, name)
        chosen = "" if chosen is None else str(chosen)
        links = [_choice(query, name, facet, chosen) for facet in values if facet.count or chosen]
        for number, link in enumerate(links):
            link["number"] = number
        if links:
            groups.append({"name": name, "label": label, "links": links, "shown": FACETS_SHOWN})
    return groups


def _choice(query: Query, name: str, facet: Facet, chosen: str) -> dict[str, Any]:
    is_chosen = facet.value == chosen
    value: Any = facet.value
    if name == "cluster":
        value = None if is_chosen else int(facet.value)
    elif is_chosen:
        value = ""
    return {
        "value": facet.value,
        "said": said(name, facet.value),
        "count": facet.count,
        "is_chosen": is_chosen,
        "address": _address(query, **{name: value}),
    }


def _filters(query: Query) -> list[dict[str, Any]]:
    """Return the active filters, each with the address without it."""
    found = []
    if query.text:
        shown = query.text if len(query.text) <= 60 else query.text[:60] + "…"
        found.append({"label": "text", "said": shown, "address": _address(query, text="")})
    for name, label in _FACETS:
        value = getattr(query, name)
        if value not in (None, ""):
            changed = _address(query, **{name: None if name == "cluster" else ""})
            entry = {"label": label.lower(), "said": said(name, value), "address": changed}
            found.append(entry)
    return found


def _pager(number: int, found: Page) -> dict[str, Any]:
    """Return the pages to link to: the first, the last and those around this one; None is a gap."""
    near = {1, found.pages, *range(number - 2, number + 3)}
    shown: list[int | None] = []
    for one in sorted(k for k in near if 1 <= k <= found.pages):
        if shown and shown[-1] is not None and one - shown[-1] > 1:
            shown.append(None)
        shown.append(one)
    return {
        "pages": shown,
        "previous": number - 1 if 1 < number <= found.pages else None,
        "next": number + 1 if number < found.pages else None,
    }
