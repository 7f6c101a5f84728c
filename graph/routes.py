"""Where the loop goes next. Routers read the state only; every decision was made by a node."""

from typing import Literal

from .state import LoopState, RefineState


def after_gate(state: LoopState) -> Literal["diagnose", "finalize"]:
    """Diagnose again, unless the gate or a stop rule ended the run."""
    return "finalize" if state["stop"] else "diagnose"


def after_diagnose(state: LoopState) -> Literal["refine", "finalize"]:
    """Refine what was flagged; with nothing flagged the run ends."""
    return "finalize" if state["stop"] else "refine"


def after_rewrite(state: RefineState) -> Literal["checks", "__end__"]:
    """Check a proposal; a model that gave none ends the sample."""
    return "__end__" if state["fate"] else "checks"


def after_verdict(state: RefineState) -> Literal["rewrite", "critique", "proof", "__end__"]:
    """Go on to the next gate, back to the rewriter, or end.

    A gate that refuses leaves `feedback`; the last attempt also sets `fate`.
    """
    if state["fate"]:
        return "__end__"
    if state["feedback"]:
        return "rewrite"
    return "proof" if state["row"].get("critique") else "critique"
