"""Where a run stands in its state machine: what each node has taken, which one is at work.

The names and their order are those of `graph/build.py`; a test compares them. Times come from
`run.json`, which survives a kill; what is going on right now from the traces, where they are kept.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from ..core.trace import NodeBegan, NodeEnded

Stage = Literal["ahead", "earlier", "done", "current", "waiting", "stopped", "failed"]
"""What a node is to the round at hand: `earlier` ran in a round before, `waiting` for a person."""

NODES = (
    *("prepare", "train", "evaluate", "gate", "diagnose", "refine", "review", "merge"),
    "finalize",
)


@dataclass(frozen=True, slots=True)
class Step:
    """One node of the machine.

    Attributes:
        node: its name.
        stage: what it is to the round at hand.
        seconds: time in all rounds so far, what is going on included.
        by_round: seconds of its finished runs, by round.
    """

    node: str
    stage: Stage
    seconds: float
    by_round: Mapping[int, float]


@dataclass(frozen=True, slots=True)
class Standing:
    """The machine of a run.

    Attributes:
        steps: one per node, in the order of the loop; `review` only where it is asked for.
        round: the round at hand; None before the first.
        current: the node at work, or the one where the run stands still; None after the end.
        since: seconds since it began; None where that is not known.
        reason: what ended the last node, where it failed or was stopped; empty otherwise.
    """

    steps: tuple[Step, ...]
    round: int | None
    current: str | None
    since: float | None
    reason: str


def standing(
    document: Mapping[str, Any],
    events: Sequence[NodeBegan | NodeEnded],
    *,
    reviews: bool,
    now: float | None = None,
) -> Standing:
    """Return where a run stands.

    Args:
        document: `run.json`.
        events: one per run of a node, oldest first; empty without traces.
        reviews: whether the run pauses for a person before it merges.
        now: seconds since the epoch, the clock's if None.
    """
    status = document.get("status")
    times = _times(document)
    # Without a review the node passes straight on: to show it would promise one.
    reviews = reviews or status == "paused" or any(spent.get("review") for spent in times.values())
    nodes = tuple(node for node in NODES if node != "review" or reviews)
    round_, current, since, reason = None, None, None, ""
    if status == "finished":
        round_ = max(times, default=None)
    else:
        round_, current = _next(document, times, nodes)
        last = events[-1] if events else None
        if last is not None:
            round_, current, reason = _told(last, nodes, round_, current)
            if isinstance(last, NodeBegan) and status == "running":
                since = max((time.time() if now is None else now) - last.at, 0.0)
    if status == "paused":
        current = "review"
    steps = tuple(
        Step(
            node,
            _stage(node, nodes, status, current, times, round_),
            sum(spent.get(node, 0.0) for spent in times.values())
            + ((since or 0.0) if node == current else 0.0),
            {k: spent[node] for k, spent in times.items() if node in spent},
        )
        for node in nodes
    )
    return Standing(steps, round_, current, since, reason)


def _times(document: Mapping[str, Any]) -> dict[int, dict[str, float]]:
    return {entry["round"]: entry.get("times") or {} for entry in document.get("rounds") or []}


def _next(
    document: Mapping[str, Any], times: Mapping[int, Mapping[str, float]], nodes: Sequence[str]
) -> tuple[int | None, str]:
    """Return round and node that come after what has finished."""
    if not times:
        return None, "prepare"
    latest = max(times)
    done = [node for node in nodes if node in times[latest]]
    if not done:
        return latest, "train" if latest else "prepare"
    if done[-1] == "merge":
        return latest + 1, "train"
    if done[-1] == "gate" and document.get("stopped"):
        return latest, "finalize"
    return latest, nodes[min(nodes.index(done[-1]) + 1, len(nodes) - 1)]


def _told(
    last: NodeBegan | NodeEnded, nodes: Sequence[str], round_: int | None, node: str
) -> tuple[int | None, str, str]:
    """Return round, node and reason as the last event has them, unless `run.json` is past it."""
    if last.node not in nodes:
        return round_, node, ""
    if isinstance(last, NodeBegan):
        return last.round, last.node, ""
    if last.status == "done":
        return round_, node, ""
    return last.round, last.node, last.summary


def _stage(
    node: str,
    nodes: Sequence[str],
    status: object,
    current: str | None,
    times: Mapping[int, Mapping[str, float]],
    round_: int | None,
) -> Stage:
    if node == current:
        return _standing_still(status)
    ran = any(node in spent for spent in times.values())
    if current is None or node == "prepare":
        return "done" if ran else "ahead"
    in_round = node in times.get(-1 if round_ is None else round_, {})
    if in_round and nodes.index(node) < nodes.index(current):
        return "done"
    return "earlier" if ran else "ahead"


def _standing_still(status: object) -> Stage:
    if status == "running":
        return "current"
    if status == "paused":
        return "waiting"
    return "failed" if status == "failed" else "stopped"
