"""Spans on their way: what is sent, what never is, and what a run hears of a bad endpoint."""

import json
import logging
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from middo.core.trace import TraceEvent
from middo.telemetry import sending
from middo.telemetry.export import open_exporter

from .collector import Collector, collecting
from .told import call, judged, life, settled

KEY = 'canary-"of"-the\nteacher-1'
GIVEN = "hf_abcdefghijABCDEF0123456789"


@pytest.fixture
def collector() -> Iterator[Collector]:
    with collecting() as server:
        yield server


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sending, "_WAITS", (0.001, 0.001))


def own_certificate(folder: Path) -> Path:
    """Return a file with a new key and a certificate for 127.0.0.1 that it signed itself."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("no openssl on PATH")
    made = folder / "own.pem"
    asked = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 1"
    asked += " -subj /CN=own -addext subjectAltName=IP:127.0.0.1 -config /dev/null"
    files = ["-keyout", str(folder / "key"), "-out", str(folder / "cert")]
    subprocess.run([openssl, *asked.split(), *files], check=True, capture_output=True)
    made.write_bytes((folder / "key").read_bytes() + (folder / "cert").read_bytes())
    return made


def tell(url: str, events: list[TraceEvent], **options: Any) -> list[str]:
    """Tell events to an exporter, close it, and return what it noted."""
    notes: list[str] = []
    exporter = open_exporter(url, "a-run", note=notes.append, **options)
    for event in events:
        exporter(event)
    exporter.close()
    exporter.close()
    return notes


def test_spans_arrive_whole_with_their_headers(collector: Collector) -> None:
    headers = {"authorization": "Bearer of-something"}
    assert tell(f"{collector.url}/otel/", life(), headers=headers) == []
    assert len(collector.spans) == 10
    assert collector.paths == ["/otel/v1/traces"]
    assert collector.headers[0]["authorization"] == "Bearer of-something"
    assert collector.headers[0]["content-type"] == "application/x-protobuf"
    assert len({span.trace_id for span in collector.spans}) == 1


@pytest.mark.parametrize(
    "events",
    [
        [call(messages=[["user", f"say {KEY}"]]), settled()],
        [call(value={"answer": {"deep": [KEY]}}), settled()],
        [call(raw=[json.dumps({"answer": KEY})]), settled()],
        [call(raw=[json.dumps({"twice": json.dumps({"answer": KEY})})]), settled()],
        [call(status="failed", value=None, error=f"refused {KEY}"), settled()],
        [call(), judged(reason=f"says {KEY}", passed=False), settled()],
        [call(), judged(numbers={KEY: [KEY]}), settled()],
        [call(), settled(fate="failed", reason=f"rewriter: {KEY}")],
        [call(prompt=KEY), settled()],
        [call(messages=[["user", f"a token: {GIVEN}"]]), settled()],
        [call(value={"api_key": "abcd1234efgh"}), settled()],
    ],
)
def test_no_key_leaves_in_whatever_text_it_stands(
    collector: Collector, monkeypatch: pytest.MonkeyPatch, events: list[TraceEvent]
) -> None:
    monkeypatch.setenv("TEACHER_API_KEY", KEY)
    assert tell(collector.url, events) == []
    sent = b"".join(collector.bodies)
    assert b"[redacted]" in sent
    for part in (b"canary", b"the\nteacher", b"teacher-1", GIVEN.encode(), b"abcd1234"):
        assert part not in sent


def test_a_text_without_keys_is_sent_to_the_letter(collector: Collector) -> None:
    raw = '{ "answer":\t"x",\n "answer": 1e5 }'
    tell(collector.url, [call(raw=[raw]), settled()])
    assert raw.encode() in b"".join(collector.bodies)


def test_variables_neither_lead_elsewhere_nor_add_headers(
    collector: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    with collecting() as other:
        for name in ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"):
            monkeypatch.setenv(name, other.url)
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "x-api-key=of-the-shell-profile")
        assert tell(collector.url, life()) == []
        assert other.paths == []
    assert "x-api-key" not in collector.headers[0]
    assert len(collector.spans) == 10


def test_a_login_of_the_users_netrc_never_takes_the_place_of_the_headers(
    collector: Collector, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    logins = tmp_path / "netrc"
    logins.write_text("machine 127.0.0.1 login me password of-another-service\n", encoding="utf-8")
    logins.chmod(0o600)
    monkeypatch.setenv("NETRC", str(logins))
    given = {"authorization": "Bearer of-something"}
    for headers, sent in ((given, "Bearer of-something"), ({}, None)):
        assert tell(collector.url, life(), headers=headers) == []
        assert collector.headers[-1].get("authorization") == sent


def test_no_proxy_of_the_environment_gets_the_texts(
    collector: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    with collecting() as proxy:
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
            monkeypatch.setenv(name, proxy.url)
        assert tell(collector.url, life()) == []
        assert proxy.paths == []
    assert len(collector.spans) == 10


@pytest.mark.parametrize("name", ["SSL_CERT_FILE", "REQUESTS_CA_BUNDLE"])
def test_a_private_authority_is_trusted_where_its_file_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str
) -> None:
    for other in ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE"):
        monkeypatch.delenv(other, raising=False)
    certificate = own_certificate(tmp_path)
    with collecting(certificate) as server:
        (note,) = tell(server.url, life())
        assert "has no certificate that this machine trusts" in note
        monkeypatch.setenv(name, str(certificate))
        assert tell(server.url, life()) == []
        assert len(server.spans) == 10
        monkeypatch.setenv(name, str(tmp_path / "missing.pem"))
        (note,) = tell(server.url, life())
        assert f"missing.pem, which {name} names" in note


def test_an_endpoint_that_is_down_is_noted_once(
    caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    notes: list[str] = []
    exporter = open_exporter(f"http://127.0.0.1:{port}", "a-run", note=notes.append)
    with caplog.at_level(logging.DEBUG):
        for number in range(30):
            for event in life(f"s{number}"):
                exporter(event)
        waited = time.monotonic() + 5
        while not notes and time.monotonic() < waited:
            time.sleep(0.01)
            exporter(settled("late", fate="deferred"))
        exporter.close()
    first, last = notes
    where = f"127.0.0.1:{port}"
    assert first == (
        f"OpenTelemetry: {where} can't be reached (traces.otlp); the run goes on without"
    )
    assert last.startswith("OpenTelemetry: 300 of 300 spans did not reach " + where)
    assert capfd.readouterr().err == ""
    assert [r for r in caplog.records if r.name.startswith(("opentelemetry", "middo"))] == []


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (401, "refuses the credentials (HTTP 401); see traces.otlp_headers_env"),
        (404, "takes no traces at this path (HTTP 404); see traces.otlp"),
        (500, "answered HTTP 500"),
    ],
)
def test_a_refusal_is_told_with_what_to_do(collector: Collector, status: int, words: str) -> None:
    collector.status = status
    (note,) = tell(collector.url, life(), headers={"x-api-key": "a-secret-of-mine"})
    assert note.endswith(f"10 of 10 spans did not reach {collector.url[7:]}, which {words}")
    assert len(collector.paths) == 1


def test_an_overloaded_endpoint_is_asked_again(collector: Collector) -> None:
    collector.statuses = [503, 429]
    assert tell(collector.url, life()) == []
    assert (len(collector.paths), len(collector.spans)) == (3, 10)


def test_no_redirect_is_followed(collector: Collector) -> None:
    with collecting() as other:
        collector.status, collector.location = 307, f"{other.url}/v1/traces"
        (note,) = tell(collector.url, life(), headers={"x-api-key": "a-secret-of-mine"})
        assert other.paths == []
    assert "points to another address (HTTP 307)" in note


def test_spans_that_an_endpoint_refuses_are_counted(collector: Collector) -> None:
    collector.rejected = 3
    (note,) = tell(collector.url, life())
    assert "3 of 10 spans did not reach" in note


def test_large_messages_are_split(collector: Collector, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sending, "LARGEST", 5_000)
    text = "word " * 900
    events = [call(at=float(n), messages=[["user", text]]) for n in range(6)]
    assert tell(collector.url, [*events, settled()]) == []
    assert len(collector.spans) == 8
    assert len(collector.bodies) >= 6


def test_a_silent_endpoint_holds_the_end_up_only_so_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("middo.telemetry.export.CLOSING", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        begun = time.monotonic()
        (note,) = tell(f"http://127.0.0.1:{silent.getsockname()[1]}", life())
        assert time.monotonic() - begun < 5
    assert "10 of 10 spans did not reach" in note


def test_what_does_not_fit_the_queue_is_counted(
    collector: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("middo.telemetry.export.QUEUE", 4)
    monkeypatch.setattr("middo.telemetry.export.BATCH", 4)
    monkeypatch.setattr("middo.telemetry.export.DELAY", 60_000.0)
    notes = tell(collector.url, [event for n in range(40) for event in life(f"s{n}")])
    arrived = len(collector.spans)
    assert arrived < 400
    assert notes == [
        f"OpenTelemetry: {400 - arrived} of 400 spans did not reach {collector.url[7:]}"
    ]


def test_an_event_that_can_not_be_told_does_not_end_the_run(collector: Collector) -> None:
    unknown: Any = judged(node="a node of tomorrow")
    notes = tell(collector.url, [unknown, settled(), *life("b2")])
    assert notes == ["OpenTelemetry: an event was not sent (KeyError: 'a node of tomorrow')"]
    assert len(collector.spans) == 10


def test_events_after_the_end_are_ignored(collector: Collector) -> None:
    exporter = open_exporter(collector.url, "a-run", note=_unheard)
    exporter.close()
    exporter(settled())
    assert collector.paths == []


_unheard: Callable[[str], None] = pytest.fail
