"""Templates to HTML: one Jinja2 environment, autoescaping, with the filters that pages share."""

from functools import cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from ..core.amounts import several
from ..core.redaction import without_keys
from ..inspection import figures
from .classes import class_of
from .links import Links
from .visible import left_out, plain, shown, visible


@cache
def environment() -> Environment:
    """Return the environment; a name that a template misspells raises."""
    made = Environment(
        loader=PackageLoader("middo.viewer"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    made.filters.update(
        visible=visible,
        shown=shown,
        left_out=left_out,
        class_of=class_of,
        plain=plain,
        count=figures.count,
        several=several,
        duration=figures.duration,
        loss=figures.loss,
        between=figures.between,
        percent=figures.percent,
    )
    return made


def render(name: str, links: Links, context: dict[str, Any]) -> str:
    """Return a template of `viewer/templates` as HTML; all its addresses come from `links`.

    Whatever was written before a key was known leaves without it. Only exact keys are taken out,
    since samples may well teach what a key looks like; what programs said was cleaned when it was
    written.
    """
    html: str = without_keys(environment().get_template(name).render(links=links, **context))
    return html
