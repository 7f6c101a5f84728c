"""The state machine of a run. Read from top to bottom, it is the loop.

prepare -> train -> evaluate -> gate -> diagnose -> refine -> review -> merge -> train again,
until the gate, a stop rule or an empty diagnosis sends it to finalize.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.graph import END, START, StateGraph
from langgraph.graph.state import CompiledStateGraph

from .deps import Deps
from .nodes import Nodes
from .routes import after_diagnose, after_gate
from .state import LoopState

NODES = (
    *("prepare", "train", "evaluate", "gate", "diagnose", "refine", "review", "merge"),
    "finalize",
)


def build_graph(
    deps: Deps, checkpointer: BaseCheckpointSaver[Any] | None = None
) -> CompiledStateGraph[Any, Any, Any, Any]:
    """Return the compiled loop over one run folder.

    Args:
        deps: the open run; `middo.graph.deps.open_run` makes one.
        checkpointer: keeps the phase between processes; None runs without resume.
    """
    return assembled(partial(getattr, Nodes(deps))).compile(checkpointer=checkpointer)


def assembled(node: Callable[[str], Any]) -> StateGraph[LoopState, None, LoopState, LoopState]:
    """Return the loop, not yet compiled; `node` gives what runs under each of the names."""
    graph = StateGraph(LoopState)
    for name in NODES:
        graph.add_node(name, node(name))

    graph.add_edge(START, "prepare")
    graph.add_edge("prepare", "train")
    graph.add_edge("train", "evaluate")
    graph.add_edge("evaluate", "gate")
    graph.add_conditional_edges("gate", after_gate)
    graph.add_conditional_edges("diagnose", after_diagnose)
    graph.add_edge("refine", "review")
    graph.add_edge("review", "merge")
    graph.add_edge("merge", "train")
    graph.add_edge("finalize", END)
    return graph
