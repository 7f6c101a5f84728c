"""The numbers of a task: what a rewritten prompt must keep, and may not invent.

Numbers are compared as values with their unit (percent or currency): `1,000` is `1000`, `$2` is
`2 dollars`, `3.5 %` is `3.5 percent`, and a numeral may be spelled out. Numbers are compared as a
set, not by place: who has which number is left to the similarity and the critic.
"""

import re
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache

from ..core.records import Proposal, Verdict
from .context import prompt_unchanged
from .words import named, words

_SUPERSCRIPTS = str.maketrans({s: f"^{d}" for d, s in enumerate("⁰¹²³⁴⁵⁶⁷⁸⁹")} | {"−": "-"})
_HARD_SPACE = re.compile(r"(?<=\d)[\u00a0\u202f\u2009](?=\d{3}(?!\d))")
_GROUP = "[,'’]"
_DIGIT = re.compile(r"\d")
_SCALES = {"thousand": 10**3, "million": 10**6, "billion": 10**9, "trillion": 10**12}
_CURRENCIES = {
    **dict.fromkeys(["$", "usd", "dollar", "dollars"], "$"),
    **dict.fromkeys(["€", "eur", "euro", "euros"], "€"),
    **dict.fromkeys(["£", "gbp"], "£"),
    **dict.fromkeys(["¥", "jpy", "yen"], "¥"),
    **dict.fromkeys(["₹", "inr", "rupee", "rupees"], "₹"),
    **dict.fromkeys(["%", "percent", "per cent", "pct"], "%"),
}
_NUMERAL = re.compile(
    rf"""
    (?P<before>[$€£¥₹]\s?|\b(?:usd|eur|gbp|jpy|inr)\s)?
    (?P<sign>(?:(?<=^)|(?<=[\s(=+*/,^<>]))-(?=[\d.]))?
    (?P<name>(?<![^\W_])[^\W\d_]+(?=\d))?            # the letters of an identifier: H2O, mp3
    (?P<value>
        \d{{1,3}}(?:\.\d{{3}})+(?:,\d+)(?!\d)        # 1.234,5
      | \d{{1,3}}(?:\.\d{{3}}){{2,}}(?!\d)           # 1.234.567
      | \d{{1,3}}(?:{_GROUP}\d{{3}})+(?:\.\d+)?(?!\d)  # 1,234.5
      | \d+[.,]\d+ | (?<![\d.])\.\d+ | \d+
    )
    (?:\s?(?P<scale>thousand|million|billion|trillion)\b)?
    (?:\s?-?(?P<after>%|[$€£¥₹](?!\s?\d)|(?:percent|per\ cent|pct|dollars?|euros?|yen|rupees?
        |usd|eur|gbp|jpy|inr)\b))?
    """,
    re.VERBOSE | re.IGNORECASE,
)
_MARKER = re.compile(r"(?m)^[ \t]*(?:#+[ \t]*)?(?:step[ \t]+)?\(?\d{1,2}[.):](?=\s)", re.IGNORECASE)

_ONES = [
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten",
    "eleven", "twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen",
    "nineteen",
]  # fmt: skip
_TENS = ["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"]
SPELLED = {word: value for value, word in enumerate(_ONES)} | {
    word: 10 * (index + 2) for index, word in enumerate(_TENS)
}
_ORDINALS = {
    word: value
    for value, word in enumerate(
        ["first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth",
         "tenth"], start=1
    )
}  # fmt: skip
_SPELLED = re.compile(
    rf"\b(?P<whole>{'|'.join(SPELLED)}|a)(?:[-\s](?P<ones>{'|'.join(_ONES[1:10])}))?"
    r"(?:[-\s](?P<scale>hundred|thousand|million|billion))?\b"
    r"(?:\s(?P<unit>percent|per cent|dollars?|euros?|yen|rupees?)\b)?",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Numeral:
    """A number with its unit (`%`, a currency sign or none), or a name that holds digits."""

    value: Decimal | str
    unit: str


@lru_cache(64)
def numerals(text: str) -> Mapping[Numeral, str]:
    """Return the numerals of a text as written, keyed by value and unit.

    Digits behind letters belong to a name (`H2O`, `mp3`) and are kept as that name.
    """
    found: dict[Numeral, str] = {}
    for key, written in each_numeral(text):
        found.setdefault(key, written)
    return found


def each_numeral(text: str) -> Iterator[tuple[Numeral, str]]:
    """Yield the numerals of a text in order, each as often as it stands there, and as written."""
    # NFKC would turn x² into x2, another name, and 1 000 with a hard space into two numbers;
    # full-width digits do need it.
    grouped = _HARD_SPACE.sub(",", text.translate(_SUPERSCRIPTS))
    cleaned = unicodedata.normalize("NFKC", grouped)
    if not _DIGIT.search(cleaned):
        return
    for match in _NUMERAL.finditer(cleaned):
        written = match["value"]
        if match["name"]:
            key = Numeral(f"{match['name']}{written}".casefold(), "")
        else:
            value = _value(written) * _SCALES.get((match["scale"] or "").casefold(), 1)
            unit = match["before"] or match["after"] or ""
            key = Numeral(-value if match["sign"] else value, _unit(unit))
        yield key, match[0].strip()


def spelled_numerals(text: str) -> set[Numeral]:
    """Return the numbers that a text spells out in English: `twenty-one`, `third`."""
    found = {Numeral(Decimal(_ORDINALS[word]), "") for word in words(text) if word in _ORDINALS}
    for match in _SPELLED.finditer(text):
        whole, scale = match["whole"].casefold(), (match["scale"] or "").casefold()
        if whole == "a" and not scale:
            continue
        value = SPELLED.get(whole, 1)
        ones = match["ones"] or ""
        if ones and value < 20:  # `one two` is a count, not a number
            ones, scale = "", ""
        value += SPELLED.get(ones.casefold(), 0)
        value *= 100 if scale == "hundred" else _SCALES.get(scale, 1)
        found.add(Numeral(Decimal(value), _unit(match["unit"] or "")))
    return found


def check_numbers(proposal: Proposal) -> Verdict:
    """Hold the proposed prompt to the numbers of the original one, on every axis.

    Each must be there, as a numeral or spelled out. New ones are refused only where the original
    holds numbers: beside given figures another figure changes the task, elsewhere it is a detail.
    The markers of a list are no numbers.
    """
    if prompt_unchanged(proposal):
        return Verdict("numbers", True, {"unchanged": True})
    old = numerals(proposal.parent.prompt)
    new = numerals(proposal.prompt)
    lost = [text for key, text in old.items() if key not in new]
    if lost:
        spelled = spelled_numerals(proposal.prompt)
        lost = [text for key, text in old.items() if key not in new and key not in spelled]
    unmarked = numerals(_MARKER.sub(" ", proposal.prompt))
    added = [text for key, text in unmarked.items() if key not in old]
    if added:
        known = spelled_numerals(proposal.parent.prompt) | old.keys()
        added = [text for key, text in unmarked.items() if key not in known]
    numbers = {"numerals": len(old), "lost": lost, "added": added}
    reasons = []
    if lost:
        reasons.append(f"Keep these numbers of the prompt as they are: {named(lost)}.")
    if added and old:
        reasons.append(f"The original prompt doesn't give these numbers: {named(added)}.")
    return Verdict("numbers", not reasons, numbers, " ".join(reasons))


def _value(written: str) -> Decimal:
    if "," in written and "." in written:
        last = max(written.rfind(","), written.rfind("."))
        whole = re.sub(r"[.,]", "", written[:last])
        return Decimal(f"{whole}.{written[last + 1 :]}").normalize()
    if re.fullmatch(r"\d+,\d+", written) and not re.fullmatch(r"\d{1,3},\d{3}", written):
        written = written.replace(",", ".")
    if written.count(".") > 1:
        written = written.replace(".", "")
    return Decimal(re.sub(_GROUP, "", written)).normalize()


def _unit(written: str) -> str:
    return _CURRENCIES.get(written.strip().casefold(), "")
