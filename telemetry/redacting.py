"""The last gate before spans leave: no key passes, in whatever text it stands.

It stands in front of whichever exporter sends, so nothing that makes spans has to think of it.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from opentelemetry.trace import Status
from opentelemetry.util.types import Attributes

from ..core.redaction import redactor

Redact = Callable[[str], str]


class RedactingExporter(SpanExporter):
    """Hands redacted copies of spans to another exporter, and counts what it has handed on."""

    def __init__(self, inner: SpanExporter) -> None:
        """Stand in front of `inner`."""
        self.handled = 0
        self._inner = inner

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Redact and hand on."""
        try:
            redact = redactor()
            return self._inner.export([_redacted(span, redact) for span in spans])
        finally:
            self.handled += len(spans)

    def shutdown(self) -> None:
        """Close the exporter behind."""
        self._inner.shutdown()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Flush the exporter behind."""
        return self._inner.force_flush(timeout_millis)


def redacted_text(text: str, redact: Redact) -> str:
    """Return a text without keys; JSON stays JSON.

    A key with quotes or line breaks is written with escapes inside JSON, once per level. So texts
    inside are redacted first, and then the whole, where a key's name stands beside its value.
    """
    if text[:1] in {"{", "["}:
        try:
            plain = json.loads(text)
            inside = _inside(plain, redact)
        except (ValueError, RecursionError):  # only looks like JSON, or is too deep to look into
            return redact(text)
        if inside != plain:
            text = json.dumps(inside, ensure_ascii=False)
    return redact(text)


def _inside(value: Any, redact: Redact) -> Any:
    if isinstance(value, str):
        return redacted_text(value, redact)
    if isinstance(value, dict):
        return {redact(key): _inside(inner, redact) for key, inner in value.items()}
    if isinstance(value, list):
        return [_inside(inner, redact) for inner in value]
    return value


def _redacted(span: ReadableSpan, redact: Redact) -> ReadableSpan:
    status = span.status
    return ReadableSpan(
        name=redact(span.name),
        context=span.context,
        parent=span.parent,
        resource=span.resource,
        attributes=_attributes(span.attributes, redact),
        events=[
            Event(redact(event.name), _attributes(event.attributes, redact), event.timestamp)
            for event in span.events
        ],
        links=span.links,
        kind=span.kind,
        status=Status(
            status.status_code,
            None if status.description is None else redacted_text(status.description, redact),
        ),
        start_time=span.start_time,
        end_time=span.end_time,
        instrumentation_scope=span.instrumentation_scope,
    )


def _attributes(attributes: Attributes, redact: Redact) -> Mapping[str, Any]:
    return {name: _value(value, redact) for name, value in (attributes or {}).items()}


def _value(value: Any, redact: Redact) -> Any:
    if isinstance(value, str):
        return redacted_text(value, redact)
    if isinstance(value, Sequence):
        return tuple(_value(inner, redact) for inner in value)
    return value
