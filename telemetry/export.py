"""The taker of events that sends them as OpenTelemetry spans.

It has a provider of its own, never the process's global one, and takes nothing from `OTEL_*`
variables: no sampler, no limits, no resource. Sending happens in the thread of a batch processor,
redaction too. Whatever becomes of the endpoint, the run goes on and says so once.
"""

import uuid
from collections.abc import Callable, Mapping
from threading import Lock

from openinference.semconv.resource import ResourceAttributes
from openinference.semconv.trace import SpanAttributes
from opentelemetry.context import Context
from opentelemetry.sdk.resources import SERVICE_NAME, SERVICE_VERSION, Resource
from opentelemetry.sdk.trace import SpanLimits, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter
from opentelemetry.sdk.trace.id_generator import IdGenerator
from opentelemetry.sdk.trace.sampling import ALWAYS_ON
from opentelemetry.trace import (
    NonRecordingSpan,
    NoOpTracer,
    SpanContext,
    Status,
    StatusCode,
    TraceFlags,
    set_span_in_context,
)

from .. import __version__
from ..core.ids import content_hash
from ..core.redaction import redact
from ..core.trace import TraceEvent
from .attributes import Value
from .endpoint import endpoint_host
from .gathering import Gathering, Tree
from .redacting import RedactingExporter
from .sending import OtlpSender
from .spans import Span

PROJECT = "middo"

QUEUE = 8192
"""Spans that wait to be sent; while the endpoint is down, what comes on top is lost."""

BATCH = 128
DELAY = 1000.0
"""Milliseconds between two messages, where there is something to send."""

CLOSING = 10.0
"""Seconds that the last spans have at the end of a run."""


def open_exporter(
    endpoint: str,
    run: str,
    *,
    identity: str = "",
    headers: Mapping[str, str] | None = None,
    providers: Mapping[str, str] | None = None,
    note: Callable[[str], None],
    sink: SpanExporter | None = None,
) -> "Exporter":
    """Return a taker of events that sends them to an endpoint; connects to nothing yet.

    Args:
        endpoint: address of an OTLP receiver over HTTP, with `/v1/traces` or without.
        run: name of the run, the session of its traces.
        identity: what tells the run from others of that name; ids of whole traces come from it.
        headers: sent with every message; their values are never told.
        providers: provider of the model behind each role, where there is only one.
        note: takes what a user should know, at most once while the run goes on and once at its end.
        sink: where spans go instead of the endpoint.
    """
    return Exporter(
        Gathering(run, providers or {}),
        sink or OtlpSender(endpoint, headers or {}),
        run=run,
        identity=identity,
        host=endpoint_host(endpoint),
        note=note,
    )


class Exporter:
    """Takes events of a run and sends their spans; `core.trace.Trace` is its type."""

    def __init__(
        self,
        gathering: Gathering,
        sink: SpanExporter,
        *,
        run: str,
        identity: str,
        host: str,
        note: Callable[[str], None],
    ) -> None:
        """See `open_exporter`."""
        self._gathering = gathering
        self._sender = sink if isinstance(sink, OtlpSender) else None
        self._gate = RedactingExporter(sink)
        self._run, self._identity, self._host, self._note = run, identity, host, note
        self._lock = Lock()
        self._ids = _Ids()
        self._ended = 0
        self._dropped = 0
        self._has_told = False
        self._is_closed = False
        self._processor = BatchSpanProcessor(
            self._gate,
            max_queue_size=QUEUE,
            schedule_delay_millis=DELAY,
            max_export_batch_size=BATCH,
            export_timeout_millis=CLOSING * 1000,
        )
        unset = SpanLimits.UNSET  # no limit; a limit left out would be what a variable says
        provider = TracerProvider(
            sampler=ALWAYS_ON,
            resource=Resource(
                {
                    SERVICE_NAME: "middo",
                    SERVICE_VERSION: __version__,
                    ResourceAttributes.PROJECT_NAME: PROJECT,
                }
            ),
            shutdown_on_exit=False,
            id_generator=self._ids,
            span_limits=SpanLimits(*[unset] * 8),
        )
        provider.add_span_processor(self._processor)
        self._tracer = provider.get_tracer("middo", __version__)
        # The one variable that the SDK asks for in any case: a switch that turns it off.
        self._is_off = isinstance(self._tracer, NoOpTracer)
        if self._is_off:
            self._tell(f"nothing is sent to {host}, since OTEL_SDK_DISABLED is true")

    def __call__(self, event: TraceEvent) -> None:
        """Take an event; never raises into the run, and waits for no network."""
        with self._lock:
            if self._is_closed or self._is_off:
                return
            try:
                for tree in self._gathering.take(event):
                    self._send(tree)
            except Exception as error:  # what is told about a run can't end it
                self._tell(f"an event was not sent ({_in_words(error)})")
        if self._sender is not None and self._sender.problem is not None:
            self._tell(f"{self._host} {self._sender.problem}; the run goes on without")

    def close(self) -> None:
        """Send what is open, marked unfinished; wait `CLOSING` seconds at most; say what is lost.

        Calling it again does nothing.
        """
        with self._lock:
            if self._is_closed:
                return
            self._is_closed = True
            try:
                for tree in self._gathering.rest():
                    self._send(tree)
            except Exception as error:  # as above
                self._tell(f"the last spans were not sent ({_in_words(error)})")
        if self._sender is not None:
            self._sender.finish_within(CLOSING)
        self._processor.shutdown()  # type: ignore[no-untyped-call]
        waiting = self._ended - self._gate.handled
        lost = self._dropped + waiting + (self._sender.lost if self._sender else 0)
        if lost:
            why = self._sender.problem if self._sender else None
            self._note(
                f"OpenTelemetry: {lost} of {self._ended + self._dropped} spans did not reach"
                f" {self._host}" + (f", which {why}" if why else "")
            )

    def _send(self, tree: Tree) -> None:
        parts = [self._identity, self._run, *tree.trace]
        if not tree.whole:
            parts.append(uuid.uuid4().hex)
        trace = content_hash(parts)[:32]
        parent = _span_id(trace, "") if tree.place else None
        self._send_span(tree.span, trace, tree.place, parent)

    def _send_span(self, span: Span, trace: str, place: str, parent: int | None) -> None:
        """Send a span and those below it; `place` is its path from the root of its trace."""
        if self._ended - self._gate.handled >= QUEUE:
            self._dropped += 1 + _count(span.children)
            return
        self._ids.trace, self._ids.span = int(trace, 16), _span_id(trace, place)
        mine = self._ids.span
        opened = self._tracer.start_span(
            _clean(span.name),
            context=_below(self._ids.trace, parent),
            attributes={
                SpanAttributes.SESSION_ID: self._run,
                **{name: _cleaned(value) for name, value in span.attributes.items()},
            },
            start_time=round(span.start * 1e9),
        )
        if span.error is None:
            opened.set_status(Status(StatusCode.OK))
        else:
            opened.set_status(Status(StatusCode.ERROR, _clean(span.error)))
        opened.end(round(span.end * 1e9))
        self._ended += 1
        for number, child in enumerate(span.children):
            self._send_span(child, trace, f"{place}.{number}", mine)

    def _tell(self, text: str) -> None:
        if not self._has_told:
            self._has_told = True
            self._note(f"OpenTelemetry: {text}")


class _Ids(IdGenerator):
    """Gives out the ids that were set before: equal work has equal ids, told twice or not."""

    trace = 1
    span = 1

    def generate_trace_id(self) -> int:
        return self.trace

    def generate_span_id(self) -> int:
        return self.span


def _span_id(trace: str, place: str) -> int:
    return int(content_hash([trace, place])[:16], 16)


def _below(trace: int, parent: int | None) -> Context:
    """Return the context of a span: its parent alone, whatever span the process is in."""
    if parent is None:
        return Context()
    sampled = TraceFlags(TraceFlags.SAMPLED)
    above = SpanContext(trace, parent, is_remote=False, trace_flags=sampled)
    return set_span_in_context(NonRecordingSpan(above), Context())


def _count(spans: tuple[Span, ...]) -> int:
    return sum(1 + _count(span.children) for span in spans)


def _cleaned(value: Value) -> Value:
    if isinstance(value, str):
        return _clean(value)
    return tuple(map(_clean, value)) if isinstance(value, tuple) else value


def _clean(text: str) -> str:
    """Return a text as UTF-8 can hold it and databases take it: no lone surrogate, no NUL."""
    return text.encode("utf-8", "replace").decode("utf-8").replace("\0", "\ufffd")


def _in_words(error: Exception) -> str:
    return redact(f"{type(error).__name__}: {error}")[:200]
