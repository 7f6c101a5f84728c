"""Spans with OpenInference attributes, made from the events of `core.trace`.

A flagged sample in one round is one tree: `refine` holds its attempts, an attempt holds the LLM
calls and the gates that judged what came of them. Times are those of the events: a gate says only
when it decided, so its span is a moment. A span covers its children, also where a resumed run tells
of a call that was made before the run stopped.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from openinference.semconv.trace import (
    MessageAttributes,
    OpenInferenceMimeTypeValues,
    OpenInferenceSpanKindValues,
    SpanAttributes,
)

from ..core.trace import Call, Judged, NodeEnded, Settled

Kind = OpenInferenceSpanKindValues
Value = str | int | float | bool | tuple[str, ...]
Step = Call | Judged

_GATES = {"checks": Kind.GUARDRAIL, "critique": Kind.EVALUATOR, "proof": Kind.EVALUATOR}
_TEXT = OpenInferenceMimeTypeValues.TEXT.value
_JSON = OpenInferenceMimeTypeValues.JSON.value


@dataclass(frozen=True, slots=True)
class Span:
    """One span with all that is below it.

    Attributes:
        name: what it is called.
        start: in seconds since the epoch, as `end`.
        end: not before `start`.
        attributes: by their OpenInference names, and `middo.*` for facts that those don't know.
        error: what went wrong; None where nothing did.
        children: in the order of their start.
    """

    name: str
    start: float
    end: float
    attributes: Mapping[str, Value]
    error: str | None = None
    children: tuple["Span", ...] = field(default=())


def sample_span(
    steps: Sequence[Step], settled: Settled | None, providers: Mapping[str, str]
) -> Span:
    """Return the tree of one sample in one round.

    Args:
        steps: its calls and verdicts; at least one where it has no fate yet.
        settled: its fate; None where the run ended before it had one.
        providers: provider of the model behind each role, where there is only one.
    """
    first = settled or steps[0]
    facts: dict[str, Any] = {"round": first.round, "sample_id": first.sample_id}
    if settled is None:
        axis = next((step.axes.partition("+")[0] for step in steps if isinstance(step, Call)), "")
        facts |= {"axis": axis, "fate": "unfinished"}
    else:
        facts |= {"axis": settled.axis, "fate": settled.fate, "reason": settled.reason}
    facts["attempts"] = settled.attempts if settled else len({step.attempt for step in steps})
    children = _attempts(steps, providers)
    asked = [step for step in sorted(steps, key=_start) if isinstance(step, Call)]
    return _around(
        "refine",
        children,
        {
            **_kind(Kind.AGENT),
            SpanAttributes.AGENT_NAME: "refine",
            SpanAttributes.TAG_TAGS: tuple(
                str(tag) for tag in (facts["axis"], facts["fate"], f"round {first.round}") if tag
            ),
            **(_given("input", asked[0].messages[-1][1]) if asked and asked[0].messages else {}),
            **_given("output", {**facts, "proposal": _proposal(asked)}),
            **_facts(facts),
        },
        error=(settled.reason or "failed") if settled and settled.fate == "failed" else None,
        times=(settled.began, settled.began + settled.seconds) if settled else (),
    )


def plan_span(calls: Sequence[Call], providers: Mapping[str, str]) -> Span:
    """Return the tree of the calls of one round that belong to no sample."""
    children = [_call_span(call, providers) for call in calls]
    facts = {"round": calls[0].round}
    failed = next((call.error for call in calls if call.status == "failed"), None)
    return _around(
        "plan",
        children,
        {
            **_kind(Kind.AGENT),
            SpanAttributes.AGENT_NAME: "plan",
            SpanAttributes.TAG_TAGS: (f"round {calls[0].round}",),
            **(_given("input", calls[0].messages[-1][1]) if calls[0].messages else {}),
            **_given("output", calls[-1].value),
            **_facts(facts),
        },
        error=failed if calls[-1].status == "failed" else None,
    )


def node_span(node: NodeEnded) -> Span:
    """Return the span of one node of the loop."""
    facts = {"round": node.round, "node": node.node, "status": node.status}
    return Span(
        node.node,
        node.began,
        node.began + max(node.seconds, 0.0),
        {
            **_kind(Kind.CHAIN),
            **_given("output", node.summary),
            SpanAttributes.TAG_TAGS: (f"round {node.round}", node.status),
            **_facts(facts),
        },
        node.summary or "failed" if node.status == "failed" else None,
    )


def run_span(run: str, nodes: Sequence[NodeEnded], start: float, end: float) -> Span:
    """Return the span around the nodes of one session of a run; its children are sent before it."""
    failed = next((node.summary for node in nodes if node.status == "failed"), None)
    status = nodes[-1].status if nodes else "unfinished"
    return Span(
        "run",
        start,
        end,
        {
            **_kind(Kind.CHAIN),
            **_given("input", run),
            **_given("output", nodes[-1].summary if nodes else ""),
            SpanAttributes.TAG_TAGS: (status,),
            **_facts({"nodes": len(nodes), "status": status}),
        },
        failed,
    )


def _attempts(steps: Sequence[Step], providers: Mapping[str, str]) -> list[Span]:
    numbers = sorted({step.attempt for step in steps})
    return [
        _attempt([step for step in steps if step.attempt == number], number, providers)
        for number in numbers
    ]


def _attempt(steps: Sequence[Step], number: int, providers: Mapping[str, str]) -> Span:
    ordered = sorted(steps, key=_start)
    calls = [step for step in ordered if isinstance(step, Call)]
    gates = [step for step in ordered if isinstance(step, Judged)]
    refused = [f"{gate.gate}: {gate.reason or 'not passed'}" for gate in gates if not gate.passed]
    failed = next((call.error or "failed" for call in calls if call.status == "failed"), None)
    facts: dict[str, Any] = {
        "round": ordered[0].round,
        "sample_id": ordered[0].sample_id,
        "attempt": number,
        "gates_passed": sum(gate.passed for gate in gates),
        "gates_refused": len(refused),
    }
    children = [
        _call_span(step, providers) if isinstance(step, Call) else _gate_span(step)
        for step in ordered
    ]
    output = {"proposal": _proposal(calls), "refused": refused}
    return _around(
        f"attempt {number}",
        children,
        {**_kind(Kind.CHAIN), **_given("output", output), **_facts(facts)},
        error=failed,
    )


def _call_span(call: Call, providers: Mapping[str, str]) -> Span:
    facts = {
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
    provider = providers.get(call.agent)
    read, written = call.prompt_tokens, call.completion_tokens
    known = {
        SpanAttributes.LLM_PROVIDER: provider,
        SpanAttributes.LLM_TOKEN_COUNT_PROMPT: read,
        SpanAttributes.LLM_TOKEN_COUNT_COMPLETION: written,
        SpanAttributes.LLM_TOKEN_COUNT_TOTAL: None
        if read is None or written is None
        else read + written,
        SpanAttributes.LLM_COST_TOTAL: call.usd,
    }
    output = call.error if call.value is None else call.value
    attributes: dict[str, Value] = {
        **_kind(Kind.LLM),
        SpanAttributes.LLM_MODEL_NAME: call.model,
        SpanAttributes.AGENT_NAME: call.agent,
        SpanAttributes.LLM_PROMPT_TEMPLATE_VERSION: str(call.prompt_version),
        SpanAttributes.PROMPT_VENDOR: "middo",
        SpanAttributes.PROMPT_ID: call.prompt,
        SpanAttributes.TAG_TAGS: (call.agent, call.source),
        **_messages(SpanAttributes.LLM_INPUT_MESSAGES, call.messages),
        **_messages(SpanAttributes.LLM_OUTPUT_MESSAGES, [["assistant", text] for text in call.raw]),
        **(_given("input", call.messages[-1][1]) if call.messages else {}),
        **_given("output", output),
        **{name: value for name, value in known.items() if value is not None},
        **_facts(facts),
    }
    error = (call.error or "failed") if call.status == "failed" else None
    return Span(call.prompt, call.began, _end(call), attributes, error)


def _gate_span(gate: Judged) -> Span:
    facts = {
        "round": gate.round,
        "sample_id": gate.sample_id,
        "attempt": gate.attempt,
        "proposal_id": gate.proposal_id,
        "node": gate.node,
        "gate": gate.gate,
        "passed": gate.passed,
    }
    said = {"passed": gate.passed, "reason": gate.reason, "numbers": gate.numbers}
    attributes: dict[str, Value] = {
        **_kind(_GATES[gate.node]),
        **_given("input", gate.proposal_id),
        **_given("output", said),
        SpanAttributes.TAG_TAGS: (gate.node, "passed" if gate.passed else "refused"),
        **_facts(facts),
    }
    return Span(gate.gate, gate.at, gate.at, attributes)


def _around(
    name: str,
    children: Sequence[Span],
    attributes: Mapping[str, Value],
    *,
    error: str | None,
    times: Iterable[float] = (),
) -> Span:
    """Return a span that begins with the first and ends with the last of its children."""
    moments = [*times, *(moment for child in children for moment in (child.start, child.end))]
    return Span(name, min(moments), max(moments), attributes, error, tuple(children))


def _proposal(calls: Iterable[Call]) -> dict[str, Any]:
    """Return the parts that the rewriter wrote last: a new prompt, a new answer, or both."""
    parts: dict[str, Any] = {}
    for call in calls:
        if call.agent == "rewriter" and call.value is not None:
            parts |= call.value
    return parts


def _start(step: Step) -> float:
    return step.began if isinstance(step, Call) else step.at


def _end(call: Call) -> float:
    return call.began + max(call.seconds, 0.0)


def _kind(kind: Kind) -> dict[str, Value]:
    return {SpanAttributes.OPENINFERENCE_SPAN_KIND: kind.value}


def _messages(prefix: str, messages: Sequence[Sequence[str]]) -> dict[str, Value]:
    flat: dict[str, Value] = {}
    for place, (role, text) in enumerate(messages):
        flat[f"{prefix}.{place}.{MessageAttributes.MESSAGE_ROLE}"] = role
        flat[f"{prefix}.{place}.{MessageAttributes.MESSAGE_CONTENT}"] = text
    return flat


def _given(end: str, value: object) -> dict[str, Value]:
    """Return a value as `input.*` or `output.*`: a text as it is, all else as JSON."""
    text = value if isinstance(value, str) else _dumped(value)
    mime = _TEXT if isinstance(value, str) else _JSON
    return {f"{end}.value": text, f"{end}.mime_type": mime}


def _facts(facts: Mapping[str, Any]) -> dict[str, Value]:
    """Return facts twice: as one JSON text, which tools show, and one by one, which they filter."""
    return {
        SpanAttributes.METADATA: _dumped(facts),
        **{f"middo.{name}": value for name, value in facts.items()},
    }


def _dumped(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, default=str)
