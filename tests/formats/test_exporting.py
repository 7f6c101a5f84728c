"""An unchanged row is written as it was read; a form that can't hold a sample says which."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from middo.core.errors import DataError
from middo.core.records import Message, Sample, sample_id
from middo.formats.exporting import export_samples
from middo.formats.importing import import_data

CALLS = [{"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}]
TOOLS = [
    {"from": "human", "value": "q"},
    {"from": "function_call", "value": '{"name": "f"}'},
    {"from": "observation", "value": "3"},
    {"from": "gpt", "value": "a"},
]
ROWS: dict[str, dict[str, Any]] = {
    "alpaca": {"instruction": "Add.", "input": "1\n\n2", "output": "3", "category": "math"},
    "alpaca, empty input": {"instruction": "Add.", "input": "", "output": "3"},
    "alpaca, no input": {"instruction": "Add.", "output": "3"},
    "alpaca, null input": {"instruction": "Add.", "input": None, "output": "3", "history": None},
    "alpaca, blank input": {"instruction": "Add.", "input": " ", "output": "3", "history": []},
    "alpaca, input alone": {"instruction": "", "input": "1 2", "output": "3"},
    "alpaca, blank instruction": {"instruction": " ", "input": "1 2", "output": "3"},
    "alpaca, context": {"instruction": "Add.", "context": "1 2", "response": " 3\n", "input_": 1},
    "alpaca, context beside input": {
        "instruction": "i",
        "input": "",
        "context": "c",
        "output": "o",
    },
    "alpaca, nameless column": {"instruction": "i", "output": "o", "": "0"},
    "alpaca, history": {
        "instruction": "And?",
        "input": "x",
        "output": "b",
        "history": [["Hi", "a"], ["Ho", "c"]],
        "system": "Be short.",
    },
    "alpaca, blank system": {"instruction": "i", "input": "", "output": "o", "system": ""},
    "alpaca, nested": {
        "id": "t",
        "instruction": "Add.",
        "instances": [{"input": "1 2", "output": "3", "note": None}],
    },
    "prompt": {"prompt": "p", "completion": "c", "system": "s", "n": 1.5},
    "prompt, response": {"prompt": "p", "response": "c"},
    "question": {"question": "q", "answer": "a", "level": {"deep": [1]}},
    "question, response": {"question": "q", "response": "a"},
    "sharegpt": {"conversations": TOOLS, "tools": "[]"},
    "sharegpt, system column": {"conversations": TOOLS, "system": "s"},
    "sharegpt, other words": {
        "conversation": [
            {"from": "user", "value": "q", "weight": 0},
            {"from": "bard", "value": "a", "weight": None},
        ]
    },
    "messages": {
        "messages": [
            {"role": "developer", "content": "s"},
            {"role": "user", "content": "q", "name": "Ann"},
            {"role": "assistant", "content": None, "tool_calls": CALLS},
            {"role": "tool", "content": "3", "tool_call_id": "c1"},
            {"role": "assistant", "content": "", "tool_calls": CALLS, "refusal": None},
            {"role": "tool", "content": "3", "tool_call_id": "c1"},
            {"role": "assistant", "function_call": {"name": "f"}},
            {"role": "function", "content": "4", "name": "f"},
            {"role": "assistant", "content": "a", "tool_calls": []},
        ],
        "prompt": "q",
        "system": "kept",
    },
    "messages, system column": {
        "conversations": [
            {"role": "user", "content": "q", "w": 1},
            {"role": "assistant", "content": "a"},
        ],
        "system": "s",
    },
}


def _samples(tmp_path: Path, *rows: dict[str, Any]) -> tuple[list[Sample], str]:
    file = tmp_path / "in.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    imported = import_data(str(file))
    assert not imported.quarantined
    return imported.samples, imported.format


def _rows(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text(encoding="utf-8").split("\n") if line]


@pytest.mark.parametrize("name", ROWS)
def test_an_unchanged_row_is_written_as_it_was_read(tmp_path: Path, name: str) -> None:
    samples, form = _samples(tmp_path, ROWS[name])
    assert form == name.partition(",")[0]
    assert export_samples(samples, form, tmp_path / "out.jsonl") == 1
    assert _rows(tmp_path / "out.jsonl") == [ROWS[name]]


def test_json_holds_one_array(tmp_path: Path) -> None:
    samples, form = _samples(tmp_path, ROWS["question"], {"question": "é", "answer": "ü"})
    export_samples(samples, form, tmp_path / "new" / "out.json")
    text = (tmp_path / "new" / "out.json").read_text(encoding="utf-8")
    assert json.loads(text) == [ROWS["question"], {"question": "é", "answer": "ü"}]
    assert "é" in text
    assert export_samples([], form, tmp_path / "none.json") == 0
    assert json.loads((tmp_path / "none.json").read_text()) == []


def _changed(sample: Sample, prompt: str, answer: str, **changes: Any) -> Sample:
    messages = sample.with_exchange(prompt, answer)
    rewritten = replace(sample, origin="rewritten", parent_id=sample.id, round=1)
    return replace(rewritten, id=sample_id(messages), messages=messages, **changes)


def test_a_rewritten_prompt_becomes_the_instruction(tmp_path: Path) -> None:
    (sample,), form = _samples(tmp_path, ROWS["alpaca"])
    rewritten = _changed(sample, "Add 1 and 2.", "It is 3.")
    export_samples([rewritten], form, tmp_path / "out.jsonl")
    expected = {"instruction": "Add 1 and 2.", "input": "", "output": "It is 3."}
    assert _rows(tmp_path / "out.jsonl") == [expected | {"category": "math"}]


def test_a_rewritten_answer_leaves_instruction_and_input(tmp_path: Path) -> None:
    (sample,), form = _samples(tmp_path, ROWS["alpaca"])
    export_samples([_changed(sample, sample.prompt, "4")], form, tmp_path / "out.jsonl")
    assert _rows(tmp_path / "out.jsonl") == [ROWS["alpaca"] | {"output": "4"}]


def test_an_added_sample_has_nothing_of_its_parents_layout(tmp_path: Path) -> None:
    (sample,), form = _samples(tmp_path, ROWS["alpaca"])
    added = _changed(
        sample, sample.prompt, "4", origin="added", meta={"_middo": sample.meta["_middo"]}
    )
    export_samples([added], form, tmp_path / "out.jsonl")
    assert _rows(tmp_path / "out.jsonl") == [
        {"instruction": "Add.\n\n1\n\n2", "input": "", "output": "4"}
    ]


@pytest.mark.parametrize("text", ["No tool.", "7"])
def test_tool_calls_that_were_rewritten_as_text_are_written_as_text(
    tmp_path: Path, text: str
) -> None:
    turns = [
        {"role": "user", "content": "q"},
        {"role": "assistant", "content": None, "tool_calls": CALLS},
    ]
    (sample,), form = _samples(tmp_path, {"messages": turns})
    export_samples([_changed(sample, "q", text)], form, tmp_path / "out.jsonl")
    (row,) = _rows(tmp_path / "out.jsonl")
    assert row["messages"][1] == {"role": "assistant", "content": text}


def test_alpaca_holds_many_turns_as_history(tmp_path: Path) -> None:
    roles: Any = ("user", "assistant") * 2
    messages = tuple(Message(role, text) for role, text in zip(roles, "abcd", strict=True))
    sample = Sample(sample_id(messages), messages, "x.jsonl:1")
    export_samples([sample], "alpaca", tmp_path / "out.jsonl")
    expected = {"instruction": "c", "input": "", "output": "d", "history": [["a", "b"]]}
    assert _rows(tmp_path / "out.jsonl") == [expected]
    assert import_data(str(tmp_path / "out.jsonl")).samples[0].messages == messages


@pytest.mark.parametrize("form", ["question", "prompt"])
def test_a_form_without_history_refuses_many_turns(tmp_path: Path, form: str) -> None:
    samples, _ = _samples(tmp_path, ROWS["alpaca, history"])
    with pytest.raises(
        DataError, match=f"in.jsonl:1: sample .*: the form {form} can't hold 6 turns"
    ):
        export_samples(samples, form, tmp_path / "out.jsonl")
    assert not (tmp_path / "out.jsonl").exists()


@pytest.mark.parametrize("form", ["question", "prompt", "alpaca"])
def test_a_form_without_turns_refuses_tools(tmp_path: Path, form: str) -> None:
    samples, _ = _samples(tmp_path, ROWS["sharegpt"])
    with pytest.raises(
        DataError, match=f"the form {form} can't hold tool turns; export as messages"
    ):
        export_samples(samples, form, tmp_path / "out.jsonl")


def test_tool_turns_keep_their_words_between_lists_of_turns(tmp_path: Path) -> None:
    samples, _ = _samples(tmp_path, ROWS["sharegpt"])
    export_samples(samples, "messages", tmp_path / "out.jsonl")
    assert _rows(tmp_path / "out.jsonl")[0]["messages"] == [
        {"role": "user", "content": "q"},
        {"role": "assistant", "content": '{"name": "f"}', "name": "function_call"},
        {"role": "tool", "content": "3", "name": "observation"},
        {"role": "assistant", "content": "a"},
    ]
    samples, _ = _samples(tmp_path, ROWS["messages"])
    export_samples(samples, "sharegpt", tmp_path / "out.jsonl")
    turns = _rows(tmp_path / "out.jsonl")[0]["conversations"]
    assert [turn["from"] for turn in turns[:4]] == [
        "system",
        "human",
        "function_call",
        "observation",
    ]
    assert json.loads(turns[2]["value"]) == CALLS
    assert turns[3] == {"from": "observation", "value": "3", "tool_call_id": "c1"}


def test_a_field_of_the_input_is_not_overwritten(tmp_path: Path) -> None:
    turns = [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}]
    samples, _ = _samples(tmp_path, {"messages": turns, "prompt": "other"})
    with pytest.raises(DataError, match="own field 'prompt' is also a column of the form prompt"):
        export_samples(samples, "prompt", tmp_path / "out.jsonl")


def test_parquet_holds_turns_and_meta_and_can_be_imported(tmp_path: Path) -> None:
    samples, _ = _samples(tmp_path, ROWS["sharegpt"], ROWS["sharegpt, other words"])
    assert export_samples(samples, "parquet", tmp_path / "out.parquet") == 2
    first = pq.read_table(tmp_path / "out.parquet").to_pylist()[0]
    assert first["messages"][1] == {
        "role": "assistant",
        "content": '{"name": "f"}',
        "name": "function_call",
    }
    assert (first["id"], first["origin"], first["round"]) == (samples[0].id, "seed", 0)
    assert json.loads(first["meta"]) == {"tools": "[]"}
    again = import_data(str(tmp_path / "out.parquet"))
    assert again.format == "messages"
    assert [s.answer for s in again.samples] == [s.answer for s in samples]


def test_nothing_appears_when_the_samples_end_in_an_error(tmp_path: Path) -> None:
    samples, form = _samples(tmp_path, ROWS["question"])
    (tmp_path / "out.jsonl").write_text("old")

    def failing() -> Iterator[Sample]:
        yield samples[0]
        raise OSError("disk")

    with pytest.raises(OSError, match="disk"):
        export_samples(failing(), form, tmp_path / "out.jsonl")
    assert (tmp_path / "out.jsonl").read_text() == "old"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.jsonl", "out.jsonl"]


@pytest.mark.parametrize("name", ["out.jsonl", "out.parquet"])
def test_a_lone_surrogate_is_one_line(tmp_path: Path, name: str) -> None:
    sample = Sample("1", (Message("user", "q"), Message("assistant", "\ud800")), "a:1")
    form = "parquet" if name.endswith("parquet") else "question"
    with pytest.raises(DataError, match="a:1: sample 1 holds a lone surrogate"):
        export_samples([sample], form, tmp_path / name)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("form", "name", "message"),
    [
        ("csv", "out.csv", "format 'csv' is not known; use sharegpt, .* or parquet"),
        ("alpaca", "out.json.gz", "alpaca is written to .json or .jsonl"),
        ("parquet", "out.jsonl", "parquet is written to .parquet"),
    ],
)
def test_what_can_not_be_written_is_refused(
    tmp_path: Path, form: str, name: str, message: str
) -> None:
    with pytest.raises(DataError, match=message):
        export_samples([], form, tmp_path / name)
