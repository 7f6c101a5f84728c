"""Words as every check counts them, whatever the script.

A word is a run of letters and digits, casefolded. Scripts that are written without spaces (Han,
Kana, Thai, Lao, Myanmar, Khmer) have no such runs: there each character counts as a word.
"""

import re
import unicodedata
from functools import lru_cache

_UNSPACED = (
    "\u0e00-\u0eff"  # Thai, Lao
    "\u1000-\u109f\u1780-\u17ff"  # Myanmar, Khmer
    "\u3040-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
)
# Vowel signs and accents are no letters to Python, yet they don't end a word.
_MARKS = "\u0300-\u036f\u064b-\u065f\u0670\u0900-\u0dff\u200c\u200d"
_WORD = re.compile(rf"[{_UNSPACED}]|(?:[^\W_{_UNSPACED}]++|[{_MARKS}]++)+")
_ASCII_WORD = re.compile("[0-9a-z]+")
"""The same of an ASCII text in lower case: most texts are one, and it takes a tenth of the time."""
_QUOTES = str.maketrans("“”„‟«»″‘’‚‛‹›′`´", '"""""""' + "'" * 9)
_SPACE = re.compile(r"\s+")
_TEXTS = 256
"""Texts that are remembered: several checks look at the same few texts, one after the other."""


@lru_cache(_TEXTS)
def normalise(text: str) -> str:
    """Return a text without what doesn't count as a difference: case, white space, Unicode forms.

    This is the form in which prompts are compared with the prompts of the store.
    """
    return _SPACE.sub(" ", unicodedata.normalize("NFKC", text).casefold()).strip()


def plain_quotes(text: str) -> str:
    """Return a text with every quotation mark as a straight one."""
    return text.translate(_QUOTES)


@lru_cache(_TEXTS)
def words(text: str) -> tuple[str, ...]:
    """Return the casefolded words of a text, in order."""
    plain = unicodedata.normalize("NFKC", text).casefold()
    return tuple((_ASCII_WORD if plain.isascii() else _WORD).findall(plain))


def contains_words(text: tuple[str, ...], part: tuple[str, ...]) -> bool:
    """Return whether `part` stands in `text` as one unbroken run."""
    return not part or f" {' '.join(part)} " in f" {' '.join(text)} "


def shortened(text: str, limit: int = 80) -> str:
    """Return a detail on one line, cut where it would make a message unreadable."""
    line = _SPACE.sub(" ", text).strip()
    return line if len(line) <= limit else line[: limit - 1] + "…"


def named(details: list[str]) -> str:
    """Return details as they are listed in a reason: quoted, at most five of them."""
    listed = ", ".join(f"`{shortened(detail)}`" for detail in details[:5])
    return listed if len(details) <= 5 else f"{listed} and others"
