"""The constraints that a prompt names for its answer: format, length, keywords, language, case.

They are found by patterns over clauses, with quotations and code masked as material. What the
patterns don't know is left to the similarity and the critic.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Literal

from ..core.records import Proposal, Verdict
from .context import CheckContext, prompt_unchanged
from .hints import Hinted
from .keywords import keywords, letters
from .language import NAMED, NAMES, names_language
from .limits import COUNT, Bounds, count_bounds, limits
from .literals import MASK, masked, unmasked
from .words import named, words

Kind = Literal["format", "length", "keyword", "letter", "language", "case", "ending", "layout"]


@dataclass(frozen=True, slots=True)
class Constraint:
    """One demand on the answer. Two are the same if all but the phrase agree.

    Attributes:
        kind: what it is about.
        target: the format, unit, keyword, letter, language code or mark.
        bounds: how often or how long; (None, None) where there is no number to it.
        phrase: the clause that it was found in.
        strict: whether it surely speaks of the whole answer, so that an answer can be held to it.
    """

    kind: Kind
    target: str
    bounds: Bounds = (None, None)
    phrase: str = field(default="", compare=False)
    strict: bool = field(default=True, compare=False)

    @property
    def label(self) -> str:
        """The constraint in words, for reasons and records."""
        low, high = self.bounds
        if self.bounds == (0, 0):
            return f"no {self.kind} {self.target}"
        if low is not None and low == high:
            return f"{self.kind} {self.target}: exactly {low:g}"
        least = f" at least {low:g}" if low is not None else ""
        most = f" at most {high:g}" if high is not None else ""
        return f"{self.kind} {self.target}{':' if least or most else ''}{least}{most}"


_NOTATIONS = {
    "json": ("json", "json"), "html": ("html", "html"), "xml": ("xml", "xml"),
    "csv": ("csv", "csv"), "yaml": ("ya?ml", "ml"), "markdown": ("markdown", "markdown"),
    "latex": ("latex", "latex"),
}  # fmt: skip
_AS = r"\b(?:in|as|into|to|using|use|with|a|an|be|valid|of|output|return)\s+(?:an?\s+|the\s+)?"
_SHAPES: tuple[tuple[Kind, str, str, tuple[str, ...]], ...] = tuple(
    (
        "format",
        target,
        rf"{_AS}(?:\w+\s+)?(?:{name})\b(?!\s+(?:file|data|string)\b)"
        rf"|\b(?:{name})[\s-]+(?:format|form|object|output|block|array|code|page|syntax|table|style)",
        (hint,),
    )
    for target, (name, hint) in _NOTATIONS.items()
) + (
    ("format", "table", r"\b(?:in|as|into|using|use)\s+(?:an?\s+)?(?:\w+\s+)?tables?\b"
     r"|\btables?[\s-]+(?:format|form|chart|of(?!\s+contents?)|with|showing|listing|comparing|that)\b"
     r"|\btabular\b|\b(?:create|make|give|build|draw|design)\s+(?:me\s+)?(?:an?\s+)?table\b",
     ("table", "tabular")),
    ("format", "list", r"\b(?:in|as|into)\s+(?:the\s+form\s+of\s+)?(?:an?\s+)?(?:\w+\s+)?list\b"
     r"|\blist[\s-]+(?:format|form)\b|\bbullet(?:ed)?[\s-]+(?:points?|form|format|list)\b|\bbullets\b"
     r"|\bbulleted\b|\b(?:numbered|ordered|unordered|itemi[sz]ed)[\s-]+list\b",
     ("list", "bullet")),
    ("format", "comma list", r"\bcomma[\s-]separated|\bseparated\s+by\s+commas", ("comma",)),
    ("format", "essay", r"\b(?:write|in|as|compose)\s+(?:\w+\s+){0,3}essay\b", ("essay",)),
    ("format", "poem", r"\b(?:write|in|as|of|like|compose|create)\s+(?:\w+\s+){0,4}"
     r"(?:poem|haiku|limerick|sonnet)\b|\bpoem[\s-]style",
     ("poem", "haiku", "limerick", "sonnet")),
    ("format", "email", r"\b(?:write|in|as|of|compose|draft)\s+(?:\w+\s+){0,3}e-?mail\b",
     ("mail",)),
    ("case", "lower", r"(?<!no )\blower[\s-]?cased?\b|\b(?:no|without|not|n't|avoid)\s+"
     r"(?:(?:us(?:e|ing)|contain)\s+)?(?:any\s+)?(?:capital|upper[\s-]?case)"
     r"|\bnot\s+a\s+single\s+letter\b.*\bcapitali[sz]ed"
     r"|\bsmall\s+letters\s+only", ("lower", "capital", "upper", "small")),
    ("case", "upper", r"\b(?:all|only|entirely|every|in|use|using)\b[^,;]{0,30}?"
     r"(?:\bcaps\b|\bcapitals\b|\bcapital(?:i[sz]ed)?\s+letters?|\bcapitali[sz]ed|\bupper[\s-]?case)"
     r"|\bcapitali[sz]e\s+(?:every|all|each)|\bno\s+lower[\s-]?case|\ball[\s-]caps\b",
     ("caps", "capital", "upper", "lower")),
    ("layout", "no commas", r"(?:\bno|\bnot|n't|\bwithout|\bavoid\w*|\brefrain\w*|\bnever|\bfree of"
     r"|\bexclude|\bzero|\babsence of|\bdevoid of)\b[^.;]{0,40}\bcommas?\b", ("comma",)),
    ("layout", "title in <<>>", r"<<[^<>\n]*>>|\bdouble\s+angular\s+brackets",
     ("<<", "angular")),
    ("layout", "placeholders", r"\bplaceholders?\b", ("placeholder",)),
    ("layout", "highlights", r"\bhighlight\w*\b(?=[^.;]*(?:\*|markdown|asterisk|italic|sections?\b|"
     r"phrases?\b|key\s?words?|text\b|parts?\b))|\bitalici[sz]e\w*"
     r"|\b(?:italic|bold)(?:ized)?\s+(?:text|section|phrase)", ("highlight", "itali", "bold")),
    ("layout", "marked sections", r"\b(?:section|paragraph|part|chapter|day|audience|round|stanza|"
     r"verse|idea|session|scene)\s+X\b",
     ("section", "paragraph", "part", "chapter", "day", "audience", "round", "stanza", "verse",
      "idea", "session", "scene")),
    ("layout", "postscript", r"\bpost\s?script\b|\bP\.\s?(?:P\.\s?)?S\b",
     ("script", "p.")),
    ("layout", "in quotation marks", r"\b(?:wrap\w*|put|enclose\w*|surround\w*|start|begin|with|"
     r"inside|in|add|use)\b[^.;]{0,60}\bdouble\s+(?:quotation|quotes?)", ("double",)),
    ("layout", "divider ***", r"(?<!\*)\*\s?\*\s?\*(?!\s?\*)", ("*",)),
    ("layout", "divider ******", r"\*{6,}|\b(?:6|six)\s+asterisk", ("*", "asterisk")),
    ("layout", "prompt repeated", r"\brepeat\w*\b[^.;]{0,80}\b(?:request|prompt|sentence|question|"
     r"text|line|word for word|exactly|above|without change|verbatim)", ("repeat",)),
    ("layout", "fixed options", r"\bone of (?:the|these)\s+(?:following|two|three|phrases|options|"
     r"exact)|\b(?:choose|pick|select)\s+(?:one\s+)?(?:from|between|of)\b|\bmy answer is yes",
     ("one of", "choose", "pick", "select", "my answer")),
)  # fmt: skip
_PATTERNS = tuple(
    (kind, target, Hinted(re.compile(pattern, re.IGNORECASE | re.DOTALL), hints))
    for kind, target, pattern, hints in _SHAPES
)
_COUNTED = ("placeholders", "highlights")
_CAPITAL_WORDS = Hinted(
    re.compile(
        r"\b(?:words?|phrases?)\b[^.;]{0,60}"
        r"(?:\bcapital|\ball[\s-]caps|\bcaps\b|\bupper[\s-]?case)"
        r"|(?:\bcapital\w*|\bcaps|\bupper[\s-]?case)\s+(?:letter\s+)?words?\b",
        re.IGNORECASE,
    ),
    ("capital", "caps", "upper"),
)
_ENDING = Hinted(
    re.compile(
        r"\b(?:end(?:s|ing)?|finish\w*|conclude\w*|last (?:sentence|line|words?|phrase)|very end)\b"
        r"(?:[^.;:]{0,90}?[\s:]+(?P<sign>[\ue000-\uf8ff])"
        r"|[^.;:]{0,60}?(?::|exact phrase|exact question|exactly like)\s*:?\s+"
        r"(?P<bare>[^:]{4,120})$)",
        re.IGNORECASE,
    ),
    ("end", "finish", "conclu", "last"),
)
_LANGUAGE = re.compile(
    rf"\b(?:in|into|to|using|only|entirely|use)\s+(?:(?:the|only|entirely|just|both|fluent|proper|"
    rf"simple|all|modern)\s+){{0,2}}(?P<name>{NAMED.pattern})(?!-)|"
    rf"(?P<sole>{NAMED.pattern})\s+(?:language|only)\b",
    re.IGNORECASE,
)
_WHOLE_ANSWER = re.compile(
    r"\b(?:answer|respond|reply|response|write|output|translate|only|entire\w*|whole|compose|"
    r"language|draft|create|generate|tell|give|ensure)\b",
    re.IGNORECASE,
)
_ASKS = re.compile(r"^\W*(?:what|who|how|which|when|where|why|is|are|does|do)\b", re.IGNORECASE)
_PARAGRAPH = re.compile(r"\n\s*\n")
_DIRECTIVE = re.compile(
    r"\byour (?:entire |whole )?(?:answer|response|reply|output|text)|\bmake sure|\bplease\b|"
    r"\bensure\b|\bdo not\b|\bdon't\b",
    re.IGNORECASE,
)
LONG_PARAGRAPH = 60
"""Words from which a paragraph among others counts as material."""
LONG_CLAUSE = 600
"""Characters of a clause that are looked at together."""

_CLAUSE = re.compile(r"(?<=[.!?])(?<!\bi\.e\.)(?<!\be\.g\.)(?<!P\.S\.)\s+|\n+|(?<=[。！？])")


def find_constraints(prompt: str) -> list[Constraint]:
    """Return the constraints that a prompt names, each once, in order."""
    return list(_found(prompt))


@lru_cache(64)
def _found(prompt: str) -> tuple[Constraint, ...]:
    text, quoted = masked(_instructions(prompt))
    found: dict[Constraint, Constraint] = {}
    for clause in _clauses(text):
        phrase = unmasked(clause, quoted)
        for constraint in _in_clause(clause, quoted):
            found.setdefault(constraint, replace(constraint, phrase=phrase))
    return tuple(found.values())


def check_constraints(proposal: Proposal, context: CheckContext) -> Verdict:
    """Hold the proposed prompt to the constraints that the original one names.

    New constraints are no loss: they are recorded, and the answer is held to them.
    """
    if prompt_unchanged(proposal):
        return Verdict("constraints", True, {"unchanged": True})
    old, new = find_constraints(proposal.parent.prompt), find_constraints(proposal.prompt)
    lost = [item for item in old if item not in new]
    excused = [
        item
        for item in lost
        if any(context.excuses(proposal, detail) for detail in (item.phrase, item.label))
    ]
    lost = [item for item in lost if item not in excused]
    numbers = {
        "constraints": len(old),
        "lost": [item.label for item in lost],
        "dropped": [item.label for item in excused],
        "added": [item.label for item in new if item not in old],
    }
    phrases = list(dict.fromkeys(item.phrase for item in lost))
    reason = f"Keep what the prompt demands of the answer: {named(phrases)}." if lost else ""
    return Verdict("constraints", not lost, numbers, reason)


def _instructions(prompt: str) -> str:
    """Return a prompt without its long paragraphs, unless they speak of the answer.

    In a prompt of several paragraphs those are the material to work on.
    """
    paragraphs = _PARAGRAPH.split(prompt)
    if len(paragraphs) == 1:
        return prompt
    return "\n\n".join(
        paragraph
        for paragraph in paragraphs
        if len(words(paragraph)) <= LONG_PARAGRAPH or _DIRECTIVE.search(paragraph)
    )


def _clauses(text: str) -> Iterator[str]:
    """Yield the clauses of a text. A very long one, which is no demand any more, comes in pieces.

    The patterns' time grows with the square of a clause's length.
    """
    for part in _CLAUSE.split(text):
        clause = part.strip()
        while len(clause) > LONG_CLAUSE:
            end = clause.rfind(" ", 1, LONG_CLAUSE) % LONG_CLAUSE + 1
            yield clause[:end]
            clause = clause[end:].lstrip()
        if clause:
            yield clause


def _in_clause(clause: str, quoted: list[str]) -> Iterator[Constraint]:
    capital_words = _CAPITAL_WORDS.search(clause) is not None
    counted = capital_words and re.search(rf"{COUNT}", clause, re.IGNORECASE)
    if counted:
        yield Constraint("case", "capital words", _near(clause, _CAPITAL_WORDS))
    lower = False
    for kind, target, pattern in _PATTERNS:
        if not pattern.search(clause) or (kind == "case" and (counted or lower)):
            continue
        lower = target == "lower" or lower
        bounds = _near(clause, pattern) if target in _COUNTED else (None, None)
        yield Constraint(kind, target, bounds)
    for unit, bounds, _ in limits(clause):
        if not counted and not (unit == "sections" and "highlight" in clause.casefold()):
            yield Constraint("length", unit, bounds)
    for target, bounds in keywords(clause, quoted):
        yield Constraint("keyword", target, bounds)
    for target, bounds in letters(clause, quoted):
        yield Constraint("letter", target, bounds)
    for match in _ENDING.findall(clause):
        sign = match["sign"]
        yield Constraint("ending", quoted[ord(sign) - MASK] if sign else match["bare"].strip())
    for match in _LANGUAGE.finditer(clause) if names_language(clause) else ():
        code = NAMES[(match["name"] or match["sole"]).casefold()]
        strict = _WHOLE_ANSWER.search(clause) is not None and not _ASKS.search(clause)
        yield Constraint("language", code, strict=strict)


def _near(clause: str, pattern: Hinted) -> Bounds:
    """Return the bounds of the last count before the noun, or of the first one after it."""
    match = pattern.search(clause)
    assert match is not None
    before = list(re.finditer(rf"{COUNT}", clause[: match.start()][-60:], re.IGNORECASE))
    offset = max(0, match.start() - 60)
    start = max(0, offset + before[-1].start() - 20) if before else match.start()
    return count_bounds(clause[start:])
