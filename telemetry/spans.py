"""Spans with OpenInference attributes, made from the events of `core.trace`.

A flagged sample in one round is one tree: `refine sample` holds its attempts, an attempt holds the
LLM calls and the gates that judged what came of them. Times are those of the events: a gate says
only when it decided, so its span is a moment. A span covers its children, also where a resumed run
tells of a call that was made before the run stopped.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from openinference.semconv.trace import SpanAttributes

from ..core.trace import Call, Judged, NodeEnded, Settled
from .attributes import Kind, Value, facts, given, kind, of_call, of_gates

Step = Call | Judged


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
    known: dict[str, Any] = {"round": first.round, "sample_id": first.sample_id}
    if settled is None:
        axis = next((step.axes.partition("+")[0] for step in steps if isinstance(step, Call)), "")
        known |= {"axis": axis, "fate": "unfinished"}
    else:
        known |= {"axis": settled.axis, "fate": settled.fate, "reason": settled.reason}
    known["attempts"] = settled.attempts if settled else len({step.attempt for step in steps})
    children = _attempts(steps, providers)
    asked = [step for step in sorted(steps, key=_start) if isinstance(step, Call)]
    return _around(
        "refine sample",
        children,
        {
            **kind(Kind.AGENT),
            SpanAttributes.AGENT_NAME: "refine",
            SpanAttributes.TAG_TAGS: tuple(
                str(tag) for tag in (known["axis"], known["fate"], f"round {first.round}") if tag
            ),
            **(given("input", asked[0].messages[-1][1]) if asked and asked[0].messages else {}),
            **given("output", {**known, "proposal": _proposal(asked)}),
            **facts(known),
        },
        error=(settled.reason or "failed") if settled and settled.fate == "failed" else None,
        times=(settled.began, settled.began + settled.seconds) if settled else (),
    )


def plan_span(calls: Sequence[Call], providers: Mapping[str, str], *, whole: bool = True) -> Span:
    """Return the tree of the calls of one round that belong to no sample."""
    children = [_call_span(call, providers) for call in calls]
    known = {"round": calls[0].round}
    failed = next((call.error for call in calls if call.status == "failed"), None)
    return _around(
        "plan",
        children,
        {
            **kind(Kind.AGENT),
            SpanAttributes.AGENT_NAME: "plan",
            SpanAttributes.TAG_TAGS: (
                f"round {calls[0].round}",
                *([] if whole else ["unfinished"]),
            ),
            **(given("input", calls[0].messages[-1][1]) if calls[0].messages else {}),
            **given("output", calls[-1].value),
            **facts(known),
        },
        error=failed if calls[-1].status == "failed" else None,
    )


def node_span(node: NodeEnded) -> Span:
    """Return the span of one node of the loop."""
    known = {"round": node.round, "node": node.node, "status": node.status}
    return Span(
        node.node,
        node.began,
        node.began + max(node.seconds, 0.0),
        {
            **kind(Kind.CHAIN),
            **given("output", node.summary),
            SpanAttributes.TAG_TAGS: (f"round {node.round}", node.status),
            **facts(known),
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
            **kind(Kind.CHAIN),
            **given("input", run),
            **given("output", nodes[-1].summary if nodes else ""),
            SpanAttributes.TAG_TAGS: (status,),
            **facts({"nodes": len(nodes), "status": status}),
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
    known: dict[str, Any] = {
        "round": ordered[0].round,
        "sample_id": ordered[0].sample_id,
        "attempt": number,
        "gates": len(gates),
        "refused": len(refused),
    }
    nodes = dict.fromkeys(gate.node for gate in gates)
    children = [_call_span(call, providers) for call in calls]
    children += [_gate_span([gate for gate in gates if gate.node == node]) for node in nodes]
    output = {"proposal": _proposal(calls), "refused": refused}
    return _around(
        f"attempt {number}",
        children,
        {**kind(Kind.CHAIN), **given("output", output), **facts(known)},
        error=failed,
    )


def _call_span(call: Call, providers: Mapping[str, str]) -> Span:
    error = (call.error or "failed") if call.status == "failed" else None
    attributes = of_call(call, providers.get(call.agent))
    return Span(call.prompt, call.began, call.began + max(call.seconds, 0.0), attributes, error)


def _gate_span(gates: Sequence[Judged]) -> Span:
    """Return one span for a node's gates: one for each would be most of what a service counts."""
    return Span(f"gate: {gates[0].node}", gates[0].at, gates[-1].at, of_gates(gates))


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
