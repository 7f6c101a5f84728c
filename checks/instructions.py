"""Whether an answer follows instructions that code can check, as IFEval gives them.

The kinds of instruction and their arguments are those of "Instruction-Following Evaluation for
Large Language Models" (arXiv 2311.07911). How each is checked is Middo's own: a constraint that
`checks/compliance.py` knows is asked there; counts have no tolerance, which rewrites get. Figures
are thus near those of the paper's program, and not the same; `lm-eval:ifeval` gives those.
"""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from .compliance import COUNTERS, broken_by
from .constraints import Constraint, Kind
from .language import language_of
from .limits import Bounds
from .words import normalise, plain_quotes, words

Rule = Callable[[str], bool]
"""Says of an answer, which is not empty, whether it follows one instruction."""
Arguments = Mapping[str, Any]

_BULLET = re.compile(r"(?m)^\s*[-*•](?!\*)\s*\S")
_FENCED = re.compile(r"(?s)\s*```(?:json)?\s*(.*?)\s*```\s*", re.IGNORECASE)
_OPTIONS = ("my answer is yes.", "my answer is no.", "my answer is maybe.")
_WORD = re.compile(r"\w+")


def rules_of(names: Sequence[str], arguments: Sequence[Arguments]) -> list[Rule]:
    """Return the rules that instructions mean.

    Args:
        names: as `length_constraints:number_words`.
        arguments: of each, as `{"relation": "at least", "num_words": 300}`.

    Raises:
        ValueError: an instruction is not known, or lacks an argument; in words.
    """
    if not names or len(names) != len(arguments):
        raise ValueError("instruction_id_list and kwargs are not lists of the same length")
    rules = []
    for name, given in zip(names, arguments, strict=True):
        make = _RULES.get(name)
        if make is None:
            raise ValueError(f"the instruction {name!r} is not known")
        try:
            rules.append(make(given or {}))
        except KeyError as error:
            raise ValueError(f"the instruction {name!r} lacks {error}") from error
        except (TypeError, AttributeError) as error:
            raise ValueError(f"the instruction {name!r} has a wrong argument") from error
    return rules


def follows_all(rules: Sequence[Rule], answer: str) -> bool:
    """Return whether an answer follows every instruction; an empty one follows none."""
    return bool(answer.strip()) and all(rule(answer) for rule in rules)


def _needed(arguments: Arguments, name: str) -> Any:
    value = arguments.get(name)
    if value is None:
        raise KeyError(name)
    return value


def _bounds(arguments: Arguments, count: str, relation: str = "relation") -> Bounds:
    number = int(_needed(arguments, count))
    match _needed(arguments, relation):
        case "at least":
            return number, None
        case "less than":
            return None, number - 1
    raise TypeError(relation)


def _within(number: int, bounds: Bounds) -> bool:
    low, high = bounds
    return (low is None or number >= low) and (high is None or number <= high)


def _kept(kind: Kind, target: str, bounds: Bounds = (None, None)) -> Rule:
    constraint = Constraint(kind, target, bounds)
    return lambda answer: not broken_by(constraint, answer)


def _keywords(arguments: Arguments, name: str, bounds: Bounds) -> Rule:
    rules = [_kept("keyword", str(word), bounds) for word in list(_needed(arguments, name))]
    return lambda answer: all(rule(answer) for rule in rules)


def _counted(unit: str, bounds: Bounds) -> Rule:
    return lambda answer: _within(COUNTERS[unit](answer)[0], bounds)


def _language(arguments: Arguments) -> Rule:
    wanted = str(_needed(arguments, "language"))
    # None: a text too short or too mixed to tell.
    return lambda answer: language_of(answer) in (wanted, None)


def _paragraphs(arguments: Arguments) -> Rule:
    wanted = int(_needed(arguments, "num_paragraphs"))

    def rule(answer: str) -> bool:
        parts = re.split(r"\s?\*\*\*\s?", answer.strip())
        inner = [part for part in parts[1:-1] if not part.strip()]
        return not inner and sum(bool(part.strip()) for part in parts) == wanted

    return rule


def _first_word(arguments: Arguments) -> Rule:
    count, nth = (int(_needed(arguments, key)) for key in ("num_paragraphs", "nth_paragraph"))
    wanted = words(str(_needed(arguments, "first_word")))

    def rule(answer: str) -> bool:
        parts = [part for part in re.split(r"\n\s*\n", answer) if part.strip()]
        return len(parts) == count and nth <= count and words(parts[nth - 1])[:1] == wanted[:1]

    return rule


def _postscript(arguments: Arguments) -> Rule:
    marker = str(_needed(arguments, "postscript_marker"))
    letters = [re.escape(letter) for letter in marker if letter.isalpha()]
    pattern = re.compile(r"(?im)^\s*" + r"\.?\s?".join(letters) + r"\.?(?!\w)")
    return lambda answer: pattern.search(answer) is not None


def _sections(arguments: Arguments) -> Rule:
    title = re.escape(str(_needed(arguments, "section_spliter")).strip())
    fewest = int(_needed(arguments, "num_sections"))
    pattern = re.compile(rf"(?<!\w){title}\s?\d+")
    return lambda answer: len(pattern.findall(answer)) >= fewest


def _bullets(arguments: Arguments) -> Rule:
    wanted = int(_needed(arguments, "num_bullets"))
    return lambda answer: len(_BULLET.findall(answer)) == wanted


def _json(answer: str) -> bool:
    fenced = _FENCED.fullmatch(answer)
    try:
        json.loads(fenced[1] if fenced else answer)
    except (ValueError, RecursionError):
        return False
    return True


def _two_responses(answer: str) -> bool:
    parts = [part.strip() for part in answer.split("******")]
    return len([part for part in parts if part]) == 2 and len(set(filter(None, parts))) == 2


def _repeats(arguments: Arguments) -> Rule:
    asked = normalise(str(_needed(arguments, "prompt_to_repeat")))
    return lambda answer: normalise(answer).startswith(asked)


def _quoted(answer: str) -> bool:
    text = plain_quotes(answer).strip()
    return len(text) > 1 and text.startswith('"') and text.endswith('"')


def _cased(target: str) -> Rule:
    rule = _kept("case", target)
    return lambda answer: rule(answer) and language_of(answer) in ("en", None)


def _letters(arguments: Arguments) -> Rule:
    bounds = _bounds(arguments, "let_frequency", "let_relation")
    return _kept("letter", str(_needed(arguments, "letter")).casefold(), bounds)


_RULES: dict[str, Callable[[Arguments], Rule]] = {
    "keywords:existence": lambda given: _keywords(given, "keywords", (1, None)),
    "keywords:forbidden_words": lambda given: _keywords(given, "forbidden_words", (0, 0)),
    "keywords:frequency": lambda given: _kept(
        "keyword", str(_needed(given, "keyword")), _bounds(given, "frequency")
    ),
    "keywords:letter_frequency": _letters,
    "language:response_language": _language,
    "length_constraints:number_sentences": lambda given: _counted(
        "sentences", _bounds(given, "num_sentences")
    ),
    "length_constraints:number_paragraphs": _paragraphs,
    "length_constraints:number_words": lambda given: _words(_bounds(given, "num_words")),
    "length_constraints:nth_paragraph_first_word": _first_word,
    "detectable_content:number_placeholders": lambda given: _kept(
        "layout", "placeholders", (int(_needed(given, "num_placeholders")), None)
    ),
    "detectable_content:postscript": _postscript,
    "detectable_format:number_bullet_lists": _bullets,
    "detectable_format:constrained_response": lambda given: _chooses,
    "detectable_format:number_highlighted_sections": lambda given: _kept(
        "layout", "highlights", (int(_needed(given, "num_highlights")), None)
    ),
    "detectable_format:multiple_sections": _sections,
    "detectable_format:json_format": lambda given: _json,
    "detectable_format:title": lambda given: _kept("layout", "title in <<>>"),
    "combination:two_responses": lambda given: _two_responses,
    "combination:repeat_prompt": _repeats,
    "startend:end_checker": lambda given: _kept("ending", str(_needed(given, "end_phrase"))),
    "startend:quotation": lambda given: _quoted,
    "change_case:capital_word_frequency": lambda given: _kept(
        "case", "capital words", _bounds(given, "capital_frequency", "capital_relation")
    ),
    "change_case:english_capital": lambda given: _cased("upper"),
    "change_case:english_lowercase": lambda given: _cased("lower"),
    "punctuation:no_comma": lambda given: _kept("layout", "no commas"),
}
"""Name of an instruction -> its rule, from its arguments."""


def _chooses(answer: str) -> bool:
    text = normalise(answer)
    return any(option in text for option in _OPTIONS)


def _words(bounds: Bounds) -> Rule:
    return lambda answer: _within(len(_WORD.findall(answer)), bounds)
