"""Pydantic's findings as one line for people: place, key, value, what was expected."""

import difflib
from collections.abc import Sequence
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from .config_reference import config_keys, expectation, section_keys
from .yaml_source import Place, Source, dotted

_LONGEST = 60


def explain(error: ValidationError, sources: Sequence[Source]) -> str:
    """Return the first problem in full and name the others.

    Args:
        error: what pydantic found in the merged settings.
        sources: where settings came from, the strongest last.
    """
    first, *others = error.errors(include_url=False)
    text = _problem(first, sources)
    if others:
        named = ", ".join(f"{dotted(_path(o))} ({_place(_path(o), sources)})" for o in others[:5])
        rest = "" if len(others) <= 5 else ", ..."
        text += f"; and {len(others)} more: {named}{rest}"
    return text


def _problem(found: ErrorDetails, sources: Sequence[Source]) -> str:
    path = _path(found)
    start = f"{_place(path, sources)}: {dotted(path)}: "
    match found["type"]:
        case "extra_forbidden":
            return start + unknown_key(path)
        case "missing":
            return start + f"is missing; expected {expectation(path)}"
        case "value_error":  # a validator's own words, which name the values
            return start + str(found["ctx"]["error"])
    loc = tuple(found["loc"])  # the key "x" of a mapping is found at (..., "x", "[key]")
    asked = expectation((*loc[:-2], "[key]") if loc[-1:] == ("[key]",) else loc)
    return start + f"{_value(found['input'])} is not valid; expected {asked}"


def unknown_key(path: Place) -> str:
    """Say that a key is unknown, with the nearest key that is known."""
    known = section_keys(path[:-1])
    close = difflib.get_close_matches(str(path[-1]), known, n=1, cutoff=0.6)
    if close:
        return f"unknown key; did you mean {close[0]!r}?"
    elsewhere = {key.name.rsplit(".", 1)[-1]: key.name for key in config_keys()}
    close = difflib.get_close_matches(str(path[-1]), list(elsewhere), n=1, cutoff=0.8)
    if close:
        return f"unknown key; did you mean {elsewhere[close[0]]!r}?"
    return f"unknown key; expected one of {', '.join(known)}"


def _path(found: ErrorDetails) -> Place:
    return tuple(step for step in found["loc"] if step != "[key]")


def _place(path: Place, sources: Sequence[Source]) -> str:
    """Return the place of a setting, or of the section around it, in the strongest source."""
    for length in range(len(path), 0, -1):
        for source in reversed(sources):
            if path[:length] in source.lines:
                return source.place(path[:length])
    return "configuration"


def _value(value: Any) -> str:
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    text = repr(value)
    return text if len(text) <= _LONGEST else text[:_LONGEST] + "..."
