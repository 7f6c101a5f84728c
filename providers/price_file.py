"""The user's file of prices: YAML or JSON, USD per million tokens.

    "openai:my-model": {input: 0.25, output: 2.0}

Keys are model names as in the configuration.
"""

import difflib
import json
from collections.abc import Hashable, Iterable
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ..core.errors import ConfigError

_EXAMPLE = '`"openai:my-model": {input: 0.25, output: 2.0}`, USD per million tokens'


class _Entry(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    input: float = Field(ge=0, allow_inf_nan=False)
    output: float = Field(ge=0, allow_inf_nan=False)


def read_prices(path: str) -> dict[str, tuple[float, float]]:
    """Return model name -> price of a million prompt and of a million completion tokens, in USD.

    Raises:
        ConfigError: no such file, not UTF-8, not YAML or JSON, a key twice, or something else than
            prices; names file and key.
    """
    document = _parsed(path, _text(path))
    if not isinstance(document, dict) or not document:
        raise ConfigError(f"{path}: holds no prices; expected lines such as {_EXAMPLE}")
    prices: dict[str, tuple[float, float]] = {}
    for key, value in document.items():
        name = _name(path, key)
        if name in prices:
            raise ConfigError(f"{path}: {key!r} is given twice")
        entry = _entry(path, key, value)
        prices[name] = (entry.input, entry.output)
    return prices


def normalised(model: str) -> str:
    """Return a model's name with its provider as Middo writes it: `google_genai`, not `-`."""
    provider, colon, rest = model.partition(":")
    return f"{provider.strip().replace('-', '_').lower()}{colon}{rest.strip()}"


def nearest(name: str, names: Iterable[str]) -> str | None:
    """Return the most similar of the names, or None where none is."""
    return next(iter(difflib.get_close_matches(name, list(names), 1, 0.6)), None)


def _text(path: str) -> str:
    try:
        return Path(path).read_bytes().decode("utf-8-sig")
    except FileNotFoundError:
        raise ConfigError(f"budget.prices: {path}: no such file") from None
    except UnicodeDecodeError:
        raise ConfigError(f"{path}: is not UTF-8 text; save it as UTF-8") from None
    except (OSError, ValueError) as error:
        raise ConfigError(f"budget.prices: {path}: can't be read ({error})") from error


def _parsed(path: str, text: str) -> Any:
    try:
        if path.lower().endswith(".json"):
            return json.loads(text, object_pairs_hook=lambda pairs: _once(path, pairs))
        return _Loader(path, text).get_single_data()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = f":{mark.line + 1}" if mark else ""
        problem = " ".join(str(error.problem or error.context).split())
        raise ConfigError(f"{path}{line}: is not valid YAML: {problem}") from error
    except yaml.YAMLError as error:
        raise ConfigError(f"{path}: holds a character that YAML forbids") from error
    except json.JSONDecodeError as error:
        raise ConfigError(f"{path}:{error.lineno}: is not valid JSON: {error.msg}") from error
    except RecursionError:
        raise ConfigError(f"{path}: is nested too deeply") from None


class _Loader(yaml.SafeLoader):
    """YAML in which a key given twice is an error."""

    def __init__(self, path: str, text: str) -> None:
        super().__init__(text)
        self._path = path

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        _once(self._path, [(repr(key), None) for key in keys])
        return super().construct_mapping(node, deep)


def _once(path: str, pairs: list[tuple[Any, Any]]) -> dict[Any, Any]:
    seen: dict[Any, Any] = {}
    for key, value in pairs:
        if key in seen:
            raise ConfigError(f"{path}: {key} is given twice")
        seen[key] = value
    return seen


def _name(path: str, key: object) -> str:
    if isinstance(key, str):
        provider, colon, model = key.partition(":")
        if (colon and provider.strip() and model.strip()) or key == "self":
            return normalised(key)
    raise ConfigError(f"{path}: {key!r} is no `provider:model`; expected lines such as {_EXAMPLE}")


def _entry(path: str, key: str, value: object) -> _Entry:
    if not isinstance(value, dict):
        raise ConfigError(f"{path}: {key!r}: {value!r} is no price; write it as {_EXAMPLE}")
    try:
        return _Entry.model_validate(value)
    except ValidationError as error:
        first = error.errors()[0]
        name = str(first["loc"][0])
        if first["type"] == "extra_forbidden":
            near = nearest(name, _Entry.model_fields)
            hint = f"did you mean {near}?" if near else "known are input, output"
            raise ConfigError(f"{path}: {key!r}: unknown key {name!r}; {hint}") from error
        if first["type"] == "missing":
            raise ConfigError(f"{path}: {key!r}: {name} is missing (USD per million)") from error
        raise ConfigError(
            f"{path}: {key!r}: {name} {value[name]!r} is no price; expected USD per million tokens,"
            " 0 or more"
        ) from error
