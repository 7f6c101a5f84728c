import pytest

from middo.core.errors import DataError
from middo.formats.decisions import Decided, read_decisions


def read(*lines: str) -> list[Decided]:
    return read_decisions([line.encode() for line in lines], "d.jsonl")


def test_each_line_is_a_decision_with_its_place() -> None:
    assert read(
        '{"sample": "ab", "decision": "accept"}',
        "  ",
        '{"sample": "cd", "decision": "edit", "answer": "In 1969.", "reason": " a year "}',
        '{"all": "reject", "reason": "unsure"}',
    ) == [
        Decided("d.jsonl:1", "ab", "accept"),
        Decided("d.jsonl:3", "cd", "edit", answer="In 1969.", reason="a year"),
        Decided("d.jsonl:4", None, "reject", reason="unsure"),
    ]


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("accept", "is no JSON object (accept)"),
        ("[1]", "is no JSON object ([1])"),
        ("{}", 'expected "sample" with its "decision", or "all"'),
        ('{"sample": "a"}', 'expected "sample": an id, and "decision": accept, reject or edit'),
        ('{"sample": "", "decision": "accept"}', 'expected "sample": an id, and'),
        ('{"sample": "a", "all": "accept"}', 'expected "sample" with its "decision", or "all"'),
        ('{"all": "edit"}', "all: 'edit' is not valid: input should be 'accept' or 'reject'"),
        ('{"all": "accept", "decision": "accept"}', '"all" is the decision itself'),
        ('{"sample": "a", "decision": "drop"}', "decision: 'drop' is not valid: input should be"),
        ('{"sample": 7, "decision": "accept"}', "sample: 7 is not valid: input should be a valid"),
        ('{"sample": "a", "decison": "accept"}', "decison: unknown key; expected one of sample,"),
        ('{"sample": "a", "decision": "edit"}', 'an edit needs "prompt", "answer" or both'),
        ('{"sample": "a", "decision": "accept", "answer": "x"}', '"prompt" and "answer" belong'),
        ('{"sample": "a", "decision": "edit", "answer": " \\n"}', "an edited text is empty"),
        ('{"sample": "a", "decision": "edit", "answer": "\\ud800"}', "is no JSON object"),
    ],
)
def test_a_wrong_line_is_named_with_what_is_wrong(line: str, problem: str) -> None:
    with pytest.raises(DataError) as caught:
        read('{"sample": "ab", "decision": "accept"}', line)
    assert str(caught.value).startswith(f"d.jsonl:2: {problem}")
    assert "\n" not in str(caught.value)


def test_text_that_is_not_utf8_is_refused() -> None:
    with pytest.raises(DataError, match="f:1: is no JSON object"):
        read_decisions([b'{"sample": "\xff"}'], "f")


def test_all_stands_once() -> None:
    with pytest.raises(DataError, match='d.jsonl:3: "all" stands in d.jsonl:1 already'):
        read('{"all": "accept"}', '{"sample": "a", "decision": "accept"}', '{"all": "reject"}')


def test_a_file_without_a_decision_is_refused() -> None:
    with pytest.raises(DataError, match="d.jsonl: holds no decision"):
        read("", "\n")


@pytest.mark.parametrize(
    "line", [b"no JSON\n", b"\x1b[31mred\x07\r\n", b'{"a\\nb\\u001b[0m": 1}\n']
)
def test_what_is_wrong_with_a_line_is_said_in_one(line: bytes) -> None:
    with pytest.raises(DataError) as refused:
        read_decisions([line], "decisions.jsonl")
    assert str(refused.value).isprintable()
