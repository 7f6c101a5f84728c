"""Find the JSON objects in a model's reply, whatever stands around them.

Models wrap their answer in Markdown fences, in prose or after a block of reasoning. All top-level
objects are returned, not the first: a reply that quotes an object from the sample's text before its
own must not be read as that quotation. Who asked decides what more than one object means.
"""

import json
import re
from typing import Any

_TAG = r"(?:think|thinking|reasoning)"
_CLOSED = re.compile(rf"<({_TAG})>.*?</\1>", re.DOTALL | re.IGNORECASE)
_OPENED = re.compile(rf"<{_TAG}>.*\Z", re.DOTALL | re.IGNORECASE)
_STRAY = re.compile(rf"\A.*</{_TAG}>", re.DOTALL | re.IGNORECASE)
_ANY = re.compile(rf"</?{_TAG}>", re.IGNORECASE)
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
    text = _CLOSED.sub("", text)
    text = _OPENED.sub("", text)
    return _STRAY.sub("", text).strip()


def _outside(text: str, start: int, end: int) -> bool:
    """True for an object that holds a reasoning tag and stands in no reasoning itself."""
    return bool(_ANY.search(text, start, end)) and not _ANY.search(text, 0, start)


def _spans(text: str) -> list[tuple[int, int, dict[str, Any]]]:
    found = []
    start = text.find("{")
    while start >= 0:
        try:
            value, end = _DECODER.raw_decode(text, start)
        except (json.JSONDecodeError, RecursionError):
            end = start + 1
        else:
            found.append((start, end, value))
        start = text.find("{", end)
    return found
