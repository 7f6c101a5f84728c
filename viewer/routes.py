"""Addresses to pages. A page's modules are loaded when it is asked for the first time.

They hold numpy, pyarrow and more; the first page must not wait for what only others need. Once it
is sent, the others are loaded in the background.
"""

import logging
from collections.abc import Callable
from functools import cache
from typing import Any

from starlette.requests import Request

from ..inspection.record import Record
from .rendering import environment

_log = logging.getLogger(__name__)
Page = Callable[[Record, Request], tuple[str, dict[str, Any]]]
"""Reads what a request asks for: name of the template, and its context."""


def pages(record: Record) -> dict[str, Page]:
    """Return the page of every path."""

    @cache
    def comparing() -> Page:
        from ..inspection.siblings import Siblings
        from .pages.compare import page

        return page(Siblings(record.folder))

    return {
        "/": _run,
        "/progress": _progress,
        "/rounds/{round}": _round,
        "/samples": _samples,
        "/samples/{sample_id}": _sample,
        "/compare": lambda record, request: comparing()(record, request),
        "/review": _review,
    }


def prepare(record: Record) -> None:
    """Load what the other pages need: modules, templates, and the columns of a round.

    What a page would fail at is that page's to tell, when it is asked for.
    """
    from .pages import compare, frame, review, round, run, sample, samples

    assert all((compare, review, run, samples))
    made = environment()
    for name in made.list_templates(extensions=["html"]):
        made.get_template(name)
    try:
        latest = frame.frame(record, "round")["latest_round"]
        if latest is not None:
            picture = round.context(record, latest)["picture"]
            for name in picture.points.ids[:1] if picture.points else ():
                sample.context(record, name)
    except Exception:
        # Nobody has asked for these pages yet, so nobody is told.
        _log.debug("pages could not be prepared", exc_info=True)


def _run(record: Record, request: Request) -> tuple[str, dict[str, Any]]:
    from .pages.run import page

    return page(record, request)


def _progress(record: Record, request: Request) -> tuple[str, dict[str, Any]]:
    from .pages.run import progress

    return progress(record, request)


def _round(record: Record, request: Request) -> tuple[str, dict[str, Any]]:
    from .pages.round import page

    return page(record, request)


def _samples(record: Record, request: Request) -> tuple[str, dict[str, Any]]:
    from .pages.samples import page

    return page(record, request)


def _sample(record: Record, request: Request) -> tuple[str, dict[str, Any]]:
    from .pages.sample import page

    return page(record, request)


def _review(record: Record, request: Request) -> tuple[str, dict[str, Any]]:
    from .pages.review import page

    return page(record, request)
