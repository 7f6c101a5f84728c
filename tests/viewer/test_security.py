"""Who comes in and what every answer carries, with an app behind the door that says `in`."""

from typing import Any

import pytest
from starlette.responses import PlainTextResponse
from starlette.testclient import TestClient

from middo.viewer.security import POLICY, Door, Guard, hosts_of

HOSTS = hosts_of(["127.0.0.1", "localhost"], 8710)
HOME = "http://127.0.0.1:8710"


def client(door: Door | None = None, base: str = HOME) -> TestClient:
    app = PlainTextResponse("in", headers={"Cache-Control": "public, max-age=999"})
    guard = Guard(app, door or Door(HOSTS), lambda status, line: PlainTextResponse(line, status))
    return TestClient(guard, base_url=base, follow_redirects=False)  # type: ignore[arg-type]


def test_a_plain_request_to_the_own_address_comes_in() -> None:
    assert client().get("/").text == "in"
    assert client(base="http://localhost:8710").get("/").text == "in"
    assert client().head("/").status_code == 200


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "evil.example:8710",
        "127.0.0.1",
        "127.0.0.1:8711",
        "127.0.0.1:8710.evil.example",
        "localhost.evil.example:8710",
        "evil.example@127.0.0.1:8710",
        "127.0.0.1:8710, evil.example",
        "",
    ],
)
def test_another_host_is_refused(host: str) -> None:
    answer = client().get("/", headers={"Host": host})
    assert answer.status_code == 421
    assert answer.text != "in"


def test_a_name_of_the_host_is_compared_without_case() -> None:
    assert client().get("/", headers={"Host": "LocalHost:8710"}).text == "in"


@pytest.mark.parametrize("header", ["host", "origin", "sec-fetch-site"])
def test_a_header_that_decides_may_come_only_once(header: str) -> None:
    good = {"host": "127.0.0.1:8710", "origin": HOME, "sec-fetch-site": "none"}[header]
    answer = client().get("/", headers=[(header, good), (header, "evil.example")])
    assert answer.status_code == 400


@pytest.mark.parametrize(
    "origin",
    [
        "null",
        "http://evil.example",
        "https://127.0.0.1:8710",
        "http://127.0.0.1:8711",
        "http://127.0.0.1",
        "http://localhost:8710",
        "http://127.0.0.1:8710.evil.example",
    ],
)
def test_a_page_of_another_origin_gets_nothing(origin: str) -> None:
    assert client().get("/", headers={"Origin": origin}).status_code == 403


def test_the_own_origin_comes_in() -> None:
    assert client().get("/", headers={"Origin": HOME}).text == "in"


@pytest.mark.parametrize(
    ("site", "mode", "dest", "status"),
    [
        ("same-origin", "cors", "empty", 200),
        ("none", "navigate", "document", 200),
        ("cross-site", "no-cors", "image", 403),
        ("cross-site", "no-cors", "script", 403),
        ("cross-site", "cors", "empty", 403),
        ("cross-site", "navigate", "iframe", 403),
        ("same-site", "cors", "empty", 403),
        # A person who follows a link in a chat or a notebook; its page can't read the answer.
        ("cross-site", "navigate", "document", 200),
    ],
)
def test_what_other_sites_fetch_is_refused(site: str, mode: str, dest: str, status: int) -> None:
    headers = {"Sec-Fetch-Site": site, "Sec-Fetch-Mode": mode, "Sec-Fetch-Dest": dest}
    assert client().get("/", headers=headers).status_code == status


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "BREW"])
def test_only_reading_is_answered(method: str) -> None:
    answer = client().request(method, "/")
    assert answer.status_code == 405
    assert answer.headers["allow"] == "GET, HEAD"
    assert "read-only" in answer.text


@pytest.mark.parametrize("host", ["127.0.0.1:8710", "evil.example"])
def test_every_answer_is_sealed_refusals_too(host: str) -> None:
    headers = client().get("/", headers={"Host": host}).headers
    assert headers["content-security-policy"] == POLICY
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["cross-origin-opener-policy"] == "same-origin"
    assert headers["cross-origin-resource-policy"] == "same-origin"
    assert headers.get_list("cache-control") == ["no-store"]


def test_the_policy_allows_nothing_inline_and_nothing_from_elsewhere() -> None:
    rules = dict(rule.strip().split(" ", 1) for rule in POLICY.split(";"))
    assert rules == {
        "default-src": "'self'",
        "object-src": "'none'",
        "base-uri": "'none'",
        "form-action": "'self'",
        "frame-ancestors": "'none'",
    }


# --- beyond loopback ---

FAR = "http://192.0.2.7:9000"


def far(**cookies: str) -> tuple[TestClient, Door]:
    door = Door(hosts_of(["192.0.2.7"], 9000), token="the-token", cookie="middo-9000")
    made = client(door, FAR)
    for name, value in cookies.items():
        made.cookies.set(name, value)
    return made, door


@pytest.mark.parametrize("address", ["/", "/?token=", "/?token=other", "/?token=the-token%20"])
def test_without_the_token_nobody_comes_in(address: str) -> None:
    made, _ = far()
    answer = made.get(address)
    assert answer.status_code == 401
    assert "set-cookie" not in answer.headers


def test_the_token_is_exchanged_for_a_cookie_and_leaves_the_address() -> None:
    made, door = far()
    answer = made.get("/samples?round=1&token=the-token&text=a%26b")
    assert answer.status_code == 303
    assert answer.headers["location"] == "/samples?round=1&text=a%26b"
    cookie = answer.headers["set-cookie"]
    assert cookie == f"middo-9000={door.session}; HttpOnly; SameSite=Strict; Path=/"
    assert "the-token" not in cookie
    assert made.get("/samples").text == "in"


def test_the_redirect_stays_on_this_server() -> None:
    made, _ = far()
    for path in ("//evil.example/", "/%5cevil.example/", "/\\evil.example/"):
        answer = made.get(f"{FAR}{path}?token=the-token")
        assert not answer.headers["location"].startswith(("//", "/\\", "http"))


@pytest.mark.parametrize("value", ["", "the-token", "other", "é"])
def test_a_cookie_that_is_not_this_session_is_refused(value: str) -> None:
    made, _ = far()
    header = f"middo-9000={value}".encode()
    assert made.get("/", headers={b"Cookie": header}).status_code == 401


def test_a_broken_cookie_header_is_refused() -> None:
    made, _ = far()
    assert made.get("/", headers={"Cookie": "=;,\x7f[]{}"}).status_code == 401


@pytest.mark.parametrize(
    "others",
    [
        "{first}; {ours}",
        "{ours}; {first}",
        "{ours}; middo-9000=an-older-start",
        "middo-9000=an-older-start; {ours}",
        'other={{"a": [1]}}; {ours}',
        "name with spaces=x; {ours}",
        "{ours}; é=ü",
        'quoted="half; {ours}',
        ";;{ours} ;",
    ],
)
def test_cookies_of_other_services_of_the_host_lock_nobody_out(others: str) -> None:
    made, door = far()
    ours = f"middo-9000={door.session}"
    header = others.format(ours=ours, first="a=b; c").encode()
    assert made.get("/", headers={b"Cookie": header}).text == "in"


def test_cookies_may_come_in_several_headers() -> None:
    made, door = far()
    ours = ("Cookie", f"middo-9000={door.session}")
    for headers in ([ours, ("Cookie", "a=b")], [("Cookie", "a=b"), ours]):
        assert made.get("/", headers=headers).text == "in"


@pytest.mark.parametrize("before", ["x", "middo-9000=", 'a="', "middo-900=x; xmiddo-"])
def test_the_session_counts_only_under_its_own_name(before: str) -> None:
    made, door = far()
    header = f"{before}middo-9000={door.session}"
    assert made.get("/", headers={"Cookie": header}).status_code == 401


def test_the_other_checks_hold_beside_the_token() -> None:
    made, door = far()
    cookie = {"Cookie": f"middo-9000={door.session}"}
    assert made.get("/", headers=cookie).text == "in"
    assert made.get("/", headers={**cookie, "Host": "evil.example:9000"}).status_code == 421
    assert made.get("/", headers={**cookie, "Origin": "http://evil.example"}).status_code == 403
    assert made.post("/", headers=cookie).status_code == 405


def test_every_start_has_its_own_session() -> None:
    assert Door(HOSTS).session != Door(HOSTS).session
    assert len(Door(HOSTS).session) >= 40


def test_addresses_with_colons_are_bracketed_and_port_80_may_go_unsaid() -> None:
    assert hosts_of(["::1", "LOCALHOST"], 8710) == {"[::1]:8710", "localhost:8710"}
    assert hosts_of(["127.0.0.1"], 80) == {"127.0.0.1:80", "127.0.0.1"}


async def test_websockets_are_not_spoken() -> None:
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> Any:
        raise AssertionError("nothing is read")

    await Guard(PlainTextResponse("in"), Door(HOSTS), lambda s, t: PlainTextResponse(t, s))(
        {"type": "websocket", "path": "/", "headers": []}, receive, send
    )
    assert sent == []
