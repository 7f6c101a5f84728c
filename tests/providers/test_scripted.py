import asyncio
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from langchain_core.messages import BaseMessage
from pydantic import BaseModel, ValidationError

from middo.core.config import RoleConfig
from middo.core.errors import ProviderError
from middo.providers.resolve import chat_model
from middo.providers.scripted import ScriptedChat


class River(BaseModel):
    name: str


def echo(messages: Sequence[BaseMessage], schema: dict[str, Any] | None) -> str:
    return f"{schema and schema['title']}: {messages[-1].text}"


def factory(delay: float = 0.0) -> ScriptedChat:
    return ScriptedChat(answer=echo, delay=delay)


def test_a_queue_answers_in_order_with_text_dict_and_model() -> None:
    model = ScriptedChat(replies=["Elbe", {"name": "Nil"}, River(name="Po")])
    assert [model.invoke("river?").text for _ in range(3)] == [
        "Elbe",
        '{"name": "Nil"}',
        '{"name":"Po"}',
    ]
    with pytest.raises(ProviderError, match="3 replies"):
        model.invoke("river?")


def test_an_exception_in_the_queue_is_raised() -> None:
    with pytest.raises(TimeoutError, match="slow"):
        ScriptedChat(replies=[TimeoutError("slow")]).invoke("river?")


def test_calls_and_word_counts_are_recorded() -> None:
    model = ScriptedChat(replies=["the river Elbe"])
    reply = model.invoke("name a river", temperature=1)
    assert reply.usage_metadata is not None
    assert (reply.usage_metadata["input_tokens"], reply.usage_metadata["output_tokens"]) == (3, 3)
    assert model.calls[0].messages[0].text == "name a river"
    assert model.calls[0].arguments["temperature"] == 1


def test_a_function_sees_messages_and_schema() -> None:
    form = {"type": "json_schema", "json_schema": {"schema": {"title": "River"}}}
    assert factory().invoke("Elbe", response_format=form).text == "River: Elbe"
    assert factory().invoke("Elbe").text == "None: Elbe"


def test_threads_share_a_queue_without_losing_or_doubling_a_reply() -> None:
    model = ScriptedChat(replies=[str(n) for n in range(200)])
    with ThreadPoolExecutor(8) as pool:
        texts = list(pool.map(lambda _: model.invoke("n?").text, range(200)))
    assert sorted(map(int, texts)) == list(range(200))


async def test_delays_of_coroutines_overlap() -> None:
    model = ScriptedChat(replies=["x"] * 20, delay=0.2)
    started = asyncio.get_running_loop().time()
    await asyncio.gather(*(model.ainvoke("x") for _ in range(20)))
    assert 0.2 <= asyncio.get_running_loop().time() - started < 2.0


def test_a_script_is_either_a_queue_or_a_function() -> None:
    with pytest.raises(ValidationError, match="either"):
        ScriptedChat()
    with pytest.raises(ValidationError, match="either"):
        ScriptedChat(replies=["x"], answer=echo)


def test_a_configuration_can_name_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    code = (
        "from middo.providers.scripted import ScriptedChat\n"
        "def make(word='x', delay=0.0):\n"
        "    return ScriptedChat(answer=lambda messages, schema: word, delay=delay)\n"
    )
    (tmp_path / "my_scripts.py").write_text(code, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    role = RoleConfig(model="import:my_scripts:make", params={"word": "Elbe"})
    model = chat_model(role, seed=1, concurrency=1)
    assert model.invoke("river?").text == "Elbe"
