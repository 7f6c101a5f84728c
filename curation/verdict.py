"""What the hold-out says of a run, in one sentence, and no more than it says."""

from collections.abc import Mapping, Sequence
from typing import Any

from ..core.amounts import rests_on, several

Round = Mapping[str, Any]


def verdict(rounds: Sequence[Round], best: int | None) -> str:
    """Return the sentence, from the rounds of `run.json` and the best round so far."""
    evaluated = [entry for entry in rounds if entry.get("evaluation")]
    if not evaluated:
        return "no round was evaluated"
    if len(evaluated) == 1:
        return "only round 0 was trained: there is nothing to compare it with"
    if best is None:
        latest = evaluated[-1]
        return f"undecided so far; round {latest['round']}: {_compared(latest)}"
    chosen = next((entry for entry in evaluated[1:] if entry["round"] == best), None)
    if chosen is not None:
        return f"best round {best}: {_compared(chosen)}"
    others = "; ".join(f"round {entry['round']}: {_compared(entry)}" for entry in evaluated[1:])
    return f"best round 0: no refinement lowered the hold-out loss ({others})"


def _compared(entry: Round) -> str:
    """Compare a round with round 0 by the interval of their paired difference."""
    count = (entry.get("evaluation") or {}).get("rows") or 0
    found = entry.get("difference")
    if not found:
        return f"not compared with round 0 on {several(count, 'held-out row')}"
    if not found["mean"] and not found["low"] and not found["high"]:
        return "the model is that of round 0, the data did not change"
    rows = rests_on(count, found.get("seeds", 1))
    interval = f"95% interval {found['low']:+.4f} to {found['high']:+.4f}"
    back = ", rolled back" if entry.get("gate") == "rolled_back" else ""
    if entry.get("gate") == "undecided":
        text = f"undecided, {rows} can't tell it from round 0 ({found['mean']:+.4f}, {interval})"
    elif found["high"] < 0:
        text = f"better than round 0 by {-found['mean']:.4f} nats per token on {rows} ({interval})"
    elif found["low"] > 0:
        text = f"worse than round 0 by {found['mean']:.4f} nats per token on {rows} ({interval})"
        text += ", as gate.margin allows" if entry.get("gate") == "tie" else ""
    else:
        text = f"no measurable difference from round 0 on {rows} ({found['mean']:+.4f}, {interval})"
    return text + back
