"""LLM calls of the ledger as the events that the traces have of them."""

from ..core.trace import Call
from .ledger import Unit


def call_of(unit: Unit) -> Call:
    """Return the event of a call that is in the ledger."""
    return Call(
        key=unit.key,
        round=unit.round,
        sample_id=unit.sample_id,
        axes=unit.axes,
        agent=unit.role,
        attempt=unit.attempt,
        source=unit.source,
        model=unit.model,
        prompt=unit.prompt,
        prompt_version=unit.prompt_version,
        prompt_hash=unit.prompt_hash,
        messages=unit.messages,
        status=unit.status,
        value=unit.value,
        raw=unit.raw,
        error=unit.error,
        prompt_tokens=unit.prompt_tokens,
        completion_tokens=unit.completion_tokens,
        usd=unit.usd,
        began=unit.created - unit.seconds,
        seconds=unit.seconds,
    )
