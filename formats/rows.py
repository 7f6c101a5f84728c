"""What all importers share: raw rows, why one can't be used, and the rules of a conversation.

A row is either a sample or quarantined with a reason. Nothing is repaired and nothing is dropped.
"""

import unicodedata
from dataclasses import dataclass, field
from typing import Any

from ..core.ids import canonical_json
from ..core.records import Message

DEEPEST = 200
"""Levels of lists and objects in a row. Python's own limit depends on who calls; this one does not,
and leaves room for all that reads the row later."""

LAYOUT = "_middo"
"""The key of `Sample.meta` that keeps what an exporter needs to write a row back as it came."""

_HIDDEN = {"Cc", "Cf"}

Row = dict[str, Any]
Layout = dict[str, Any]


@dataclass(frozen=True, slots=True)
class RawRow:
    """One row of a file as it was read; `broken` says why it can't be a row at all."""

    source: str
    row: Any
    broken: str | None = None


@dataclass(frozen=True, slots=True)
class Parsed:
    """What an importer made of a row: turns, the columns it used, and how to write them back."""

    messages: tuple[Message, ...]
    used: frozenset[str]
    layout: Layout = field(default_factory=dict)


class BadRow(Exception):
    """A row can't be used; the text is the reason that its quarantine gives."""


class CannotHold(Exception):
    """A form has no place for something in a sample; the text says for what."""


def kind_of(value: Any) -> str:
    """Return what a value is, in the words of a message."""
    names = {str: "text", bool: "true or false", int: "a number", float: "a number"}
    names |= {list: "a list", dict: "an object", bytes: "binary data", type(None): "null"}
    return names.get(type(value), type(value).__name__)


def quoted(text: str, longest: int = 40) -> str:
    """Return a row's own word for a message: quoted, on one line, and cut where it is long."""
    return repr(text if len(text) <= longest else text[:longest] + "...")


def text_of(value: Any, name: str) -> str:
    """Return a value that has to be text; null counts as empty text.

    Raises:
        BadRow: it is something else.
    """
    if value is None:
        return ""
    if not isinstance(value, str):
        raise BadRow(f"wrong type: {name} is {kind_of(value)}, not text")
    return value


def check_turns(messages: tuple[Message, ...]) -> None:
    """Hold a conversation to the rules of `Sample.messages`.

    Raises:
        BadRow: no assistant turn, another last turn, no user turn before it, or an empty turn.
    """
    roles = [message.role for message in messages]
    if "assistant" not in roles:
        raise BadRow("no assistant turn")
    if roles[-1] != "assistant":
        raise BadRow(f"the last turn is of the role {roles[-1]!r}, not an assistant turn")
    if "user" not in roles[:-1]:
        raise BadRow("no user turn before the last assistant turn")
    prompt = max(index for index, role in enumerate(roles) if role == "user")
    for index, message in enumerate(messages):
        if message.role in ("system", "tool") or _visible(message.content):
            continue
        if index == len(messages) - 1:
            raise BadRow("empty answer")
        if index == prompt:
            raise BadRow("empty prompt")
        raise BadRow(f"turn {index + 1}: empty {message.role} turn")


def _visible(text: str) -> bool:
    """Return whether a text has a character that can be seen: no blank, control or format mark."""
    return any(not char.isspace() and unicodedata.category(char) not in _HIDDEN for char in text)


def unstorable(row: Row) -> str | None:
    """Return why a row can't be stored as JSON text in UTF-8, or None where it can."""
    if _trouble(row) is None:  # nearly always, so that fields are looked at one by one but rarely
        return None
    for key, value in row.items():
        if (trouble := _trouble({key: value})) is not None:
            return f"field {quoted(key)} {trouble}"
    return f"the row {_trouble(row)}"


_TOO_DEEP = f"is nested more than {DEEPEST} deep"


def _trouble(row: Row) -> str | None:
    try:
        text = canonical_json(row)
        text.encode("utf-8")
    except UnicodeEncodeError:
        return "holds a lone surrogate, which UTF-8 has no form for"
    except ValueError:
        return "holds NaN or an infinity, which JSON has no word for"
    except TypeError:
        return "holds binary data or another type that JSON has no form for"
    except RecursionError:
        return _TOO_DEEP
    if text.count("[") + text.count("{") <= DEEPEST:
        return None
    return _TOO_DEEP if _deeper(row) else None


def _deeper(row: Row) -> bool:
    level: list[Any] = [row]
    for _ in range(DEEPEST):
        level = [
            inner
            for value in level
            for inner in (value.values() if isinstance(value, dict) else value)
            if isinstance(inner, dict | list)
        ]
    return bool(level)
