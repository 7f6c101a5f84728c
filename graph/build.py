"""The state machine of a run. Read from top to bottom, it is the loop.

prepare -> train -> evaluate -> gate -> diagnose -> refine -> merge -> train again,
until the gate, a stop rule or an empty diagnosis sends it to finalize.
"""

from typing import Any

from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.graph import END, START, StateGraph
from langgraph.graph.state import CompiledStateGraph

from .deps import Deps
from .nodes import Nodes
from .routes import after_diagnose, after_gate
from .state import LoopState


def build_graph(
    deps: Deps, checkpointer: BaseCheckpointSaver[Any] | None = None
) -> CompiledStateGraph[Any, Any, Any, Any]:
    """Return the compiled loop over one run folder.

    Args:
        deps: the open run; `middo.graph.deps.open_run` makes one.
        checkpointer: keeps the phase between processes; None runs without resume.
    """
    nodes = Nodes(deps)
    graph = StateGraph(LoopState)
    graph.add_node("prepare", nodes.prepare)
    graph.add_node("train", nodes.train)
    graph.add_node("evaluate", nodes.evaluate)
    graph.add_node("gate", nodes.gate)
    graph.add_node("diagnose", nodes.diagnose)
    graph.add_node("refine", nodes.refine)
    graph.add_node("merge", nodes.merge)
    graph.add_node("finalize", nodes.finalize)

    graph.add_edge(START, "prepare")
    graph.add_edge("prepare", "train")
    graph.add_edge("train", "evaluate")
    graph.add_edge("evaluate", "gate")
    graph.add_conditional_edges("gate", after_gate)
    graph.add_conditional_edges("diagnose", after_diagnose)
    graph.add_edge("refine", "merge")
    graph.add_edge("merge", "train")
    graph.add_edge("finalize", END)
    return graph.compile(checkpointer=checkpointer)
