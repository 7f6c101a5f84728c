"""A socket, an address with or without a token, and a server on it.

The socket is bound and listening before the address is told, so a browser that is faster than the
server waits instead of failing.
"""

import errno
import ipaddress
import secrets
import socket
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..core.errors import UsageError
from ..inspection.record import Record
from .security import TOKEN, App, Door, hosts_of

if TYPE_CHECKING:
    import uvicorn

PORT = 8710
"""The first choice: a fixed origin keeps what a browser remembers of it, such as the theme."""
_SECONDS_TO_FINISH = 2
_TAKEN = (errno.EADDRINUSE, errno.EACCES)
"""What the system says of a port that is somebody else's."""


@dataclass(frozen=True, slots=True)
class Bound:
    """A listening socket, what may come in, and the address to open."""

    socket: socket.socket
    door: Door
    url: str


def bind(host: str, port: int | None) -> Bound:
    """Listen on an address of this machine; beyond loopback the address holds a new token.

    Args:
        host: an IP address of this machine, a wildcard one included, or `localhost`.
        port: None for `PORT`, or a free one where that is taken; 0 for a free one.

    Raises:
        UsageError: the address is none, is not this machine's, or the port is taken.
    """
    address = _address(host)
    listening = _listen(address, port)
    number = listening.getsockname()[1]
    names = _names(address)
    shown = f"[{names[0]}]" if ":" in names[0] else names[0]
    url = f"http://{shown}:{number}/"
    cookie = f"middo-{number}"
    if address.is_loopback:
        return Bound(listening, Door(hosts_of(names, number), cookie=cookie), url)
    token = secrets.token_urlsafe(32)
    door = Door(hosts_of(names, number), token, cookie)
    return Bound(listening, door, f"{url}?{TOKEN}={token}")


def serve(record: Record, bound: Bound, ready: Callable[[], None]) -> None:
    """Answer until SIGINT or SIGTERM; `ready` is called once the server answers."""
    import uvicorn

    from .app import make_app

    class Server(uvicorn.Server):
        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets)
            ready()

    Server(configured(make_app(record, bound.door))).run(sockets=[bound.socket])


def configured(app: App) -> "uvicorn.Config":
    """Return how the application is served."""
    import uvicorn

    return uvicorn.Config(
        app,
        # The parser that uvicorn brings: what is tested is what runs, whatever else is installed.
        http="h11",
        log_config=None,
        # Any web page can send what is no request, and must not write to the terminal with it. What
        # goes wrong in a page is told by the application.
        log_level="critical",
        access_log=False,
        lifespan="off",
        ws="none",
        loop="asyncio",
        proxy_headers=False,
        server_header=False,
        timeout_graceful_shutdown=_SECONDS_TO_FINISH,
    )


Address = ipaddress.IPv4Address | ipaddress.IPv6Address


def _address(host: str) -> Address:
    try:
        return ipaddress.ip_address("127.0.0.1" if host == "localhost" else host.strip("[]"))
    except ValueError as error:
        raise UsageError(
            f"--host {host}: not an IP address; give one of this machine's, such as 127.0.0.1"
        ) from error


def _listen(address: Address, port: int | None) -> socket.socket:
    try:
        return _listening(address, PORT if port is None else port)
    except OverflowError as error:
        raise _refusal(address, port, "no port has this number") from error
    except OSError as error:
        if port is not None or error.errno not in _TAKEN:
            raise _refusal(address, port, str(error.strerror)) from error
    try:
        return _listening(address, 0)
    except OSError as error:
        raise _refusal(address, port, str(error.strerror)) from error


def _refusal(address: Address, port: int | None, reason: str) -> UsageError:
    if port is None:
        return UsageError(
            f"can't listen on {address} ({reason}); --host takes an address of this machine"
        )
    return UsageError(
        f"can't listen on {address} port {port} ({reason}); leave --port out for a free one"
    )


def _listening(address: Address, port: int) -> socket.socket:
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6
    # The protocol is named since asyncio sends small packets at once only where it is: with the
    # default, every answer waits 40 ms for the browser's delayed acknowledgement.
    made = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind((str(address), port))
        made.listen(128)
    except BaseException:
        made.close()
        raise
    return made


def _names(address: Address) -> list[str]:
    """Return the names that a browser may call the server by, the one to print first."""
    if address.is_loopback:
        return [str(address), "localhost"]
    if not address.is_unspecified:
        return [str(address)]
    outward = _outward(address)
    return [*([outward] if outward else []), str(_loopback(address)), "localhost"]


def _loopback(address: Address) -> str:
    return "127.0.0.1" if address.version == 4 else "::1"


def _outward(address: Address) -> str | None:
    """Return this machine's address on its network; asking the routing table sends nothing."""
    family, far = (
        (socket.AF_INET, "192.0.2.1") if address.version == 4 else (socket.AF_INET6, "2001:db8::1")
    )
    with socket.socket(family, socket.SOCK_DGRAM) as asked:
        try:
            asked.connect((far, 9))
        except OSError:
            return None
        return str(asked.getsockname()[0])
