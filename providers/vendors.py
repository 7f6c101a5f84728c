"""What Middo knows of the vendors behind LangChain's `provider:model` names.

Enough to say before anything heavy is loaded which package and which key are missing, where texts
will go, and whether a key may go there. The names are those of LangChain's `init_chat_model`.
"""

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from ..core.errors import ConfigError

URL_PARAMS = (
    "base_url",
    "endpoint",
    "azure_endpoint",
    "endpoint_url",
    "openai_api_base",
    "anthropic_api_url",
    "groq_api_base",
    "api_base",
)
"""Arguments by which LangChain's integrations take the address of a server."""


@dataclass(frozen=True, slots=True)
class Vendor:
    """One provider of LangChain's.

    Attributes:
        package: the module that has to be importable.
        domain: where its own service lives; None where that depends on the account.
        keys: environment variables of which one must hold the key; empty where no key is needed,
            or where the integration looks for credentials in several places itself.
        urls: environment variables by which the integration takes another address.
        retries: True where `max_retries=0` is known to turn the integration's retries off.
    """

    package: str
    domain: str | None
    keys: tuple[str, ...] = ()
    urls: tuple[str, ...] = ()
    retries: bool = False

    @property
    def install(self) -> str:
        """The line that installs the integration."""
        if self.package == "langchain_openai":
            return 'pip install "middo[openai]"'
        return f"pip install {self.package.replace('_', '-')}"


VENDORS: dict[str, Vendor] = {
    "anthropic": Vendor(
        "langchain_anthropic",
        "anthropic.com",
        ("ANTHROPIC_API_KEY",),
        ("ANTHROPIC_API_URL", "ANTHROPIC_BASE_URL"),
        retries=True,
    ),
    "azure_openai": Vendor(
        "langchain_openai",
        "azure.com",
        ("AZURE_OPENAI_API_KEY", "AZURE_OPENAI_AD_TOKEN", "OPENAI_API_KEY"),
        ("AZURE_OPENAI_ENDPOINT",),
        retries=True,
    ),
    "bedrock": Vendor("langchain_aws", "amazonaws.com"),
    "bedrock_converse": Vendor("langchain_aws", "amazonaws.com"),
    "cohere": Vendor("langchain_cohere", "cohere.com", ("COHERE_API_KEY",)),
    "deepseek": Vendor(
        "langchain_deepseek",
        "deepseek.com",
        ("DEEPSEEK_API_KEY",),
        ("DEEPSEEK_API_BASE",),
        retries=True,
    ),
    "fireworks": Vendor("langchain_fireworks", "fireworks.ai", ("FIREWORKS_API_KEY",)),
    "google_genai": Vendor(
        "langchain_google_genai", "googleapis.com", ("GOOGLE_API_KEY", "GEMINI_API_KEY")
    ),
    "google_vertexai": Vendor("langchain_google_vertexai", "googleapis.com"),
    "groq": Vendor(
        "langchain_groq", "groq.com", ("GROQ_API_KEY",), ("GROQ_API_BASE",), retries=True
    ),
    "huggingface": Vendor("langchain_huggingface", None),
    "ibm": Vendor("langchain_ibm", "ibm.com"),
    "mistralai": Vendor("langchain_mistralai", "mistral.ai", ("MISTRAL_API_KEY",)),
    "nvidia": Vendor("langchain_nvidia_ai_endpoints", "nvidia.com", ("NVIDIA_API_KEY",)),
    "ollama": Vendor("langchain_ollama", None, urls=("OLLAMA_HOST",)),
    "openai": Vendor(
        "langchain_openai",
        "openai.com",
        ("OPENAI_API_KEY",),
        ("OPENAI_API_BASE", "OPENAI_BASE_URL"),
        retries=True,
    ),
    "openrouter": Vendor("langchain_openrouter", "openrouter.ai", ("OPENROUTER_API_KEY",)),
    "perplexity": Vendor(
        "langchain_perplexity", "perplexity.ai", ("PPLX_API_KEY", "PERPLEXITY_API_KEY")
    ),
    "together": Vendor("langchain_together", "together.xyz", ("TOGETHER_API_KEY",), retries=True),
    "upstage": Vendor("langchain_upstage", "upstage.ai", ("UPSTAGE_API_KEY",)),
    "xai": Vendor("langchain_xai", "x.ai", ("XAI_API_KEY",), retries=True),
}


def address(vendor: Vendor, params: Mapping[str, Any]) -> str | None:
    """Return the URL that the parameters or the environment name, or None for the vendor's own.

    Raises:
        ConfigError: it is no http or https URL.
    """
    named = next(_addresses(params), None)
    if named is None:
        named = next(((key, os.environ[key]) for key in vendor.urls if os.environ.get(key)), None)
    if named is None:
        return None
    key, url = named
    if key == "OLLAMA_HOST" and "://" not in url:
        url = f"http://{url}"  # Ollama's own convention
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ConfigError(
            f"{key} {url!r} is no http or https address; write it as http://host:port"
        )
    return url


def _addresses(params: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield what names an address, by itself or inside of options as `client_options`."""
    yield from ((key, str(params[key])) for key in URL_PARAMS if params.get(key))
    for value in params.values():
        if isinstance(value, Mapping):
            yield from _addresses(value)
            if value.get("api_endpoint"):
                host = str(value["api_endpoint"])
                yield "api_endpoint", host if "://" in host else f"https://{host}"


def host_of(url: str) -> str:
    """Return host and port of a URL, without the user name and password it may hold."""
    parts = urlsplit(url)
    host = parts.hostname or url
    return host if parts.port is None else f"{host}:{parts.port}"


def belongs_to(vendor: Vendor, url: str | None) -> bool:
    """True where the vendor's key may go to this address: its own service, encrypted."""
    if url is None:
        return True
    parts = urlsplit(url)
    host = parts.hostname or ""
    if vendor.domain is None or parts.scheme != "https":
        return False
    return host == vendor.domain or host.endswith(f".{vendor.domain}")
