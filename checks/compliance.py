"""Whether an answer keeps the constraints that its prompt names, as far as code can tell.

A check that is wrong here throws a sound answer away, so each one errs on the side of the answer:
counts have a tolerance, and a constraint that the patterns may have misread blocks nothing (see
`check_answer_constraints`).
"""

import json
import re
from collections.abc import Callable

from ..core.records import Axis, Proposal, Verdict
from .constraints import Constraint, find_constraints
from .context import CheckContext
from .language import language_of, names_language
from .limits import Bounds
from .words import named, normalise, plain_quotes, words

_BULLET = re.compile(r"(?m)^[^\S\n]*(?:[-*•‣–+]|\(?\d{1,3}[.):]|[a-zA-Z][.)])\s+\S")
_SENTENCE_END = re.compile(r"(?<![.!?…])[.!?…]++[\"'”’)*_]*+(?=\s|$)|[。！？]+")
_ABBREVIATION = re.compile(r"\b(?:[A-Za-z]|Mr|Mrs|Ms|Dr|St|vs|etc|e\.g|i\.e|No|Prof|Jr|Sr)\.$")
_LONGEST_ABBREVIATION = 8
_SPOKEN = re.compile(r"[^\W_]+(?:['’.,-][^\W_]+)*")
_FENCE = re.compile(r"(?s)```[\w-]*+\n?(.*?)```")
_KEY = re.compile(r"[\s-]*+[\w\"' -]*+(?<=[\w\"' -])")

_SLACK = {"words": 0.1, "characters": 0.1, "sentences": 0.1, "lines": 0.1}
"""Share by which a count may miss its bounds: people and code don't count quite alike."""


def check_answer_constraints(proposal: Proposal, context: CheckContext) -> Verdict:
    """Hold the proposed answer to the constraints and the language of the proposed prompt.

    Where the original prompt names the same constraint and the original answer, sound on the
    quality axis, breaks it in the eyes of this code, the code may have misread the prompt: it is
    noted as `doubtful` and blocks nothing.
    """
    demands = find_constraints(proposal.prompt)
    broken = [item for item in demands if broken_by(item, proposal.answer)]
    doubtful: list[Constraint] = []
    if broken and Axis.QUALITY not in context.flagged:
        known = find_constraints(proposal.parent.prompt)
        answer = proposal.parent.answer
        doubtful = [item for item in broken if item in known and broken_by(item, answer)]
        broken = [item for item in broken if item not in doubtful]
    language = None
    if not any(item.kind == "language" for item in demands):
        language = _other_language(proposal)
    numbers = {
        "constraints": len(demands),
        "broken": [item.label for item in broken],
        "doubtful": [item.label for item in doubtful],
        "language": language or "",
    }
    reasons = []
    if broken:
        phrases = list(dict.fromkeys(item.phrase for item in broken))
        reasons.append(f"The answer does not do what the prompt demands: {named(phrases)}.")
    if language:
        reasons.append("Answer in the language of the prompt.")
    return Verdict("answer_constraints", not reasons, numbers, " ".join(reasons))


def broken_by(constraint: Constraint, answer: str) -> bool:
    """Return whether an answer surely breaks a constraint; False where code can't tell."""
    target, bounds = constraint.target, constraint.bounds
    if constraint.kind == "language":
        found = language_of(answer)
        return constraint.strict and found is not None and found != target
    if constraint.kind == "length":
        counts = COUNTERS.get(target)
        return counts is not None and all(_outside(n, bounds, target) for n in counts(answer))
    if constraint.kind == "keyword":
        return _outside(_occurrences(target, answer), bounds, "times")
    if constraint.kind == "letter":
        return _outside(answer.casefold().count(target), bounds, "times")
    if constraint.kind == "ending":
        return not _bare(answer).endswith(_bare(target))
    holds = _HOLDS.get((constraint.kind, target))
    return holds is not None and not holds(answer, bounds)


def _other_language(proposal: Proposal) -> str | None:
    """Return the answer's language where neither the prompt nor the original answer has it."""
    if names_language(proposal.prompt):  # a task about languages may be answered in any of them
        return None
    found, asked = language_of(proposal.answer), language_of(proposal.prompt)
    known = {asked} if proposal.adds else {asked, language_of(proposal.parent.answer)}
    return found if asked is not None and found is not None and found not in known else None


def _outside(count: int, bounds: Bounds, unit: str) -> bool:
    slack = _SLACK.get(unit, 0.0)
    low, high = bounds
    spare = 1 if unit in ("sentences", "words") else 0
    below = low is not None and count < low * (1 - slack) - spare
    return below or (high is not None and count > high * (1 + slack) + spare)


def _occurrences(keyword: str, answer: str) -> int:
    # A stem with an ending still uses the word; inside another word it is not that word.
    parts = [re.escape(part) for part in keyword.split()]
    edge = r"(?<!\w)" if keyword[:1].isalnum() else ""
    last = r"(?!\w)" if keyword[-1:].isalnum() else ""
    return len(re.findall(edge + r"\s+".join(parts) + last, answer, re.IGNORECASE))


def _words(answer: str) -> list[int]:
    return [len(_SPOKEN.findall(answer)), len(words(answer))]


def _sentences(answer: str) -> list[int]:
    ends = [
        match
        for match in _SENTENCE_END.finditer(answer)
        if not _ABBREVIATION.search(
            answer, max(match.end() - _LONGEST_ABBREVIATION, 0), match.end()
        )
    ]
    lines = [line for line in answer.splitlines() if line.strip()]
    tail = 0 if not ends or not answer[ends[-1].end() :].strip(" \n\"'”’)*") else 1
    count = max(len(ends) + tail, 1)
    # Lists and poems end lines, not sentences.
    return [count, len(lines)] if len(lines) > count else [count]


def _abbreviates(end: re.Match[str]) -> bool:
    start = max(end.end() - _LONGEST_ABBREVIATION, 0)
    return _ABBREVIATION.search(end.string, start, end.end()) is not None


def _paragraphs(answer: str) -> list[int]:
    blocks = [
        part for part in re.split(r"\n\s*\n|\n\s*\*\s?\*\s?\*\s*\n", answer) if part.strip(" *\n")
    ]
    lines = [line for line in answer.splitlines() if line.strip(" *")]
    divided = [part for part in re.split(r"\*{3,}", answer) if part.strip()]
    return [len(blocks), len(lines), len(divided)]


def _lines(answer: str) -> list[int]:
    return [len([line for line in answer.splitlines() if line.strip()])]


COUNTERS: dict[str, Callable[[str], list[int]]] = {
    "words": _words,
    "sentences": _sentences,
    "paragraphs": _paragraphs,
    "lines": _lines,
    "bullets": lambda answer: [len(_BULLET.findall(answer))],
    "characters": lambda answer: [len(answer), len("".join(answer.split()))],
}
"""Unit -> the ways in which people count it, the plainest first."""


def _is_json(answer: str) -> bool:
    inner = [match[1] for match in _FENCE.finditer(answer)]
    first = min((at for at in (answer.find("["), answer.find("{")) if at >= 0), default=0)
    last = max(answer.rfind("]"), answer.rfind("}"))
    for text in [answer, *inner, answer[first : last + 1]]:
        try:
            json.loads(text)
        except (ValueError, RecursionError):
            continue
        return True
    return False


def _has_tag(answer: str, first: str) -> bool:
    tag = re.search(f"<{first}", answer)
    return tag is not None and answer.find(">", tag.end()) >= 0


def _is_yaml(answer: str) -> bool:
    heads = [line.partition(":")[0] for line in answer.split("\n") if ":" in line]
    return any(_KEY.fullmatch(head) for head in heads)


def _is_table(answer: str) -> bool:
    rows = [line for line in answer.splitlines() if line.count("|") >= 2 or line.count("\t") >= 1]
    return len(rows) >= 2 or "<table" in answer.casefold() or "\\begin{tabular" in answer


def _is_list(answer: str) -> bool:
    items = [line for line in answer.splitlines() if line.strip()]
    return len(items) >= 2 or bool(_BULLET.search(answer)) or answer.count(",") >= 1


def _cased(answer: str, wanted: Callable[[str], bool]) -> bool:
    return all(wanted(letter) for letter in answer if letter.isupper() or letter.islower())


def _within(pattern: str) -> Callable[[str, Bounds], bool]:
    compiled = re.compile(pattern)

    def holds(answer: str, bounds: Bounds) -> bool:
        low, high = bounds
        return not _outside(len(compiled.findall(answer)), (low or 1, high), "times")

    return holds


_HOLDS: dict[tuple[str, str], Callable[[str, Bounds], bool]] = {
    ("format", "json"): lambda answer, _: _is_json(answer),
    ("format", "html"): lambda answer, _: _has_tag(answer, "[a-zA-Z!]"),
    ("format", "xml"): lambda answer, _: _has_tag(answer, "[a-zA-Z?]"),
    ("format", "csv"): lambda answer, _: "," in answer or ";" in answer,
    ("format", "yaml"): lambda answer, _: _is_yaml(answer),
    ("format", "markdown"): lambda answer, _: bool(re.search(r"[*#`|\[]|(?m:^\s*-)", answer)),
    ("format", "table"): lambda answer, _: _is_table(answer),
    ("format", "list"): lambda answer, _: _is_list(answer),
    ("format", "comma list"): lambda answer, _: "," in answer or len(words(answer)) <= 3,
    ("case", "lower"): lambda answer, _: _cased(answer, str.islower),
    ("case", "upper"): lambda answer, _: _cased(answer, str.isupper),
    ("case", "capital words"): lambda answer, bounds: (
        not _outside(len(re.findall(r"\b[A-Z][A-Z'’-]+\b", answer)), bounds, "times")
    ),
    ("layout", "no commas"): lambda answer, _: "," not in answer,
    ("layout", "title in <<>>"): lambda answer, _: bool(re.search(r"<<[^<>\n]+>>", answer)),
    ("layout", "placeholders"): _within(r"\[[^\[\]\n]+\]"),
    ("layout", "highlights"): _within(r"\*[^\n*]+\*"),
    ("layout", "postscript"): lambda answer, _: bool(re.search(r"(?i)p\.\s?(?:p\.\s?)?s", answer)),
    ("layout", "in quotation marks"): lambda answer, _: '"' in plain_quotes(answer),
    ("layout", "divider ***"): lambda answer, _: bool(re.search(r"\*\s?\*\s?\*", answer)),
    ("layout", "divider ******"): lambda answer, _: bool(re.search(r"\*{6}|(?:\* ){5}\*", answer)),
}


def _bare(text: str) -> str:
    return normalise(plain_quotes(text)).strip(" \"'*_.!?")
