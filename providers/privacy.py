"""Nothing leaves unasked: what LangChain would send by variables of the environment alone.

LangSmith's variables, set once in a shell profile, make any LangChain program send its prompts and
answers there (`LANGSMITH_TRACING`), or send each call through a gateway there
(`LANGSMITH_GATEWAY`). In a run the first counts only with `traces.langsmith: true`, then redacted;
the second never does, as `base_url` is the place to name a gateway.
"""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ..core.redaction import without_keys
from .vendors import host_of

GATEWAY = "LANGSMITH_GATEWAY"
_SWITCHES = (
    "LANGSMITH_TRACING_V2",
    "LANGCHAIN_TRACING_V2",
    "LANGSMITH_TRACING",
    "LANGCHAIN_TRACING",
)
_FIRST_VERSION = ("LANGCHAIN_TRACING", "LANGCHAIN_HANDLER")
"""Where tracing is off, LangChain refuses to work at all while one of these is set."""

LONGEST_FLUSH = 30.0
"""Seconds that a run waits at its end for traces to be taken."""

_HOME = "https://api.smith.langchain.com"


def tracing_wanted() -> bool:
    """True where the environment switches LangSmith's tracing on."""
    first = next((os.environ[name] for name in _SWITCHES if os.environ.get(name, "").strip()), "")
    return first == "true"


def traces_host() -> str:
    """Return the hosts that LangSmith's variables name for traces."""
    several = os.environ.get("LANGSMITH_RUNS_ENDPOINTS", "").strip()
    urls = _endpoints(several) if several else []
    if not urls:
        named = (os.environ.get(f"{name}_ENDPOINT", "") for name in ("LANGSMITH", "LANGCHAIN"))
        urls = [next((url for url in named if url.strip()), _HOME)]
    return ", ".join(dict.fromkeys(host_of(url) for url in urls))


@contextmanager
def tracing(allowed: bool) -> Iterator[None]:
    """Let LangSmith's variables send LLM calls there, keys redacted, or see to it that they don't.

    Holds for this context and the tasks and threads that inherit it; what else the process does
    with LangChain is left alone.
    """
    from langsmith import Client
    from langsmith.run_helpers import tracing_context

    if not (allowed and tracing_wanted()):
        with without_variables(*_FIRST_VERSION), tracing_context(enabled=False):
            yield
        return
    client = Client(anonymizer=_anonymizer())
    try:
        with tracing_context(enabled=True, client=client):
            yield
    finally:
        client.close(timeout=LONGEST_FLUSH)


@contextmanager
def without_variables(*names: str) -> Iterator[None]:
    """Take variables out of the environment, and put them back."""
    kept = {name: value for name in names if (value := os.environ.pop(name, None)) is not None}
    try:
        yield
    finally:
        os.environ.update(kept)


def _anonymizer() -> Any:
    """Return LangSmith's rules for credentials, preceded by the keys that this process holds."""
    from langsmith.anonymizer import create_secret_anonymizer

    by_form = create_secret_anonymizer()
    return lambda data: by_form(without_keys(data))


def _endpoints(text: str) -> list[str]:
    try:
        plain: Any = json.loads(text)
    except ValueError:
        return []
    if isinstance(plain, dict):
        return [str(url) for url in plain]
    listed = plain if isinstance(plain, list) else []
    return [str(item["api_url"]) for item in listed if isinstance(item, dict) and "api_url" in item]
