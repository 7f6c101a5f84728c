"""The Compare page: two rounds of this run, or one of this and one of another run beside it."""

import math
from collections.abc import Mapping
from typing import Any, get_args

from starlette.requests import Request

from ...core.amounts import rests_on
from ...core.errors import UsageError
from ...inspection.comparing import Comparison, Side, compare
from ...inspection.pairs import EVEN, Measure, PairRow
from ...inspection.record import Record
from .frame import frame

_MEASURES: tuple[Measure, ...] = get_args(Measure)
WORSE_RISES: Mapping[str, bool] = {"loss": True, "density": False, "quality": False}
"""Whether a rise of a measure is for the worse."""
_LONGEST_NAME = 255


def page(record: Record, request: Request) -> tuple[str, dict[str, Any]]:
    """Return the page over a run and those beside it; it compares what the address asks for."""
    return "compare.html", context(record, request.query_params)


def context(record: Record, given: Mapping[str, str]) -> dict[str, Any]:
    """Return what `compare.html` shows.

    Args:
        record: of the run whose page it is.
        given: `a` and `b`, the rounds; `run`, the run of `b`, this one where it is empty; `by`,
            `order` (`up` or `down`) and `only` (`rewritten`) of the table.

    Raises:
        UsageError: it asks for a run, a round or an order that there is not.
    """
    name = given.get("run", "")
    if name in ("", record.name):
        return _compared(record, record, given)
    with record.siblings.open(name[:_LONGEST_NAME]) as other:
        return _compared(record, other, given)


def _compared(record: Record, other: Record, given: Mapping[str, str]) -> dict[str, Any]:
    rounds, same_run = record.rounds(), other is record
    first = _round(given.get("a"), rounds, rounds[0] if rounds else None)
    second = _round(given.get("b"), other.rounds(), _second(other.rounds(), first, same_run))
    base = {
        **frame(record, "compare"),
        "rounds": rounds,
        "other_rounds": other.rounds(),
        "other": "" if same_run else other.name,
        "others": record.siblings.names(),
        "first": first,
        "second": second,
        "found": None,
    }
    if first is None or second is None or (same_run and first == second):
        return base
    found = compare(record, first, other, second)
    return {**base, "found": found, "verdict": _verdict(found), **_table(found, given)}


def _round(text: str | None, rounds: list[int], default: int | None) -> int | None:
    if not text:
        return default
    known = {str(number): number for number in rounds}
    if text not in known:
        raise UsageError(f"there is no round {text[:40]!r} to compare; choose one of the list")
    return known[text]


def _second(rounds: list[int], first: int | None, same_run: bool) -> int | None:
    """Return the round that is compared where the address names none: the last other one."""
    others = [number for number in rounds if not (same_run and number == first)]
    return others[-1] if others else (rounds[-1] if rounds else None)


def _verdict(found: Comparison) -> str:
    """Say in one sentence whether the second is better."""
    difference = found.held.difference
    if difference is None:
        return found.held.reason
    one, other = _named(found.before, found), _named(found.after, found)
    basis = rests_on(difference.rows, difference.seeds)
    amount = f"{abs(difference.mean):.4f} nats per token on {basis}"
    interval = f"95% interval {difference.low:+.4f} to {difference.high:+.4f}".replace("-", "−")
    if difference.low > 0:
        return f"{other} is worse than {_lower(one)} by {amount} ({interval})."
    if difference.high < 0:
        return f"{other} is better than {_lower(one)} by {amount} ({interval})."
    return f"No measurable difference on {basis} ({interval})."


def _named(side: Side, found: Comparison) -> str:
    return f"Round {side.round}" if found.same_run else f"Round {side.round} of {side.run}"


def _lower(name: str) -> str:
    return name[0].lower() + name[1:]


def _table(found: Comparison, given: Mapping[str, str]) -> dict[str, Any]:
    """Return the rows that changed most, and how they were chosen."""
    by, order, only = given.get("by") or "loss", given.get("order"), given.get("only") or ""
    if (
        by not in _MEASURES
        or order not in (None, "", "up", "down")
        or only not in ("", "rewritten")
    ):
        raise UsageError("the rows can be ordered by loss, density or quality, up or down")
    falling = order == "down" if order else not WORSE_RISES[by]
    chosen = {"by": by, "order": "down" if falling else "up", "only": only}
    if found.paired is None:
        return {"chosen": chosen, "lines": []}
    rows = found.paired.rows(by, falling=falling, rewritten=only == "rewritten")
    return {"chosen": chosen, "lines": [_line(row) for row in rows]}


def _line(row: PairRow) -> dict[str, Any]:
    return {
        "row": row,
        "cells": [
            {
                "before": _number(row.values[measure][0]),
                "after": _number(row.values[measure][1]),
                "change": _number(row.change(measure), sign=True),
            }
            for measure in _MEASURES
        ],
    }


def _number(value: float, *, sign: bool = False) -> str:
    if not math.isfinite(value):
        return "-"
    if sign and abs(value) < EVEN:
        return "0.0000"
    return (f"{value:+.4f}" if sign else f"{value:.4f}").replace("-", "−")
