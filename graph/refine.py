"""One flagged sample: `rewrite -> checks -> critique -> proof`, with feedback back to the rewriter.

At most `attempts` proposals are made and the first that passes every gate is taken; at the end of
every other path the original stays. The subgraph has no checkpoints of its own: the ledger makes
its repetition free.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable
from contextvars import copy_context
from dataclasses import dataclass, replace
from typing import Any, Protocol, cast

from langchain_core.runnables.config import var_child_runnable_config
from langgraph.graph import END, START, StateGraph
from langgraph.graph.state import CompiledStateGraph
from langgraph.runtime import Runtime
from langgraph.types import Command

from ..agents.critic import Critic, Critique, decide
from ..agents.prover import Prover
from ..agents.rewriter import Rewriter
from ..checks.context import CheckContext
from ..checks.suite import cheap_checks, embedded_checks, excusable, passed
from ..core.chat import AnswerFailed
from ..core.records import Axis, Proposal, Sample, Verdict, message_from
from ..core.trace import GateNode, Judged, Trace, untraced
from .routes import after_rewrite, after_verdict
from .state import RefineState


@dataclass(frozen=True, slots=True)
class Case:
    """One flagged sample with everything that its refinement uses; `trace` hears its verdicts.

    `answer_stays` where the prompt alone is to be rewritten.
    """

    sample: Sample
    axis: Axis
    neighbours: tuple[str, ...]
    attempts: int
    rewriter: Rewriter
    critic: Critic
    checks: CheckContext
    prover: Prover
    answer_stays: bool = False
    round: int = 0
    trace: Trace = untraced


Node = Callable[[RefineState, Runtime[Case]], Awaitable[dict[str, Any]]]


class Step(Protocol):
    """A node as LangGraph calls it."""

    async def __call__(self, state: RefineState, runtime: Runtime[Case]) -> Command[str]:
        """Return the update of the state and where to go."""
        ...


def build_refine() -> CompiledStateGraph[Any, Any, Any, Any]:
    """Return the compiled subgraph; a `Case` is passed as its context."""
    graph = StateGraph(RefineState, context_schema=Case)
    gates = ("rewrite", "critique", "proof", END)
    graph.add_node("rewrite", _then(after_rewrite, _rewrite), destinations=("checks", END))
    graph.add_node("checks", _then(after_verdict, _checks), destinations=gates)
    graph.add_node("critique", _then(after_verdict, _critique), destinations=gates)
    graph.add_node("proof", _then(after_verdict, _proof), destinations=gates)
    graph.add_edge(START, "rewrite")
    return graph.compile(checkpointer=False)


def _then(route: Callable[[RefineState], str], node: Node) -> Step:
    """Return the node with its router applied to the state that it leaves behind.

    As a conditional edge a router costs a thread and a pass over all channels, which for thousands
    of samples is a quarter of the machinery's time.
    """

    async def step(state: RefineState, runtime: Runtime[Case]) -> Command[str]:
        update = await node(state, runtime)
        return Command(update=update, goto=route(cast(RefineState, {**state, **update})))

    return step


async def refine(graph: CompiledStateGraph[Any, Any, Any, Any], case: Case) -> RefineState:
    """Refine one sample; returns the final state with `fate`, `reason` and the rows `tried`.

    Raises:
        ProviderError: the provider is down; nothing is decided for this sample.
        BudgetReached: a cap was met; nothing is decided for this sample.
    """
    start: RefineState = {
        "attempt": 1,
        "feedback": "",
        "remarks": [],
        "row": {},
        "tried": [],
        "fate": "",
        "reason": "",
    }
    # As a child of the node's run it would inherit checkpoint settings, which a graph without
    # checkpoints can't serve. Of the context all else stays: it says whether calls are traced.
    own = copy_context()
    own.run(var_child_runnable_config.set, None)
    task = asyncio.create_task(graph.ainvoke(start, context=case), context=own)
    return cast(RefineState, await task)


async def _rewrite(state: RefineState, runtime: Runtime[Case]) -> dict[str, Any]:
    case = runtime.context
    try:
        proposal = await case.rewriter.propose(
            case.sample,
            case.axis,
            attempt=state["attempt"],
            feedback=state["feedback"],
            neighbours=case.neighbours,
            rewrite_prompt=case.axis is not Axis.QUALITY,
            rewrite_answer=not case.answer_stays,
        )
    except AnswerFailed as error:
        return {"fate": "failed", "reason": f"rewriter: {error}", "row": {}}
    row = {
        "id": proposal.id,
        "parent_id": case.sample.id,
        "axis": str(case.axis),
        "attempt": state["attempt"],
        "messages": [message.as_dict() for message in proposal.messages],
        "adds": proposal.adds,
        "checks": [],
        "critique": None,
        "proof": None,
        "verdict": "",
        "reason": "",
    }
    return {"row": row, "feedback": ""}


async def _checks(state: RefineState, runtime: Runtime[Case]) -> dict[str, Any]:
    case = runtime.context
    shown = (*case.checks.instructions, *state["remarks"])
    context = replace(case.checks, instructions=shown)
    verdicts = await _checked(_proposal(state, case), context)
    _tell(case, state, "checks", verdicts)
    row = {**state["row"], "checks": [verdict.as_dict() for verdict in verdicts]}
    refused = [verdict for verdict in verdicts if not verdict.passed]
    if excusable(case.axis, refused):
        return {"row": row}
    return {"row": row} if not refused else _refused(state, case, row, refused)


async def _critique(state: RefineState, runtime: Runtime[Case]) -> dict[str, Any]:
    case, row = runtime.context, state["row"]
    proposal = _proposal(state, case)
    words = [verdict["reason"] for verdict in row["checks"] if not verdict["passed"]]
    try:
        critique: Critique = await case.critic.judge(
            case.sample, proposal, words, attempt=state["attempt"]
        )
    except AnswerFailed as error:
        row = {**row, "verdict": "failed", "reason": f"critic: {error}"}
        return {"row": row, "tried": [*state["tried"], row], "fate": "failed",
                "reason": row["reason"]}  # fmt: skip
    verdict = decide(critique)
    _tell(case, state, "critique", [verdict])
    row = {**row, "critique": {**critique.model_dump(mode="json"), "passed": verdict.passed}}
    refused = [] if verdict.passed else [verdict]
    if words and not refused:
        # A detail may be gone only if the critic names it as dropped on purpose.
        context = replace(case.checks, dropped=tuple(critique.dropped))
        verdicts = await _checked(proposal, context)
        _tell(case, state, "critique", verdicts)
        row |= {"excused": row["checks"], "checks": [verdict.as_dict() for verdict in verdicts]}
        refused = [] if passed(verdicts) else [v for v in verdicts if not v.passed]
    return {"row": row} if not refused else _refused(state, case, row, refused)


async def _proof(state: RefineState, runtime: Runtime[Case]) -> dict[str, Any]:
    case = runtime.context
    verdict = await case.prover.prove(_proposal(state, case))
    _tell(case, state, "proof", [verdict])
    row = {**state["row"], "proof": verdict.as_dict()}
    if not verdict.passed:
        return _refused(state, case, row, [verdict])
    row = {**row, "verdict": "accepted"}
    return {"row": row, "tried": [*state["tried"], row], "fate": "accepted", "reason": ""}


async def _checked(proposal: Proposal, context: CheckContext) -> list[Verdict]:
    """Run the checks: cheap ones here, since Python text work gains nothing from a thread.

    An embedder computes outside of Python, or waits for the round's model.
    """
    verdicts = cheap_checks(proposal, context)
    if passed(verdicts):
        verdicts += await asyncio.to_thread(embedded_checks, proposal, context)
    return verdicts


def _tell(case: Case, state: RefineState, node: GateNode, verdicts: Iterable[Verdict]) -> None:
    """Trace what gates said of the proposal under way."""
    row, now = state["row"], time.time()
    for said in verdicts:
        case.trace(
            Judged(
                *(case.round, case.sample.id, row["attempt"], row["id"], node),
                *(said.name, said.passed, said.numbers, said.reason, now),
            )
        )


def _refused(
    state: RefineState, case: Case, row: dict[str, Any], verdicts: list[Verdict]
) -> dict[str, Any]:
    """Close an attempt that a gate refused: feedback for the next one, or the end."""
    reason = "; ".join(f"{verdict.name}: {verdict.reason}" for verdict in verdicts)
    row = {**row, "verdict": "rejected", "reason": reason}
    last = state["attempt"] >= case.attempts
    return {
        "row": row,
        "tried": [*state["tried"], row],
        "feedback": "\n".join(verdict.reason or verdict.name for verdict in verdicts),
        "remarks": [*state["remarks"], *(verdict.reason for verdict in verdicts)],
        "attempt": state["attempt"] + (not last),
        "fate": "rejected" if last else "",
        "reason": reason,
    }


def _proposal(state: RefineState, case: Case) -> Proposal:
    row = state["row"]
    return Proposal(
        parent=case.sample,
        axis=case.axis,
        attempt=row["attempt"],
        messages=tuple(message_from(plain) for plain in row["messages"]),
        adds=row["adds"],
    )
