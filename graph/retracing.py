"""Tell the trace store what the ledger knows and a kill took from it.

The ledger is durable before a result is used, traces follow a moment later, and a sample that has
its outcome is not worked on again. So a resumed run begins with the difference. The same makes
traces whole that were off for a part of the run.
"""

import time
from collections.abc import Iterator
from typing import Any

from ..agents.critic import Critique, decide
from ..core.progress import Note
from ..core.trace import GateNode, Judged, Settled, TraceEvent
from ..stores.calls import call_of
from ..stores.ledger import Ledger, Outcome
from ..stores.trace_reader import known_in
from ..stores.trace_schema import TRACES_DB
from ..stores.traces import TraceStore
from .deps import Deps

AT_ONCE = 500


def retrace(deps: Deps) -> None:
    """Write what is in the ledger and not in the trace store of a run."""
    for taker in deps.takers:
        if isinstance(taker, TraceStore):
            known = known_in(deps.folder / TRACES_DB)
            if known is None:
                return  # the store tells what is wrong with its file when it writes
            untold: list[str] = []
            for number, event in enumerate(_missing(deps, *known, untold), 1):
                taker(event)
                if number % AT_ONCE == 0:
                    taker.flush()
            taker.flush()
            if untold:
                deps.report(Note(_left_out(untold)))


def _left_out(names: list[str]) -> str:
    return (
        f"verdicts of {len(names):,} samples are missing from the traces, the first {names[0]}: the"
        " ledger has them in another version's form; the run goes on"
    )


def _missing(
    deps: Deps, calls: set[str], settled: set[tuple[int, str]], untold: list[str]
) -> Iterator[TraceEvent]:
    for key in deps.ledger.unit_keys():
        unit = None if key in calls else deps.ledger.unit(key)
        if unit is not None:
            yield call_of(unit)
    for number in range(deps.facts.get("rounds_seen", 0)):
        fates = deps.ledger.fates(number)
        if any((number, sample_id) not in settled for sample_id in fates):
            for outcome in deps.ledger.outcomes(number):
                if (number, outcome.sample_id) in settled:
                    continue
                try:
                    yield from list(events_of(outcome, deps.ledger))
                except (AttributeError, KeyError, TypeError, ValueError):
                    untold.append(outcome.sample_id)


def events_of(outcome: Outcome, ledger: Ledger) -> Iterator[Judged | Settled]:
    """Yield the verdicts and the fate of an outcome.

    The ledger has no time of a verdict: it stands at the end of the sample's last call.
    """
    began, ended = ledger.worked(outcome.round, outcome.sample_id) or (time.time(),) * 2
    for row in outcome.proposals:
        again = row["checks"] if "excused" in row else []
        said: list[tuple[GateNode, dict[str, Any]]] = [
            ("checks", check) for check in row.get("excused", row["checks"])
        ]
        if row["critique"] is not None:
            said.append(("critique", _critic(row["critique"])))
        said += [("critique", check) for check in again]
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
