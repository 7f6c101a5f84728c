"""Facts of a run under the names that OpenInference has for them, and `middo.*` for the rest.

Tools read kinds, messages, tokens, costs and the session by these names; what they don't know they
show as metadata.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from openinference.semconv.trace import (
    MessageAttributes,
    OpenInferenceMimeTypeValues,
    OpenInferenceSpanKindValues,
    SpanAttributes,
)

from ..core.trace import Call, Judged

Kind = OpenInferenceSpanKindValues
Value = str | int | float | bool | tuple[str, ...]

_GATES = {"checks": Kind.GUARDRAIL, "critique": Kind.EVALUATOR, "proof": Kind.EVALUATOR}
_TEXT = OpenInferenceMimeTypeValues.TEXT.value
_JSON = OpenInferenceMimeTypeValues.JSON.value


def of_call(call: Call, provider: str | None) -> dict[str, Value]:
    """Return the attributes of an LLM call; what nobody knows is left out."""
    known = {
        "round": call.round,
        "sample_id": call.sample_id,
        "axes": call.axes,
        "agent": call.agent,
        "attempt": call.attempt,
        "source": call.source,
        "prompt": call.prompt,
        "prompt_version": call.prompt_version,
        "prompt_hash": call.prompt_hash,
        "key": call.key,
        "status": call.status,
    }
    read, written = call.prompt_tokens, call.completion_tokens
    maybe = {
        SpanAttributes.LLM_PROVIDER: provider,
        SpanAttributes.LLM_TOKEN_COUNT_PROMPT: read,
        SpanAttributes.LLM_TOKEN_COUNT_COMPLETION: written,
        SpanAttributes.LLM_TOKEN_COUNT_TOTAL: None
        if read is None or written is None
        else read + written,
        SpanAttributes.LLM_COST_TOTAL: call.usd,
    }
    output = call.error if call.value is None else call.value
    return {
        **kind(Kind.LLM),
        SpanAttributes.LLM_MODEL_NAME: call.model,
        SpanAttributes.AGENT_NAME: call.agent,
        SpanAttributes.LLM_PROMPT_TEMPLATE_VERSION: str(call.prompt_version),
        SpanAttributes.PROMPT_VENDOR: "middo",
        SpanAttributes.PROMPT_ID: call.prompt,
        SpanAttributes.TAG_TAGS: (call.agent, call.source),
        **_messages(SpanAttributes.LLM_INPUT_MESSAGES, call.messages),
        **_messages(SpanAttributes.LLM_OUTPUT_MESSAGES, [["assistant", text] for text in call.raw]),
        **(given("input", call.messages[-1][1]) if call.messages else {}),
        **given("output", output),
        **{name: value for name, value in maybe.items() if value is not None},
        **facts(known),
    }


def of_gates(gates: Sequence[Judged]) -> dict[str, Value]:
    """Return the attributes of what the gates of one node said of one proposal."""
    first = gates[0]
    refused = tuple(gate.gate for gate in gates if not gate.passed)
    known = {
        "round": first.round,
        "sample_id": first.sample_id,
        "attempt": first.attempt,
        "proposal_id": first.proposal_id,
        "passed": not refused,
        "refused": refused,
    }
    said = [
        {"gate": one.gate, "passed": one.passed, "reason": one.reason, "numbers": one.numbers}
        for one in gates
    ]
    return {
        **kind(_GATES[first.node]),
        **given("input", first.proposal_id),
        **given("output", said),
        SpanAttributes.TAG_TAGS: ("refused" if refused else "passed", *refused),
        **facts(known),
    }


def kind(of: Kind) -> dict[str, Value]:
    """Return the kind of a span."""
    return {SpanAttributes.OPENINFERENCE_SPAN_KIND: of.value}


def _messages(prefix: str, messages: Sequence[Sequence[str]]) -> dict[str, Value]:
    flat: dict[str, Value] = {}
    for place, (role, text) in enumerate(messages):
        flat[f"{prefix}.{place}.{MessageAttributes.MESSAGE_ROLE}"] = role
        flat[f"{prefix}.{place}.{MessageAttributes.MESSAGE_CONTENT}"] = text
    return flat


def given(end: str, value: object) -> dict[str, Value]:
    """Return a value as `input.*` or `output.*`: a text as it is, all else as JSON."""
    text = value if isinstance(value, str) else _dumped(value)
    mime = _TEXT if isinstance(value, str) else _JSON
    return {f"{end}.value": text, f"{end}.mime_type": mime}


def facts(known: Mapping[str, Any]) -> dict[str, Value]:
    """Return facts twice: as one JSON text, which tools show, and one by one, which they filter."""
    return {
        SpanAttributes.METADATA: _dumped(known),
        **{f"middo.{name}": value for name, value in known.items()},
    }


def _dumped(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, default=str)
