"""The Review page: what waits for a person, and the exact commands that decide on it.

The viewer never writes: a decision is made in the terminal, by the command that stands here.
"""

import shlex
from typing import Any

from starlette.requests import Request

from ...core.errors import UsageError
from ...inspection.record import Record
from ...inspection.reviews import Waiting, waiting
from .compared import compared
from .frame import frame

SHOWN = 50
"""Proposals on a page; as these are decided, the next ones move up."""


def page(record: Record, request: Request) -> tuple[str, dict[str, Any]]:
    """Return the page, or say that nothing waits.

    Raises:
        UsageError: the run does not pause for a review now.
    """
    base = frame(record, "review")
    if base["status"] != "paused":
        raise UsageError("Nothing waits for a review: the run is not paused.")
    found = waiting(record)
    folder = shlex.quote(str(record.folder))
    return "review.html", {
        **base,
        "total": len(found),
        "proposals": [_proposal(one) for one in found[:SHOWN]],
        "commands": (
            (f"middo review {folder}", "shows one proposal after the other and takes your word"),
            (f"middo review {folder} --from FILE", "takes decisions as JSON Lines"),
            (f"middo resume {folder}", "goes on once all are decided"),
        ),
    }


def _proposal(one: Waiting) -> dict[str, Any]:
    return {"it": one, "turns": compared(one.old, one.new, adds=one.adds)}
