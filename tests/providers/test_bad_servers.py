"""Known ways in which OpenAI-compatible servers misbehave, through the real `ChatOpenAI`."""

import asyncio
import json
import random
import socket
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any, Literal

import pytest
from langchain_openai import ChatOpenAI
from pydantic import BaseModel, ConfigDict, SecretStr

from middo.core.chat import Prompt, Usage
from middo.core.errors import ProviderError
from middo.providers.line import Line
from middo.providers.structured import NoAnswer, Reply, ask
from tests.providers.bad_server import HANG, BadServer, Fail, Say, call, form, reply, serving


class Colour(BaseModel):
    model_config = ConfigDict(extra="forbid")

    name: Literal["red", "blue"]
    shade: int


PROMPT = Prompt("colour", 1, "0" * 64, (("system", "Pick one."), ("user", "Now, please.")))
RED = '{"name": "red", "shade": 7}'
FORM = '{"harbour_name": "Lisbon", "boats_counted": 7}'
ECHO = json.dumps(Colour.model_json_schema())
KNOWN = {"rung": "json_schema"}


async def at_once(seconds: float) -> None:
    await asyncio.sleep(0)


def line(
    server: BadServer | str,
    *,
    slots: int = 8,
    timeout: float | None = None,
    pause: Callable[[float], Awaitable[None]] = at_once,
) -> Line:
    url = server if isinstance(server, str) else server.url
    model = ChatOpenAI(model="bad-1", base_url=url, api_key=SecretStr("k"), max_retries=0)
    return Line(model, name="bad", slots=slots, timeout=timeout, pause=pause, rng=lambda: 0.5)


async def heard(*outcomes: Any, rung: str = "json_schema") -> tuple[Reply[Colour], int]:
    """Return the answer, asked at one rung, and the number of requests; the last one repeats."""
    with serving(lambda number, body: outcomes[min(number, len(outcomes) - 1)]) as server:
        answer = await ask(line(server), PROMPT, Colour, memory={"rung": rung})
        return answer, len(server.requests)


GOOD = [
    ("prose before", Say(f"Sure! Here is the colour that I pick:\n{RED}")),
    ("prose around", Say(f"I looked at {{all}}. {RED}\nDoes that help?")),
    ("fenced", Say(f"```json\n{RED}\n```")),
    ("closed thinking", Say(f'<think>Is {{"name": "blue", "shade": 1}} it?</think>{RED}')),
    ("stray end of thinking", Say(f"hm, blue?\n</think>\n{RED}")),
    ("an answer in a JSON string", Say(json.dumps(RED))),
    ("numbers as strings", Say('{"name": "red", "shade": " 7 "}')),
    ("an extra key", Say('{"name": "red", "shade": 7, "confidence": 0.9}')),
    ("another case", Say('{"name": " Red ", "shade": 7}')),
    ("schema with values in it", Say('{"type": "object", "properties": ' + RED + "}")),
    ("schema, then the answer", Say(f"{ECHO}\n{RED}")),
    ("the same answer twice", Say(f"{RED}\n{RED}")),
    ("arguments as a string", Say(None, [call(RED)], "tool_calls")),
    ("a call written as text", Say(json.dumps({"name": "Colour", "arguments": RED}))),
    ("content in parts", Say([{"type": "text", "text": RED}])),
]


@pytest.mark.filterwarnings("ignore:Pydantic serializer warnings")  # of content in parts
@pytest.mark.parametrize("said", [said for _, said in GOOD], ids=[name for name, _ in GOOD])
@pytest.mark.parametrize("rung", ["json_schema", "text"])
async def test_an_answer_is_read_at_the_first_try(said: Say, rung: str) -> None:
    answer, requests = await heard(said, rung=rung)
    assert answer.value == Colour(name="red", shade=7)
    assert (requests, answer.repaired, answer.usage) == (1, False, Usage(10, 5))


@pytest.mark.filterwarnings("ignore:Pydantic serializer warnings")
@pytest.mark.parametrize("arguments", [json.dumps(RED), json.loads(RED)], ids=["twice", "object"])
async def test_arguments_that_langchain_cannot_hold_are_read_with_unknown_tokens(
    arguments: Any,
) -> None:
    answer, requests = await heard(Say(None, [call(arguments)]), rung="function_calling")
    assert answer.value == Colour(name="red", shade=7)
    assert (requests, answer.usage) == (1, Usage(None, None))


BAD = [
    ("unclosed thinking", Say(f"<think>It is {RED}"), "the reply holds no complete JSON object"),
    ("truncated JSON", Say('{"name": "red", "sha'), "the reply holds no complete JSON object"),
    ("schema echoed back", Say(ECHO), "the reply repeats the schema in place of an answer"),
    ("null content", Say(None), "the reply is empty"),
    ("no number", Say('{"name": "red", "shade": "seven"}'), "shade: Input should be a valid int"),
    ("no such word", Say('{"name": "green", "shade": 7}'), "name: Input should be 'red' or 'blue'"),
    ("two answers", Say(RED + RED.replace("red", "blue")), "several different JSON objects"),
    ("arguments cut", Say(None, [call(RED[:-4])]), "the reply holds no complete JSON object"),
    ("arguments null", Say(None, [call(None)]), "name: Field required"),
]


@pytest.mark.parametrize(("said", "problem"), [row[1:] for row in BAD], ids=[r[0] for r in BAD])
async def test_a_misfit_gets_one_repair_turn_that_says_what_is_wrong(
    said: Say, problem: str
) -> None:
    with serving(lambda number, body: Say(RED) if number else said) as server:
        answer = await ask(line(server), PROMPT, Colour, memory=dict(KNOWN))
    assert answer.value == Colour(name="red", shade=7)
    assert (answer.repaired, answer.usage, len(server.requests)) == (True, Usage(20, 10), 2)
    assert problem in server.requests[1]["messages"][-1]["content"]
    with pytest.raises(NoAnswer, match="no usable Colour after a repair turn") as failure:
        await heard(said)
    assert problem in str(failure.value)
    assert failure.value.usage == Usage(20, 10)


@pytest.mark.parametrize("rung", ["json_schema", "text"])
async def test_an_answer_cut_at_the_limit_fails_with_its_tokens_and_no_repair(rung: str) -> None:
    with serving(lambda number, body: Say(RED[:-4], finish="length")) as server:
        with pytest.raises(NoAnswer, match="cut at the token limit") as failure:
            await ask(line(server), PROMPT, Colour, memory={"rung": rung})
        assert len(server.requests) == 1
    assert (failure.value.usage, failure.value.raw) == (Usage(10, 5), [RED[:-4]])


@pytest.mark.parametrize("text", ["word " * 400_000, '{"a":[' * 400_000, "<think>" * 300_000])
async def test_an_endless_answer_is_neither_read_nor_sent_back(text: str) -> None:
    with serving(lambda number, body: Say(text)) as server:
        with pytest.raises(NoAnswer, match=r"has 2,\d00,000 characters, at most 1,000,") as failure:
            await ask(line(server), PROMPT, Colour, memory=dict(KNOWN))
        assert len(server.requests) == 1
    (kept,) = failure.value.raw
    assert kept.startswith(text[:1_000]) and len(kept) < 2_100
    assert failure.value.usage == Usage(10, 5)


@pytest.mark.parametrize(
    "body",
    [
        {**reply(Say(RED)), "choices": []},
        {**reply(Say(RED)), "choices": None},
        {"id": "r"},
        {"error": {"message": "overloaded", "code": 503}},
        b"<html>busy</html>",
        json.dumps(reply(Say(RED))).encode()[:-20],
    ],
    ids=["empty choices", "null choices", "no choices", "error in a 200", "HTML", "cut body"],
)
@pytest.mark.parametrize("rung", ["json_schema", "text"])
async def test_a_reply_without_a_message_is_asked_for_again(body: Any, rung: str) -> None:
    answer, requests = await heard(body, body, Say(RED), rung=rung)
    assert (answer.value.shade, requests, answer.usage) == (7, 3, Usage(10, 5))


async def test_choices_that_stay_empty_fail_this_request_alone_where_a_probe_is_answered() -> None:
    def script(number: int, body: dict[str, Any]) -> Any:
        return {**reply(Say("x")), "choices": []} if form(body) == "json_schema" else Say("ok")

    with serving(script) as server:
        with pytest.raises(
            NoAnswer, match=r"5 tries .*may hold no choices.*probe is answered"
        ) as f:
            await ask(line(server), PROMPT, Colour, memory=dict(KNOWN))
        assert server.asked() == ["json_schema"] * 5 + ["text"]
    assert f.value.usage == Usage(10, 5)  # the probe's


def only(*served: str, otherwise: Any) -> Callable[[int, dict[str, Any]], Any]:
    """Return a server that takes some forms of request, and what it does with the others."""

    def script(number: int, body: dict[str, Any]) -> Any:
        if form(body) not in served:
            return otherwise
        text = FORM if "Lisbon" in json.dumps(body["messages"]) else RED
        return Say(None, [call(text)]) if form(body) == "function_calling" else Say(text)

    return script


ALL = ("json_schema", "function_calling", "json_object", "text")


@pytest.mark.parametrize("served", ALL)
@pytest.mark.parametrize(
    "otherwise", [Fail(400, "no such response_format"), Say("Seven boats, how lovely!")]
)
async def test_the_first_rung_that_a_server_really_serves_is_found_and_kept(
    served: str, otherwise: Any
) -> None:
    position = ALL.index(served)
    with serving(only(served, otherwise=otherwise)) as server:
        memory: dict[str, str] = {}
        one = line(server)
        answer = await ask(one, PROMPT, Colour, memory=memory)
        assert (answer.value.shade, answer.method) == (7, served)
        assert memory == {"rung": served}
        assert server.asked() == [*ALL[: position + 1], served]
        counted = 2 if isinstance(otherwise, Fail) else position + 2
        assert answer.usage == Usage(10 * counted, 5 * counted)
        again = await ask(line(server), PROMPT, Colour, memory=memory)
        assert (again.usage, len(server.requests)) == (Usage(10, 5), position + 3)


async def test_a_rung_that_crashes_the_server_is_passed_over() -> None:
    with serving(only("json_object", "text", otherwise=Fail(500))) as server:
        answer = await ask(line(server), PROMPT, Colour)
    assert answer.method == "json_object"
    assert Counter(server.asked()) == {
        "json_schema": 5,
        "function_calling": 5,
        "text": 2,
        "json_object": 2,
    }
    assert answer.usage == Usage(40, 20)  # two probes of the line, the known question, the answer


async def test_callers_wait_for_one_probe() -> None:
    with serving(only("function_calling", otherwise=Fail(400))) as server:
        one = line(server)
        answers = await asyncio.gather(*(ask(one, PROMPT, Colour) for _ in range(6)))
    assert server.asked() == ["json_schema"] + ["function_calling"] * 7
    assert sorted(answer.usage.prompt or 0 for answer in answers) == [10] * 5 + [20]


async def test_a_model_that_fits_no_form_is_asked_in_the_first_that_it_takes() -> None:
    def script(number: int, body: dict[str, Any]) -> Any:
        return Fail(400) if form(body) == "json_schema" else Say("I am a boat.")

    with serving(script) as server:
        memory: dict[str, str] = {}
        with pytest.raises(NoAnswer, match="no complete JSON object"):
            await ask(line(server), PROMPT, Colour, memory=memory)
    assert memory == {"rung": "function_calling"}


async def test_a_server_that_refuses_every_form_stops_the_run_and_is_not_remembered() -> None:
    with serving(lambda number, body: Fail(400, "unknown parameter: temprature")) as server:
        memory: dict[str, str] = {}
        one = line(server)
        outcomes = await asyncio.gather(
            *(ask(one, PROMPT, Colour, memory=memory) for _ in range(3)), return_exceptions=True
        )
    assert all(isinstance(outcome, ProviderError) for outcome in outcomes)
    assert "in no form (OpenAIInvalidRequestError" in str(outcomes[0])
    assert "temprature" in str(outcomes[0])
    assert (memory, len(server.requests)) == ({}, 4)


async def test_a_storm_of_rate_limits_is_survived_with_fewer_calls_at_once() -> None:
    most: dict[int, int] = {}  # calls in flight at most, by tens of requests
    waits: list[float] = []
    limits: list[int] = []

    async def pause(seconds: float) -> None:
        waits.append(seconds)
        limits.append(one.limit)
        await asyncio.sleep(0)

    def script(number: int, body: dict[str, Any]) -> Any:
        most[number // 10] = max(most.get(number // 10, 0), one.busy)
        return Fail(429, headers={"retry-after": "20"}) if 20 <= number < 60 else Say(RED)

    with serving(script) as server:
        one = line(server, pause=pause)
        asking = [ask(one, PROMPT, Colour, memory=dict(KNOWN)) for _ in range(200)]
        answers = await asyncio.gather(*asking)
        assert [answer.value.shade for answer in answers] == [7] * 200
        assert len(server.requests) == 240
    assert (most[0], most[5], most[23]) == (8, 1, 8)
    assert (min(limits), one.limit) == (1, 8)
    assert max(waits) == pytest.approx(20, abs=1)


async def test_spent_quota_stops_at_once_although_it_is_a_429() -> None:
    with serving(lambda number, body: Fail(429, "no money", "insufficient_quota")) as server:
        with pytest.raises(ProviderError, match="no money; check key, quota"):
            await ask(line(server), PROMPT, Colour)
        assert len(server.requests) == 1


async def test_a_server_in_trouble_is_asked_again() -> None:
    answer, requests = await heard(Fail(500), Fail(502), Fail(408), Say(RED))
    assert (answer.value.shade, requests) == (7, 4)


async def test_a_server_that_hangs_is_given_up_on_and_named() -> None:
    with serving(lambda number, body: HANG) as server:
        with pytest.raises(ProviderError, match=r"bad is down: .*no reply within 0.2 s") as error:
            await ask(line(server, timeout=0.2), PROMPT, Colour, memory=dict(KNOWN))
        assert server.asked()[-1] == "text"  # the probe, which hung as well
    assert "middo resume" in str(error.value)


async def test_one_request_that_hangs_fails_alone() -> None:
    def script(number: int, body: dict[str, Any]) -> Any:
        return HANG if "poison" in json.dumps(body["messages"]) else Say(RED)

    with serving(script) as server:
        one = line(server, timeout=0.3)
        poison = Prompt("colour", 1, "0" * 64, (("user", "poison"),))
        prompts = [poison, *[PROMPT] * 20]
        outcomes = await asyncio.gather(
            *(ask(one, prompt, Colour, memory=dict(KNOWN)) for prompt in prompts),
            return_exceptions=True,
        )
    assert isinstance(outcomes[0], NoAnswer)
    assert "no reply within 0.3 s" in str(outcomes[0])
    assert all(isinstance(outcome, Reply) for outcome in outcomes[1:])


async def test_a_refused_connection_is_a_provider_that_is_down() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}/v1"
    one = line(url)
    with pytest.raises(ProviderError, match=r"bad is down: .* 5 tries \(OpenAIConnection"):
        await ask(one, PROMPT, Colour)
    with pytest.raises(ProviderError, match="bad is down"):
        await ask(one, PROMPT, Colour)


MISFITS = [Say(None), Say("I'd say red."), Say('{"name": "red", "sh')]
LIMITS = [Fail(429, headers={"retry-after-ms": "5"}), Fail(503, headers={"retry-after": "0"})]
BROKEN = [Fail(500), {**reply(Say("")), "choices": []}, b"<html>", HANG]
POISONED = {5, 120, 250}


def lot(number: int) -> list[Any]:
    """Return what a unit meets, request by request: 3 in 10 fail, in one of nine ways."""
    rng = random.Random(number)
    kinds = [*MISFITS, *LIMITS, *BROKEN]
    return [rng.choice(kinds) if rng.random() < 0.3 else Say(RED) for _ in range(30)]


def fate(number: int) -> str:
    """Return how a unit must end by what it meets."""
    if number in POISONED:
        return "no answer in 5 tries"
    misfits = tries = 0
    for outcome in lot(number):
        if outcome in MISFITS:
            misfits, tries = misfits + 1, 0
        elif outcome in BROKEN:
            tries += 1
        elif outcome not in LIMITS:
            return "repaired" if misfits else "answered"
        if misfits == 2:
            return "after a repair turn"
        if tries == 5:
            return "no answer in 5 tries"
    raise AssertionError("the lot ran out")


async def test_three_failures_in_ten_of_mixed_kinds_lose_only_what_must_be_lost() -> None:
    met: Counter[int] = Counter()

    def script(number: int, body: dict[str, Any]) -> Any:
        first = [turn["content"] for turn in body["messages"] if turn["role"] == "user"][0]
        if not first.startswith("unit "):
            return Say("ok")  # the line's probe
        unit = int(first.removeprefix("unit "))
        met[unit] += 1
        return Fail(500, "poison") if unit in POISONED else lot(unit)[met[unit] - 1]

    with serving(script) as server:
        one = line(server, timeout=0.5)
        prompts = [Prompt("c", 1, "0" * 64, (("user", f"unit {n}"),)) for n in range(300)]
        outcomes = await asyncio.gather(
            *(ask(one, prompt, Colour, memory=dict(KNOWN)) for prompt in prompts),
            return_exceptions=True,
        )
    ends = []
    for number, outcome in enumerate(outcomes):
        if isinstance(outcome, Reply):
            assert outcome.value == Colour(name="red", shade=7)
            ends.append("repaired" if outcome.repaired else "answered")
        else:
            assert isinstance(outcome, NoAnswer), outcome
            assert fate(number) in str(outcome)
            ends.append(fate(number))
    assert ends == [fate(number) for number in range(300)]
    assert Counter(ends) == {
        "answered": 268,
        "repaired": 28,
        "after a repair turn": 1,
        "no answer in 5 tries": 3,
    }
    assert (one.fault, one.busy) == (None, 0)
