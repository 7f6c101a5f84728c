"""The loop for LangGraph Studio, as `langgraph.json` names it: to be looked at, not to be run.

    langgraph dev

A run needs its folder, its lock and its own checkpoints, which a server of graphs would replace by
its own. So Studio shows the nodes and edges of `build.py`, and a run that is started there waits at
its first node with the line that starts a real one. Importing this opens and compiles nothing.
"""

from typing import Any, NoReturn

from langgraph.graph.state import CompiledStateGraph
from langgraph.types import interrupt

from .build import assembled
from .state import LoopState

HOW = (
    "Studio shows this graph; a run has a folder of its own: start one with `middo run"
    " CONFIG.yaml`, follow it with `middo status RUN --watch`"
)


def make_graph() -> CompiledStateGraph[Any, Any, Any, Any]:
    """Return the loop, compiled, with nodes that only say how to run it."""
    return assembled(lambda name: _say).compile()


async def _say(state: LoopState) -> NoReturn:
    # An error's text would only be in the server's log; an interrupt is shown. It stays one,
    # whatever it is answered: only the first one without an answer gets out of here.
    while True:
        interrupt(HOW)
