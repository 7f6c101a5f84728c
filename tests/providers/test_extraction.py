import time

import pytest

from middo.providers.extraction import json_objects, without_reasoning


@pytest.mark.parametrize(
    "text",
    [
        '{"a": 1}',
        'Here it is:\n```json\n{"a": 1}\n```\nAnything else?',
        'Sure. {"a": 1} I hope that helps.',
        '<think>maybe {"a": 2}?</think>{"a": 1}',
        '<THINKING>\n{"b": 0}\n</THINKING>\n\n{"a": 1}',
        'I wonder about {"a": 3}</think> {"a": 1}',
        'Use {braces} and then {"a": 1}',
    ],
)
def test_the_object_is_found_in_what_stands_around_it(text: str) -> None:
    assert json_objects(text) == [{"a": 1}]


@pytest.mark.parametrize(
    "text", ["", "no object", '{"a": ', '<think>{"a": 1}', "[1, 2]", "{" * 5000]
)
def test_nothing_is_made_of_a_reply_without_an_object(text: str) -> None:
    assert json_objects(text) == []


def test_all_top_level_objects_are_returned_and_no_nested_ones() -> None:
    assert json_objects('{"a": {"b": 1}} then {"c": [{"d": 2}]}') == [
        {"a": {"b": 1}},
        {"c": [{"d": 2}]},
    ]


def test_raw_line_breaks_and_braces_in_strings_are_kept() -> None:
    assert json_objects('{"a": "one\ntwo } {"}') == [{"a": "one\ntwo } {"}]


def test_a_reasoning_tag_inside_the_answer_stays() -> None:
    text = 'Done: {"a": "wrap it in <think> and </think>"}'
    assert json_objects(text) == [{"a": "wrap it in <think> and </think>"}]


def test_reasoning_is_stripped_closed_unclosed_and_stray() -> None:
    assert without_reasoning("<think>x</think> y <think>z") == "y"
    assert without_reasoning("x</think>y") == "y"


@pytest.mark.timeout(120)
@pytest.mark.parametrize(
    "part", ["{", "{\n", '{"', '{"a":', '{"a":x', '{"a":[', "<think>", "</think>", '{"a":1}']
)
def test_the_time_grows_with_the_length_of_a_reply(part: str) -> None:
    began = time.process_time()
    objects = json_objects(part * (300_000 // len(part)))
    assert time.process_time() - began < 8
    assert objects == ([{"a": 1}] * 42_857 if part == '{"a":1}' else [])


def test_a_number_past_pythons_limit_spoils_only_its_own_object() -> None:
    assert json_objects('{"n": ' + "1" * 5_000 + '} {"a": 1}') == [{"a": 1}]
