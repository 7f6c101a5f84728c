"""Text around the text: what a rewriter says about its work, or leaves in it by accident."""

import re

from ..core.records import Proposal, Verdict
from .hints import Hinted
from .words import named, shortened

_MADE = r"(?:re-?written|re-?phrased|revised|improved|simplified|corrected|updated|polished|edited)"
_THING = r"(?:prompt|instruction|question|request|answer|response|output|version|sample|text)"
_OFFER = r"(?:here|below|i['’]d|i can|i will|i['’]ll|let me|let['’]s|the following)"

_PATTERNS: dict[str, tuple[str, ...]] = {
    "reasoning": (
        r"</?\s*(?:think|thinking|thought|reasoning|scratchpad|reflection|analysis)\s*>",
    ),
    "template": (
        r"<\|[^|\n<>]{1,40}\|>|<｜[^｜\n]{1,40}｜>",
        r"\[/?INST\]|<</?SYS>>|</?(?:start|end)_of_turn>|</s>\s*(?:$|<s>|\[)|\A\s*<s>(?!.*</s>)",
        r"\[/?(?:SYSTEM_PROMPT|AVAILABLE_TOOLS|TOOL_CALLS|TOOL_RESULTS)\]"
        r"|</?(?:tool_call|tool_response|function_calls?)>|<(?:bos|eos|pad|unk)>",
        r"(?m:^[ \t]*#{2,4}[ \t]*(?:instruction|input|response)[ \t]*(?::[ \t]*)?$)",
        r"(?m:^[ \t]*(?:assistant|human|user)[ \t]*:\s)",
    ),
    "opener": (
        r"\A\W*(?:sure|certainly|of course|absolutely|okay|ok|great|got it)\b[^\n]{0,30}?[!,.:]"
        rf"\s*{_OFFER}\b",
        r"\A\W*(?:here(?:['’]s| is| are)|below (?:is|are))\b[^\n.]{0,40}\b" + _MADE + r"\b",
        r"\A\W*(?:here(?:['’]s| is)|below is)\s+(?:the|a|an|your|my)\s+"
        r"(?:(?:new|better|possible)\s*)?(?:answer|response|prompt|instruction|version)\b",
    ),
    "label": (
        rf"(?m:^[^\w\n]*(?:{_MADE}|new|final|original)\s+{_THING}\s*\W{{0,3}}:)",
        r"\A\W*(?:prompt|instruction|response)\s*\W{0,2}:",
    ),
    "rewriting": (
        rf"\b(?:i|i['’]ve|we)\s+(?:have\s+)?(?:{_MADE}|rewrote|changed|kept)\s+(?:the|your)\b"
        rf"[^\n.]{{0,30}}\b{_THING}",
        rf"\bthe\s+(?:original|{_MADE}|proposed)\s+(?:prompt|instruction|answer|response|sample)\b",
        r"\bthis\s+(?:rewrite|revision|rewritten|revised)\b",
    ),
    "assistant": (
        r"\bas an? (?:ai|artificial intelligence)\b|\bas a (?:large )?language model\b",
        r"\bi(?:['’]m| am) (?:just |only )?an ai\b",
    ),
    "verdict": (r"[\"']verdict[\"']\s*:\s*[\"'](?:accept|revise|reject)[\"']",),
    # Sample text reaches an agent between 16 hex digits of its own hash (core.ids.fence_of).
    "fence": (r"(?<![0-9a-z])(?=[0-9]*[a-f])(?=[a-f]*[0-9])[0-9a-f]{16}(?![0-9a-z])",),
}
_HINTS: dict[str, tuple[str, ...]] = {
    "reasoning": ("<",),
    "template": ("<", "[", "##", "assistant", "human", "user"),
    "opener": (
        "sure", "certainly", "of course", "absolutely", "ok", "great", "got it", "here", "below",
    ),
    "label": (":",),
    "rewriting": (
        "writ", "phrased", "revis", "improved", "simplified", "corrected", "updated", "polished",
        "edited", "rewrote", "changed", "kept", "original", "proposed",
    ),
    "assistant": (" ai", "artificial", "language model"),
    "verdict": ("verdict",),
    "fence": tuple("0123456789"),
}  # fmt: skip
_WRAPPERS = {
    name: Hinted(re.compile("|".join(patterns), re.IGNORECASE), _HINTS[name])
    for name, patterns in _PATTERNS.items()
}
_REPLY_FORM = re.compile(r"\s*\{\s*\"(?:answer|prompt)\"\s*:\s*\"")
_FENCE_LINE = re.compile(r"(?m)^[ \t]*(?:```|~~~)")
_ASKS_FOR_CODE = re.compile(
    r"```|\b(?:code|script|function|program\w*|class|json|html|css|sql|ya?ml|xml|csv|markdown|latex"
    r"|python|java\w*|typescript|c\+\+|c#|rust|golang|bash|shell|command|query|regex|algorithm"
    r"|regular expression|implement|fence\w*|ticks|backticks|diagram|ascii|config\w*)\b",
    re.IGNORECASE,
)


def check_wrapper(proposal: Proposal) -> Verdict:
    """Refuse text around the text: talk about rewriting, reasoning tags, template tokens, fences.

    What already stands in the original sample, or for the answer in the proposed prompt, is no
    wrapper: the check looks for what the rewriter put around its work.
    """
    parent = proposal.parent
    known = "\n".join(message.content for message in parent.messages).casefold()
    found: dict[str, str] = {}
    for text, excused in (
        (proposal.prompt, known),
        (proposal.answer, f"{known}\n{proposal.prompt.casefold()}"),
    ):
        for name, pattern in _WRAPPERS.items():
            around = dict.fromkeys(match[0].strip() for match in pattern.findall(text))
            foreign = next((part for part in around if part.casefold() not in excused), None)
            if foreign is not None:
                found.setdefault(name, foreign)
    if _wrapped_in_code(proposal):
        found["code fence"] = "```"
    if _in_reply_form(proposal):
        found["reply form"] = "JSON"
    reason = f"Give the text alone, without {named(list(found.values()))}." if found else ""
    numbers = {name: shortened(text) for name, text in found.items()}
    return Verdict("wrapper", not found, numbers, reason)


def _wrapped_in_code(proposal: Proposal) -> bool:
    """Return whether prompt or answer is one fenced block that nothing asks for."""
    parent = proposal.parent
    if _fenced(proposal.prompt) and not _fenced(parent.prompt):
        return True
    if not _fenced(proposal.answer) or _fenced(parent.answer):
        return False
    return _ASKS_FOR_CODE.search(proposal.prompt) is None


def _in_reply_form(proposal: Proposal) -> bool:
    """Return whether a text begins with the JSON object that agents answer in, unasked for."""
    parent = proposal.parent
    if "json" in f"{parent.prompt}\n{proposal.prompt}".casefold():
        return False
    return any(
        _REPLY_FORM.match(new) is not None and _REPLY_FORM.match(old) is None
        for new, old in ((proposal.prompt, parent.prompt), (proposal.answer, parent.answer))
    )


def _fenced(text: str) -> bool:
    """Return whether one fenced block is all there is."""
    whole = text.strip()
    ends = [whole.startswith(mark) and whole.endswith(f"\n{mark}") for mark in ("```", "~~~")]
    return any(ends) and len(_FENCE_LINE.findall(whole)) == 2
