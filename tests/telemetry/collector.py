"""A collector on the loopback interface, which reads what it gets as OTLP says."""

import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)


class Collector(ThreadingHTTPServer):
    """Keeps requests; answers with `status`, and refuses `rejected` spans of every message."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.bodies: list[bytes] = []
        self.headers: list[dict[str, str]] = []
        self.paths: list[str] = []
        self.statuses: list[int] = []
        self.status = 200
        self.rejected = 0
        self.location = ""
        self.scheme = "http"

    @property
    def url(self) -> str:
        return f"{self.scheme}://127.0.0.1:{self.server_port}"

    def encrypt(self, certificate: Path) -> None:
        """Speak TLS with a certificate and its key, both in one file."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        # Hands are shaken in the connection's own thread, where a refusal ends nothing else.
        self.socket = context.wrap_socket(
            self.socket, server_side=True, do_handshake_on_connect=False
        )
        self.scheme = "https"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of clients that trust no certificate of ours."""

    @property
    def spans(self) -> list[Any]:
        """Every span that arrived, as protobuf messages."""
        return [
            span
            for body in self.bodies
            for resource in ExportTraceServiceRequest.FromString(body).resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
        ]


class _Handler(BaseHTTPRequestHandler):
    server: Collector

    def do_POST(self) -> None:
        server = self.server
        status = server.statuses.pop(0) if server.statuses else server.status
        body = self.rfile.read(int(self.headers["Content-Length"]))
        server.paths.append(self.path)
        server.headers.append({name.lower(): value for name, value in self.headers.items()})
        if status == 200:
            server.bodies.append(body)
        answer = ExportTraceServiceResponse()
        answer.partial_success.rejected_spans = server.rejected
        text = answer.SerializeToString() if status == 200 else b"no"
        self.send_response(status)
        if server.location:
            self.send_header("Location", server.location)
        self.send_header("Content-Type", "application/x-protobuf")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, format: str, *args: Any) -> None:
        pass


@contextmanager
def collecting(certificate: Path | None = None) -> Iterator[Collector]:
    """Serve a collector while the block runs, with a certificate over TLS."""
    server = Collector()
    if certificate is not None:
        server.encrypt(certificate)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
