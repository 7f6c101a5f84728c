"""Who may read: every request passes here before any page is made, every answer leaves here.

Samples may be secret and hostile, and a browser runs pages of strangers beside this one. So:
exact `Host` (a name that an attacker points at 127.0.0.1 is refused), `Origin` and `Sec-Fetch-Site`
(pages of other sites get nothing), GET and HEAD only, and headers that forbid scripts, frames,
caches and referrers. Beyond loopback a token is needed as well: it comes once in the address and is
exchanged for a cookie that scripts can't read.
"""

import secrets
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, urlencode

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[Any]]
Send = Callable[[Any], Awaitable[None]]
App = Callable[[Any, Any, Any], Awaitable[None]]
Refuse = Callable[[int, str], App]
"""(status, line) -> an answer that says so as a page."""

TOKEN = "token"
POLICY = (
    "default-src 'self'; object-src 'none'; base-uri 'none'; form-action 'self'; "
    "frame-ancestors 'none'"
)
HEADERS: tuple[tuple[bytes, bytes], ...] = (
    (b"content-security-policy", POLICY.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"permissions-policy", b"camera=(), geolocation=(), microphone=()"),
    (b"cache-control", b"no-store"),
)
_OURS = {name for name, _ in HEADERS}


@dataclass(frozen=True, slots=True)
class Door:
    """What a request must have to come in.

    Attributes:
        hosts: values of `Host` that are served, in lower case, with the port.
        token: what the first address must hold; None on loopback, where no token is needed.
        cookie: name of the cookie; it holds the port, since cookies are shared between ports.
        session: the cookie's value, made anew for every start.
    """

    hosts: frozenset[str]
    token: str | None = None
    cookie: str = "middo"
    session: str = field(default_factory=lambda: secrets.token_urlsafe(32))


def hosts_of(names: Iterable[str], port: int) -> frozenset[str]:
    """Return the `Host` values of addresses and names at a port; port 80 may go unsaid."""
    found = set()
    for name in names:
        host = f"[{name}]" if ":" in name else name.lower()
        found.add(f"{host}:{port}")
        if port == 80:
            found.add(host)
    return frozenset(found)


class Guard:
    """ASGI middleware that refuses what is not for us and seals what is answered."""

    def __init__(self, app: App, door: Door, refuse: Refuse) -> None:
        """Guard an app; `refuse` makes the pages of refusals."""
        self._app = app
        self._door = door
        self._refuse = refuse

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request; anything but HTTP is closed."""
        if scope["type"] != "http":
            return
        await self._answer(scope)(scope, receive, _sealed(send))

    def _answer(self, scope: Scope) -> App:
        headers = _headers(scope)
        if headers is None:
            return self._refuse(400, "The request repeats a header that may come once.")
        refusal = _refusal(scope, headers, self._door)
        if refusal is not None:
            return self._refuse(*refusal)
        if self._door.token is None:
            return self._app
        return self._with_token(scope, headers, self._door.token)

    def _with_token(self, scope: Scope, headers: Mapping[str, str], token: str) -> App:
        """Let in who holds the cookie; exchange the address's token for it."""
        query = parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)
        given = [value for name, value in query if name == TOKEN]
        if given and _same(given[0], token):
            rest = urlencode([pair for pair in query if pair[0] != TOKEN])
            # `//host` would leave this server: a path begins with exactly one slash.
            path = "/" + scope["raw_path"].decode("latin-1").lstrip("/\\")
            return _redirect(path + (f"?{rest}" if rest else ""), self._cookie())
        held = _cookies(headers.get("cookie", ""), self._door.cookie)
        if any(_same(value, self._door.session) for value in held):
            return self._app
        line = "Open the whole address that `middo view` printed: it holds a token."
        if headers.get("sec-fetch-site") == "cross-site":
            line += " If you came by that very link, reload this page."
        return self._refuse(401, line)

    def _cookie(self) -> str:
        return f"{self._door.cookie}={self._door.session}; HttpOnly; SameSite=Strict; Path=/"


def _refusal(scope: Scope, headers: Mapping[str, str], door: Door) -> tuple[int, str] | None:
    """Return status and line of a refusal, None where the request may go on."""
    host = headers.get("host", "").lower()
    if host not in door.hosts:
        return 421, "This server answers under its own address only."
    if scope["method"] not in ("GET", "HEAD"):
        return 405, "These pages are read-only: only GET is answered."
    origin = headers.get("origin")
    if origin is not None and origin.lower() != f"http://{host}":
        return 403, "A page of another origin asked for this."
    site = headers.get("sec-fetch-site", "none")
    if site not in ("same-origin", "none") and not _is_visit(headers):
        return 403, "A page of another site asked for this."
    return None


def _is_visit(headers: Mapping[str, str]) -> bool:
    """Return whether a person follows a link: a top-level page, which no other page can read."""
    fetched = (headers.get("sec-fetch-mode"), headers.get("sec-fetch-dest"))
    return fetched == ("navigate", "document")


def _headers(scope: Scope) -> dict[str, str] | None:
    """Return the headers by lower-case name; None where one that decides comes twice.

    Cookies may come in several headers: they are joined.
    """
    found: dict[str, str] = {}
    for raw_name, raw_value in scope["headers"]:
        name, value = raw_name.decode("latin-1").lower(), raw_value.decode("latin-1")
        if name in found and name in ("host", "origin", "sec-fetch-site"):
            return None
        found[name] = f"{found[name]}; {value}" if name == "cookie" and name in found else value
    return found


def _cookies(header: str, name: str) -> list[str]:
    """Return the values of a cookie in the order sent.

    All ports of a host share their cookies, so neighbours may hold what no standard allows, and may
    repeat our name: each pair stands for itself.
    """
    pairs = (pair.strip().partition("=") for pair in header.split(";"))
    return [value for key, _, value in pairs if key == name]


def _same(given: str, wanted: str) -> bool:
    """Compare two secrets in a time that does not tell where they differ."""
    return secrets.compare_digest(given.encode(), wanted.encode())


def _redirect(location: str, cookie: str) -> App:
    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        headers = [
            (b"location", location.encode("latin-1", "replace")),
            (b"set-cookie", cookie.encode("latin-1")),
            (b"content-length", b"0"),
        ]
        await send({"type": "http.response.start", "status": 303, "headers": headers})
        await send({"type": "http.response.body", "body": b""})

    return answer


def _sealed(send: Send) -> Send:
    """Return a `send` that sets the headers which every answer carries."""

    async def sealed(message: Any) -> None:
        if message["type"] == "http.response.start":
            kept = [pair for pair in message.get("headers", ()) if pair[0].lower() not in _OURS]
            if message["status"] == 405:
                kept.append((b"allow", b"GET, HEAD"))
            message = {**message, "headers": [*kept, *HEADERS]}
        await send(message)

    return sealed
