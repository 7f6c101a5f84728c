"""Progress of a node as events."""

from ..agents.measuring import Advance
from ..core.progress import Progress
from .deps import Deps


def advance_in(deps: Deps, node: str, round: int, unit: str) -> Advance:
    """Return a callback that reports (done, total, seconds left) of a node's work."""

    def advance(done: int, total: int, eta: float | None) -> None:
        deps.report(Progress(node, round, done, total, unit, eta))

    return advance
