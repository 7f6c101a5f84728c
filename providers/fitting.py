"""From a model's reply to the one object that fits a schema, or a reason in words.

Servers and models spoil answers in known ways: a tool call's arguments as text, JSON inside a JSON
string, an enum's word in another case, a number as text, keys that nobody asked for, the schema
sent back. What can be read in one way only is read; everything else is a misfit, and two different
objects that fit are one as well. An object is never completed, and no value is made up.
"""

import json
import re
from functools import cache
from typing import Any

from langchain_core.messages import AIMessage
from pydantic import BaseModel, ValidationError

from ..core.chat import Answer
from .extraction import json_objects

_FRAGMENT = {"type", "$ref", "anyOf", "allOf", "oneOf", "enum", "const"}
_KEYWORDS = _FRAGMENT | {
    "$defs",
    "$schema",
    "additionalProperties",
    "description",
    "properties",
    "required",
    "title",
}
_WRAPPERS = ("parameters", "schema", "json_schema", "function", "input_schema")
_NUMBER = re.compile(r"[+-]?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?")
_DEEPEST = 3
"""How often JSON is unpacked from a string that holds JSON."""


def json_schema(schema: type[BaseModel]) -> dict[str, Any]:
    """Return the JSON schema of a model, a fresh one: SDKs write into what they are given."""
    plain: dict[str, Any] = json.loads(_schema_text(schema))
    return plain


@cache
def _schema_text(schema: type[BaseModel]) -> str:
    return json.dumps(schema.model_json_schema())  # takes pydantic longer than a local call


def fitting(reply: AIMessage, schema: type[Answer]) -> Answer:
    """Return the one object of a reply that fits the schema.

    Raises:
        ValueError: none fits, or several different ones do; the message says so in words.
    """
    found: list[Answer] = []
    problems: list[str] = []
    for plain in objects(reply):
        try:
            value = fit(plain, schema)
        except ValueError as error:
            problems.append(str(error))
        else:
            if value not in found:
                found.append(value)
    if len(found) == 1:
        return found[0]
    if found:
        raise ValueError("the reply holds several different JSON objects")
    if problems:
        raise ValueError(problems[0])
    empty = not reply_text(reply).strip()
    raise ValueError(f"the reply {'is empty' if empty else 'holds no complete JSON object'}")


def reply_text(reply: AIMessage) -> str:
    """Return the text of a reply, or the arguments of its tool call in the text's place."""
    text = str(reply.text)
    if text.strip():
        return text
    if reply.tool_calls:
        return json.dumps(reply.tool_calls[0]["args"], ensure_ascii=False)
    if reply.invalid_tool_calls:
        return reply.invalid_tool_calls[0]["args"] or ""
    older = reply.additional_kwargs.get("function_call")
    arguments = older.get("arguments") if isinstance(older, dict) else None
    if arguments is None:
        return text
    return arguments if isinstance(arguments, str) else json.dumps(arguments, ensure_ascii=False)


def objects(reply: AIMessage) -> list[dict[str, Any]]:
    """Return the JSON objects of a reply: those of its tool calls, else those of its text."""
    called: list[Any] = [call["args"] for call in reply.tool_calls]
    called += [call["args"] for call in reply.invalid_tool_calls]
    older = reply.additional_kwargs.get("function_call")
    if isinstance(older, dict):
        called.append(older.get("arguments"))
    found = [plain for arguments in called for plain in _opened(arguments)]
    return found or _opened(str(reply.text))


def _opened(value: Any, depth: int = 0) -> list[dict[str, Any]]:
    """Return the objects in a value: itself, or what its text holds, packed in a string or not."""
    if isinstance(value, dict):
        return [value]
    if not isinstance(value, str):
        return []
    try:
        inner = json.loads(value, strict=False)
    except (ValueError, RecursionError):
        inner = None
    if isinstance(inner, str) and depth < _DEEPEST:
        return _opened(inner, depth + 1)
    return json_objects(value)


def fit(plain: dict[str, Any], schema: type[Answer]) -> Answer:
    """Return an object as the schema's type, read leniently where there is one reading only.

    Raises:
        ValueError: it does not fit; the message names each field and what is wrong with it.
    """
    described = json_schema(schema)
    known = set(described.get("properties", {}))
    plain = _without_schema(plain, known)
    arguments = _arguments(plain, schema.__name__)
    try:
        return _checked(plain, schema, known)
    except ValueError as error:
        for other in (adapted(plain, described), arguments, adapted(arguments, described)):
            if isinstance(other, dict) and other != plain:
                try:
                    return _checked(other, schema, known)
                except ValueError:
                    continue
        raise ValueError(str(error)) from error


def _checked(plain: dict[str, Any], schema: type[Answer], known: set[str]) -> Answer:
    try:
        value = schema.model_validate(plain)
    except ValidationError as error:
        raise ValueError(_in_words(error)) from error
    if plain and known and not known & set(plain):
        # Where all fields have defaults, any object would pass for an answer.
        raise ValueError(f"none of its keys is one of {', '.join(sorted(known))}")
    return value


def _without_schema(plain: dict[str, Any], known: set[str]) -> dict[str, Any]:
    """Return the values of a reply that repeats the schema, or raise where it holds none."""
    echo = ValueError("the reply repeats the schema in place of an answer")
    for name in _WRAPPERS:
        inner = plain.get(name)
        if name not in known and isinstance(inner, dict) and "properties" in inner:
            raise echo
    inner = plain.get("properties")
    if "properties" in known or not isinstance(inner, dict):
        return plain
    outside = {name: value for name, value in plain.items() if name not in _KEYWORDS}
    inside = bool(known & set(inner)) and not any(_fragment(value) for value in inner.values())
    if inside and not known & set(outside):
        return inner
    if not inside and known & set(outside):
        return outside
    raise echo


def _fragment(value: Any) -> bool:
    return isinstance(value, dict) and bool(_FRAGMENT & set(value))


def _arguments(plain: dict[str, Any], name: str) -> dict[str, Any] | None:
    """Return the arguments of a tool call that was written as an answer's text."""
    if plain.get("name") != name or not set(plain) <= {"name", "arguments", "parameters", "type"}:
        return None
    found = [*_opened(plain.get("arguments")), *_opened(plain.get("parameters"))]
    return found[0] if len(found) == 1 else None


def adapted(value: Any, node: Any, root: dict[str, Any] | None = None) -> Any:
    """Return a value brought closer to a JSON schema where that can mean one thing only.

    Enum words are matched without regard to case and surrounding blanks, numbers read from text,
    objects and lists from JSON text, and keys dropped that the schema forbids.
    """
    if not isinstance(node, dict):
        return value
    root = node if root is None else root
    if "$ref" in node:
        return adapted(value, _resolved(node["$ref"], root), root)
    if "enum" in node or "const" in node:
        return _option(value, node.get("enum", [node.get("const")]))
    branches = node.get("anyOf") or node.get("oneOf") or node.get("allOf")
    if branches:
        changed: list[Any] = []
        for branch in branches:
            other = adapted(value, branch, root)
            if other != value and other not in changed:
                changed.append(other)
        return changed[0] if len(changed) == 1 else value
    match node.get("type"):
        case "object":
            return _object(_unpacked(value, dict), node, root)
        case "array":
            items = _unpacked(value, list)
            if isinstance(items, list):
                return [adapted(item, node.get("items"), root) for item in items]
        case "integer" | "number":
            if isinstance(value, str) and _NUMBER.fullmatch(value.strip()):
                return value.strip()  # pydantic reads it, and refuses 7.5 for an integer
    return value


def _object(value: Any, node: dict[str, Any], root: dict[str, Any]) -> Any:
    if not isinstance(value, dict):
        return value
    fields = node.get("properties", {})
    others = node.get("additionalProperties", True)
    return {
        name: adapted(item, fields.get(name, others), root)
        for name, item in value.items()
        if name in fields or others is not False
    }


def _option(value: Any, options: list[Any]) -> Any:
    if not isinstance(value, str) or value in options:
        return value
    folded = value.strip().casefold()
    same = [one for one in options if str(one).casefold() == folded]
    return same[0] if len(same) == 1 else value


def _unpacked(value: Any, kind: type) -> Any:
    """Return the object or list that a string holds as JSON, or the value as it is."""
    if not isinstance(value, str):
        return value
    try:
        inner = json.loads(value, strict=False)
    except (ValueError, RecursionError):
        return value
    return inner if isinstance(inner, kind) else value


def _resolved(reference: str, root: dict[str, Any]) -> Any:
    found: Any = root
    for part in reference.removeprefix("#/").split("/"):
        found = found.get(part, {}) if isinstance(found, dict) else {}
    return found


def _in_words(error: ValidationError) -> str:
    return "; ".join(
        f"{'.'.join(str(part) for part in item['loc']) or 'object'}: {item['msg']}"
        for item in error.errors(include_url=False, include_input=False)
    )
