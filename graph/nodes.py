"""The nodes of the loop: each adapts stored state to an agent and writes down what came of it.

A node may run twice after a crash. So it writes whole files and named facts, finds finished work in
the ledger and the scores, and decides nothing by the clock or by which task ends first.
"""

import asyncio
import time
from asyncio import CancelledError
from collections.abc import Awaitable, Callable
from typing import Any, Literal

from langgraph.errors import GraphBubbleUp, GraphInterrupt

from ..core.errors import BudgetReached, Interrupted
from ..core.progress import Finished, Started
from ..core.trace import NodeBegan, NodeEnded
from .deps import Deps
from .diagnosing import diagnose_round
from .document import write_document
from .finishing import finalize
from .learning import evaluate_round, gate_round, train_round
from .merging import merge_round
from .preparing import prepare
from .refining import refine_round
from .reviewing import close_unasked, review_round
from .state import LoopState

Update = dict[str, Any]
Step = Callable[[Deps, LoopState], tuple[Update, str]]


class Nodes:
    """The nodes of one run. Torch and file work runs in a thread, LLM work in the event loop."""

    def __init__(self, deps: Deps) -> None:
        """Bind the nodes to an open run."""
        self._deps = deps

    async def prepare(self, state: LoopState) -> Update:
        """Import the data, hold rows out, publish D_0."""
        return await self._in_thread("prepare", prepare, state)

    async def train(self, state: LoopState) -> Update:
        """Fine-tune the base model on this round's data."""
        return await self._in_thread("train", train_round, state)

    async def evaluate(self, state: LoopState) -> Update:
        """Score the hold-out with this round's model."""
        return await self._in_thread("evaluate", evaluate_round, state)

    async def gate(self, state: LoopState) -> Update:
        """Judge the round by its hold-out and decide whether the run goes on."""
        return await self._in_thread("gate", gate_round, state)

    async def diagnose(self, state: LoopState) -> Update:
        """Measure every sample, flag what needs work, and plan what is refined."""
        return await self._timed("diagnose", state, lambda: diagnose_round(self._deps, state))

    async def refine(self, state: LoopState) -> Update:
        """Let the agents work on the flagged samples."""
        return await self._timed("refine", state, lambda: refine_round(self._deps, state))

    async def review(self, state: LoopState) -> Update:
        """Wait for a person's word on every proposal that passed the gates, where one is asked."""
        if not self._deps.config.review:
            close_unasked(self._deps, state)
            return {}
        return await self._in_thread("review", review_round, state)

    async def merge(self, state: LoopState) -> Update:
        """Build the next round's data set; its equations must hold."""
        return await self._in_thread("merge", merge_round, state)

    async def finalize(self, state: LoopState) -> Update:
        """Export the best round."""
        return await self._in_thread("finalize", finalize, state)

    async def _in_thread(self, name: str, step: Step, state: LoopState) -> Update:
        return await self._timed(name, state, lambda: asyncio.to_thread(step, self._deps, state))

    async def _timed(
        self, name: str, state: LoopState, work: Callable[[], Awaitable[tuple[Update, str]]]
    ) -> Update:
        """Await a step; keep its time, refresh `run.json`, and tell the user."""
        deps, number = self._deps, state["round"]
        if deps.should_stop():
            raise Interrupted(f"stopped before {name}")
        if name != "finalize":  # what the time was spent on is exported, at least
            deps.spending.check_time()
        deps.report(Started(name, number))
        began, begun = time.time(), time.monotonic()
        deps.trace(NodeBegan(name, number, began))
        try:
            update, summary = await work()
            seconds = self._keep_time(name, number, time.monotonic() - begun)
        except BaseException as error:
            took, ending = time.monotonic() - begun, _ending(error)
            deps.trace(NodeEnded(name, number, began, round(took, 3), ending, _said(error)))
            raise
        took = time.monotonic() - begun
        deps.trace(NodeEnded(name, number, began, round(took, 3), "done", summary))
        deps.report(Finished(name, number, seconds, summary))
        return update

    def _keep_time(self, name: str, number: int, took: float) -> float:
        """Add to a node's time, refresh `run.json`, and return the seconds that it took."""
        deps, seconds = self._deps, round(took, 1)
        times = deps.facts.get(f"round.{number}.times", {})
        deps.facts.put(f"round.{number}.times", {**times, name: times.get(name, 0.0) + seconds})
        deps.keep_seconds()
        write_document(deps, "running")
        return seconds


def _ending(error: BaseException) -> Literal["stopped", "failed"]:
    """Say whether a node was stopped, on a cap, a signal or a pause, or has failed."""
    stops = (BudgetReached, Interrupted, KeyboardInterrupt, CancelledError, GraphBubbleUp)
    return "stopped" if isinstance(error, stops) else "failed"


def _said(error: BaseException) -> str:
    """Return what ended a node, in one line."""
    if isinstance(error, GraphInterrupt):
        waiting = sum(one.value["undecided"] for one in error.args[0])
        return f"waits for a person: {waiting:,} proposal{'s' if waiting != 1 else ''}"
    lines = str(error).splitlines()
    return lines[0] if lines else type(error).__name__
