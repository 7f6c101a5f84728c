import asyncio
from typing import Any, ClassVar, Literal

import pytest
from langchain_core.exceptions import ContextOverflowError, ModelAuthenticationError
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage
from langchain_core.outputs import ChatResult
from pydantic import BaseModel, Field

from middo.core.chat import AnswerFailed, Prompt, Usage
from middo.core.errors import Interrupted, ProviderError
from middo.providers.line import Line
from middo.providers.scripted import ScriptedChat
from middo.providers.structured import NoAnswer, ask


class Colour(BaseModel):
    name: Literal["red", "blue"]
    why: str = Field(max_length=20)


RED = {"name": "red", "why": "warm"}
PROMPT = Prompt("colour", 1, "0" * 64, (("system", "Pick one."), ("user", "Now, please.")))


class HTTPError(Exception):
    def __init__(self, status: int, code: str | None = None) -> None:
        super().__init__(f"status {status}")
        self.status_code = status
        self.code = code


async def at_once(seconds: float) -> None:
    pass


def line(model: BaseChatModel) -> Line:
    return Line(model, name="a line", pause=at_once)


class NoSchemas(ScriptedChat):
    """A server that refuses every `response_format`."""

    async def _agenerate(self, messages: Any, *args: Any, **kwargs: Any) -> ChatResult:
        if "response_format" in kwargs:
            self._next(messages, kwargs)
            raise HTTPError(400)
        return await super()._agenerate(messages, *args, **kwargs)


async def test_an_answer_that_fits_is_returned_with_what_it_took() -> None:
    model = ScriptedChat(replies=[RED])
    reply = await ask(line(model), PROMPT, Colour)
    assert reply.value == Colour(name="red", why="warm")
    assert reply.usage == Usage(4, 4)
    assert (reply.model, reply.repaired, reply.method) == ("scripted", False, "json_schema")
    assert reply.raw == ['{"name": "red", "why": "warm"}']
    [call] = model.calls
    assert call.schema == Colour.model_json_schema()
    assert [type(message) for message in call.messages] == [SystemMessage, HumanMessage]


async def test_one_repair_turn_shows_the_error_and_the_first_reply() -> None:
    model = ScriptedChat(replies=[{"name": "green", "why": "x" * 21}, RED])
    reply = await ask(line(model), PROMPT, Colour)
    assert reply.value.name == "red"
    assert reply.repaired
    assert len(reply.raw) == 2
    shown, request = model.calls[1].messages[-2:]
    assert isinstance(shown, AIMessage)
    assert "green" in shown.text
    assert "name: Input should be 'red' or 'blue'" in request.text
    assert "why: String should have at most 20" in request.text


async def test_two_misfits_are_no_answer_and_say_what_was_spent() -> None:
    model = ScriptedChat(replies=["red, I think", "red!", RED])
    with pytest.raises(NoAnswer, match="'colour'.*no complete JSON object") as failure:
        await ask(line(model), PROMPT, Colour)
    assert failure.value.raw == ["red, I think", "red!"]
    assert failure.value.usage.completion == 4
    assert failure.value.model == "scripted"
    assert len(model.calls) == 2
    assert isinstance(failure.value, AnswerFailed)


async def test_a_quoted_object_before_the_real_one_does_not_win() -> None:
    quoting = 'It says {"name": "red", "why": "so"}. Mine: {"name": "blue", "why": "no"}'
    model = ScriptedChat(replies=[quoting, {"name": "blue", "why": "no"}])
    reply = await ask(line(model), PROMPT, Colour)
    assert reply.value.name == "blue"
    assert "several different JSON objects" in model.calls[1].messages[-1].text


async def test_a_reply_cut_at_the_token_limit_is_not_asked_for_again() -> None:
    class Cut(ScriptedChat):
        def _result(self, messages: Any, reply: Any) -> ChatResult:
            result = super()._result(messages, reply)
            result.generations[0].message.response_metadata["finish_reason"] = "length"
            return result

    model = Cut(replies=['{"name": "red", "why": "it is', RED])
    with pytest.raises(AnswerFailed, match="cut at the token limit"):
        await ask(line(model), PROMPT, Colour)
    assert len(model.calls) == 1


async def test_a_schema_that_its_rung_refuses_is_asked_for_lower_down_from_then_on() -> None:
    model = NoSchemas(replies=[{}, {}, "Well: " + str(RED).replace("'", '"'), RED])
    memory: dict[str, str] = {}
    one = line(model)
    reply = await ask(one, PROMPT, Colour, memory=memory)
    assert (reply.method, memory) == ("text", {"rung of Colour": "text"})
    asked = [call.arguments.get("response_format", {}).get("type") for call in model.calls]
    assert asked == ["json_schema", "json_object", None]
    assert '"maxLength": 20' in model.calls[2].messages[0].text
    assert (await ask(one, PROMPT, Colour, memory=memory)).value.name == "red"
    assert len(model.calls) == 4


async def test_a_prompt_refused_in_every_form_fails_alone_and_nothing_is_remembered() -> None:
    memory: dict[str, str] = {}
    model = ScriptedChat(replies=[HTTPError(400), HTTPError(422), HTTPError(400)])
    with pytest.raises(AnswerFailed, match="refused"):
        await ask(line(model), PROMPT, Colour, memory=memory)
    assert memory == {}


async def test_a_too_long_prompt_fails_alone() -> None:
    with pytest.raises(AnswerFailed, match="too long"):
        await ask(line(ScriptedChat(replies=[ContextOverflowError("too long")])), PROMPT, Colour)


@pytest.mark.parametrize(
    "error",
    [
        HTTPError(401),
        HTTPError(403),
        HTTPError(404),
        HTTPError(429, code="insufficient_quota"),
        ModelAuthenticationError("bad key"),
        RuntimeError("something else"),
    ],
)
async def test_what_no_other_call_can_mend_stops_at_once(error: Exception) -> None:
    model = ScriptedChat(replies=[error, RED])
    with pytest.raises(ProviderError, match="a line: .*check key, quota and model name"):
        await ask(line(model), PROMPT, Colour)
    assert len(model.calls) == 1


async def test_a_lost_answer_counts_the_tokens_of_its_probe() -> None:
    replies: list[Any] = [*[HTTPError(500)] * 5, "it is ok"]
    with pytest.raises(NoAnswer, match=r"no answer in 5 tries .*probe is answered") as failure:
        await ask(line(ScriptedChat(replies=replies)), PROMPT, Colour)
    assert failure.value.usage == Usage(6, 3)
    assert failure.value.raw == []


async def test_a_reply_that_declines_is_not_asked_for_again() -> None:
    class Declining(ScriptedChat):
        def _result(self, messages: Any, reply: Any) -> ChatResult:
            result = super()._result(messages, reply)
            result.generations[0].message.additional_kwargs["refusal"] = "Not that,\nsorry."
            return result

    model = Declining(replies=["", RED])
    with pytest.raises(NoAnswer, match="the model declined: Not that, sorry."):
        await ask(line(model), PROMPT, Colour)
    assert len(model.calls) == 1


async def test_unknown_usage_stays_unknown() -> None:
    class Silent(ScriptedChat):
        def _result(self, messages: Any, reply: Any) -> ChatResult:
            result = super()._result(messages, reply)
            if len(self.calls) == 2:
                result.generations[0].message.usage_metadata = None  # type: ignore[attr-defined]
            return result

    reply = await ask(line(Silent(replies=["?", RED])), PROMPT, Colour)
    assert reply.usage == Usage(None, None)


async def test_a_repair_is_asked_for_though_the_run_is_to_stop_and_no_new_question_is() -> None:
    stopping: list[int] = []

    def heed() -> None:
        if stopping:
            raise Interrupted("stopped")

    def answer(messages: Any, schema: Any) -> Any:
        stopping.append(1)
        return "?" if len(stopping) == 1 else RED

    model = ScriptedChat(answer=answer)
    one = Line(model, name="a line", heed=heed)
    assert (await ask(one, PROMPT, Colour)).repaired
    with pytest.raises(Interrupted):
        await ask(one, PROMPT, Colour)
    assert len(model.calls) == 2


async def test_who_waits_to_learn_how_to_ask_does_not_ask_once_the_run_is_to_stop() -> None:
    stopping: list[int] = []

    def heed() -> None:
        if stopping:
            raise Interrupted("stopped")

    class Undeclared(ScriptedChat):
        structured_rung: ClassVar[str | None] = None

    def answer(messages: Any, schema: Any) -> Any:
        stopping.append(1)
        return HTTPError(503)

    model = Undeclared(answer=answer)
    one = Line(model, name="a line", heed=heed)
    asked = [ask(one, PROMPT, Colour) for _ in range(4)]
    ended = await asyncio.gather(*asked, return_exceptions=True)
    assert [type(error) for error in ended] == [Interrupted] * 4
    assert len(model.calls) == 1
