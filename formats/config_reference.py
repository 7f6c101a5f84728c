"""What each key of the configuration means, derived from the model itself.

Errors, `middo config init` and the tests of `docs/configuration.md` all read from here, so that
none of them can say something else than the model does.
"""

import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

import yaml

from ..core.config import RunConfig
from .yaml_source import Place, SettingsDumper

WIDTH = 92


@dataclass(frozen=True)
class Key:
    """One setting: dotted name, default as YAML (None: no default), what it takes, meaning."""

    name: str
    default: str | None
    expected: str
    meaning: str


@cache
def config_schema() -> dict[str, Any]:
    """Return the JSON schema of a configuration file."""
    schema = RunConfig.model_json_schema()
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}


def schema_at(path: Place) -> dict[str, Any] | None:
    """Return the schema of a setting, or None where there is no such setting."""
    node: dict[str, Any] | None = _plain(config_schema())
    for step in path:
        if node is None:
            return None
        node = _child(node, step)
    return node


def expectation(path: Place) -> str:
    """Say in words which values a setting takes, such as `an integer of at least 0`."""
    node = schema_at(path)
    return "another value" if node is None else _words(node)


def config_keys() -> list[Key]:
    """Return every setting that a file may hold, in the model's order; sections are left out."""
    return list(_keys(config_schema(), "", RunConfig().model_dump(mode="json")))


def annotated_default() -> str:
    """Return all settings with their defaults as YAML, each with what it means and takes.

    The text loads back to the default configuration.
    """
    head = "# Configuration of a Middo run. Every key may be left out: these are the defaults."
    body = _annotate(config_schema(), RunConfig().model_dump(mode="json"), 0)
    return "\n".join([head, *body]) + "\n"


def section_keys(path: Place) -> list[str]:
    """Return the keys that a section knows; empty where the path is no section."""
    node = schema_at(path)
    return [] if node is None else list(node.get("properties", ()))


def flow(value: Any) -> str:
    """Return a value as YAML on one line."""
    text = yaml.dump(
        value, Dumper=SettingsDumper, default_flow_style=True, allow_unicode=True, width=10**6
    )
    return text.removesuffix("\n").removesuffix("\n...")


def _plain(node: dict[str, Any]) -> dict[str, Any]:
    """Follow references; of a nullable value take the other half, marked `nullable`."""
    if "$ref" in node:
        target = config_schema()["$defs"][node["$ref"].rsplit("/", 1)[1]]
        return _plain({**target, **{key: node[key] for key in node if key != "$ref"}})
    if "anyOf" in node:
        inner = [option for option in node["anyOf"] if option.get("type") != "null"]
        outer = {key: node[key] for key in node if key != "anyOf"}
        return _plain({**_plain(inner[0]), **outer, "nullable": True})
    return node


def _child(node: dict[str, Any], step: str | int) -> dict[str, Any] | None:
    if isinstance(step, int):
        items = node.get("prefixItems", [])
        found = items[step] if step < len(items) else node.get("items")
    elif step == "[key]":  # pydantic's name for a mapping's own keys
        found = node.get("propertyNames")
    else:
        found = node.get("properties", {}).get(step, node.get("additionalProperties"))
    return _plain(found) if isinstance(found, dict) else None


def _words(node: dict[str, Any]) -> str:
    return _kind(node) + (", or null" if node.get("nullable") else "")


def _kind(node: dict[str, Any]) -> str:
    if "enum" in node:
        return "one of " + _choices(node)
    match node.get("type"):
        case "integer" | "number" as kind:
            return ("an integer" if kind == "integer" else "a number") + _bounds(node)
        case "string":
            return "text"
        case "boolean":
            return "true or false"
        case "array" if "prefixItems" in node:
            return f"a list of {len(node['prefixItems'])} numbers"
        case "array":
            return _list_words(node)
        case "object" if "properties" in node:
            return "a section with " + ", ".join(node["properties"])
        case "object" if "propertyNames" in node:
            return "a mapping with keys " + _choices(_plain(node["propertyNames"]))
        case "object":
            return "a mapping"
    raise NotImplementedError(f"no words for the schema {node}")


def _bounds(node: dict[str, Any]) -> str:
    words = [
        ("minimum", "of at least"),
        ("exclusiveMinimum", "above"),
        ("maximum", "at most"),
        ("exclusiveMaximum", "below"),
    ]
    found = [f"{word} {node[key]}" for key, word in words if key in node]
    return " " + " and ".join(found) if found else ""


def _choices(node: dict[str, Any]) -> str:
    return ", ".join(str(value) for value in node["enum"])


def _list_words(node: dict[str, Any]) -> str:
    item = _plain(node["items"])
    if "properties" in item:
        return "a list of sections with " + ", ".join(item["properties"])
    few = " of at least one of " if node.get("minItems") else " of "
    return "a list" + few + (_choices(item) if "enum" in item else "texts")


def _keys(node: dict[str, Any], prefix: str, defaults: Any) -> Iterator[Key]:
    for name, raw in node["properties"].items():
        child = _plain(raw)
        default = defaults.get(name) if isinstance(defaults, dict) else raw.get("default")
        has_default = isinstance(defaults, dict) or "default" in raw
        if "properties" not in child or child.get("nullable"):
            text = flow(default) if has_default else None
            yield Key(prefix + name, text, _words(child), child.get("description", ""))
        if "properties" in child:
            yield from _keys(child, f"{prefix}{name}.", default)


def _annotate(node: dict[str, Any], defaults: dict[str, Any], depth: int) -> Iterator[str]:
    indent = "  " * depth
    for name, raw in node["properties"].items():
        child, default = _plain(raw), defaults[name]
        if depth == 0:
            yield ""
        if "properties" in child and default is not None:
            yield from _comment(child["description"], indent)
            yield f"{indent}{name}:"
            yield from _annotate(child, default, depth + 1)
            continue
        meaning = str(child.get("description", "")).rstrip(".")
        yield from _comment(f"{meaning} ({_words(child)})", indent)
        yield f"{indent}{name}: {flow(default)}"


def _comment(text: str, indent: str) -> list[str]:
    start = f"{indent}# "
    return textwrap.wrap(
        text, WIDTH, initial_indent=start, subsequent_indent=start, break_on_hyphens=False
    )
