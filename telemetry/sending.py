"""Spans over HTTP: OTLP's protobuf messages, posted to one address and nowhere else.

The SDK's own exporter takes headers and credentials from `OTEL_*` variables, follows redirects with
both, tells of failures only by logging, and can't be told to hurry. Here a failure is kept in
words, and a message goes to the host that the run names, or not at all: neither `~/.netrc` nor the
proxies of the environment have a say. Only a private certificate authority is taken from there.
"""

import os
import threading
import time
from collections.abc import Mapping, Sequence

import requests
from google.protobuf.message import DecodeError
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from .endpoint import traces_url

LARGEST = 4 * 2**20
"""Bytes of one message; services refuse larger ones. A single span may exceed it."""

PATIENCE = 10.0
"""Seconds that the endpoint has to connect, and to answer."""

_WAITS = (1.0, 4.0)
"""Seconds before the second and the third try."""

_AUTHORITIES = ("REQUESTS_CA_BUNDLE", "SSL_CERT_FILE")
"""Variables that may name a file of certificates to trust; the first that is set counts."""

_PASSING = {429, 502, 503, 504}
_PROTOBUF = "application/x-protobuf"


class OtlpSender(SpanExporter):
    """Posts spans; counts those that did not arrive, and keeps the first reason."""

    def __init__(self, endpoint: str, headers: Mapping[str, str]) -> None:
        """Connect to nothing yet."""
        self.lost = 0
        self.problem: str | None = None
        self._url = traces_url(endpoint)
        self._session = requests.Session()
        # Else a login of `~/.netrc` would replace the header that is given here.
        self._session.trust_env = False
        self._authority = next((name for name in _AUTHORITIES if os.environ.get(name)), None)
        if self._authority is not None:
            self._session.verify = os.environ[self._authority]
        self._session.headers.update({"content-type": _PROTOBUF, "user-agent": "middo", **headers})
        self._hurry = threading.Event()
        self._deadline = float("inf")
        self._is_down = False

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Send spans, in as many messages as their size asks for."""
        body = encode_spans(spans).SerializeToString()
        if len(body) > LARGEST and len(spans) > 1:
            half = len(spans) // 2
            both = {self.export(spans[:half]), self.export(spans[half:])}
            return both.pop() if len(both) == 1 else SpanExportResult.FAILURE
        problem, refused = self._deliver(body)
        if problem is not None:
            self.problem = self.problem or problem
            refused = len(spans)
        self.lost += refused
        return SpanExportResult.FAILURE if refused else SpanExportResult.SUCCESS

    def finish_within(self, seconds: float) -> None:
        """Give up on what has not arrived after some seconds; nothing is waited for any more."""
        self._deadline = time.monotonic() + seconds
        self._hurry.set()

    def shutdown(self) -> None:
        """Close the connection."""
        self._session.close()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Hold nothing back: what `export` gets is sent at once."""
        return True

    def _deliver(self, body: bytes) -> tuple[str | None, int]:
        """Return what went wrong in words, and how many spans of a taken message were refused.

        An endpoint that was down is asked once per message, so that the rest doesn't pile up.
        """
        for wait in () if self._is_down else _WAITS:
            problem, refused, passes = self._post(body)
            if problem is None or not passes:
                return problem, refused
            self._hurry.wait(wait)
        problem, refused, passes = self._post(body)
        self._is_down = problem is not None and passes
        return problem, refused

    def _post(self, body: bytes) -> tuple[str | None, int, bool]:
        """Return the problem, the number of refused spans, and whether another try may help."""
        left = min(PATIENCE, self._deadline - time.monotonic())
        if left <= 0:
            return "was too slow at the end of the run", 0, False
        try:
            reply = self._session.post(self._url, body, timeout=left, allow_redirects=False)
        except requests.Timeout:
            return f"gave no answer within {PATIENCE:.0f} s", 0, True
        except requests.exceptions.SSLError:
            return "has no certificate that this machine trusts", 0, False
        except requests.ConnectionError:
            return "can't be reached (traces.otlp)", 0, True
        except OSError as error:  # those of requests are such, and a missing file of certificates
            if isinstance(error, requests.RequestException) or self._authority is None:
                return f"can't be asked ({type(error).__name__})", 0, False
            file = f"{self._session.verify}, which {self._authority} names"
            return f"can't be asked, as there are no certificates in {file}", 0, False
        if reply.ok and not reply.is_redirect:
            return None, _refused(reply), False
        return _words(reply.status_code), 0, reply.status_code in _PASSING


def _words(status: int) -> str:
    match status:
        case 401 | 403:
            return f"refuses the credentials (HTTP {status}); see traces.otlp_headers_env"
        case 404 | 405:
            return f"takes no traces at this path (HTTP {status}); see traces.otlp"
        case _ if 300 <= status < 400:
            return f"points to another address (HTTP {status}); name that one in traces.otlp"
        case _:
            return f"answered HTTP {status}"


def _refused(reply: requests.Response) -> int:
    """Return how many spans a reply says were not taken; most endpoints say nothing."""
    if not reply.headers.get("content-type", "").startswith(_PROTOBUF):
        return 0
    try:
        answer = ExportTraceServiceResponse.FromString(reply.content)
    except DecodeError:
        return 0
    return int(answer.partial_success.rejected_spans)
