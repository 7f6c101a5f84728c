"""Tell the trace store what the ledger knows and a kill took from it.

The ledger is durable before a result is used, traces follow a moment later, and a sample that has
its outcome is not worked on again. So a resumed run begins with the difference. The same makes
traces whole that were off for a part of the run.
"""

import time
from collections.abc import Iterator
from typing import Any

from ..agents.critic import Critique, decide
from ..core.trace import GateNode, Judged, Settled, TraceEvent
from ..stores.ledger import Ledger, Outcome
from ..stores.traces import TRACES_DB, TraceStore, open_traces
from .deps import Deps
from .tracing import call_of

AT_ONCE = 500


def retrace(deps: Deps) -> None:
    """Write what is in the ledger and not in the trace store of a run."""
    for taker in deps.takers:
        if isinstance(taker, TraceStore):
            for number, event in enumerate(_missing(deps), 1):
                taker(event)
                if number % AT_ONCE == 0:
                    taker.flush()
            taker.flush()


def _missing(deps: Deps) -> Iterator[TraceEvent]:
    calls: set[str] = set()
    settled: set[tuple[int, str]] = set()
    reader = open_traces(deps.folder / TRACES_DB)
    if reader is not None:
        calls = reader.call_keys()
        settled = {(event.round, event.sample_id) for event in reader.settled()}
        reader.close()
    for key in deps.ledger.unit_keys():
        unit = None if key in calls else deps.ledger.unit(key)
        if unit is not None:
            yield call_of(unit)
    for number in range(deps.facts.get("rounds_seen", 0)):
        fates = deps.ledger.fates(number)
        if any((number, sample_id) not in settled for sample_id in fates):
            for outcome in deps.ledger.outcomes(number):
                if (number, outcome.sample_id) not in settled:
                    yield from events_of(outcome, deps.ledger)


def events_of(outcome: Outcome, ledger: Ledger) -> Iterator[Judged | Settled]:
    """Yield the verdicts and the fate of an outcome.

    The ledger has no time of a verdict: it stands at the end of the sample's last call.
    """
    began, ended = ledger.worked(outcome.round, outcome.sample_id) or (time.time(),) * 2
    for row in outcome.proposals:
        said: list[tuple[GateNode, dict[str, Any]]] = [("checks", check) for check in row["checks"]]
        if row["critique"] is not None:
            said.append(("critique", _critic(row["critique"])))
        if row["proof"] is not None:
            said.append(("proof", row["proof"]))
        for node, verdict in said:
            yield Judged(
                *(outcome.round, outcome.sample_id, row["attempt"], row["id"], node),
                *(verdict["name"], verdict["passed"], verdict["numbers"], verdict["reason"], ended),
            )
    yield Settled(
        *(outcome.round, outcome.sample_id, str(outcome.axis), outcome.fate, outcome.reason),
        *(len(outcome.proposals), began, round(ended - began, 3)),
    )


def _critic(kept: dict[str, Any]) -> dict[str, Any]:
    """Return the critic's verdict, made again from its answer as the ledger keeps it."""
    answer = {name: value for name, value in kept.items() if name != "passed"}
    return decide(Critique.model_validate(answer)).as_dict()
