"""Middo: a closed-loop data optimizer for fine-tuning language models.

The code lives in the top-level folders (`agents/`, `graph/`, ...), linked here so that everything
imports as `middo.*`. Names are resolved on first use, so that `import middo` stays instant.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from middo.core.config import RunConfig as RunConfig
    from middo.core.errors import MiddoError as MiddoError
    from middo.graph.build import build_graph as build_graph
    from middo.graph.run import resume as resume
    from middo.graph.run import run as run

__version__ = "0.1.0"

_HOMES = {
    "MiddoError": "middo.core.errors",
    "RunConfig": "middo.core.config",
    "build_graph": "middo.graph.build",
    "resume": "middo.graph.run",
    "run": "middo.graph.run",
}

__all__ = ["MiddoError", "RunConfig", "build_graph", "resume", "run"]


def __getattr__(name: str) -> Any:
    """Import a public name from its home on first use."""
    if name not in _HOMES:
        raise AttributeError(f"module 'middo' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
