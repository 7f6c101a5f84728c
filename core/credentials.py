"""No secrets in settings: whatever is written into a configuration ends up in a run's folder.

The message never repeats what it refuses. It names the key, and what to do instead.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from .redaction import looks_like_key

ADVICE = "set an environment variable and name it in api_key_env"
_ADVICE_ON_TRACES = "set an environment variable and name it in traces.otlp_headers_env"

Place = tuple[str | int, ...]

_SECRET = re.compile(
    r"(?:^|[_-])(?:api_?keys?|key|secrets?|passwords?|passwd|token|authorization|auth|cookie"
    r"|access_key_id)$",
    re.IGNORECASE,
)
_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_HARMLESS = re.compile(
    r"(?:^|[_-])(?:(?:eos|bos|pad|unk|sep|cls|mask|stop|start|end|begin|special|image)[_-]?token"
    r"|(?:cache|idempotency|input|output)[_-]key)$",
    re.IGNORECASE,
)
"""Tokens of texts, as `eos_token`, and names of things, as `prompt_cache_key`."""


def is_secret_name(name: str) -> bool:
    """True for the name of a parameter, header or URL argument whose value is a secret."""
    plain = _CAMEL.sub("_", name)
    return bool(_SECRET.search(plain)) and not _HARMLESS.search(plain)


def has_login(url: str) -> bool:
    """True where an address holds a user, a password, or an argument named as a secret."""
    if "://" not in url:
        return False
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    named = (name for name, value in parse_qsl(parts.query) if value)
    return "@" in parts.netloc or any(is_secret_name(name) for name in named)


def secrets_in(values: Mapping[str, Any], place: Place = ()) -> Iterator[tuple[Place, str]]:
    """Yield the place of each secret in nested settings, with what is wrong there."""
    for name, value in values.items():
        for found, problem in _secrets_at(value, (*place, name)):
            is_traces = found[0] == "traces"
            yield found, problem.replace(ADVICE, _ADVICE_ON_TRACES) if is_traces else problem


def _secrets_at(value: Any, place: Place) -> Iterator[tuple[Place, str]]:
    name = place[-1]
    if isinstance(name, str) and looks_like_key(name):
        yield (*place[:-1], "..."), f"a key of the mapping looks like a secret; {ADVICE}"
    elif isinstance(value, Mapping):
        yield from secrets_in(value, place)
    elif isinstance(name, str) and is_secret_name(name) and _is_given(value):
        yield place, f"a configuration holds no secrets; {ADVICE}"
    elif isinstance(value, list | tuple):
        for index, inner in enumerate(value):
            yield from _secrets_at(inner, (*place, index))
    elif isinstance(value, str) and has_login(value):
        yield place, f"the address holds a login or key; leave it out, {ADVICE}"
    elif isinstance(value, str) and looks_like_key(value):
        yield place, f"the value looks like a key, and a configuration holds none; {ADVICE}"


def _is_given(value: Any) -> bool:
    return value not in (None, "", [], ()) and not isinstance(value, bool)
