import socket
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from middo.core.errors import UsageError
from middo.viewer import serving
from middo.viewer.serving import Bound, bind


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
