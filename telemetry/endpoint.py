"""Where spans go, and what that needs: address, headers, packages. Loads none of them.

The standard `OTEL_*` variables alone send nothing: an endpoint is named in the configuration, and
so is the variable that holds its headers, since a key in a shell profile belongs to the service
that it was set for.
"""

import base64
import binascii
import os
from importlib.util import find_spec
from urllib.parse import unquote, urlsplit

from ..core.config import TracesConfig
from ..core.credentials import is_secret_name
from ..core.errors import ConfigError, UsageError
from ..core.redaction import watch

INSTALL = 'pip install "middo[otlp]"'
PATH = "/v1/traces"

_PARTS = (
    "openinference.semconv",
    "opentelemetry.sdk",
    "opentelemetry.exporter.otlp.proto.common",
    "requests",
)


def traces_url(endpoint: str) -> str:
    """Return the address that takes spans: services name it with `/v1/traces` or without."""
    trimmed = endpoint.rstrip("/")
    return trimmed if trimmed.endswith(PATH) else trimmed + PATH


def endpoint_host(endpoint: str) -> str:
    """Return host and port of an endpoint."""
    parts = urlsplit(endpoint)
    host = parts.hostname or endpoint
    return host if parts.port is None else f"{host}:{parts.port}"


def check_endpoint(traces: TracesConfig) -> None:
    """Check that spans could be sent, where they are to be; sends nothing.

    Raises:
        UsageError: a package is missing; the message says how to install it.
        ConfigError: the variable of the headers is not set, or holds something else.
    """
    if traces.otlp is None:
        return
    missing = [part for part in _PARTS if not _is_there(part)]
    if missing:
        raise UsageError(
            f"traces.otlp: OpenTelemetry is not installed ({', '.join(missing)}); run `{INSTALL}`"
        )
    read_headers(traces.otlp_headers_env)


def read_headers(variable: str | None) -> dict[str, str]:
    """Return the headers that an environment variable holds as `name=value,name=value`.

    Values are URL-encoded, as in `OTEL_EXPORTER_OTLP_HEADERS`. Those that are secrets by the name
    of their header are redacted from here on wherever Middo redacts.

    Raises:
        ConfigError: it is not set or can't be read; the message never repeats what it holds.
    """
    if variable is None:
        return {}
    text = os.environ.get(variable, "").strip()
    if not text:
        raise ConfigError(f"traces.otlp_headers_env: the variable {variable} is not set")
    headers = {}
    for part in filter(None, (piece.strip() for piece in text.split(","))):
        name, given, value = part.partition("=")
        name, value = unquote(name.strip()).lower(), unquote(value.strip())
        if not given or not name or not value or not (name + value).isprintable():
            watch(variable)
            raise ConfigError(
                f"traces.otlp_headers_env: {variable} does not hold headers in the form"
                " name=value,name=value"
            )
        headers[name] = value
    secret = [value for name, value in headers.items() if is_secret_name(name)]
    watch(variable, *(part for value in secret for part in _secrets(value)))
    return headers


def _secrets(value: str) -> list[str]:
    """Return what must not be seen of a header's value: all, without its scheme, decoded."""
    scheme, _, credentials = value.partition(" ")
    parts = [value, credentials.strip()]
    if scheme.lower() == "basic":
        try:
            login = base64.b64decode(credentials, validate=True).decode("utf-8")
        except (binascii.Error, UnicodeDecodeError):
            return parts
        parts += [login, login.partition(":")[2]]
    return [part for part in parts if part]


def _is_there(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:  # a package above it
        return False
