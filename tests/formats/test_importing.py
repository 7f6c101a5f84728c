"""Every form becomes the canonical sample; a row that can't is quarantined with its reason."""

import json
from pathlib import Path
from typing import Any

import pytest

from middo.core.records import Message, Role
from middo.formats.importing import Imported, import_data, stream_data
from middo.stores.samples import Manifest, Version, write_version

U: Role = "user"
A: Role = "assistant"
S: Role = "system"
T: Role = "tool"


def _import(tmp_path: Path, *rows: Any, format: str = "auto") -> Imported:
    file = tmp_path / "rows.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    imported = import_data(str(file), format)
    assert len(imported.samples) + len(imported.quarantined) == imported.total
    return imported


GOOD: dict[str, tuple[str, dict[str, Any], list[Message]]] = {
    "alpaca": (
        "alpaca",
        {"instruction": "Add.", "input": "1 2", "output": "3"},
        [Message(U, "Add.\n\n1 2"), Message(A, "3")],
    ),
    "alpaca with history and system": (
        "alpaca",
        {
            "instruction": "And?",
            "input": "",
            "output": "b",
            "history": [["Hi", "a"]],
            "system": "Be short.",
        },
        [
            Message(S, "Be short."),
            Message(U, "Hi"),
            Message(A, "a"),
            Message(U, "And?"),
            Message(A, "b"),
        ],
    ),
    "alpaca with an input alone": (
        "alpaca",
        {"instruction": "", "input": "1 2", "output": "3"},
        [Message(U, "1 2"), Message(A, "3")],
    ),
    "context and response": (
        "alpaca",
        {"instruction": "Add.", "context": "1 2", "response": "3"},
        [Message(U, "Add.\n\n1 2"), Message(A, "3")],
    ),
    "nested": (
        "alpaca",
        {"instruction": "Add.", "instances": [{"input": "1 2", "output": "3"}]},
        [Message(U, "Add.\n\n1 2"), Message(A, "3")],
    ),
    "prompt and completion": (
        "prompt",
        {"prompt": "a", "completion": "b"},
        [Message(U, "a"), Message(A, "b")],
    ),
    "prompt and response": (
        "prompt",
        {"prompt": "a", "response": "b"},
        [Message(U, "a"), Message(A, "b")],
    ),
    "question and answer": (
        "question",
        {"question": "a", "answer": "b"},
        [Message(U, "a"), Message(A, "b")],
    ),
    "sharegpt with tools": (
        "sharegpt",
        {
            "conversations": [
                {"from": "system", "value": "s"},
                {"from": "human", "value": "q"},
                {"from": "function_call", "value": "{}"},
                {"from": "observation", "value": ""},
                {"from": "gpt", "value": "a"},
            ]
        },
        [
            Message(S, "s"),
            Message(U, "q"),
            Message(A, "{}", "function_call"),
            Message(T, "", "observation"),
            Message(A, "a"),
        ],
    ),
    "sharegpt with other words": (
        "sharegpt",
        {"conversations": [{"from": "user", "value": "q"}, {"from": "chatgpt", "value": "a"}]},
        [Message(U, "q", "user"), Message(A, "a", "chatgpt")],
    ),
    "messages": (
        "messages",
        {
            "messages": [
                {"role": "developer", "content": "s"},
                {"role": "user", "content": "q"},
                {"role": "assistant", "content": "a"},
            ],
            "prompt": "q",
            "completion": "a",
        },
        [Message(S, "s", "developer"), Message(U, "q"), Message(A, "a")],
    ),
    "messages under conversations": (
        "messages",
        {
            "conversations": [
                {"role": "user", "content": "q"},
                {"role": "assistant", "content": "a"},
            ]
        },
        [Message(U, "q"), Message(A, "a")],
    ),
    "messages with tool calls": (
        "messages",
        {
            "messages": [
                {"role": "user", "content": "q"},
                {"role": "assistant", "content": None, "tool_calls": [{"id": "1", "f": 2}]},
                {"role": "tool", "content": "3", "tool_call_id": "1"},
                {"role": "assistant", "content": "a"},
            ]
        },
        [
            Message(U, "q"),
            Message(A, '[{"f":2,"id":"1"}]', "tool_calls"),
            Message(T, "3"),
            Message(A, "a"),
        ],
    ),
}


@pytest.mark.parametrize("name", GOOD)
def test_a_form_is_detected_and_read(tmp_path: Path, name: str) -> None:
    form, row, messages = GOOD[name]
    imported = _import(tmp_path, row)
    assert imported.format == form
    assert list(imported.samples[0].messages) == messages


def _turns(*turns: tuple[str, Any]) -> dict[str, Any]:
    return {"messages": [{"role": role, "content": text} for role, text in turns]}


BAD: dict[str, tuple[str, Any, str]] = {
    "empty answer": ("alpaca", {"instruction": "i", "output": " \n"}, "empty answer"),
    "null answer": ("alpaca", {"instruction": "i", "output": None}, "empty answer"),
    "empty prompt": ("alpaca", {"instruction": " ", "input": "", "output": "o"}, "empty prompt"),
    "number": ("alpaca", {"instruction": 5, "output": "o"}, "wrong type: instruction is a number"),
    "history": (
        "alpaca",
        {"instruction": "i", "output": "o", "history": [["a"]]},
        "history entry 1 is not a pair of texts",
    ),
    "nested, empty": ("alpaca", {"instruction": "i", "instances": []}, "instances is empty"),
    "nested, no output": ("alpaca", {"instruction": "i", "instances": [{}]}, "no column output"),
    "nested twice": (
        "alpaca",
        {"instruction": "i", "input": "x", "instances": [{"input": "y", "output": "o"}]},
        "input stands beside instances",
    ),
    "mixed columns": (
        "alpaca",
        {"question": "q", "answer": "a"},
        "mixed columns: alpaca needs instruction, output; found 'question', 'answer'",
    ),
    "no object": ("alpaca", ["i", "o"], "not an object with columns"),
    "reserved": ("alpaca", {"instruction": "i", "output": "o", "_middo": 1}, "is reserved"),
    "lone surrogate": ("alpaca", {"instruction": "i", "output": "\ud800"}, "'output' holds a lone"),
    "surrogate in meta": (
        "alpaca",
        {"instruction": "i", "output": "o", "tag": ["\udfff"]},
        "field 'tag' holds a lone surrogate",
    ),
    "NaN": ("alpaca", {"instruction": "i", "output": "o", "n": float("nan")}, "'n' holds NaN"),
    "no assistant": ("messages", _turns((U, "q")), "no assistant turn"),
    "ends with user": (
        "messages",
        _turns((U, "q"), (A, "a"), (U, "q")),
        "last turn is of the role",
    ),
    "no user": ("messages", _turns((S, "s"), (A, "a")), "no user turn before"),
    "user after": ("messages", _turns((A, "a"), (U, "q"), (T, "t")), "the last turn is of"),
    "empty middle": (
        "messages",
        _turns((U, "q"), (A, ""), (U, "q"), (A, "a")),
        "turn 2: empty assistant turn",
    ),
    "unknown role": ("messages", _turns(("narrator", "q"), (A, "a")), "unknown role 'narrator'"),
    "role no text": (
        "messages",
        {"messages": [{"role": 1, "content": "a"}]},
        "role is a number, not text",
    ),
    "parts": ("messages", _turns((U, [{"type": "text"}]), (A, "a")), "content is a list, not text"),
    "null content": (
        "messages",
        _turns((U, None), (A, "a")),
        "turn 1: wrong type: content is null",
    ),
    "turn no object": ("messages", {"messages": ["q", "a"]}, "turn 1: wrong type: text"),
    "no list": ("messages", {"messages": "q"}, "messages is text, not a list of turns"),
    "no turns": ("messages", {"messages": []}, "no assistant turn"),
    "text and calls": (
        "messages",
        {
            "messages": [
                {"role": "user", "content": "q"},
                {"role": "assistant", "content": "a", "tool_calls": [{}]},
            ]
        },
        "turn 2: text and tool_calls in one turn",
    ),
}
SOUND = {
    "alpaca": {"instruction": "i", "output": "o"},
    "messages": _turns((U, "q"), (A, "a")),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_row_is_quarantined_with_place_reason_and_row(tmp_path: Path, name: str) -> None:
    form, row, reason = BAD[name]
    imported = _import(tmp_path, SOUND[form], SOUND[form], row)
    assert imported.format == form and len(imported.samples) == 2
    (quarantined,) = imported.quarantined
    assert quarantined.source == "rows.jsonl:3"
    assert reason in quarantined.reason
    assert repr(quarantined.row) == repr(row)  # NaN is not equal to itself


def test_a_key_that_stands_twice_is_not_silently_dropped(tmp_path: Path) -> None:
    text = '{"question": "q", "answer": "a", "answer": "b"}'
    for content in (
        f'{text}\n{{"question": "q", "answer": "a"}}',
        f'[{text}, {{"question": "q", "answer": "a"}}]',
    ):
        file = tmp_path / "a"
        file.write_text(content)
        imported = import_data(str(file))
        assert len(imported.samples) == 1
        assert imported.quarantined[0].reason == "the key 'answer' stands twice in one object"


def test_unused_fields_are_kept_verbatim_and_plain_rows_have_no_layout(tmp_path: Path) -> None:
    extra = {"id": 7, "tags": ["x", {"y": None}], "score": 0.25}
    sample = _import(tmp_path, {"question": "q", "answer": "a"} | extra).samples[0]
    assert sample.meta == extra
    assert (sample.origin, sample.round, sample.parent_id) == ("seed", 0, None)


def test_the_nth_exact_copy_gets_its_number(tmp_path: Path) -> None:
    row = {"question": "q", "answer": "a"}
    samples = _import(tmp_path, row, {"question": "q", "answer": "b"}, row | {"n": 1}, row).samples
    base = samples[0].id
    assert [sample.id for sample in samples] == [base, samples[1].id, f"{base}-2", f"{base}-3"]
    assert samples[1].id != base


def test_each_entry_of_a_nested_row_is_a_row(tmp_path: Path) -> None:
    entries = [{"input": "1 2", "output": "3"}, {"input": "", "output": "4"}, {"input": "5"}]
    imported = _import(tmp_path, {"instruction": "Add.", "instances": entries, "id": "t"})
    assert imported.total == 3
    assert [(s.source, s.prompt, s.meta["id"]) for s in imported.samples] == [
        ("rows.jsonl:1.1", "Add.\n\n1 2", "t"),
        ("rows.jsonl:1.2", "Add.", "t"),
    ]
    assert [row.source for row in imported.quarantined] == ["rows.jsonl:1.3"]


def test_a_format_can_be_forced(tmp_path: Path) -> None:
    row = {"question": "q", "answer": "a"} | _turns((U, "x"), (A, "y"))
    assert _import(tmp_path, row).format == "messages"
    forced = _import(tmp_path, row, format="question")
    assert forced.format == "question" and forced.samples[0].prompt == "q"


def test_the_form_of_most_rows_decides(tmp_path: Path) -> None:
    other = {"instruction": "i", "output": "o"}
    rows = [other, *({"question": f"q{n}", "answer": "a"} for n in range(2))]
    imported = _import(tmp_path, *rows)
    assert imported.format == "question"
    assert [row.source for row in imported.quarantined] == ["rows.jsonl:1"]


def test_an_import_is_streamed_and_knows_its_counts_at_the_end(tmp_path: Path) -> None:
    rows = [{"instruction": f"Count to {i}.", "output": str(i) * (i % 5 != 4)} for i in range(500)]
    file = tmp_path / "rows.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    stream = stream_data(str(file))
    samples = iter(stream)
    assert next(samples).prompt == "Count to 0."
    # The form is told from the first 100 sound rows; the others are not read yet.
    assert (stream.format, stream.total) == ("alpaca", 1)
    rest = list(samples)
    assert (len(rest), len(stream.quarantined), stream.total) == (399, 100, 500)
    whole = import_data(str(file))
    assert whole.samples[1:] == rest
    assert (whole.total, whole.quarantined) == (500, stream.quarantined)


@pytest.mark.parametrize("levels", [199, 200, 400, 950, 960, 970, 980, 2_000])
def test_what_is_imported_can_be_stored_whoever_calls(tmp_path: Path, levels: int) -> None:
    file = tmp_path / "rows.jsonl"
    sound = '{"prompt": "a", "completion": "b"}\n'
    deep = '{"prompt": "a", "completion": "c", "x": %s}\n' % ("[" * levels + "]" * levels)
    file.write_text(sound + deep, encoding="utf-8")
    imported = import_data(str(file))
    assert len(imported.samples) == 1 + (levels < 200)
    assert all(
        "nested too deeply" in row.reason or "200 deep" in row.reason
        for row in imported.quarantined
    )

    def deeper(frames: int) -> Manifest:
        if frames:
            return deeper(frames - 1)
        return write_version(tmp_path / "version", imported.samples, parent=None, made_by={})

    assert deeper(200).rows == len(imported.samples)
    assert list(Version(tmp_path / "version")) == imported.samples
