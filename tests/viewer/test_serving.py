import json
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from middo.core.errors import UsageError
from middo.viewer import serving
from middo.viewer.serving import Bound, bind, configured
from tests.inspection.folder import Folder, numbered


@contextmanager
def bound(host: str, port: int | None) -> Iterator[Bound]:
    made = bind(host, port)
    try:
        yield made
    finally:
        made.socket.close()


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_loopback_needs_no_token(host: str) -> None:
    with bound(host, 0) as made:
        port = made.socket.getsockname()[1]
        assert made.url == f"http://127.0.0.1:{port}/"
        assert made.door.token is None
        assert made.door.hosts == {f"127.0.0.1:{port}", f"localhost:{port}"}


def test_it_listens_before_the_address_is_told() -> None:
    with bound("127.0.0.1", 0) as made, socket.create_connection(made.socket.getsockname(), 1):
        pass


def test_answers_do_not_wait_for_acknowledgements() -> None:
    """Asyncio turns Nagle's algorithm off only for sockets that name their protocol."""
    with bound("127.0.0.1", 0) as made:
        assert made.socket.proto == socket.IPPROTO_TCP
        with socket.create_connection(made.socket.getsockname(), 1):
            accepted, _ = made.socket.accept()
            with accepted:
                assert accepted.proto == socket.IPPROTO_TCP


def test_beyond_loopback_the_address_holds_a_new_token() -> None:
    tokens = []
    for _ in range(2):
        with bound("0.0.0.0", 0) as made:
            port = made.socket.getsockname()[1]
            address, _, token = made.url.partition("?token=")
            assert token == made.door.token and len(token) >= 40
            assert f"127.0.0.1:{port}" in made.door.hosts
            assert address.removeprefix("http://").rstrip("/") in made.door.hosts
            assert f"0.0.0.0:{port}" not in made.door.hosts
            tokens.append(token)
    assert tokens[0] != tokens[1]


def test_a_taken_port_is_an_error_when_it_was_asked_for_and_else_another_is_taken(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with bound("127.0.0.1", 0) as first:
        port = first.socket.getsockname()[1]
        with pytest.raises(UsageError, match=f"port {port} .*leave --port out"):
            bind("127.0.0.1", port)
        monkeypatch.setattr(serving, "PORT", port)
        with bound("127.0.0.1", None) as second:
            assert second.socket.getsockname()[1] != port


@pytest.mark.parametrize(
    ("host", "port", "said"),
    [
        ("example.org", 0, "not an IP address"),
        ("", 0, "not an IP address"),
        ("192.0.2.1", 0, "can't listen on 192.0.2.1"),
        ("192.0.2.1", None, "can't listen on 192.0.2.1 .*--host takes"),
        ("127.0.0.1", 70_000, "no port has this number"),
    ],
)
def test_an_address_that_is_none_of_this_machine_is_one_line(
    host: str, port: int | None, said: str
) -> None:
    with pytest.raises(UsageError, match=said):
        bind(host, port)


def test_one_parser_of_requests_is_used_wherever_another_is_installed_too() -> None:
    async def app(scope: object, receive: object, send: object) -> None: ...

    assert configured(app).http == "h11"


def answered(port: int, request: bytes) -> bytes:
    """Send bytes and return the first line of what comes back."""
    with socket.create_connection(("127.0.0.1", port), 10) as asked:
        asked.sendall(request)
        found = b""
        while b"\r\n" not in found and (more := asked.recv(4_096)):
            found += more
    return found.partition(b"\r\n")[0]


def test_no_request_writes_to_the_terminal(tmp_path: Path) -> None:
    folder = Folder(tmp_path / "run")
    folder.dataset(0, numbered(3), gate="baseline")
    command = [sys.executable, "-m", "middo", "view", str(folder.path)]
    with subprocess.Popen(
        [*command, "--port", "0", "--no-open", "--json"],
        cwd=Path(__file__).parents[2],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as server:
        assert server.stdout is not None
        lines: list[str] = []
        while not lines or lines[-1].rstrip() != "}":
            lines.append(server.stdout.readline())
            assert lines[-1]
        port = urlsplit(json.loads("".join(lines))["url"]).port
        assert port is not None
        host = f"Host: 127.0.0.1:{port}\r\n".encode()
        shake = b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
        shake += b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
        asked = {
            b"GET / HTTP/1.1\r\n" + host + b"\r\n": b"HTTP/1.1 200 OK",
            b"GET / HTTP/1.1\r\n" + host + shake + b"\r\n": b"HTTP/1.1 200 OK",
            b"\x1b[31m nonsense\r\n\r\n": b"HTTP/1.1 400 Bad Request",
            b"GET / HTTP/1.1\r\n\r\n": b"HTTP/1.1 400 Bad Request",
        }
        try:
            found = {request: answered(port, request) for request in asked}
        finally:
            server.terminate()
        assert server.communicate(timeout=20) == ("", "")
    assert found == asked
