"""Words and letters that a prompt asks for, forbids or counts."""

import re

from .hints import has_any
from .limits import COUNT, Bounds, count_bounds
from .literals import MASK

_SIGN = "[\ue000-\uf8ff]"
_SIGNED = re.compile(_SIGN)
_NOUN = r"\b(?:key\s?words?|words?|phrases?|terms?|items(?=:))\b"
_VERB = (
    r"(?:use|using|used|include|including|included|contain|containing|mention|mentioning|"
    r"say|saying|write|writing|add|have|has|be)"
)
_BAN = re.compile(
    rf"(?:\bno|\bnot|n't|\bnever|\bcannot|\bnot allowed to)\s+(?:\w+\s+){{0,2}}?{_VERB}\b"
    r"|\bavoid\w*|\bwithout\b|\brefrain\w*|\bexclude|\bomit\b",
    re.IGNORECASE,
)
_BANNED_AFTER = re.compile(r"\]?\s*(?:\w+\s+)?(?:not\b|\w*n't|cannot)", re.IGNORECASE)
_ASK = re.compile(
    r"\b(?:include|includes|including|use|uses|using|contain|contains|mention|mentions|incorporate|"
    r"insert|have|has|with|see)\s+(?:\w+\s+){0,4}$",
    re.IGNORECASE,
)
_EXPECTED = re.compile(r"[^.;]{0,40}\b(?:appear|used|at least|at most)", re.IGNORECASE)
_QUESTION = re.compile(r"^\W*(?:what|who|how|which|when|where|why)\b", re.IGNORECASE)
_NO_KEYWORD = (
    "that|which|in|for|to|with|of|the|a|an|is|are|be|should|must|can|cannot|could|will|would|and|"
    "or|from|on|at|not|used|using|you|your|it|this|these|those|as|limit|limits|count|about|per|"
    "each|related|long|short|only|than|if|when|like|such|do|don't|more|less|fewer|problem|time|"
    "times|there|so|by|into|appear|appears|every|any|all"
)
_BARE = rf"(?:(?!(?:{_NO_KEYWORD})\b)[^\W\d_][\w'’-]*|{_SIGN})"
_AND = r"\s*(?:,\s*and|,\s*or|,|;|&|\band\b|\bor\b)\s*"
_LIST = re.compile(
    rf"{_NOUN}(?:\s+(?:such as|like|of|below|following|in the response|in your \w+))?\s*[:,]?\s*\[?"
    rf"(?P<list>{_BARE}(?:{_AND}(?:the\s+word\s+)?{_BARE})*)",
    re.IGNORECASE,
)
_AFTER_VERB = re.compile(
    r"\b(?:use|using|include|including|say|saying|mention|mentioning|contain|containing|write|the|"
    rf"of|in|line|keywords|words)\s*:?\s+(?P<list>{_SIGN}(?:{_AND}{_SIGN})*)",
    re.IGNORECASE,
)
_LETTER = re.compile(
    rf"\bletters?\s+(?P<letter>[^\W\d_]\b|{_SIGN})|(?P<sign>{_SIGN})\s+(?:as a letter|letter)",
    re.IGNORECASE,
)
# Where the clause turns to another demand, a ban or a count no longer concerns the words before.
_TURN = re.compile(r"[,;]?\s+but\b|;|,?\s+and\s+(?:should|must|do|does|make)\b", re.IGNORECASE)
_NEXT = re.compile(rf"{_NOUN}|\bletters?\b", re.IGNORECASE)
_TIMES = re.compile(
    rf"{COUNT}\s*(?:or\s+(?:more|less|fewer)\s*)?(?:times?\b|\bor\s+(?:more|less|fewer))|"
    r"\b(?:once|twice|thrice)\b",
    re.IGNORECASE,
)


def keywords(clause: str, quoted: list[str]) -> list[tuple[str, Bounds]]:
    """Return the keywords of a clause with how often they may stand in the answer.

    The clause has its quotations masked; `quoted` holds them. Forbidden words have bounds (0, 0).
    """
    named = has_any(clause, ("word", "phrase", "term", "items")) or _SIGNED.search(clause)
    if not named or _QUESTION.search(clause):
        return []
    matches = [*_LIST.finditer(clause), *_AFTER_VERB.finditer(clause)]
    found: dict[str, Bounds] = {}
    for match in sorted(matches, key=lambda found: found.start("list")):
        start = match.start("list") if match.re is _AFTER_VERB else match.start()
        before = _TURN.split(clause[:start])[-1][-90:]
        after = _TURN.split(_NEXT.split(clause[match.end("list") :])[0])[0]
        banned = _BAN.search(before) or _BANNED_AFTER.match(after)
        if not (banned or _ASK.search(before) or _EXPECTED.match(after)):
            continue
        announced = re.search(r"(?i)(?:include|including|mention|mentioning)\s*:?\s+$", before)
        if match.re is _AFTER_VERB and not (banned or announced or _TIMES.search(after)):
            continue
        bounds: Bounds = (0, 0) if banned else (1, None)
        times = _TIMES.search(after)
        if times:
            bounds = _allowed(count_bounds(after[max(0, times.start() - 24) :]), bool(banned))
        for item in _items(match["list"], quoted):
            found.setdefault(item, bounds)
    return list(found.items())


def letters(clause: str, quoted: list[str]) -> list[tuple[str, Bounds]]:
    """Return single letters that a clause counts, with their bounds."""
    found = []
    for match in _LETTER.finditer(clause) if has_any(clause, ("letter",)) else ():
        written = match["letter"] or match["sign"]
        letter = _unquoted(written, quoted).casefold()
        if len(letter) != 1:
            continue
        after = clause[match.end() :]
        times = re.search(rf"{COUNT}", after, re.IGNORECASE)
        before = re.split(r"(?i)\band\b|\bbut\b|;", clause[: match.start()])[-1]
        banned = _BAN.search(before) is not None
        bounds = _allowed(count_bounds(after if times else before), banned)
        if bounds == (None, None):
            bounds = (0, 0) if banned else (1, None)
        found.append((letter, bounds))
    return found


def _allowed(bounds: Bounds, banned: bool) -> Bounds:
    # "not more than twice" arrives as a ban on "three and up".
    low, high = bounds
    return (None, low - 1) if banned and low is not None and high is None else bounds


def _items(listed: str, quoted: list[str]) -> list[str]:
    items = []
    for part in re.split(r"\s*(?:,|;|&|\band\b|\bor\b)\s*", listed, flags=re.IGNORECASE):
        bare = re.sub(r"(?i)^the\s+word\s+", "", part.strip())
        if not bare:
            continue
        items.append(_unquoted(bare, quoted).casefold())
    return [item for item in items if any(sign.isalnum() for sign in item)]


def _unquoted(written: str, quoted: list[str]) -> str:
    return quoted[ord(written) - MASK] if "\ue000" <= written[:1] <= "\uf8ff" else written
