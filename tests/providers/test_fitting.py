import json
from enum import StrEnum
from typing import Any, Literal

import pytest
from langchain_core.messages import AIMessage
from pydantic import BaseModel, ConfigDict, Field, RootModel

from middo.providers.fitting import adapted, fit, fitting, json_schema, objects, reply_text


class Mood(StrEnum):
    GLAD = "glad"
    SAD = "sad"


class Part(BaseModel):
    model_config = ConfigDict(extra="forbid")

    kind: Literal["bolt", "nut"]
    count: int


class Verdict(BaseModel):
    verdict: Literal["accept", "reject"]
    mood: Mood | None = None
    parts: list[Part] = Field(default_factory=list)
    score: float = 0.0


class Optional(BaseModel):
    """All fields have defaults: anything would pass."""

    title: str = ""
    notes: dict[str, Any] = Field(default_factory=dict)


PLAIN = {"verdict": "accept"}


def call(arguments: Any) -> AIMessage:
    return AIMessage("", tool_calls=[{"name": "Verdict", "args": arguments, "id": "1"}])


def test_words_of_an_enum_are_matched_without_case_and_blanks_wherever_they_stand() -> None:
    plain = {
        "verdict": " ACCEPT\n",
        "mood": "Glad",
        "parts": [{"kind": "Bolt", "count": 1}, {"kind": "nut ", "count": 2}],
    }
    value = fit(plain, Verdict)
    assert (value.verdict, value.mood) == ("accept", Mood.GLAD)
    assert [part.kind for part in value.parts] == ["bolt", "nut"]


def test_words_that_match_two_options_or_none_are_left_alone() -> None:
    node = {"enum": ["Ja", "ja", "nein"]}
    assert adapted("JA", node) == "JA"
    assert adapted("ja", node) == "ja"
    assert adapted("no", node) == "no"
    assert adapted("2", {"enum": [1, 2]}) == 2
    with pytest.raises(ValueError, match="verdict: Input should be 'accept' or 'reject'"):
        fit({"verdict": "accepted"}, Verdict)


@pytest.mark.parametrize(("text", "number"), [("7", 7.0), (" 7.5 ", 7.5), ("-1e2", -100.0)])
def test_numbers_are_read_from_text(text: str, number: float) -> None:
    assert fit({**PLAIN, "score": text}, Verdict).score == number


@pytest.mark.parametrize("text", ["seven", "7/10", "7,5", ""])
def test_no_number_is_made_up(text: str) -> None:
    with pytest.raises(ValueError, match="score: Input should be a valid number"):
        fit({**PLAIN, "score": text}, Verdict)


def test_a_fraction_is_no_integer() -> None:
    with pytest.raises(ValueError, match="parts.0.count"):
        fit({**PLAIN, "parts": [{"kind": "nut", "count": "1.5"}]}, Verdict)


def test_keys_that_the_schema_forbids_are_dropped_and_others_ignored() -> None:
    value = fit({**PLAIN, "why": "?", "parts": [{"kind": "nut", "count": 1, "id": 9}]}, Verdict)
    assert value.parts == [Part(kind="nut", count=1)]


def test_lists_and_objects_are_read_from_json_text() -> None:
    parts = json.dumps([{"kind": "nut", "count": 1}])
    assert fit({**PLAIN, "parts": parts}, Verdict).parts == [Part(kind="nut", count=1)]
    inner = [json.dumps({"kind": "Nut", "count": 1})]
    assert fit({**PLAIN, "parts": inner}, Verdict).parts == [Part(kind="nut", count=1)]


def test_what_fits_as_it_is_stays_as_it_is() -> None:
    class Word(BaseModel):
        word: str
        number: str

    assert fit({"word": " Accept ", "number": " 7 "}, Word) == Word(word=" Accept ", number=" 7 ")


@pytest.mark.parametrize("schema", [Verdict, Optional, Part])
def test_an_echoed_schema_is_never_an_answer(schema: type[BaseModel]) -> None:
    plain = json_schema(schema)
    tool = {"name": schema.__name__, "parameters": plain}
    wrapped = {"type": "json_schema", "json_schema": plain}
    for echo in (plain, {"properties": plain["properties"]}, tool, wrapped):
        with pytest.raises(ValueError, match="repeats the schema"):
            fit(echo, schema)


def test_values_in_or_beside_an_echoed_schema_are_read_where_that_is_clear() -> None:
    echo = json_schema(Verdict)
    assert fit({**echo, "properties": PLAIN}, Verdict).verdict == "accept"
    assert fit({**echo, **PLAIN}, Verdict).verdict == "accept"
    with pytest.raises(ValueError, match="repeats the schema"):
        fit({**echo, "properties": {"verdict": "reject"}, **PLAIN}, Verdict)
    half = {"verdict": "accept", "mood": {"type": "string"}}
    with pytest.raises(ValueError, match="repeats the schema"):
        fit({"properties": half}, Verdict)


def test_a_schema_may_have_a_field_named_properties() -> None:
    class House(BaseModel):
        properties: dict[str, int]

    assert fit({"properties": {"rooms": 3}}, House).properties == {"rooms": 3}


def test_an_object_without_any_of_the_keys_is_no_answer_even_where_all_have_defaults() -> None:
    with pytest.raises(ValueError, match="none of its keys is one of notes, title"):
        fit({"a": 1}, Optional)
    assert fit({}, Optional) == Optional()
    assert fit({"title": "x", "a": 1}, Optional).title == "x"


def test_a_schema_without_fields_of_its_own_is_validated_as_it_is() -> None:
    class Table(RootModel[dict[str, int]]):
        pass

    assert fit({"a": 1}, Table).root == {"a": 1}


@pytest.mark.parametrize(
    "reply",
    [
        call(PLAIN),
        AIMessage(
            "",
            invalid_tool_calls=[
                {"name": "Verdict", "args": json.dumps(PLAIN) + "}", "id": "1", "error": "x"}
            ],
        ),
        AIMessage("", additional_kwargs={"function_call": {"arguments": json.dumps(PLAIN)}}),
        AIMessage(json.dumps(json.dumps(json.dumps(PLAIN)))),
        AIMessage(json.dumps({"name": "Verdict", "arguments": json.dumps(PLAIN)})),
        AIMessage(json.dumps({"type": "function", "name": "Verdict", "parameters": PLAIN})),
    ],
    ids=["call", "broken call", "older call", "packed thrice", "call as text", "call as object"],
)
def test_an_answer_is_found_where_it_stands(reply: AIMessage) -> None:
    assert fitting(reply, Verdict) == Verdict(verdict="accept")


def test_a_tool_call_goes_before_the_text_around_it() -> None:
    reply = call(PLAIN).model_copy(update={"content": 'Not {"verdict": "reject"}.'})
    assert objects(reply) == [PLAIN]
    assert reply_text(reply) == 'Not {"verdict": "reject"}.'
    assert reply_text(call(PLAIN)) == '{"verdict": "accept"}'


def test_two_different_answers_are_none_and_two_equal_ones_are_one() -> None:
    twice = AIMessage('{"verdict": "accept"} {"verdict": " Accept "}')
    assert fitting(twice, Verdict).verdict == "accept"
    with pytest.raises(ValueError, match="several different JSON objects"):
        fitting(AIMessage('{"verdict": "accept"} {"verdict": "REJECT"}'), Verdict)


@pytest.mark.parametrize(
    ("text", "problem"),
    [("", "is empty"), (" \n", "is empty"), ("null", "no complete"), ('{"verdict"', "no complete")],
)
def test_a_reply_without_an_object_says_what_it_lacks(text: str, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        fitting(AIMessage(text), Verdict)


def test_a_schema_that_refers_to_itself_is_walked_as_deep_as_the_answer() -> None:
    class Tree(BaseModel):
        kind: Literal["leaf", "fork"]
        below: list["Tree"] = []

    plain = {"kind": "Fork", "below": [{"kind": "LEAF"}, {"kind": "fork", "below": []}]}
    assert [one.kind for one in fit(plain, Tree).below] == ["leaf", "fork"]
