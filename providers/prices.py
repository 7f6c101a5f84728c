"""What a model's tokens cost: the user's file, this machine, then the price list `genai-prices`.

The list ships with its package and is read from there: nothing is fetched. It knows vendors by
their own service, so a server at another address has no known price unless the user's file names
the model. An unknown price is None, never zero.
"""

import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import urlsplit

from ..core.config import RunConfig, TeacherConfig
from ..core.errors import ConfigError
from .price_file import nearest, normalised, read_prices
from .resolve import is_plugged
from .vendors import VENDORS, address, belongs_to

_LISTED = {
    "anthropic": "anthropic",
    "azure_openai": "azure",
    "bedrock": "aws",
    "bedrock_converse": "aws",
    "cohere": "cohere",
    "deepseek": "deepseek",
    "fireworks": "fireworks",
    "google_genai": "google",
    "google_vertexai": "google",
    "groq": "groq",
    "mistralai": "mistral",
    "openai": "openai",
    "openrouter": "openrouter",
    "perplexity": "perplexity",
    "together": "together",
    "xai": "x-ai",
}
"""LangChain's name of a vendor -> the price list's."""

_IN_PROCESS = {"llamacpp", "vllm", "replay"}
_STANDARD_TIERS = {None, "auto", "default", "standard", "standard_only"}
_LISTED_AT = 1000
"""Tokens of the call whose price is read: below the sizes at which long prompts cost more."""


@dataclass(frozen=True, slots=True)
class Price:
    """What tokens cost, in USD per million."""

    input: float
    output: float

    def usd(self, prompt_tokens: float, completion_tokens: float) -> float:
        """Return the price of that many tokens, in USD."""
        return (prompt_tokens * self.input + completion_tokens * self.output) / 1e6


FREE = Price(0.0, 0.0)


class Prices:
    """Prices of models, the user's own first.

    Args:
        given: `provider:model` -> price, as the user's file names it.
        path: that file, for messages.
    """

    def __init__(self, given: dict[str, Price] | None = None, path: str | None = None) -> None:
        """Take prices that are already read."""
        self._given, self._path = given or {}, path

    @classmethod
    def load(cls, path: str | None) -> "Prices":
        """Read the user's file, if there is one.

        Raises:
            ConfigError: it can't be read, or holds something else than prices.
        """
        if path is None:
            return cls()
        return cls({name: Price(*pair) for name, pair in read_prices(path).items()}, path)

    def of(self, teacher: TeacherConfig) -> Price | None:
        """Return the price of a model, or None where it is unknown.

        Raises:
            ConfigError: the model's address is no http or https URL.
        """
        name = normalised(teacher.model)
        if name in self._given:
            return self._given[name]
        provider, _, model = name.partition(":")
        if provider == "import" or is_plugged(provider):
            return None
        if provider in _IN_PROCESS or name == "self":
            return FREE
        vendor = VENDORS.get(provider)
        if vendor is None:
            return None
        url = address(vendor, teacher.params)
        if url is not None and _on_this_machine(url):
            return None if _forwarded(provider, model) else FREE
        if provider == "ollama":  # without an address it is the server on this machine
            return FREE if url is None and not _forwarded(provider, model) else None
        if not belongs_to(vendor, url) or provider not in _LISTED:
            return None
        return _listed(_LISTED[provider], model, teacher.params.get("service_tier"))

    def unknown(self, teachers: Iterable[TeacherConfig]) -> list[str]:
        """Return the models among these whose price is unknown, each once, in their order."""
        return list(dict.fromkeys(t.model for t in teachers if self.of(t) is None))

    def near(self, model: str) -> str | None:
        """Return the name in the user's file that is nearest to a model it doesn't hold."""
        found = nearest(normalised(model), self._given)
        return None if found is None else f"{self._path} names {found!r}; is it that one?"


def require_prices(config: RunConfig, prices: Prices) -> None:
    """Refuse a money cap that can't be kept, since a model's price is unknown.

    Raises:
        ConfigError: `budget.max_usd` is set and a model of a role, or a fallback, has no known
            price; the message holds the line that gives it.
    """
    if config.budget.max_usd is None:
        return
    teachers = [teacher for role in config.agents.roles.values() for teacher in role.chain]
    unknown = prices.unknown(teachers)
    if not unknown:
        return
    line = f'"{unknown[0]}": {{input: 0.25, output: 2.0}}'
    hint = prices.near(unknown[0])
    where = config.budget.prices or "a YAML file that budget.prices names"
    raise ConfigError(
        f"budget.max_usd: the price of {', '.join(unknown)} is unknown; write `{line}` (USD per"
        f" million tokens, with its real prices) into {where}" + (f" ({hint})" if hint else "")
    )


def _forwarded(provider: str, model: str) -> bool:
    """True for models that a local Ollama passes on to its vendor's paid service."""
    return provider == "ollama" and model.endswith(("-cloud", ":cloud"))


def _on_this_machine(url: str) -> bool:
    host = (urlsplit(url).hostname or "").rstrip(".").lower()
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _listed(provider: str, model: str, tier: object) -> Price | None:
    """Return the list's price today, or None where tokens alone don't give it."""
    from genai_prices import Usage, calc_price

    extra = {} if tier in _STANDARD_TIERS else {"service_tier": str(tier)}
    usage = Usage(input_tokens=_LISTED_AT, output_tokens=_LISTED_AT)
    try:
        found = calc_price(usage, model, provider_id=provider, price_context=extra or None)
    except LookupError:
        return None
    price = found.model_price
    if price.input_mtok is None or price.output_mtok is None:
        return None  # not listed; it would count as zero
    if found.total_price != found.input_price + found.output_price:
        return None  # each call costs something too
    if extra and all(variant.when != extra for variant in found.model.price_variants or ()):
        return None
    scale = 1_000_000 // _LISTED_AT
    return Price(float(found.input_price * scale), float(found.output_price * scale))
