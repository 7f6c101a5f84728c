"""Untrusted text for a page: what can't be seen, or would reorder what is seen, is shown as a mark.

Escaping makes a text harmless to the browser; this makes it honest to the reader. A NUL, an escape
or a right-to-left override stands as its code point in a marked box. Where a joiner or a variation
selector belongs to the writing (emoji, Persian, Indic scripts) it is left alone. And it is short
enough for a browser: an unbroken line of a megabyte would hold it up for most of a minute.
"""

import re
import unicodedata
from functools import cache

from markupsafe import Markup, escape

MOST_SHOWN = 20_000
"""Characters that a page shows of one text; of the rest it says how long it is."""

_SUSPECT = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\xad\u061c\u115f\u1160\u17b4\u17b5\u180e\u200b\u200e\u200f"
    "\u2028\u2029\u202a-\u202e\u2060-\u206f\u3164\ufeff\uffa0\ufff9-\ufffb"
    "\ud800-\udfff\U000e0000-\U000e0fff\U0001d173-\U0001d17a]"
    # A joiner after a Latin letter or another hidden character belongs to no writing.
    "|(?<![^\x00-\u02ff\u200b-\u200f\u2060-\u206f\ufeff])[\u200c\u200d]"
)


def visible(text: object) -> Markup:
    """Return a text as HTML: escaped, and every hidden character as `<span class="hidden-char">`.

    A carriage return before a line feed is dropped. A span holds `U+202E`, with the name of the
    character as its tooltip.
    """
    spaced = escape(str(text).replace("\r\n", "\n"))
    # Escaping neither adds nor takes a hidden character, so marks may be set after it.
    return Markup(_SUSPECT.sub(lambda found: _mark(found.group()), str(spaced)))


def shown(text: object) -> Markup:
    """Return a text of any length as `visible` does: its beginning, and how much more there is."""
    whole = str(text)
    return visible(whole[:MOST_SHOWN]) + left_out(len(whole) - MOST_SHOWN)


def left_out(characters: int) -> Markup:
    """Return the mark for characters that a page does not show; nothing where it shows all."""
    if characters <= 0:
        return Markup()
    one = "character" if characters == 1 else "characters"
    return Markup(
        '<span class="left-out"> … {:,} {} more, '
        "whole in <code>middo explain --json</code> … </span>"
    ).format(characters, one)


def plain(text: object) -> str:
    """Return a text for places that take no markup (titles, attributes): marks as `<U+202E>`."""
    spaced = str(text).replace("\r\n", "\n")
    return _SUSPECT.sub(lambda found: f"<{_code(found.group())}>", spaced)


@cache
def _mark(char: str) -> str:
    name = escape(unicodedata.name(char, "control character").lower())
    return f'<span class="hidden-char" title="{name}">{_code(char)}</span>'


def _code(char: str) -> str:
    return f"U+{ord(char):04X}"
