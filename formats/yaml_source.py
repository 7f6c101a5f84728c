"""YAML settings with the line of every key, so that an error can name its place.

PyYAML's own loader keeps the last of two equal keys, reads `2e-4` as text and `2026-01-01` as a
date; here equal keys are an error, numbers are numbers, and all values are JSON types.
"""

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from ..core.errors import ConfigError
from ..core.text import printable
from .places import named_like_data

Step = str | int
Place = tuple[Step, ...]

_FLOAT_TAG = "tag:yaml.org,2002:float"
_DATE_TAG = "tag:yaml.org,2002:timestamp"
_EXPONENT = re.compile(r"^[-+]?[0-9][0-9_]*(?:\.[0-9_]*)?[eE][-+]?[0-9]+$")


DEEPEST = 100
"""Levels of lists and mappings: no setting needs a tenth, and how many Python can take depends on
the caller, while the time that brackets take grows with the square of their depth."""


MOST = 100_000
"""Values of a text: few letters can stand for billions, by aliases of aliases."""


class _TooMuch(Exception):
    """The text is no configuration; says why."""


class _Loader(yaml.SafeLoader):
    """YAML as JSON types: `1e-4` is a number, a date is text; not nested beyond `DEEPEST`."""

    _depth = 0

    yaml_implicit_resolvers = {
        first: [(tag, pattern) for tag, pattern in resolvers if tag != _DATE_TAG]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        """Compose a node and those within it.

        Raises:
            _TooMuch: it is too far within others.
        """
        self._depth += 1
        if self._depth > DEEPEST:
            raise _TooMuch("is nested too deeply")
        found = super().compose_node(parent, index)
        self._depth -= 1
        return found


class SettingsDumper(yaml.SafeDumper):
    """YAML that `_Loader` and a standard loader read alike: what either would misread is quoted."""

    def ignore_aliases(self, data: Any) -> bool:
        """Write equal values out in full instead of as `&id001`."""
        return True


for _class in (_Loader, SettingsDumper):
    _class.add_implicit_resolver(_FLOAT_TAG, _EXPONENT, list("-+0123456789"))


@dataclass(frozen=True)
class Source:
    """One origin of settings.

    Attributes:
        name: how an error names it, on one line: a file, `--set`, an environment variable.
        values: nested settings, JSON types.
        lines: the line of every key and list item, from 1; None where the origin has no lines.
    """

    name: str
    values: dict[str, Any]
    lines: dict[Place, int | None]

    def place(self, path: Place) -> str:
        """Return `file:line` of a setting, or the name alone."""
        line = self.lines.get(path)
        return self.name if line is None else f"{self.name}:{line}"


def read_source(path: Path) -> Source:
    """Read a YAML file of settings.

    Raises:
        ConfigError: no such file, not UTF-8, not YAML, a key twice, or no mapping at the top; or it
            is named like data.
    """
    name = printable(str(path))
    if named_like_data(path.name) and path.suffix.lower() != ".json":
        raise ConfigError(
            f"{name}: is named like data, not like a configuration; name it with --data {name}"
        )
    text = _read_text(path, name)
    if not text.strip():
        raise ConfigError(f"{name}: is empty; `middo config init` prints a configuration")
    lines: dict[Place, int | None] = {}
    values = _parse(text, name, (), lines, with_lines=True)
    if values is None:  # nothing but comments: all defaults
        return Source(name, {}, {})
    if not isinstance(values, dict):
        raise ConfigError(
            f"{name}:1: holds {_kind(values)}; expected a mapping of sections, such as `rounds: 1`"
        )
    return Source(name, values, lines)


def setting_source(name: str, dotted: str, text: str) -> Source:
    """Return the source of one setting given as text, its value parsed as YAML.

    Raises:
        ConfigError: the key has an empty part, or the value is no YAML.
    """
    parts = dotted.strip().split(".")
    if not all(parts):
        raise ConfigError(f"{name}: {dotted!r} is no dotted key, such as `training.epochs`")
    lines: dict[Place, int | None] = {}
    return nested_source(name, parts, _parse(text, name, tuple(parts), lines), lines)


def nested_source(
    name: str, parts: list[str], value: Any, lines: dict[Place, int | None] | None = None
) -> Source:
    """Return the source that sets one value under a dotted key."""
    lines = {} if lines is None else lines
    for depth in range(1, len(parts) + 1):
        lines.setdefault(tuple(parts[:depth]), None)
    for part in reversed(parts):
        value = {part: value}
    return Source(name, value, lines)


def _read_text(path: Path, name: str) -> str:
    try:
        return path.read_bytes().decode("utf-8-sig")
    except FileNotFoundError:
        raise ConfigError(f"{name}: no such file; `middo config init` prints one") from None
    except IsADirectoryError:
        raise ConfigError(f"{name}: is a folder; expected a YAML file") from None
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        byte = error.object[error.start]
        raise ConfigError(
            f"{name}:{line}: is not UTF-8 text (byte 0x{byte:02x}); save it as UTF-8"
        ) from None
    except (OSError, ValueError) as error:
        raise ConfigError(f"{name}: can't be read ({error})") from error


def _parse(
    text: str, name: str, base: Place, lines: dict[Place, int | None], with_lines: bool = False
) -> Any:
    def at(line: int) -> str:
        return f"{name}:{line}" if with_lines else name

    try:
        loader = _Loader(text)
        node = loader.get_single_node()
        return None if node is None else _Walk(loader, at, lines, with_lines).value(node, base)
    except yaml.reader.ReaderError as error:
        line = text[: error.position].count("\n") + 1
        raise ConfigError(f"{at(line)}: holds a character that YAML forbids") from error
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where, column = (at(mark.line + 1), mark.column + 1) if mark else (name, 1)
        problem = " ".join(str(error.problem or error.context).split())
        raise ConfigError(f"{where}: is not valid YAML: {problem} (column {column})") from error
    except _TooMuch as error:
        raise ConfigError(f"{name}: {error}") from None


class _Walk:
    """Turn YAML nodes into JSON types, noting the line of each."""

    def __init__(
        self,
        loader: _Loader,
        at: Callable[[int], str],
        lines: dict[Place, int | None],
        with_lines: bool,
    ) -> None:
        self._loader, self._at, self._lines, self._with_lines = loader, at, lines, with_lines
        self._seen = 0

    def value(self, node: yaml.Node, path: Place) -> Any:
        line = node.start_mark.line + 1
        if len(path) > DEEPEST:  # a list that holds itself, by an alias
            raise _TooMuch("is nested too deeply")
        self._seen += 1
        if self._seen > MOST:
            raise _TooMuch(f"holds more than {MOST:,} values")
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, path)
        if isinstance(node, yaml.SequenceNode):
            items = []
            for index, child in enumerate(node.value):
                self._note((*path, index), child)
                items.append(self.value(child, (*path, index)))
            return items
        return self._scalar(node, self._at(line))

    def _mapping(self, node: yaml.MappingNode, path: Place) -> dict[str, Any]:
        self._loader.flatten_mapping(node)
        found: dict[str, Any] = {}
        written: set[str] = set()
        for key_node, child in node.value:
            where = self._at(key_node.start_mark.line + 1)
            if not isinstance(key_node, yaml.ScalarNode):
                raise ConfigError(f"{where}: a key is a list or mapping; expected text")
            key = self._scalar(key_node, where)
            if not isinstance(key, str):
                raise ConfigError(f"{where}: the key {key_node.value!r} is no text; quote it")
            # Keys merged in by `<<` come first and from elsewhere; the mapping's own win.
            own = node.start_mark.index <= key_node.start_mark.index < node.end_mark.index
            if own and key in written:
                raise ConfigError(f"{where}: {dotted((*path, key))}: the key is given twice")
            if own:
                written.add(key)
            self._note((*path, key), key_node)
            found[key] = self.value(child, (*path, key))
        return found

    def _note(self, path: Place, node: yaml.Node) -> None:
        self._lines[path] = node.start_mark.line + 1 if self._with_lines else None

    def _scalar(self, node: yaml.Node, where: str) -> Any:
        try:
            value = self._loader.construct_object(node, deep=True)
        except yaml.YAMLError:
            raise
        # A tag that does not fit its text: PyYAML's own constructors look into what is not there.
        except (ValueError, LookupError, AttributeError, TypeError) as error:
            kind = node.tag.removeprefix("tag:yaml.org,2002:")
            problem = f"{str(node.value)[:40]!r} is no value of the YAML type {kind!r}"
            raise ConfigError(f"{where}: {problem}") from error
        if isinstance(value, float) and not math.isfinite(value):
            raise ConfigError(f"{where}: {node.value!r} is not valid; expected a finite number")
        if isinstance(value, str) and unwritable(value):
            raise ConfigError(f"{where}: the text {value!r} holds characters that no text may hold")
        if value is not None and not isinstance(value, str | int | float):
            raise ConfigError(f"{where}: a value of the YAML type {node.tag!r} can't be used here")
        return value


def unwritable(text: str) -> bool:
    """Say whether a text holds NUL or half a surrogate pair, which no file or path can hold."""
    return any(char == "\0" or "\ud800" <= char <= "\udfff" for char in text)


def dotted(path: Place) -> str:
    """Return a path as people write it: `checks.similarity[0]`; never more than one line."""
    text = ""
    for step in path:
        if isinstance(step, int):
            text += f"[{step}]"
        else:
            text += f".{step}" if text else step
    return printable(text)


def _kind(value: Any) -> str:
    return "a list" if isinstance(value, list) else "a single value"
