"""From a role's configuration to a chat model: `provider:model` and where its texts go.

Looked up in this order: `import:pkg.module:factory`, called with the role's params; entry points in
the group `middo.providers`, factories `(model, **params)`; the engines on this machine,
`llamacpp:` and `vllm:`; LangChain's `init_chat_model`. Keys come from environment variables only,
and a vendor's key goes to the vendor's own host only, unless `api_key_env` names a variable for
that very role.
"""

import difflib
import importlib.util
import os
import re
from collections.abc import Callable
from importlib.metadata import EntryPoint, entry_points
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from langchain_core.language_models import BaseChatModel

from ..core.config import TeacherConfig
from ..core.credentials import is_secret_name, secrets_in
from ..core.errors import ConfigError, MiddoError, ProviderError
from ..core.redaction import watch
from .failures import in_one_line
from .importing import find_function, load_function
from .local.engines import ENGINES
from .privacy import GATEWAY, without_variables
from .vendors import VENDORS, Vendor, address, belongs_to, host_of

GROUP = "middo.providers"
NO_KEY = "none"
"""Sent in place of a key to servers that no key was named for."""

OF_THE_RUN = {"replay": "nowhere, answers are recorded", "self": "this process"}
"""What only a run can open, a recording and its own trainee, and where their texts go."""

_VARIABLE = re.compile(r"[A-Z_][A-Z0-9_]*")


def chat_model(role: TeacherConfig, *, seed: int, concurrency: int) -> BaseChatModel:
    """Return the chat model of a role.

    `seed` reaches engines on this machine; other models take a `seed` in `params` if they know one.
    `concurrency` is the number of samples in work, so that a local engine opens no idle slots.

    Raises:
        ConfigError: the name is malformed or unknown, or a parameter is wrong.
        ProviderError: a package or a key is missing; the message names it.
        ModelError: the weights of a local model are missing.
    """
    check_role(role)
    provider, model = _split(role.model)
    params = {**role.params, **_named_key(role)}
    if provider == "import":
        return _build(role, load_function(model, "model"), params)
    plugin = _plugin(provider)
    if plugin is not None:
        loaded = plugin.load()
        return _build(role, lambda **given: loaded(model, **given), params)
    if provider in ENGINES:
        given = {"seed": seed, **params}
        if isinstance(given.get("slots"), int):
            given["slots"] = min(given["slots"], concurrency)
        return _build(role, ENGINES[provider].chat, {"model": model, **given})
    from langchain.chat_models import init_chat_model

    vendor = VENDORS[provider]
    if vendor.retries:
        params = {"max_retries": 0, **params}  # `line` is the one layer that retries
    url = address(vendor, params)
    if "api_key" not in params and not belongs_to(vendor, url) and vendor.keys:
        params["api_key"] = NO_KEY
    if vendor.package == "langchain_openai":
        params = _with_own_connections(params)
    with without_variables(GATEWAY):  # it would send the calls past the host that is shown
        return _build(role, lambda **given: init_chat_model(f"{provider}:{model}", **given), params)


async def hang_up(model: BaseChatModel) -> None:
    """Close a model's connections, while the event loop that they belong to still runs.

    The model can't be asked any more. Models that keep none are left as they are.
    """
    client = getattr(model, "root_async_client", None)  # of `langchain_openai`
    if client is not None:
        await client.close()


def check_role(role: TeacherConfig) -> None:
    """Find out cheaply whether `chat_model` can work: no model and no LangChain vendor loads.

    Raises:
        ConfigError, ProviderError, ModelError: as `chat_model`.
    """
    provider, model = _split(role.model)
    _refuse_secrets(role)
    _named_key(role)
    if provider in OF_THE_RUN:
        raise ConfigError(f"{role.model!r} can only be asked by a run, in `agents`")
    if provider == "import":
        find_function(model, "model")
        return
    if _plugin(provider) is not None:
        return
    if provider in ENGINES:
        ENGINES[provider].check(model, role.params)
        return
    vendor = _vendor(provider)
    if importlib.util.find_spec(vendor.package) is None:
        raise ProviderError(f"{role.model!r} needs a package; run `{vendor.install}`")
    own = belongs_to(vendor, address(vendor, role.params))
    found = any(os.environ.get(name) for name in vendor.keys)
    if role.api_key_env is None and own and vendor.keys and not found:
        raise ProviderError(
            f"{role.model!r} needs a key: set {vendor.keys[0]}, "
            "or name another variable in api_key_env"
        )


def hosts(role: TeacherConfig) -> str:
    """Return where the role's texts go, for people to read before a run starts."""
    provider, model = _split(role.model)
    if provider in OF_THE_RUN:
        return OF_THE_RUN[provider]
    if provider == "import":
        return f"wherever {model} sends them"
    plugin = _plugin(provider)
    if plugin is not None:
        return f"wherever the plugin {plugin.value} sends them"
    if provider in ENGINES:
        return "this process"
    vendor = _vendor(provider)
    url = address(vendor, role.params)
    if url is not None:
        return host_of(url)
    if provider == "ollama":
        return "localhost:11434"
    return vendor.domain or f"{provider} (as its package decides)"


def code_of(role: TeacherConfig) -> str | None:
    """Return the `package.module:factory` that the configuration itself has run, or None.

    A plug-in is code that was installed, not code that a configuration names.
    """
    provider, model = _split(role.model)
    return model if provider == "import" else None


def model_identity(role: TeacherConfig, *, seed: int | None = None) -> dict[str, Any]:
    """Return what decides the role's answers, as JSON types without secrets, for ledger keys.

    For engines on this machine the model's files count, not the folder they lie in.
    """
    provider, model = _split(role.model)
    identity: dict[str, Any] = {"model": role.model, "params": _public(role.params)}
    if provider not in ENGINES or _plugin(provider) is not None:
        return identity
    identity.update(ENGINES[provider].identity(model, role.params))
    if "adapter" in identity:
        identity["params"].pop("adapter")
    identity["seed"] = role.params.get("seed", seed)
    return identity


def is_plugged(provider: str) -> bool:
    """True where a plug-in answers for a provider's name, ahead of all that is built in."""
    return _plugin(provider) is not None


def plugins() -> list[EntryPoint]:
    """Return the installed plug-ins in order of name; none with `MIDDO_LOAD_PLUGINS=0`."""
    if os.environ.get("MIDDO_LOAD_PLUGINS") == "0":
        return []
    return sorted(entry_points(group=GROUP), key=lambda point: (point.name, point.value))


def _split(spec: str) -> tuple[str, str]:
    provider, colon, model = spec.partition(":")
    if spec.strip() == "self":  # the trainee needs no name
        return "self", ""
    if not colon or not provider.strip() or not model.strip():
        raise ConfigError(
            f"model {spec!r} is not `provider:model`; write it as llamacpp:smollm2-135m, "
            "openai:gpt-4o-mini or import:package.module:factory"
        )
    return provider.strip().replace("-", "_").lower(), model.strip()


def _vendor(provider: str) -> Vendor:
    if provider in VENDORS:
        return VENDORS[provider]
    known = sorted(
        {*VENDORS, *ENGINES, *OF_THE_RUN, "import", *(point.name for point in plugins())}
    )
    near = difflib.get_close_matches(provider, known, 3, 0.5)
    hint = f"did you mean {', '.join(near)}?" if near else f"known are {', '.join(known)}"
    raise ConfigError(f"unknown provider {provider!r}; {hint}")


def _plugin(provider: str) -> EntryPoint | None:
    return next((point for point in plugins() if point.name == provider), None)


def _build(role: TeacherConfig, make: Callable[..., Any], params: dict[str, Any]) -> BaseChatModel:
    """Call a factory; whatever it raises becomes one line that names the role's model."""
    try:
        made = make(**params)
    except MiddoError:
        raise
    except ImportError as error:
        raise ProviderError(f"{role.model!r}: {in_one_line(error)}") from error
    except (TypeError, ValueError) as error:  # pydantic's ValidationError is a ValueError
        raise ConfigError(f"{role.model!r}: a parameter is wrong: {in_one_line(error)}") from error
    except Exception as error:
        raise ProviderError(f"{role.model!r} can't be set up: {in_one_line(error)}") from error
    if not isinstance(made, BaseChatModel):
        raise ConfigError(f"{role.model!r} made a {type(made).__name__}, no LangChain chat model")
    return made


def _with_own_connections(params: dict[str, Any]) -> dict[str, Any]:
    """Return parameters that keep `langchain_openai` from sharing connections between models.

    A connection is bound to the event loop that opened it. By default all models of a process with
    the same address and time-out share one client, and the next run would find it dead; with the
    SDK's own form of a time-out each model has one of its own.
    """
    import openai

    name = "request_timeout" if "request_timeout" in params else "timeout"
    seconds = params.get(name)
    if seconds is not None and not isinstance(seconds, int | float):
        return params
    return {**params, name: openai.Timeout(seconds)}


def _named_key(role: TeacherConfig) -> dict[str, str]:
    name = role.api_key_env
    if name is None:
        return {}
    key = os.environ.get(name, "")
    if key:
        watch(name)
        return {"api_key": key}
    if not _VARIABLE.fullmatch(name):  # it may be the key itself: not to be repeated
        raise ConfigError(
            f"{role.model!r}: api_key_env names no environment variable that is set; "
            "it takes a variable's name, such as OPENAI_API_KEY, not the key"
        )
    raise ProviderError(f"{role.model!r}: set {name}, which api_key_env names")


def _refuse_secrets(role: TeacherConfig) -> None:
    settings = {"params": role.params, "model": role.model, "api_key_env": role.api_key_env}
    for place, problem in secrets_in(settings):
        raise ConfigError(f"{'.'.join(str(step) for step in place)}: {problem}")


def _public(params: dict[str, Any]) -> dict[str, Any]:
    """Return the parameters without headers and without passwords in URLs."""
    public: dict[str, Any] = {}
    for name, value in sorted(params.items()):
        if "header" in name.lower() or is_secret_name(name):
            continue
        public[name] = _without_login(value) if isinstance(value, str) else value
    return public


def _without_login(text: str) -> str:
    parts = urlsplit(text) if "://" in text else None
    if parts is None or "@" not in parts.netloc:
        return text
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))
