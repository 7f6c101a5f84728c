"""Rows with a list of turns: ShareGPT (`from`, `value`) and OpenAI messages (`role`, `content`).

Tool turns are kept: a call is an assistant turn, its result a tool turn, and `Message.name` has the
source's own word. OpenAI `tool_calls` without text become the canonical JSON of the calls.
What else a turn holds goes into the layout, by the turn's index.
"""

import json
from dataclasses import dataclass
from typing import Any

from ..core.ids import canonical_json
from ..core.records import Message, Role, Sample
from .rows import BadRow, Layout, Parsed, Row, check_turns, kind_of, quoted

COLUMNS = ("messages", "conversations", "conversation")


@dataclass(frozen=True, slots=True)
class Style:
    """A way to write turns. `plain` words have no name of their own: they are the role."""

    column: str
    role: str
    text: str
    plain: dict[str, Role]
    named: dict[str, Role]

    @property
    def words(self) -> dict[str, Role]:
        """Every word for a role that is known."""
        return self.plain | self.named

    def word(self, message: Message) -> str:
        """Return the word that a turn is written with."""
        if message.name in self.named and self.named[message.name] == message.role:
            return message.name
        if self.text == "value" and message.name == "tool_calls":
            return "function_call"
        own = {role: word for word, role in self.plain.items()}
        return own.get(message.role, "observation")


SHAREGPT = Style(
    "conversations",
    "from",
    "value",
    {"human": "user", "gpt": "assistant", "system": "system"},
    {
        "user": "user",
        "assistant": "assistant",
        "chatgpt": "assistant",
        "bing": "assistant",
        "bard": "assistant",
        "model": "assistant",
        "function_call": "assistant",
        "tool_call": "assistant",
        "observation": "tool",
        "tool": "tool",
        "tool_response": "tool",
        "function_response": "tool",
    },
)
MESSAGES = Style(
    "messages",
    "role",
    "content",
    {"user": "user", "assistant": "assistant", "system": "system", "tool": "tool"},
    {"developer": "system", "function": "tool"},
)
STYLES = (SHAREGPT, MESSAGES)


def fits(style: Style, row: Row) -> bool:
    """Return whether a row has a list of turns in a style."""
    return _column(style, row) is not None


def _column(style: Style, row: Row) -> str | None:
    return next((name for name in COLUMNS if name in row and _style(name, row) is style), None)


def _style(column: str, row: Row) -> Style:
    value = row[column]
    first = value[0] if isinstance(value, list) and value else None
    found = [style for style in STYLES if isinstance(first, dict) and style.role in first]
    return found[0] if found else (MESSAGES if column == "messages" else SHAREGPT)


def read(style: Style, row: Row) -> Parsed:
    """Turn a row into a conversation.

    Raises:
        BadRow: no list of turns, an unknown role, a text of a wrong type, or turns out of rule.
    """
    column = _column(style, row)
    if column is None or not isinstance(row[column], list):
        name = column or style.column
        raise BadRow(f"wrong type: {name} is {kind_of(row.get(name))}, not a list of turns")
    turns = [_turn(style, turn, number) for number, turn in enumerate(row[column], 1)]
    messages = tuple(message for message, _ in turns)
    layout: Layout = {"column": column} if column != style.column else {}
    used = {column}
    shift = 0
    system = row.get("system")
    if isinstance(system, str) and system.strip() and messages[:1] and messages[0].role != "system":
        messages = (Message("system", system), *messages)
        used.add("system")
        layout["system"] = True
        shift = 1
    records = {str(index): record for index, (_, record) in enumerate(turns, shift) if record}
    if records:
        layout |= {"turns": records, "count": len(messages)}
    check_turns(messages)
    return Parsed(messages, frozenset(used), layout)


def _turn(style: Style, turn: Any, number: int) -> tuple[Message, dict[str, Any]]:
    if not isinstance(turn, dict):
        raise BadRow(f"turn {number}: wrong type: {kind_of(turn)}, not an object")
    word = _word(style, turn, number)
    role = style.words[word]
    name = word if word in style.named else None
    record: dict[str, Any] = {}
    extra = {key: value for key, value in turn.items() if key not in (style.role, style.text)}
    text = turn.get(style.text)
    call = next((key for key in ("tool_calls", "function_call") if extra.get(key)), None)
    if style is MESSAGES and call is not None:
        if text:
            raise BadRow(f"turn {number}: text and {call} in one turn, which Middo can't keep")
        record["call"] = call
        record |= {"empty": text} if style.text in turn else {"absent": True}
        text, name = canonical_json(extra.pop(call)), call
    if style.text not in turn and text is None:
        raise BadRow(f"turn {number}: has no {style.text}")
    if not isinstance(text, str):
        raise BadRow(f"turn {number}: wrong type: {style.text} is {kind_of(text)}, not text")
    if extra:
        record["extra"] = extra
    return Message(role, text, name), record


def _word(style: Style, turn: dict[str, Any], number: int) -> str:
    if style.role not in turn:
        raise BadRow(f"turn {number}: has no {style.role}")
    word = turn[style.role]
    if not isinstance(word, str):
        raise BadRow(f"turn {number}: wrong type: {style.role} is {kind_of(word)}, not text")
    if word not in style.words:
        known = ", ".join(style.words)
        raise BadRow(f"turn {number}: unknown role {quoted(word)}; known: {known}")
    return word


def write(style: Style, sample: Sample, layout: Layout) -> Row:
    """Return a sample as a row of the style, without its meta fields.

    What the layout says of single turns holds only where the number of turns is the same.
    """
    records = layout.get("turns", {}) if layout.get("count") == len(sample.messages) else {}
    turns = [
        _written(style, message, records.get(str(index), {}))
        for index, message in enumerate(sample.messages)
    ]
    column = layout.get("column", style.column)
    if layout.get("system") and sample.messages[0].role == "system":
        return {column: turns[1:], "system": sample.messages[0].content}
    return {column: turns}


def _written(style: Style, message: Message, record: dict[str, Any]) -> dict[str, Any]:
    calls = _calls(message.content) if style is MESSAGES and "call" in record else None
    turn: dict[str, Any] = {style.role: style.word(message)}
    if calls is None:
        turn[style.text] = message.content
    elif "absent" not in record:
        turn[style.text] = record["empty"]
    turn = record.get("extra", {}) | turn
    if calls is not None:
        return turn | {record["call"]: calls}
    foreign = message.name is not None and message.name not in style.named
    if "call" in record or "name" in turn:
        return turn
    if style is MESSAGES and foreign and _is_tool(message):
        turn["name"] = message.name
    return turn


def _is_tool(message: Message) -> bool:
    return message.role == "tool" or message.name in ("function_call", "tool_call", "tool_calls")


def _calls(text: str) -> Any:
    """Return the calls that a turn's text is the JSON of, None where it was rewritten as text."""
    try:
        calls = json.loads(text)
    except ValueError:
        return None
    return calls if isinstance(calls, list | dict) else None
