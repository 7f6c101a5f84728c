"""When a run ends: reasons in the order in which they are looked for."""

from collections.abc import Sequence
from typing import Literal

from .gate import Gate


def should_stop(
    *,
    rounds: int,
    gates: Sequence[Gate],
    patience: int,
    on_worse: Literal["stop", "continue"],
    flagged: int | None = None,
) -> str | None:
    """Return why the run ends after the last of `gates`, or None if it goes on.

    Args:
        rounds: refinements at most.
        gates: of round 0 (`baseline`) and every round since.
        patience: rounds in a row without `better` that end the run.
        on_worse: what a rollback means.
        flagged: samples that this round's diagnosis sends to refinement; None before it.
    """
    done = len(gates) - 1
    if gates[-1] == "rolled_back" and on_worse == "stop":
        return "the last round was worse on the hold-out and was rolled back"
    if done >= rounds:
        return "all configured rounds are done"
    since = next((i for i, gate in enumerate(reversed(gates[1:])) if gate == "better"), done)
    if since >= patience:
        return "no round within gate.patience was better on the hold-out"
    if flagged == 0:
        return "the diagnosis flagged no sample"
    return None
