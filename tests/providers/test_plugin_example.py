"""`examples/plugin`: installed as its README says, found by its entry point, and asked."""

import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from middo.core.chat import Prompt
from middo.core.config import RoleConfig
from middo.core.errors import ConfigError, ProviderError
from middo.providers.catalog import offers
from middo.providers.line import Line
from middo.providers.resolve import chat_model, check_role, hosts
from middo.providers.structured import ask

EXAMPLE = Path(__file__).parents[2] / "examples" / "plugin"


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the installed plug-in; built from a copy, which the build writes into."""
    folder = tmp_path_factory.mktemp("plugin")
    ignored = shutil.ignore_patterns("__pycache__", "build", "*.egg-info")
    shutil.copytree(EXAMPLE, folder / "source", ignore=ignored)
    options = ["--no-deps", "--no-build-isolation", "--no-index", "--quiet"]
    command = [sys.executable, "-m", "pip", "install", *options, "--target"]
    subprocess.run([*command, str(folder / "site"), str(folder / "source")], check=True)
    return folder / "site"


@pytest.fixture
def site(installed: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.syspath_prepend(installed)
    monkeypatch.delenv("MIDDO_LOAD_PLUGINS", raising=False)
    return installed


class Endpoint(BaseHTTPRequestHandler):
    """Fill in the schema's properties; without a schema say hello; refuse a wrong key."""

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        right = self.headers.get("Authorization") == "Bearer key-of-the-server-1"
        wanted: dict[str, Any] = body.get("schema", {}).get("properties", {})
        answer = {
            name: 7 if form["type"] == "integer" else "Seine" for name, form in wanted.items()
        }
        said = json.dumps(answer) if wanted else "Hello!"
        reply = {"text": said, "model": body["model"] + "-v2"}
        text = json.dumps(reply if right else {"error": "who are you?"}).encode()
        self.send_response(200 if right else 401)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, format: str, *args: Any) -> None:
        pass


@pytest.fixture
def url() -> Iterator[str]:
    server = HTTPServer(("127.0.0.1", 0), Endpoint)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/chat"
    server.shutdown()
    thread.join()
    server.server_close()


class River(BaseModel):
    name: str


PROMPT = Prompt("river", 1, "h", (("user", "Name a river."),))


async def test_the_installed_plugin_answers(
    site: Path, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SERVER_KEY", "key-of-the-server-1")
    role = RoleConfig(model="plainhttp:tiny", params={"base_url": url}, api_key_env="SERVER_KEY")
    check_role(role)
    model = chat_model(role, seed=7, concurrency=2)
    assert Path(sys.modules[type(model).__module__].__file__ or "").is_relative_to(site)
    reply = await ask(Line(model, name=role.model), PROMPT, River)
    assert (reply.value.name, reply.model, reply.usage.prompt) == ("Seine", "tiny-v2", None)
    assert "plugin middo_plain_http:plain_http_chat" in hosts(role)


async def test_a_wrong_key_is_the_providers_error(
    site: Path, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SERVER_KEY", "key-of-somebody-else")
    role = RoleConfig(model="plainhttp:tiny", params={"base_url": url}, api_key_env="SERVER_KEY")
    with pytest.raises(ProviderError, match="401"):
        await ask(Line(chat_model(role, seed=7, concurrency=2), name=role.model), PROMPT, River)


def test_a_misspelt_parameter_of_the_plugin_is_a_configuration_error(site: Path) -> None:
    params = {"base_url": "http://127.0.0.1:9/chat", "temprature": 1}
    with pytest.raises(ConfigError, match="a parameter is wrong.*temprature"):
        chat_model(RoleConfig(model="plainhttp:tiny", params=params), seed=7, concurrency=2)


def test_the_plugin_is_listed_and_can_be_turned_off(
    site: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (offer,) = [one for one in offers() if one.name == "plainhttp"]
    assert (offer.kind, offer.installed) == ("plugin", True)
    monkeypatch.setenv("MIDDO_LOAD_PLUGINS", "0")
    assert not [one for one in offers() if one.kind == "plugin"]
    with pytest.raises(ConfigError, match="unknown provider 'plainhttp'"):
        check_role(RoleConfig(model="plainhttp:tiny"))


def test_the_plugins_own_tests_pass(installed: Path, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(EXAMPLE / "tests")],
        env={**os.environ, "PYTHONPATH": str(installed), "PYTHONDONTWRITEBYTECODE": "1"},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "5 passed" in done.stdout
