"""The form of a proposal: a change, written out, no echo, an answer about as long as before."""

import re

from ..core.records import Proposal, Verdict
from .context import CheckContext
from .words import contains_words, normalise, shortened, words

LONG_ANSWER = 20
"""The length ratio holds for original answers of more words than this."""

LONG_REMARK = 6
"""Words from which an example or remark counts as copied wherever it stands in a text."""

_STAND_IN = re.compile(
    r"(?:(?:your|the|new|rewritten)?\s*(?:answer|response|prompt|text)\s*(?:goes\s*)?(?:here)?"
    r"|n/?a|null|none|todo|tbd|string|empty)?",
    re.IGNORECASE,
)
_REFUSES = re.compile(
    r"\W*(?:(?:i(?:['’]m| am) (?:very |so |really )?(?:sorry|afraid)|sorry|unfortunately)\b.{0,20}?"
    r"\b(?:can(?:no|['’])t|unable|not able|don['’]t know|do not know|won['’]t|will not)\b"
    r"|i (?:cannot|can['’]t|am unable to|am not able to|won['’]t|will not)"
    r" (?:help|assist|answer|do|provide|fulfil|comply)"
    r"|i (?:do not|don['’]t) know\b)",
    re.IGNORECASE,
)
_REPEATS = re.compile(r"\b(?:repeat|copy|echo|verbatim|word for word|same text)\b", re.IGNORECASE)


def check_empty(proposal: Proposal) -> Verdict:
    """Refuse a prompt or an answer without a word, or with only a stand-in for one.

    An answer of signs alone, such as an emoji, passes where the original's has no word either.
    """
    empty = []
    for name, new, old in (
        ("prompt", proposal.prompt, proposal.parent.prompt),
        ("answer", proposal.answer, proposal.parent.answer),
    ):
        if _hollow(new) and (not new.strip() or not _hollow(old)):
            empty.append(name)
    reason = f"The {' and the '.join(empty)} must be written out." if empty else ""
    return Verdict("empty", not empty, {"empty": empty}, reason)


def _hollow(text: str) -> bool:
    """Return whether a text has no word, or only a stand-in for one."""
    first = next((place for place, sign in enumerate(text) if sign.isalnum()), len(text))
    after = next((place for place in range(len(text), first, -1) if text[place - 1].isalnum()), 0)
    return _STAND_IN.fullmatch(text[first:after]) is not None


def check_unchanged(proposal: Proposal) -> Verdict:
    """Refuse a replacement that differs from its parent by no more than case and white space."""
    parent = proposal.parent
    same = normalise(proposal.prompt) == normalise(parent.prompt) and normalise(
        proposal.answer
    ) == normalise(parent.answer)
    return Verdict(
        "unchanged",
        not same,
        {"same": same},
        "Nothing was changed. Improve the prompt or the answer." if same else "",
    )


def check_history(proposal: Proposal) -> Verdict:
    """Refuse a replacement that touches more than the last exchange.

    Where tool turns stand between prompt and answer, the prompt belongs to them and stays too.
    """
    parent = proposal.parent
    kept = proposal.messages == parent.with_exchange(proposal.prompt, proposal.answer)
    fixed = not parent.prompt_is_fixed or proposal.keeps_prompt
    reason = "" if kept and fixed else "Keep the conversation before the answer as it is."
    return Verdict("history", kept and fixed, {"turns": len(parent.history)}, reason)


def check_echo(proposal: Proposal) -> Verdict:
    """Refuse an answer that is, or begins with, its prompt, unless the prompt asks for that."""
    said = words(proposal.answer)
    asked = _REPEATS.search(proposal.prompt) is not None
    echoed = False
    for prompt in (words(proposal.prompt), words(proposal.parent.prompt)):
        whole = len(prompt) > 3 and said == prompt
        opening = len(prompt) >= 8 and said[: len(prompt)] == prompt
        before = words(proposal.parent.answer)[: len(prompt)] == prompt
        echoed = echoed or ((whole or opening) and not asked and not before)
    reason = "The answer repeats the prompt. Answer it instead." if echoed else ""
    return Verdict("echo", not echoed, {"echo": echoed}, reason)


def check_refusal(proposal: Proposal) -> Verdict:
    """Refuse an answer that opens with a refusal where the original's does not.

    A polite refusal is short, fluent and fits any prompt, so likelihoods alone let it pass. English
    only.
    """
    refuses = _REFUSES.match(proposal.answer) is not None
    before = _REFUSES.match(proposal.parent.answer) is not None
    passed = not refuses or (before and not proposal.adds)
    reason = "" if passed else "The answer refuses the task. Do what the prompt asks."
    return Verdict("refusal", passed, {"refusal": refuses}, reason)


def check_copied(proposal: Proposal, context: CheckContext) -> Verdict:
    """Refuse a proposal that hands back an example, a remark or a sentence of its instructions.

    A short instruction has to be the whole text, one of six words or more may stand anywhere in it.
    What the parent holds itself is no copy.
    """
    own = words(f"{proposal.parent.prompt} {proposal.parent.answer}")
    copied = []
    for text in (proposal.prompt, proposal.answer):
        said = words(text)
        for instruction in context.instructions:
            shown = words(instruction)
            same = said == shown or (len(shown) >= LONG_REMARK and contains_words(said, shown))
            if shown and same and not contains_words(own, shown):
                copied.append(shortened(instruction))
    reason = "The text is taken from the instructions. Write your own." if copied else ""
    return Verdict("copied", not copied, {"copied": copied}, reason)


def check_length(proposal: Proposal, context: CheckContext) -> Verdict:
    """Hold the new answer's length to the original's, where that has more than 20 words."""
    old, new = len(words(proposal.parent.answer)), len(words(proposal.answer))
    if old <= LONG_ANSWER:
        return Verdict("length", True, {"old": old, "new": new, "applies": False})
    low, high = context.length_band(proposal.axis)
    ratio = round(new / old, 4)
    numbers = {"old": old, "new": new, "ratio": ratio, "low": low, "high": high}
    if ratio < low:
        return Verdict("length", False, numbers, "The answer is much too short. Keep its content.")
    if ratio > high:
        return Verdict("length", False, numbers, "The answer is much too long. Be more brief.")
    return Verdict("length", True, numbers)
