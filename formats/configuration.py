"""Read the configuration of a run: flags over environment over file over preset over defaults.

    settings of the command line   flags, then each `--set key=value` in order
    environment                    MIDDO_<SECTION>__<KEY>, MIDDO_REVIEW, MIDDO_ROUNDS,
                                   MIDDO_SEED
    file                           CONFIG.yaml
    preset                         what a command starts from without a file
    defaults                       `core/config.py`

Sections are merged key by key; a list or a value replaces the weaker one. Values in `--set` and in
the environment are YAML. `data.path` and other paths stay as they are written: relative ones are
relative to the working directory, not to the file.
"""

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from ..core.config import LATER, RunConfig
from ..core.credentials import secrets_in
from ..core.errors import ConfigError
from ..core.redaction import redact
from ..core.text import printable
from .config_errors import explain
from .config_reference import annotated_default, config_schema, schema_at
from .yaml_source import (
    SettingsDumper,
    Source,
    dotted,
    nested_source,
    read_source,
    setting_source,
    unwritable,
)

__all__ = [
    "annotated_default",
    "config_schema",
    "dump_config",
    "load_config",
    "load_kept",
    "load_params",
]

PREFIX = "MIDDO_"


def load_config(
    path: Path | None,
    *,
    preset: Path | None = None,
    flags: Mapping[str, object] | None = None,
    sets: Sequence[str] = (),
    environ: Mapping[str, str] = os.environ,
) -> RunConfig:
    """Return the configuration that all sources give together.

    Args:
        path: the configuration file, or None.
        preset: a file below it.
        flags: dotted key to value, from the command line's own options; None values are left out.
        sets: `key=value` each.
        environ: where `MIDDO_*` variables are read.

    Raises:
        ConfigError: one line with place, key, value, what was expected and the nearest valid key;
            where a setting is a secret, the line names its place and not the value.
    """
    sources = [
        *(read_source(file) for file in (preset, path) if file is not None),
        *_environment(environ),
        *_flags(flags or {}),
        *(_setting(text) for text in sets),
    ]
    _refuse_secrets(sources)
    return _validated(sources)


def load_kept(path: Path, sets: Sequence[str] = ()) -> RunConfig:
    """Return the configuration that a run folder keeps, changed by `sets`.

    Keys that it lacks came after the version that wrote it, and mean what that version did.

    Raises:
        ConfigError: as `load_config`.
    """
    sources = [*_flags(dict(LATER)), read_source(path), *(_setting(text) for text in sets)]
    _refuse_secrets(sources)
    return _validated(sources)


def load_params(settings: Sequence[str], name: str) -> dict[str, Any]:
    """Return the parameters of a model that a command line gives as `key=value` each.

    Args:
        settings: dotted keys with YAML values; the last one of two wins.
        name: the option, for errors.

    Raises:
        ConfigError: one of them is malformed, or a secret.
    """
    sources = [_setting(text, name, "temperature=0.2") for text in settings]
    _refuse_secrets(sources)
    params: dict[str, Any] = {}
    for source in sources:
        params = _merged(params, source.values)
    return params


def dump_config(config: RunConfig) -> str:
    """Return a configuration as YAML; `load_config` gives the same configuration back."""
    return yaml.dump(
        config.model_dump(mode="json"),
        Dumper=SettingsDumper,
        sort_keys=False,
        allow_unicode=True,
        width=10**6,
    )


def _environment(environ: Mapping[str, str]) -> Iterator[Source]:
    """Yield the settings among the environment's variables, in order of name."""
    top = set(RunConfig.model_fields)
    for name in sorted(environ):
        key = name.removeprefix(PREFIX).lower()
        # Names without `__` are Middo's own switches (MIDDO_CACHE), except for settings that stand
        # outside every section.
        if name.startswith(PREFIX) and ("__" in key or key in top):
            yield setting_source(printable(name), key.replace("__", "."), environ[name])


def _flags(flags: Mapping[str, object]) -> Iterator[Source]:
    for dotted_key, value in flags.items():
        if isinstance(value, str) and unwritable(value):
            raise ConfigError(f"command line: {dotted_key}: {value!r} is not UTF-8 text")
        if value is not None:
            yield nested_source("command line", dotted_key.split("."), value)


def _setting(text: str, name: str = "--set", example: str = "training.epochs=2") -> Source:
    key, equals, value = text.partition("=")
    if not equals:
        raise ConfigError(f"{name} {redact(text)!r}: expected key=value, such as {example}")
    return setting_source(name, key, value)


def _refuse_secrets(sources: Sequence[Source]) -> None:
    for source in sources:
        for place, problem in secrets_in(source.values):
            raise ConfigError(f"{source.place(place)}: {dotted(place)}: {problem}")


def _validated(sources: Sequence[Source]) -> RunConfig:
    merged = RunConfig().model_dump(mode="json")
    for source in sources:
        merged = _merged(merged, _without_empty_sections(source.values, ()))
    plain = json.dumps(merged)
    try:
        # Strict JSON: a list is a tuple and a text is an enum's member, but `true` is no integer
        # and "3" no number.
        return RunConfig.model_validate_json(plain, strict=True)
    except ValidationError as error:
        raise ConfigError(explain(error, sources)) from error


def _merged(weak: dict[str, Any], strong: dict[str, Any]) -> dict[str, Any]:
    result = dict(weak)
    for key, value in strong.items():
        below = result.get(key)
        both = isinstance(below, dict) and isinstance(value, dict)
        result[key] = _merged(below, value) if both else value  # type: ignore[arg-type]
    return result


def _without_empty_sections(values: dict[str, Any], path: tuple[str, ...]) -> dict[str, Any]:
    """Drop sections without a value: `training:` with all its keys commented out."""
    kept: dict[str, Any] = {}
    for key, value in values.items():
        here = (*path, key)
        if value is None:
            node = schema_at(here) or {}
            if "properties" in node and not node.get("nullable"):
                continue
        kept[key] = _without_empty_sections(value, here) if isinstance(value, dict) else value
    return kept
