"""The model against a real server on the loopback interface."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import httpx
import pytest
from middo_plain_http import plain_http_chat
from pydantic import ValidationError

ASKED: list[dict[str, Any]] = []
REPLY: dict[str, Any] = {}


class Endpoint(BaseHTTPRequestHandler):
    """Keep what was asked and give the reply that a test has set."""

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        ASKED.append({**body, "authorization": self.headers.get("Authorization")})
        text = json.dumps(REPLY).encode()
        self.send_response(REPLY.get("status", 200))
        self.send_header("Content-Length", str(len(text)))
        self.send_header("Retry-After", "3")
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, format: str, *args: Any) -> None:
        pass


@pytest.fixture
def url() -> Iterator[str]:
    ASKED.clear()
    REPLY.clear()
    server = HTTPServer(("127.0.0.1", 0), Endpoint)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/chat"
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_question_goes_out_and_the_answer_comes_back(url: str) -> None:
    REPLY.update(text="Seine", model="m-1", usage={"input_tokens": 5, "output_tokens": 1})
    model = plain_http_chat("m", base_url=url, temperature=0.5)
    answer = model.invoke([("system", "Be brief."), ("user", "Name a river.")])
    assert answer.text == "Seine"
    assert answer.response_metadata["model_name"] == "m-1"
    assert answer.usage_metadata is not None
    assert answer.usage_metadata["total_tokens"] == 6
    assert ASKED == [
        {
            "model": "m",
            "messages": [
                {"role": "system", "content": "Be brief."},
                {"role": "user", "content": "Name a river."},
            ],
            "max_tokens": 512,
            "temperature": 0.5,
            "authorization": None,
        }
    ]


def test_the_key_goes_into_the_header_and_is_not_shown(url: str) -> None:
    REPLY.update(text="yes")
    model = plain_http_chat("m", base_url=url, api_key="a-key-of-my-own-1")
    assert model.invoke("?").usage_metadata is None
    assert ASKED[0]["authorization"] == "Bearer a-key-of-my-own-1"
    assert "a-key-of-my-own-1" not in repr(model)


def test_a_schema_is_passed_on(url: str) -> None:
    REPLY.update(text="{}")
    wanted = {"type": "json_schema", "json_schema": {"name": "A", "schema": {"type": "object"}}}
    plain_http_chat("m", base_url=url).invoke("?", response_format=wanted)
    assert ASKED[0]["schema"] == {"type": "object"}


def test_a_refusal_keeps_status_and_headers(url: str) -> None:
    REPLY.update(status=429)
    with pytest.raises(httpx.HTTPStatusError) as caught:
        plain_http_chat("m", base_url=url).invoke("?")
    assert caught.value.response.status_code == 429
    assert caught.value.response.headers["retry-after"] == "3"


def test_a_misspelt_parameter_is_an_error(url: str) -> None:
    with pytest.raises(ValidationError, match="temprature"):
        plain_http_chat("m", base_url=url, temprature=0.5)
