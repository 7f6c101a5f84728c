"""Addresses to pages. A page's modules are loaded when it is asked for the first time.

They hold numpy, pyarrow and more; the first page must not wait for what only others need. Once it
is sent, the others are loaded in the background.
"""

import logging
from collections.abc import Callable
from importlib import import_module
from types import ModuleType
from typing import Any

from starlette.requests import Request

from ..inspection.record import Record
from .rendering import environment

_log = logging.getLogger(__name__)
Page = Callable[[Record, Request], tuple[str, dict[str, Any]]]
"""Reads what a request asks for: name of the template, and its context."""

_PAGES = {
    "/": ("run", "page"),
    "/progress": ("run", "progress"),
    "/rounds/{round}": ("round", "page"),
    "/samples": ("samples", "page"),
    "/samples/{sample_id}": ("sample", "page"),
    "/compare": ("compare", "page"),
    "/review": ("review", "page"),
}
"""Path -> module of `pages` and the function in it."""


def pages() -> dict[str, Page]:
    """Return the page of every path."""
    return {path: _page(*place) for path, place in _PAGES.items()}


def prepare(record: Record) -> None:
    """Load what the other pages need: modules, templates, and the columns of a round.

    What a page would fail at is that page's to tell, when it is asked for.
    """
    for module, _ in _PAGES.values():
        _module(module)
    made = environment()
    for name in made.list_templates(extensions=["html"]):
        made.get_template(name)
    from .pages import frame, round, sample

    try:
        latest = frame.frame(record, "round")["latest_round"]
        if latest is not None:
            picture = round.context(record, latest)["picture"]
            for name in picture.points.ids[:1] if picture.points else ():
                sample.context(record, name)
    except Exception:
        # Nobody has asked for these pages yet, so nobody is told; the same failure, of a damaged
        # file for one, is caught and logged by the page itself once somebody does.
        _log.debug("pages could not be prepared", exc_info=True)


def _page(module: str, name: str) -> Page:
    def page(record: Record, request: Request) -> tuple[str, dict[str, Any]]:
        make: Page = getattr(_module(module), name)
        return make(record, request)

    return page


def _module(name: str) -> ModuleType:
    return import_module(f"{__package__}.pages.{name}")
