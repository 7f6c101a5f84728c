"""Review: a person's word on every proposal that passed the gates, before it is merged.

The node waits by LangGraph's `interrupt`; the words are in the run's database (`deciding.py` takes
them), so the node may run as often as it likes and asks nothing twice.
"""

from dataclasses import replace
from typing import Any

from langgraph.types import interrupt

from ..core.records import Message, Sample, message_from, sample_id
from ..stores.ledger import Outcome
from ..stores.reviews import Tally, Word, review_fact
from .deps import Deps
from .state import LoopState

KEPT = "a person kept the original"


def review_round(deps: Deps, state: LoopState) -> tuple[dict[str, Any], str]:
    """Pause until every proposal is decided; with nothing to decide, go straight on."""
    number = state["round"]
    while (tally := deps.reviews.tally(number)).undecided:
        deps.facts.put(review_fact(number), tally.as_dict(open=True))
        # Returns where a client resumes the graph with a value of its own: what counts is the word.
        interrupt({"round": number, "undecided": tally.undecided, "run": deps.folder.name})
    deps.facts.put(review_fact(number), tally.as_dict(open=False))
    return {}, summary(tally)


def close_unasked(deps: Deps, state: LoopState) -> None:
    """Go on without waiting; words that were said before count, and the record says what didn't."""
    number = state["round"]
    if deps.facts.get(review_fact(number)) is not None:
        deps.facts.put(review_fact(number), deps.reviews.tally(number).as_dict(open=False))


def summary(tally: Tally) -> str:
    """Return a tally in words."""
    if not tally.asked:
        return "no proposal to review"
    return (
        f"{tally.accepted} accepted, {tally.rejected} rejected, {tally.edited} edited by a person"
    )


def decided(outcome: Outcome, word: Word | None) -> Outcome:
    """Return what the last word makes of an outcome; without one it stays as it is.

    An edited text stands on the person's word: critique and proof were of another one, so its row
    has none.
    """
    if word is None or outcome.fate != "accepted" or word.decision == "accept":
        return outcome
    *earlier, row = outcome.proposals
    if word.decision == "reject":
        reason = f"review: {word.reason or KEPT}"
        refused = {**row, "verdict": "rejected", "reason": reason}
        return replace(outcome, fate="rejected", reason=reason, proposals=[*earlier, refused])
    messages = exchanged(row["messages"], word.prompt or "", word.answer or "")
    reason = f"review: edited by {word.reviewer}" + (f": {word.reason}" if word.reason else "")
    edited = {
        **{name: value for name, value in row.items() if name != "excused"},
        "id": sample_id(messages),
        "messages": [message.as_dict() for message in messages],
        "checks": word.checks,
        "critique": None,
        "proof": None,
        "reason": reason,
    }
    return replace(outcome, reason=reason, proposals=[*earlier, edited])


def exchanged(plain: list[dict[str, Any]], prompt: str, answer: str) -> tuple[Message, ...]:
    """Return a proposal's messages with another last exchange."""
    messages = tuple(message_from(message) for message in plain)
    return Sample("", messages, "").with_exchange(prompt, answer)
