"""SVG elements as escaped text: no style attribute, no script, no number that a reader can't parse.

Colours and fonts come from classes in `viewer/static/charts.css`, so that one picture fits both
themes and a content security policy without inline styles.
"""

import math
from collections.abc import Sequence

from markupsafe import Markup, escape

EMPTY_HEIGHT = 72


def tag(name: str, *children: str, **attributes: str | float | None) -> Markup:
    """Return an element.

    Args:
        name: of the element.
        children: text, which is escaped, or elements from here, which are not.
        attributes: `class_` and the like lose the underscore at their end, another one becomes a
            hyphen. None leaves an attribute out.

    Raises:
        ValueError: a number that is not finite.
    """
    written = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{_value(value)}"'
        for key, value in attributes.items()
        if value is not None
    )
    if not children:
        return Markup(f"<{name}{written}/>")  # both parts are escaped above
    inside = "".join(escape(child) for child in children)
    return Markup(f"<{name}{written}>{inside}</{name}>")


def number(value: float) -> str:
    """Return a coordinate with at most one decimal, which is finer than a pixel.

    Raises:
        ValueError: it is not finite.
    """
    if not math.isfinite(value):
        raise ValueError(f"svg: {value!r} is no coordinate; leave such values out before drawing")
    written = f"{value:.1f}".removesuffix(".0")
    return "0" if written == "-0" else written


def group(class_: str, *children: str) -> Markup:
    """Return a group of elements; nothing where there are none."""
    return tag("g", *children, class_=class_) if children else Markup("")


def text(x: float, y: float, content: str, class_: str = "", anchor: str = "start") -> Markup:
    """Return a line of text."""
    end = None if anchor == "start" else anchor
    return tag("text", content, x=x, y=y, class_=class_ or None, text_anchor=end)


def line(x1: float, y1: float, x2: float, y2: float, class_: str) -> Markup:
    """Return a straight line."""
    return tag("line", x1=x1, y1=y1, x2=x2, y2=y2, class_=class_)


def polyline(points: Sequence[tuple[float, float]], class_: str) -> Markup:
    """Return a line through points."""
    written = " ".join(f"{number(x)},{number(y)}" for x, y in points)
    return tag("polyline", points=written, class_=class_)


def picture(
    kind: str, title: str, told: str, width: float, height: float, *children: str
) -> Markup:
    """Return a whole picture.

    Args:
        kind: class that names the sort of chart.
        title: what it is.
        told: what is seen in it, in words, for people who don't see it.
        width: of the drawing, in its own units; it scales to the width of the page.
        height: of the drawing.
        children: elements.
    """
    return tag(
        "svg",
        tag("title", title),
        tag("desc", told),
        *children,
        xmlns="http://www.w3.org/2000/svg",
        class_=f"chart {kind}",
        viewBox=f"0 0 {number(width)} {number(height)}",
        role="img",
    )


def nothing(kind: str, title: str, why: str, width: float) -> Markup:
    """Return a picture that says in words why there is nothing to draw."""
    words = text(width / 2, EMPTY_HEIGHT / 2 + 4, why, "none", "middle")
    return picture(f"{kind} empty", title, why, width, EMPTY_HEIGHT, words)


def _value(value: str | float) -> str:
    return str(escape(value)) if isinstance(value, str) else number(value)
