"""LangSmith's variables: ignored, unless `traces.langsmith` lets them through."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import langsmith.utils
import pytest
from langsmith import get_tracing_context

from middo.core.config import TeacherConfig
from middo.providers.privacy import traces_host, tracing, tracing_wanted
from middo.providers.resolve import chat_model, hosts
from middo.providers.scripted import ScriptedChat

RECEIVED: list[bytes] = []
forget: Any = vars(langsmith.utils)["get_env_var"].cache_clear  # LangSmith remembers variables
KEY = "canary-of-the-teacher-1"


class LangSmith(BaseHTTPRequestHandler):
    """Take what is sent."""

    def do_POST(self) -> None:
        if self.headers.get("Transfer-Encoding") == "chunked":
            body = b""
            while size := int(self.rfile.readline(), 16):
                body += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
        else:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        RECEIVED.append(body)
        self._answer({})

    do_PATCH = do_POST

    def do_GET(self) -> None:
        self._answer({"version": "0.9.0"})

    def _answer(self, document: dict[str, Any]) -> None:
        text = json.dumps(document).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, format: str, *args: Any) -> None:
        pass


@pytest.fixture
def langsmith_on(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A LangSmith on the loopback interface, named as a shell profile would."""
    RECEIVED.clear()
    server = ThreadingHTTPServer(("127.0.0.1", 0), LangSmith)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    url = f"http://127.0.0.1:{server.server_port}"
    for name in ("LANGSMITH_TRACING", "LANGCHAIN_TRACING_V2", "LANGCHAIN_TRACING"):
        monkeypatch.setenv(name, "true")
    monkeypatch.setenv("LANGSMITH_ENDPOINT", url)
    monkeypatch.setenv("LANGSMITH_API_KEY", "lsv2_pt_0123456789abcdef0123456789abcdef_aa")
    monkeypatch.setenv("LANGSMITH_DISABLE_RUN_COMPRESSION", "true")
    monkeypatch.setenv("TEACHERS_KEY", KEY)
    forget()
    yield url
    forget()
    server.shutdown()
    thread.join()
    server.server_close()


def test_traces_are_let_through_and_hold_no_key(langsmith_on: str) -> None:
    model = ScriptedChat(replies=["a river"])
    with tracing(allowed=True):
        model.invoke(f"name a river, {KEY}, and ghp_0123456789abcdefghijABCDEF0123456789")
    sent = b"".join(RECEIVED)
    assert b"name a river, [redacted], and" in sent
    assert KEY.encode() not in sent
    assert b"ghp_" not in sent


async def test_nothing_goes_out_unasked(langsmith_on: str) -> None:
    assert tracing_wanted()
    model = ScriptedChat(replies=["a river", "a sea"])
    with tracing(allowed=False):
        assert model.invoke("name a river").text == "a river"
        assert (await model.ainvoke("name a sea")).text == "a sea"
    assert RECEIVED == []
    assert get_tracing_context()["enabled"] is None  # what else the process does is left alone


def test_allowed_but_not_switched_on_is_off(
    langsmith_on: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("LANGSMITH_TRACING", "LANGCHAIN_TRACING_V2", "LANGCHAIN_TRACING"):
        monkeypatch.delenv(name)
    with tracing(allowed=True):
        ScriptedChat(replies=["a river"]).invoke("name a river")
    assert RECEIVED == []


def test_the_host_of_traces_is_read_off_the_environment(
    langsmith_on: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert traces_host() == langsmith_on.removeprefix("http://")
    monkeypatch.delenv("LANGSMITH_ENDPOINT")
    assert traces_host() == "api.smith.langchain.com"


def test_a_gateway_of_the_environment_gets_no_texts(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("langchain_openai")
    monkeypatch.setenv("LANGSMITH_GATEWAY", "https://gateway.example")
    monkeypatch.setenv("OPENAI_API_KEY", "sk-vendor-0123456789")
    for name in ("OPENAI_API_BASE", "OPENAI_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    role = TeacherConfig(model="openai:gpt-x")
    model: Any = chat_model(role, seed=7, concurrency=1)
    assert hosts(role) == "openai.com"
    assert "gateway.example" not in str(model.root_client.base_url)
