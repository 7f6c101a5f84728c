"""Find the JSON objects in a model's reply, whatever stands around them.

Models wrap their answer in Markdown fences, in prose or after a block of reasoning. All top-level
objects are returned, not the first: a reply that quotes an object from the sample's text before its
own must not be read as that quotation. Who asked decides what more than one object means.
"""

import json
import re
from bisect import bisect_right
from typing import Any

_TAG = r"(think|thinking|reasoning)"
_CASE = re.IGNORECASE | re.ASCII
_OPENS = re.compile(rf"<{_TAG}>", _CASE)
_CLOSES = re.compile(rf"</{_TAG}>", _CASE)
_ANY = re.compile(rf"</?{_TAG}>", _CASE)
_BEGIN = re.compile(r'\{[ \t\n\r]*(?:\}|"[^"\\]*(?:\\.[^"\\]*)*"[ \t\n\r]*:)', re.DOTALL)
"""The brace and first key of an object; code and formulas hold many other braces."""
_MOST_BROKEN = 1_000
"""Beginnings without an end after which a reply holds no more objects: each takes time."""
_DECODER = json.JSONDecoder(strict=False)  # small models put raw line breaks into strings


def json_objects(text: str) -> list[dict[str, Any]]:
    """Return the top-level JSON objects of a reply in their order, reasoning left out."""
    spans = _spans(text)
    # A tag inside an object is part of the answer (a sample about reasoning tags), no reasoning.
    quoting = [value for start, end, value in spans if _outside(text, start, end)]
    if quoting:
        return quoting
    return [value for _, _, value in _spans(without_reasoning(text))]


def without_reasoning(text: str) -> str:
    """Return the text without reasoning blocks: closed, unclosed, or opened by the template."""
    text = _without_blocks(text)
    if (opened := _OPENS.search(text)) is not None:
        text = text[: opened.start()]
    strays = [stray.end() for stray in _CLOSES.finditer(text)]
    return text[strays[-1] if strays else 0 :].strip()


def _without_blocks(text: str) -> str:
    """Leave out closed blocks; an end that isn't there is looked for once per name of a tag."""
    ends: dict[str, list[int]] = {}
    for end in _CLOSES.finditer(text):
        ends.setdefault(end[1].lower(), []).append(end.end())
    kept: list[str] = []
    done = 0
    for start in _OPENS.finditer(text):
        own = ends.get(start[1].lower(), [])
        place = bisect_right(own, start.end())
        if start.start() >= done and place < len(own):
            kept.append(text[done : start.start()])
            done = own[place]
    return "".join([*kept, text[done:]])


def _outside(text: str, start: int, end: int) -> bool:
    """True for an object that holds a reasoning tag and stands in no reasoning itself."""
    return bool(_ANY.search(text, start, end)) and not _ANY.search(text, 0, start)


def _spans(text: str) -> list[tuple[int, int, dict[str, Any]]]:
    found = []
    broken = 0
    begin = _BEGIN.search(text)
    while begin is not None and broken < _MOST_BROKEN:
        start = begin.start()
        try:
            value, end = _DECODER.raw_decode(text, start)
        except (ValueError, RecursionError):  # also a number past Python's limit
            end = start + 1
            broken += 1
        else:
            found.append((start, end, value))
        begin = _BEGIN.search(text, end)
    return found
