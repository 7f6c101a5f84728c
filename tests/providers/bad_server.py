"""An OpenAI-compatible server on loopback that behaves as badly as a script says.

A script gets each request (its number from 0, and the body) and returns what to do: `Say` for a
choice, `Fail` for an HTTP error, a dict to send as it is, bytes to send unparsed, or `HANG`.
"""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

HANG = "hang"


@dataclass(frozen=True)
class Say:
    """A reply with one choice; `calls` are the tool calls as they stand on the wire."""

    content: Any = None
    calls: list[dict[str, Any]] = field(default_factory=list)
    finish: str = "stop"


@dataclass(frozen=True)
class Fail:
    """An HTTP error."""

    status: int
    message: str = "no"
    code: str | None = None
    headers: dict[str, str] = field(default_factory=dict)


Script = Callable[[int, dict[str, Any]], Any]


class BadServer(ThreadingHTTPServer):
    """Counts what is in flight and keeps every request."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, script: Script) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.script = script
        self.requests: list[dict[str, Any]] = []
        self.flying = 0
        self.lock = threading.Lock()
        self.closing = threading.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/v1"

    def asked(self) -> list[str]:
        """Return the form of each request, by the ladder's names."""
        return [form(body) for body in self.requests]


def form(body: dict[str, Any]) -> str:
    if body.get("tools"):
        return "function_calling"
    return str(body.get("response_format", {}).get("type", "text"))


def call(arguments: Any, name: str = "Colour") -> dict[str, Any]:
    """Return a tool call as it stands on the wire."""
    return {"id": "c1", "type": "function", "function": {"name": name, "arguments": arguments}}


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: BadServer

    def do_POST(self) -> None:
        server = self.server
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        with server.lock:
            number = len(server.requests)
            server.requests.append(body)
            server.flying += 1
        try:
            outcome = server.script(number, body)
            if outcome == HANG:
                server.closing.wait(10)
                return
            self._send(outcome)
        except (BrokenPipeError, ConnectionResetError):
            pass  # the client gave up
        finally:
            with server.lock:
                server.flying -= 1

    def _send(self, outcome: Any) -> None:
        status, headers = 200, {}
        if isinstance(outcome, Fail):
            status, headers = outcome.status, outcome.headers
            outcome = {"error": {"message": outcome.message, "code": outcome.code}}
        elif isinstance(outcome, Say):
            outcome = reply(outcome)
        data = outcome if isinstance(outcome, bytes) else json.dumps(outcome).encode()
        self.send_response(status)
        for name, value in {"content-type": "application/json", **headers}.items():
            self.send_header(name, value)
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: Any) -> None:
        pass


def reply(said: Say) -> dict[str, Any]:
    """Return the body of a reply: 10 tokens in, 5 out."""
    message: dict[str, Any] = {"role": "assistant", "content": said.content}
    if said.calls:
        message["tool_calls"] = said.calls
    return {
        "id": "r",
        "object": "chat.completion",
        "created": 1,
        "model": "bad-1",
        "choices": [{"index": 0, "message": message, "finish_reason": said.finish}],
        "usage": {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15},
    }


@contextmanager
def serving(script: Script) -> Iterator[BadServer]:
    """Serve a script on a free port of loopback."""
    server = BadServer(script)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.closing.set()
        server.shutdown()
        server.server_close()
        thread.join(5)
