"""Each kind of instruction: an answer that follows it, and one that doesn't."""

from typing import Any

import pytest

from middo.checks.instructions import _RULES, follows_all, rules_of

CASES: list[tuple[str, dict[str, Any], str, str]] = [
    ("keywords:existence", {"keywords": ["sea", "blue"]}, "The Sea is blue.", "The sea is green."),
    ("keywords:forbidden_words", {"forbidden_words": ["sad"]}, "A saddle.", "A sad day."),
    (
        "keywords:frequency",
        {"keyword": "sea", "frequency": 2, "relation": "at least"},
        "Sea, the sea!",
        "The sea.",
    ),
    (
        "keywords:letter_frequency",
        {"letter": "Q", "let_frequency": 2, "let_relation": "less than"},
        "Quick.",
        "Quick quiz.",
    ),
    (
        "language:response_language",
        {"language": "de"},
        "Das ist nicht der Weg, den ich mit dir gehen kann.",
        "This is not the way that I can go with you, and that is it.",
    ),
    (
        "length_constraints:number_sentences",
        {"num_sentences": 2, "relation": "less than"},
        "One only.",
        "One. Two.",
    ),
    ("length_constraints:number_paragraphs", {"num_paragraphs": 2}, "a\n***\nb", "a\n\nb"),
    (
        "length_constraints:number_words",
        {"num_words": 4, "relation": "at least"},
        "one two three four",
        "one two three",
    ),
    (
        "length_constraints:nth_paragraph_first_word",
        {"num_paragraphs": 2, "nth_paragraph": 2, "first_word": "then"},
        "First this.\n\nThen that.",
        "First this.\n\nNow that.",
    ),
    (
        "detectable_content:number_placeholders",
        {"num_placeholders": 2},
        "Dear [name] of [town],",
        "Dear [name],",
    ),
    (
        "detectable_content:postscript",
        {"postscript_marker": "P.S."},
        "Bye.\nP.S. Write soon.",
        "Bye. Please be on time.",
    ),
    (
        "detectable_format:number_bullet_lists",
        {"num_bullets": 2},
        "* one\n* two",
        "* one\n* two\n* three",
    ),
    ("detectable_format:constrained_response", {}, "Well, my answer is no.", "No."),
    (
        "detectable_format:number_highlighted_sections",
        {"num_highlights": 2},
        "*one* and *two*",
        "*one* and two",
    ),
    (
        "detectable_format:multiple_sections",
        {"section_spliter": "SECTION", "num_sections": 2},
        "SECTION 1\na\nSECTION 2\nb",
        "SECTION 1\na",
    ),
    ("detectable_format:json_format", {}, '```json\n{"a": 1}\n```', 'Here it is: {"a": 1}'),
    ("detectable_format:title", {}, "<<The Sea>>\nIt is blue.", "The Sea\nIt is blue."),
    ("combination:two_responses", {}, "One way.\n******\nAnother way.", "One way.\n***\nAnother."),
    (
        "combination:repeat_prompt",
        {"prompt_to_repeat": "Name a sea."},
        "name a sea.\nThe North Sea.",
        "The North Sea.",
    ),
    (
        "startend:end_checker",
        {"end_phrase": "Is that all?"},
        "Yes. Is that all?",
        "Is that all? Yes",
    ),
    ("startend:quotation", {}, '"Quoted."', '"Half'),
    (
        "change_case:capital_word_frequency",
        {"capital_frequency": 2, "capital_relation": "at least"},
        "STOP and THINK",
        "STOP and think",
    ),
    ("change_case:english_capital", {}, "ALL IS LOUD.", "All is quiet."),
    ("change_case:english_lowercase", {}, "all is quiet.", "All is quiet."),
    ("punctuation:no_comma", {}, "No sign of it.", "Well, one."),
]


@pytest.mark.parametrize(("name", "arguments", "good", "bad"), CASES)
def test_an_instruction_is_followed_or_not(
    name: str, arguments: dict[str, Any], good: str, bad: str
) -> None:
    rules = rules_of([name], [arguments])
    assert follows_all(rules, good)
    assert not follows_all(rules, bad)
    assert not follows_all(rules, " \n")


def test_every_kind_has_a_case() -> None:
    assert {name for name, *_ in CASES} == _RULES.keys()


def test_all_instructions_of_a_row_count() -> None:
    rules = rules_of(["punctuation:no_comma", "startend:quotation"], [{}, {}])
    assert follows_all(rules, '"No comma here."')
    assert not follows_all(rules, '"A comma, here."')


@pytest.mark.parametrize(
    ("names", "arguments", "problem"),
    [
        (["length:words"], [{}], "'length:words' is not known"),
        (["length_constraints:number_words"], [{"num_words": 3}], "lacks 'relation'"),
        (
            ["length_constraints:number_words"],
            [{"num_words": 3, "relation": "about"}],
            "wrong argument",
        ),
        (["punctuation:no_comma"], [], "same length"),
        ([], [], "same length"),
    ],
)
def test_what_can_not_be_checked_is_told(
    names: list[str], arguments: list[dict[str, Any]], problem: str
) -> None:
    with pytest.raises(ValueError, match=problem):
        rules_of(names, arguments)
