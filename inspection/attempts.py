"""The proposals made for one sample in one round, with all that was asked and said of them."""

from collections.abc import Mapping, Sequence
from typing import Any

from ..core.records import Message, message_from
from ..core.trace import Call, Judged
from ..stores.calls import call_of
from ..stores.ledger import Outcome
from .life import Attempt, Gate
from .record import Record


def calls_of(record: Record, number: int, sample_id: str) -> list[Call]:
    """Return the LLM calls for a sample in a round: as traced, else as the ledger has them.

    A call whose answer an earlier round already had was not made again and is in neither.
    """
    traces = record.traces
    traced = [] if traces is None else traces.calls(round=number, sample_id=sample_id)
    known = {call.key for call in traced}
    units = record.outcomes.units_of(number, sample_id)
    kept = [call_of(unit) for unit in units if unit.key not in known]
    return sorted([*traced, *kept], key=lambda call: (call.began, call.key))


def verdicts_of(record: Record, number: int, sample_id: str) -> list[Judged]:
    """Return what gates said of a sample's proposals, where traces were kept."""
    traces = record.traces
    return [] if traces is None else traces.judged(round=number, sample_id=sample_id)


def attempts_of(
    outcome: Outcome | None,
    calls: Sequence[Call],
    judged: Sequence[Judged],
    *,
    merged: tuple[str | None, str],
) -> tuple[Attempt, ...]:
    """Return the attempts in their order.

    Args:
        outcome: from the ledger; None while the sample is under way.
        calls: for the sample in this round.
        judged: from the traces; what counts while there is no outcome.
        merged: fate and reason after the merge, which may refuse what passed.
    """
    rows = {} if outcome is None else {number_of(row): row for row in outcome.proposals}
    numbers = {*rows, *(call.attempt for call in calls if call.attempt > 0)}
    if outcome is None:
        numbers |= {one.attempt for one in judged}
    elif outcome.fate == "failed" and outcome.reason.startswith("rewriter"):
        numbers.add(max(rows, default=0) + 1)  # no proposal came of the last attempt
    found = []
    for number in sorted(numbers):
        own = tuple(call for call in calls if call.attempt == number)
        if number in rows:
            found.append(_settled(rows[number], own))
        elif outcome is None:
            found.append(_under_way(number, [one for one in judged if one.attempt == number], own))
        else:
            found.append(Attempt(number, "", (), False, (), "failed", outcome.reason, own))
    fate, reason = merged
    if found and fate in ("rejected", "deferred") and found[-1].verdict == "accepted":
        last = found[-1]
        found[-1] = Attempt(
            *(last.number, last.proposal_id, last.messages, last.adds, last.gates),
            *(fate, reason, last.calls),
        )
    return tuple(found)


def _settled(row: Mapping[str, Any], calls: tuple[Call, ...]) -> Attempt:
    gates = [_gate("checks", verdict) for verdict in row["checks"]]
    if row["critique"] is not None:
        gates.append(_critique(row["critique"], row["reason"]))
    if row["proof"] is not None:
        gates.append(_gate("proof", row["proof"]))
    return Attempt(
        number=number_of(row),
        proposal_id=text_of(row["id"]),
        messages=messages_of(row),
        adds=bool(row.get("adds")),
        gates=tuple(gates),
        verdict=text_of(row["verdict"]),
        reason=text_of(row["reason"]),
        calls=calls,
    )


def _under_way(number: int, judged: Sequence[Judged], calls: tuple[Call, ...]) -> Attempt:
    gates = tuple(Gate(one.node, one.gate, one.passed, one.numbers, one.reason) for one in judged)
    proposal = judged[-1].proposal_id if judged else ""
    return Attempt(number, proposal, (), False, gates, "", "", calls)


def _gate(node: Any, verdict: Mapping[str, Any]) -> Gate:
    numbers = verdict["numbers"]
    if not isinstance(numbers, dict):
        raise TypeError(f"the numbers of a verdict are a {type(numbers).__name__}")
    name, reason = text_of(verdict["name"]), text_of(verdict["reason"])
    return Gate(node, name, bool(verdict["passed"]), numbers, reason)


def _critique(critique: Mapping[str, Any], refused: str) -> Gate:
    """Return the critic's word; where it refused, the attempt's reason holds it in short."""
    for name in ("problems", "dropped"):
        for said in critique.get(name) or ():
            text_of(said)
    numbers = {name: critique.get(name) for name in ("verdict", "problems", "dropped")}
    passed = bool(critique["passed"])
    words = "" if passed else refused.removeprefix("critic: ")
    words = words or text_of(critique.get("feedback") or "")
    return Gate("critique", "critic", passed, numbers, words)


def number_of(row: Mapping[str, Any]) -> int:
    """Return the number of a proposal's attempt.

    Raises:
        TypeError, KeyError: the row is not what was written; as `messages_of`.
    """
    number = row["attempt"]
    if not isinstance(number, int) or isinstance(number, bool):
        raise TypeError(f"the number of an attempt is a {type(number).__name__}")
    return number


def messages_of(row: Mapping[str, Any]) -> tuple[Message, ...]:
    """Return the proposed conversation."""
    found = tuple(message_from(plain) for plain in row["messages"])
    for message in found:
        text_of(message.role)
        text_of(message.content)
    return found


def text_of(value: object) -> str:
    """Return a text of a row as it is.

    Raises:
        TypeError: it is none.
    """
    if not isinstance(value, str):
        raise TypeError(f"a {type(value).__name__} stands where a text was written")
    return value
