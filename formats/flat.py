"""Rows with a column for the prompt and one for the answer: Alpaca, prompt, question.

An Alpaca prompt is the instruction, a blank line and the input. The layout keeps the input, so the
exporter splits the prompt again wherever it still ends with that input.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ..core.records import Message, Sample
from .rows import BadRow, CannotHold, Layout, Parsed, Row, check_turns, kind_of, text_of

SEPARATOR = "\n\n"
CALLS = ("function_call", "tool_call", "tool_calls")
"""Names of assistant turns that call a tool; a form without turns can't say that."""


@dataclass(frozen=True, slots=True)
class Columns:
    """The columns of a form, the preferred name first; `nested` may hold input and answer."""

    prompt: str
    answers: tuple[str, ...]
    inputs: tuple[str, ...] = ()
    history: str | None = None
    nested: str | None = None


ALPACA = Columns(
    "instruction", ("output", "response"), ("input", "context"), "history", "instances"
)
PROMPT = Columns("prompt", ("completion", "response"))
QUESTION = Columns("question", ("answer", "response"))


def fits(columns: Columns, row: Row) -> bool:
    """Return whether a row has a form's columns."""
    return columns.prompt in row and (
        _first(columns.answers, row) is not None or columns.nested in row
    )


def split_nested(row: Row) -> list[Row]:
    """Return one row per entry of `instances`; every other row as it is."""
    entries = row.get("instances")
    if not isinstance(entries, list) or len(entries) < 2 or not fits(ALPACA, row):
        return [row]
    if _first(ALPACA.answers, row) is not None:
        return [row]
    return [{**row, "instances": [entry]} for entry in entries]


def read(columns: Columns, row: Row) -> Parsed:
    """Turn a row into a conversation.

    Raises:
        BadRow: an empty text, a wrong type, or a history that holds no pairs.
    """
    if _first(columns.answers, row) is not None or columns.nested is None:
        return _read(columns, row)
    entry = _entry(columns.nested, row)
    outer = {key: value for key, value in row.items() if key != columns.nested}
    twice = next((key for key in (*columns.inputs, *columns.answers) if key in outer), None)
    if twice is not None:
        raise BadRow(f"{twice} stands beside {columns.nested}")
    inner = {key: entry[key] for key in (*columns.inputs, *columns.answers) if key in entry}
    parsed = _read(columns, outer | inner)
    rest = {key: value for key, value in entry.items() if key not in parsed.used}
    layout = {**parsed.layout, "nested": rest}
    return Parsed(parsed.messages, parsed.used | {columns.nested}, layout)


def _entry(name: str, row: Row) -> Row:
    entries = row[name]
    if entries == []:
        raise BadRow(f"{name} is empty")
    if not isinstance(entries, list) or len(entries) != 1:
        raise BadRow(f"wrong type: {name} is {kind_of(entries)}, not a list of objects")
    if not isinstance(entries[0], dict):
        raise BadRow(f"wrong type: {name} holds {kind_of(entries[0])}, not an object")
    return entries[0]


def _read(columns: Columns, row: Row) -> Parsed:
    layout: Layout = {}
    answer_name = _first(columns.answers, row)
    if answer_name is None:
        raise BadRow(f"no column {' or '.join(columns.answers)}")
    used = {columns.prompt, answer_name}
    if answer_name != columns.answers[0]:
        layout["answer"] = answer_name
    prompt = text_of(row[columns.prompt], columns.prompt)
    if row[columns.prompt] is None:  # an input alone may make the prompt
        layout["prompt"] = None
    if columns.inputs:
        prompt, more = _with_input(columns, row, prompt)
        layout |= more
        used |= {name for name in (_first(columns.inputs, row),) if name is not None}
    turns: list[Message] = []
    if isinstance(row.get("system"), str) and row["system"].strip():
        turns.append(Message("system", row["system"]))
        used.add("system")
    if columns.history is not None and columns.history in row:
        past = _pairs(row[columns.history], columns.history)
        turns += past
        used.add(columns.history)
        layout |= {} if past else {"history": row[columns.history]}
    answer = text_of(row[answer_name], answer_name)
    messages = (*turns, Message("user", prompt), Message("assistant", answer))
    check_turns(messages)
    return Parsed(messages, frozenset(used), layout)


def _with_input(columns: Columns, row: Row, instruction: str) -> tuple[str, Layout]:
    name = _first(columns.inputs, row)
    if name is None:
        return instruction, {"input_name": None}
    layout: Layout = {} if name == columns.inputs[0] else {"input_name": name}
    extra = text_of(row[name], name)
    if row[name] != "":
        layout["input"] = row[name]
    if not extra.strip():
        return instruction, layout
    return (instruction + SEPARATOR + extra if instruction else extra), layout


def _pairs(value: Any, name: str) -> list[Message]:
    if value is None or value == "":
        return []
    if not isinstance(value, list):
        raise BadRow(f"wrong type: {name} is {kind_of(value)}, not a list of pairs")
    turns = []
    for number, pair in enumerate(value, 1):
        texts = isinstance(pair, list) and all(isinstance(text, str) for text in pair)
        if not texts or len(pair) != 2:
            raise BadRow(f"wrong type: {name} entry {number} is not a pair of texts")
        turns += [Message("user", pair[0]), Message("assistant", pair[1])]
    return turns


def _first(names: Sequence[str], row: Row) -> str | None:
    return next((name for name in names if name in row), None)


def write(columns: Columns, sample: Sample, layout: Layout) -> Row:
    """Return a sample as a row of the form, without its meta fields.

    Raises:
        CannotHold: the sample has tool turns, or more turns than the form has columns for.
    """
    turns = list(sample.messages)
    system = {"system": turns.pop(0).content} if turns[0].role == "system" else {}
    if any(turn.role == "tool" or turn.name in CALLS for turn in turns):
        raise CannotHold("tool turns")
    if any(turn.role != ("user", "assistant")[index % 2] for index, turn in enumerate(turns)):
        raise CannotHold("turns that are not question and answer in turn")
    if len(turns) > 2 and columns.history is None:
        raise CannotHold(f"{len(turns)} turns")
    row: Row = {columns.prompt: turns[-2].content}
    inner: Row = {layout.get("answer", columns.answers[0]): turns[-1].content}
    if columns.inputs:
        row[columns.prompt], split = _split(columns, turns[-2].content, layout)
        inner = split | inner
    if columns.nested is not None and "nested" in layout:
        inner = {columns.nested: [inner | layout["nested"]]}
    row |= inner
    if columns.history is not None and len(turns) > 2:
        texts = [turn.content for turn in turns[:-2]]
        row[columns.history] = [[*pair] for pair in zip(texts[::2], texts[1::2], strict=True)]
    elif columns.history is not None and "history" in layout:
        row[columns.history] = layout["history"]
    return row | system


def _split(columns: Columns, prompt: str, layout: Layout) -> tuple[str, Row]:
    name = layout.get("input_name", columns.inputs[0])
    if name is None:
        return prompt, {}
    extra = layout.get("input", "")
    if extra is None or not extra.strip():
        return prompt, {name: extra}
    if prompt == extra:
        return layout.get("prompt", ""), {name: extra}
    if prompt.endswith(SEPARATOR + extra):
        return prompt.removesuffix(SEPARATOR + extra), {name: extra}
    return prompt, {name: ""}
