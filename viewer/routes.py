"""Addresses to pages. A page's modules are loaded when it is asked for the first time.

They hold numpy, pyarrow and more; the first page must not wait for what only others need. Once it
is sent, the others are loaded in the background.
"""

from collections.abc import Callable
from functools import cache
from typing import Any

from starlette.requests import Request

from ..inspection.record import Record
from .rendering import environment

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


@cache
def prepare() -> None:
    """Load the modules and templates of all pages, once."""
    from .pages import compare, review, round, run, sample, samples

    assert all((compare, review, round, run, sample, samples))
    made = environment()
    for name in made.list_templates(extensions=["html"]):
        made.get_template(name)


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
