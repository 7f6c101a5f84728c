"""`middo providers`: which models this machine can ask, and how one of them answers."""

import asyncio
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from ..core.config import RunConfig, TeacherConfig
from ..formats.configuration import load_config, load_params
from ..inspection.figures import aligned, count
from .output import Reply, clean
from .plan import goes_to

if TYPE_CHECKING:
    from ..providers.catalog import Offer
    from ..providers.prices import Price
    from ..providers.probing import Probe

_HINT = (
    "A key goes only to its vendor's own host; for another base_url name its variable in\n"
    "api_key_env. `import:package.module:factory` takes any model of your own.\n"
    "`middo providers test PROVIDER:MODEL` asks one."
)


def overview() -> Reply:
    """List providers with their package, keys and hosts."""
    from ..providers.catalog import offers

    found = offers()
    table = [["Provider", "Package", "Key", "Texts go to"], *(_row(offer) for offer in found)]
    lines = aligned(table, [False] * 4)
    missing = sorted({one.install for one in found if not one.installed and one.install})
    if missing:
        lines += ["", "Not installed; what you need of it comes with:"]
        lines += [f"  {line}" for line in missing]
    document = {"providers": [asdict(offer) for offer in found]}
    return Reply(document, "\n".join([*lines, "", _HINT]))


def _row(offer: "Offer") -> list[str]:
    package = offer.package if offer.installed else f"{offer.package}: missing"
    if offer.keys_set:
        key = f"{', '.join(offer.keys_set)} is set"
    elif offer.keys:
        key = f"{offer.keys[0]} is not set"
    else:
        key = "-"
    return [clean(offer.name), clean(package), key, clean(offer.host)]


def probe(spec: str, params: Sequence[str], api_key_env: str | None) -> Reply:
    """Ask a model three short questions.

    Raises:
        ConfigError: the name or a parameter is wrong, or holds a secret.
        ProviderError: a package or key is missing, or the provider is down or refuses.
    """
    teacher = _teacher(spec, params, api_key_env)
    from .loop import keep_quiet

    keep_quiet()
    from ..providers.prices import Prices
    from ..providers.privacy import tracing
    from ..providers.probing import probe as ask_model
    from ..providers.resolve import chat_model, hang_up, hosts

    model = chat_model(teacher, seed=RunConfig().seed, concurrency=1)

    async def asked() -> "Probe":
        try:
            return await ask_model(model, spec)
        finally:
            await hang_up(model)

    try:
        with tracing(allowed=False):
            found = asyncio.run(asked())
    finally:
        close = getattr(model, "close", None)
        if callable(close):
            close()
    price = Prices().of(teacher)
    document = {"model": spec, "host": hosts(teacher), **asdict(found)}
    document["price_usd_per_million"] = None if price is None else asdict(price)
    document["reports_usage"] = found.reports_usage
    return Reply(document, "\n".join([goes_to("test:", teacher), *_lines(found, price)]))


def _teacher(spec: str, params: Sequence[str], api_key_env: str | None) -> TeacherConfig:
    """Return the model's configuration, checked as if it stood in a file."""
    given = load_params(params, "--param")
    flags = {"agents.rewriter.model": spec, "agents.rewriter.api_key_env": api_key_env}
    named = load_config(None, flags=flags, environ={}).agents.rewriter.chain[0]
    return named.model_copy(update={"params": given})


def _lines(found: "Probe", price: "Price | None") -> list[str]:
    usage = "not reported: budget.max_tokens and max_usd can't count this model's calls"
    if found.reports_usage:
        usage = (
            f"reported: {count(found.prompt_tokens)} tokens read, "
            f"{count(found.completion_tokens)} written in these calls"
        )
    rung = f"{found.rung}, after a repair turn" if found.repaired else found.rung
    speed = found.tokens_per_second
    table: list[list[Any]] = [
        ["Answered by", clean(found.model or "unknown: the provider does not say")],
        ["Structured", rung],
        ["Latency", f"{found.latency:.2f} s for a short answer"],
        ["Speed", "unknown" if speed is None else f"{speed:.1f} tokens per second"],
        ["Usage", usage],
        ["Price", _price(price)],
    ]
    return aligned(table, [False, False])


def _price(price: "Price | None") -> str:
    if price is None:
        return "unknown: name it in the file of budget.prices, to cap or see the cost"
    if price.input == price.output == 0:
        return "none, it runs on this machine"
    return f"{price.input:g} USD per million tokens read, {price.output:g} per million written"
