"""What sentence embeddings say: same task, same answer, or something new.

Cosines are rounded to 4 decimals before they meet a bound, so that no decision hangs on the
order in which a processor adds numbers.
"""

import numpy as np

from ..core.records import Axis, Proposal, Verdict
from .context import CheckContext, Embed, prompt_unchanged
from .words import normalise

NEAR_DUPLICATE = 0.95
"""Cosine from which a new prompt counts as one that is there already."""


def cosines(embed: Embed, text: str, others: list[str]) -> list[float]:
    """Return the cosine of a text with each of the others, rounded to 4 decimals."""
    vectors = np.asarray(embed([text, *others]), dtype=np.float64)
    return [round(float(value), 4) for value in vectors[1:] @ vectors[0]]


def check_similarity(proposal: Proposal, context: CheckContext) -> Verdict:
    """Hold the proposed prompt inside the similarity band of the original one."""
    if prompt_unchanged(proposal):
        return Verdict("similarity", True, {"unchanged": True})
    low, high = context.similarity_band(proposal.axis)
    cosine = cosines(context.embed, proposal.parent.prompt, [proposal.prompt])[0]
    numbers = {"cosine": cosine, "low": low, "high": high}
    reason = ""
    if cosine < low:
        reason = "The prompt asks for something else. Keep its task."
    elif cosine > high:
        reason = "The prompt is hardly changed. Keep it word for word, or improve it."
    return Verdict("similarity", not reason, numbers, reason)


def check_answer_similarity(proposal: Proposal, context: CheckContext) -> Verdict:
    """Hold the answer near the original one where neither prompt nor quality is in question."""
    low, _ = context.similarity_band(proposal.axis)
    if not prompt_unchanged(proposal) or Axis.QUALITY in context.flagged:
        return Verdict("answer_similarity", True, {"applies": False, "low": low})
    cosine = cosines(context.embed, proposal.parent.answer, [proposal.answer])[0]
    passed = cosine >= low
    reason = "" if passed else "The answer says something else. Keep what it says."
    return Verdict("answer_similarity", passed, {"cosine": cosine, "low": low}, reason)


def check_novelty(proposal: Proposal, context: CheckContext) -> Verdict:
    """Refuse a new sample whose prompt is in the store, or nearly one of the prompts around it."""
    reason = "This prompt is there already. Ask for something new."
    if normalise(proposal.prompt) in context.known_prompts:
        return Verdict("novelty", False, {"known": True}, reason)
    around = [proposal.parent.prompt, *context.neighbours]
    nearest = max(cosines(context.embed, proposal.prompt, around))
    passed = nearest < NEAR_DUPLICATE
    numbers = {"cosine": nearest, "bound": NEAR_DUPLICATE, "prompts": len(around)}
    return Verdict("novelty", passed, numbers, "" if passed else reason)
