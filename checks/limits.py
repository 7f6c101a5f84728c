"""Numbers that bound an answer: "at least 300 words", "in 3 sentences", "the letter q twice"."""

import re

from .hints import has_any
from .numerals import SPELLED

Bounds = tuple[float | None, float | None]
"""Lowest and highest count allowed, None where a side is open."""

ABOUT = 0.25
"""A bare or approximate number of words allows this share more or less."""

_COUNTS = SPELLED | {"once": 1, "twice": 2, "thrice": 3, "single": 1, "a single": 1, "hundred": 100}
COUNT = rf"(?:\d[\d,]*|(?:{'|'.join(_COUNTS)})\b)"

# More of these words than one may stand before the number; the last that matches is the longest.
_BEFORE: tuple[tuple[str, str], ...] = (
    (r"(?:no|not|never) (?:be )?(?:less|fewer|shorter) than", "low"),
    (r"at least|at minimum|(?:a )?min(?:imum)?\.?(?: of)?|≥|>=", "low"),
    (r"(?:no|not|n't|never) (?:be |to |have |use |go )*(?:more|longer|over|greater)(?: than)?",
     "high"),
    (r"(?:not|n't|never|cannot|without) (?:to )?exceed(?:ing)?", "high"),
    (r"at most|up to|(?:a )?max(?:imum)?\.?(?: of)?|within|limit(?:ed)? (?:\w+ ){0,4}to|≤|<=",
     "high"),
    (r"(?:more|longer|greater) than|over|above|exceed(?:s|ing)?", "above"),
    (r"(?:less|fewer|shorter) than|under|below", "below"),
    (r"exactly|precisely|only|just|(?:a )?total of", "exact"),
    (r"about|around|approximately|approx\.?|roughly|nearly|~|circa", "about"),
)  # fmt: skip
_AFTER: tuple[tuple[str, str], ...] = (
    (r"\+|or (?:more|longer|above)|(?:at )?(?:minimum|min\b)|at (?:the )?least|plus\b", "low"),
    (r"or (?:less|fewer|under|below|shorter)|(?:at )?max(?:imum)?\b|at most|tops\b", "high"),
)


def _either(table: tuple[tuple[str, str], ...]) -> str:
    # One space in a table stands for any white space; a verbose pattern would ignore it.
    return "|".join(f"(?:{pattern})" for pattern, _ in table).replace(" ", r"\s+")


_UNITS = {
    "words": r"words?", "sentences": r"sentences?", "paragraphs": r"paragraphs?",
    "bullets": r"bullet(?:[- ]?points?|ed (?:points?|items?)|s)?", "characters": r"characters?",
    "lines": r"lines?", "stanzas": r"stanzas?|verses?", "sections": r"sections?|parts",
    "pages": r"pages?", "syllables": r"syllables?", "items": r"items?|points?",
}  # fmt: skip
_UNIT = "|".join(f"(?P<{name}>{pattern})" for name, pattern in _UNITS.items())
_LIMIT = re.compile(
    rf"""
    (?P<before>{_either(_BEFORE)})?\s*
    (?:(?P<between>between|from)\s+)?
    (?P<lead>\b(?:in|using|with|of|into|be|use|have|contain)\s+)?
    (?<![\w.$])(?P<count>{COUNT})
    (?:\s*(?:-|–|to|and|or)\s*(?P<upper>{COUNT}))?
    \s*(?P<middle>{_either(_AFTER)})?
    [\s-]*(?:(?:short|brief|full|long|complete|distinct|different|concise|simple|clear|main|key
        |english|markdown|separate|numbered|the|html|text)\s+){{0,2}}
    (?:{_UNIT})\b
    (?P<noun>[\s-]+(?:long\b|(?!or\b|and\b|in\b|at\b|to\b|for\b|that\b|which\b|with\b)[a-z]+))?
    (?P<after>\s*(?:in\ length\ )?(?:{_either(_AFTER)}))?
    """,
    re.VERBOSE | re.IGNORECASE,
)
_COUNTED = re.compile(
    rf"(?P<before>{_either(_BEFORE)})?\s*(?<![\w.$])(?P<count>{COUNT})"
    rf"(?:\s*(?:-|–|to|and|or)\s*(?P<upper>{COUNT}))?"
    rf"(?P<middle>\s*(?:{_either(_AFTER)}))?(?P<after>(?:\s+\w+)?\s*(?:{_either(_AFTER)}))?",
    re.IGNORECASE,
)
_HINTS = (
    *("word", "sentence", "paragraph", "bullet", "character", "line", "stanza", "verse", "section"),
    *("part", "page", "syllable", "item", "point"),
)
_LONG_UNITS = ("words", "characters", "lines", "pages")
_RATE = re.compile(r"\s*(?:/|per\b|an?\b|each\b|that\b|which\b|rhym)", re.IGNORECASE)
_MATERIAL = re.compile(
    r"\b(?:the|these|those|following|first|last|next|above|given|each|this|every|of my|your|its|"
    r"their)\s+$",
    re.IGNORECASE,
)


def limits(clause: str) -> list[tuple[str, Bounds, str]]:
    """Return the length limits of a clause as (unit, bounds, phrase).

    A bare number counts where it says how long something is to be ("in 3 sentences", "a 200-word
    essay"), not where it points at material ("the 3 sentences", "two words that rhyme").
    """
    found: list[tuple[str, Bounds, str]] = []
    for match in _LIMIT.finditer(clause) if has_any(clause, _HINTS) else ():
        unit = next(name for name in _UNITS if match[name])
        relation = _relation(match)
        if relation == "bare" and not _binds(match, unit, clause):
            continue
        low = count_of(match["count"])
        high = count_of(match["upper"]) if match["upper"] else low
        found.append((unit, _bounds(relation, low, high, unit), match[0].strip()))
    return found


def count_bounds(text: str) -> Bounds:
    """Return the bounds of the first count in a text, such as `at least 3 times` or `twice`."""
    match = _COUNTED.search(text)
    if match is None:
        return None, None
    low = count_of(match["count"])
    high = count_of(match["upper"]) if match["upper"] else low
    return _bounds(_relation(match), low, high, "times")


def count_of(written: str) -> float:
    """Return the number that a count says, in digits or as a word."""
    plain = " ".join(written.casefold().replace(",", "").split())
    return float(_COUNTS[plain]) if plain in _COUNTS else float(plain)


def _relation(match: re.Match[str]) -> str:
    if match["upper"]:
        return "between"
    for place, table in (("before", _BEFORE), ("middle", _AFTER), ("after", _AFTER)):
        said = (match[place] or "").strip()
        for pattern, relation in table:
            if said and re.fullmatch(pattern.replace(" ", r"\s+"), said, re.IGNORECASE):
                return relation
        if said and table is _AFTER:
            return next(r for p, r in table if re.search(p.replace(" ", r"\s+"), said, re.I))
    return "bare"


def _bounds(relation: str, low: float, high: float, unit: str) -> Bounds:
    if relation == "bare":
        relation = "about" if unit in _LONG_UNITS else "exact"
    return {
        "between": (low, high),
        "low": (low, None),
        "above": (low + 1, None),
        "high": (None, low),
        "below": (None, low - 1),
        "exact": (low, low),
        "about": (low * (1 - ABOUT), low * (1 + ABOUT)),
    }[relation]


def _binds(match: re.Match[str], unit: str, clause: str) -> bool:
    if _MATERIAL.search(clause[: match.start("count")]):
        return False
    if unit == "items":
        return False
    if _RATE.match(clause, match.end(unit)):
        return False
    if unit not in _LONG_UNITS:
        return True
    singular = not match[unit].casefold().endswith("s") and match["noun"] is not None
    return singular or match["lead"] is not None
