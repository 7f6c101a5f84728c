"""A run's figures in sentences, the same in the terminal and on the pages.

They may hold names from the run's files: whoever shows them cleans or escapes them.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from ..core.amounts import rests_on, several
from ..stores.reviews import Word
from .figures import count, duration, loss, signed_between

Document = Mapping[str, Any]


def data_line(document: Document) -> str | None:
    """Say where the imported rows went."""
    if document.get("imported") is None:
        return None
    rounds = document.get("rounds") or [{}]
    rows = (rounds[0].get("dataset") or {}).get("rows")
    form = f" ({document['format']})" if document.get("format") else ""
    return (
        f"{several(document['imported'], 'row')} imported{form}: {count(rows)} to train on, "
        f"{count(document.get('holdout'))} held out, "
        f"{count(document.get('quarantined'))} quarantined, "
        f"{count(document.get('not_selected'))} not selected"
    )


def tokens_line(document: Document) -> str | None:
    """Say what the agents' models used; what is unknown is called unknown."""
    tokens = document.get("tokens")
    if tokens is None:
        return None
    calls, replayed = tokens.get("calls") or 0, tokens.get("replayed") or 0
    text = (
        f"{count(tokens.get('prompt'))} read and {count(tokens.get('completion'))} written in "
        f"{several(calls - replayed, 'call')}"
    )
    if replayed:
        text += f"; {several(replayed, 'answer')} replayed from a recording"
    if tokens.get("unknown_calls"):
        text += f", and unknown for {several(tokens['unknown_calls'], 'more call')}"
    cost = document.get("cost_usd")
    if cost is None:
        return text + "; cost unknown"
    if cost == 0:
        return text + "; no cost, all models are local"
    return text + f"; {cost:.{2 if cost >= 0.1 else 4}f} USD"


def time_line(document: Document) -> str:
    """Say how long the run took and which steps took it, the longest first."""
    spent: dict[str, float] = {}
    for entry in document.get("rounds", []):
        for node, seconds in (entry.get("times") or {}).items():
            spent[node] = spent.get(node, 0.0) + seconds
    total = duration(document.get("seconds"))
    if not spent:
        return total
    order = sorted(spent.items(), key=lambda item: -item[1])
    return f"{total}: " + ", ".join(f"{node} {duration(s)}" for node, s in order)


def set_aside_line(rounds: Sequence[Mapping[str, Any]]) -> str | None:
    """Say how many hold-out rows the gate leaves out, with the last round's loss on all rows."""
    entry = next((r for r in reversed(rounds) if r.get("evaluation")), None)
    evaluation = (entry or {}).get("evaluation") or {}
    if entry is None or not evaluation.get("set_aside"):
        return None
    everything = evaluation.get("all_rows") or {}
    return (
        f"{several(evaluation['set_aside'], 'broken row')} of the hold-out set aside; with all "
        f"{several(everything.get('rows') or 0, 'row')} the loss of round {entry['round']} is "
        f"{loss(everything.get('loss'))}"
    )


def gate_line(entry: Document, margin: float | None) -> str | None:
    """Say what the gate decided of a round and on what grounds; None before it did.

    Args:
        entry: the round's, of `run.json`.
        margin: nats per token that a round may lose; None where it is not known.
    """
    gate = entry.get("gate")
    if gate is None:
        return None
    if gate == "baseline":
        return "the baseline that later rounds are held against"
    found = entry.get("difference")
    rows = (entry.get("evaluation") or {}).get("rows") or 0
    if not found:
        return f"{_GATES.get(gate, gate)} on {several(rows, 'held-out row')}"
    words = _tie(found, margin) if gate == "tie" else _GATES.get(gate, gate)
    interval = f"{found['mean']:+.4f} nats per token against round 0, 95% interval "
    basis = rests_on(rows, found.get("seeds", 1))
    return f"{words}: {interval}{signed_between(found)}, on {basis}"


def _tie(found: Document, margin: float | None) -> str:
    """Return the words for a tie: a round goes back where its whole interval is above the margin.

    A tie may thus be worse than round 0 beyond chance. It may be better than round 0, too: the gate
    asks for as much against the best round.
    """
    if found["low"] > 0:
        allowed = "the margin" if margin is None else f"the margin of {margin:g}"
        return f"a tie (worse, but not surely by more than {allowed})"
    if found["high"] < 0:
        return "a tie (better than round 0, not measurably better than the best round)"
    return _GATES["tie"]


def word_line(word: Word) -> str:
    """Say what a person decided on a proposal, with their own words."""
    at = datetime.fromtimestamp(word.at).strftime("%Y-%m-%d %H:%M")
    reason = f": {word.reason}" if word.reason else ""
    return f"{_WORDS[word.decision]} by {word.reviewer}, {at}{reason}"


_WORDS = {"accept": "accepted", "reject": "original kept", "edit": "edited"}
_GATES = {
    "better": "better than the rounds before",
    "tie": "a tie, not measurably better",
    "undecided": "undecided, too few rows to tell",
    "rolled_back": "rolled back, worse than allowed",
}
