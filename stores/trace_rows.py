"""Events as rows of `traces.db`: every text redacted, long ones written once.

An event that is told again, as by a resumed run whose calls the ledger answers, adds nothing.
"""

import hashlib
import json
import math
import sqlite3
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from typing import Any

from ..core.redaction import known_keys, redactor
from ..core.trace import Call, Judged, NodeBegan, NodeEnded, Settled, TraceEvent

HASH_DIGITS = 32
KNOWN_TEXTS = 20_000
"""Texts whose place is remembered, 200 bytes each: those are not redacted and looked up again."""
SHORT = 500
"""Characters; reasons and names up to here are redacted once per different text."""


class TraceRows:
    """Writes events into an open transaction; remembers which texts are in the file already."""

    def __init__(self) -> None:
        """Begin with nothing remembered."""
        self._keys: list[str] | None = None
        self._known: OrderedDict[bytes, str] = OrderedDict()
        self._redact: Callable[[str], str] = str
        self._short: Callable[[str], str] = str

    def forget(self) -> None:
        """Forget which texts are in the file: a transaction was rolled back."""
        self._known.clear()

    def write(self, connection: sqlite3.Connection, events: Iterable[TraceEvent]) -> None:
        """Write events.

        Raises:
            sqlite3.Error: the file can't be written, or a value doesn't fit.
            TypeError, ValueError, OverflowError: JSON or SQLite has no form for a value.
        """
        self._learn_keys()
        for event in events:
            match event:
                case Call():
                    self._call(connection, event)
                case Judged():
                    self._judged(connection, event)
                case Settled():
                    self._settled(connection, event)
                case NodeBegan() | NodeEnded():
                    self._node(connection, event)

    def _learn_keys(self) -> None:
        """Redact with the keys known now; what was redacted with fewer is done again."""
        keys = known_keys()
        if keys == self._keys:
            return
        self._keys = keys
        self._redact = redactor()
        self._short = lru_cache(maxsize=4096)(self._redact)
        self.forget()

    def _call(self, connection: sqlite3.Connection, event: Call) -> None:
        values = (
            *(event.key, event.round, self._line(event.sample_id), self._line(event.axes)),
            *(self._line(event.agent), event.attempt, event.source, self._line(event.model)),
            *(self._line(event.prompt), event.prompt_version, event.prompt_hash, event.status),
            *(None, None if event.error is None else self._line(event.error)),
            *(event.prompt_tokens, event.completion_tokens, event.usd, event.began, event.seconds),
        )
        cursor = connection.execute(_ADD_CALL, values)
        if not cursor.rowcount:
            return
        number = cursor.lastrowid
        if event.value is not None:
            value = self._text(connection, self._json(event.value), redacted=True)
            connection.execute("UPDATE calls SET value_hash = ? WHERE id = ?", (value, number))
        connection.executemany(
            "INSERT INTO call_messages VALUES (?, ?, ?, ?)",
            [
                (number, place, self._line(role), self._text(connection, text))
                for place, (role, text) in enumerate(event.messages)
            ],
        )
        connection.executemany(
            "INSERT INTO call_answers VALUES (?, ?, ?)",
            [(number, place, self._text(connection, text)) for place, text in enumerate(event.raw)],
        )

    def _judged(self, connection: sqlite3.Connection, event: Judged) -> None:
        values = (
            *(event.round, self._line(event.sample_id), event.attempt, event.proposal_id),
            *(event.node, self._line(event.gate), event.passed),
            *(_stored(self._json(event.numbers)), self._line(event.reason), event.at),
        )
        connection.execute(_ADD_VERDICT, values)

    def _settled(self, connection: sqlite3.Connection, event: Settled) -> None:
        values = (
            *(event.round, self._line(event.sample_id), str(event.axis), event.fate),
            *(self._line(event.reason), event.attempts, event.began, event.seconds),
        )
        connection.execute(
            "INSERT INTO settled VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING", values
        )

    def _node(self, connection: sqlite3.Connection, event: NodeBegan | NodeEnded) -> None:
        began = event.at if isinstance(event, NodeBegan) else event.began
        connection.execute(
            "INSERT INTO nodes (node, round, began) VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
            (event.node, event.round, began),
        )
        if isinstance(event, NodeEnded):
            connection.execute(
                "UPDATE nodes SET seconds = ?, status = ?, summary = ?"
                " WHERE node = ? AND round = ? AND began = ?",
                (event.seconds, event.status, self._line(event.summary))
                + (event.node, event.round, began),
            )

    def _line(self, text: str) -> str | bytes:
        return _stored(self._short(text) if len(text) <= SHORT else self._redact(text))

    def _json(self, value: Any) -> str:
        return json.dumps(self._walked(value), ensure_ascii=False, sort_keys=True)

    def _walked(self, value: Any) -> Any:
        """Return JSON types with every text redacted, keys of objects included."""
        if isinstance(value, str):
            return self._short(value) if len(value) <= SHORT else self._redact(value)
        if isinstance(value, Mapping):
            return {self._walked(str(key)): self._walked(inner) for key, inner in value.items()}
        if isinstance(value, list | tuple):
            return [self._walked(inner) for inner in value]
        # JSON has no word for NaN and infinities.
        return None if isinstance(value, float) and not math.isfinite(value) else value

    def _text(self, connection: sqlite3.Connection, text: str, *, redacted: bool = False) -> str:
        """Return the hash of a text that is in the file from here on."""
        digest = _digest(text)
        known = self._known.get(digest)
        if known is not None:
            self._known.move_to_end(digest)
            return known
        written = text if redacted else self._redact(text)
        name = (digest if written is text else _digest(written)).hex()[:HASH_DIGITS]
        connection.execute(
            "INSERT INTO texts VALUES (?, ?) ON CONFLICT DO NOTHING", (name, _stored(written))
        )
        self._known[digest] = name
        if len(self._known) > KNOWN_TEXTS:
            self._known.popitem(last=False)
        return name


def text_from(stored: Any) -> str:
    """Return a text as it was before it was stored."""
    return stored.decode("utf-8", "surrogatepass") if isinstance(stored, bytes) else str(stored)


def _stored(text: str) -> str | bytes:
    """Return a text as SQLite can hold it: one with a lone surrogate has no form in UTF-8."""
    if text.isascii():
        return text
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return text.encode("utf-8", "surrogatepass")
    return text


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()


CALL_COLUMNS = (
    *("key", "round", "sample_id", "axes", "agent", "attempt", "source", "model", "prompt"),
    *("prompt_version", "prompt_hash", "status", "value_hash", "error", "prompt_tokens"),
    *("completion_tokens", "usd", "began", "seconds"),
)
_ADD_CALL = (
    f"INSERT INTO calls ({', '.join(CALL_COLUMNS)})"
    f" VALUES ({', '.join('?' * len(CALL_COLUMNS))}) ON CONFLICT DO NOTHING"
)
_ADD_VERDICT = (
    "INSERT INTO verdicts (round, sample_id, attempt, proposal_id, node, gate, passed, numbers,"
    " reason, at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING"
)
