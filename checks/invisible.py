"""Signs that nobody sees: a rewriter has no reason to write them, and they can carry orders.

Control characters, formatting without a shape (zero-width signs, writing direction, tag
characters), fillers, signs for private use and lone surrogates. Two invisible signs are part of
writing where they stand one at a time: joiners inside words of scripts that need them and between
emoji, and the selector that says how the sign before it is drawn.
"""

import re
import unicodedata
from collections.abc import Iterator
from itertools import groupby

from ..core.records import Proposal, Verdict

_PLAIN = "\t\n\r"
_FILLERS = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0")
"""Letters and signs of other categories that are drawn as nothing."""
_UNSEEN = frozenset({"Cc", "Cf", "Cs", "Co", "Zl", "Zp"})
_NEVER = re.compile("[\ufdd0-\ufdef\ufffe\uffff\U000e0000-\U000e0fff]")
"""Code points without a character, whose category says no more than that; new emoji share it."""
_JOINED = "\u0600-\u06ff\u0750-\u077f\u08a0-\u08ff\u0900-\u0dff\u0f00-\u109f\u1780-\u18af"
"""Scripts whose words hold joiners: Arabic, those of India and its neighbours, Mongolian."""
_ORDINARY = re.compile(
    rf"(?<=[{_JOINED}])[\u200c\u200d](?=[{_JOINED}])"
    "|(?<=[\u2600-\u27bf\ufe0f\U0001f000-\U0001faff])\u200d(?=[\u2190-\u27bf\U0001f000-\U0001faff])"
    "|(?<![\ufe00-\ufe0f\U000e0100-\U000e01ef])[\ufe00-\ufe0f]"
    "|(?<=[\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff])[\U000e0100-\U000e01ef]"
    "(?![\ufe00-\ufe0f\U000e0100-\U000e01ef])"
)
_SELECTORS = re.compile("[\ufe00-\ufe0f\U000e0100-\U000e01ef]")


def check_invisible(proposal: Proposal) -> Verdict:
    """Refuse invisible signs that the original sample doesn't hold, or not in this order.

    Two kinds of zero-width signs are an alphabet: that the original holds them is no reason to let
    another row of them pass.
    """
    known = "\n".join(message.content for message in proposal.parent.messages)
    found: dict[str, None] = {}
    for text in (proposal.prompt, proposal.answer):
        if text.isascii() and text.isprintable():
            continue
        for run in _runs(_ORDINARY.sub(" ", text)):
            if run not in known:
                found.update(dict.fromkeys(run))
    named = [f"U+{ord(char):04X}" for char in found]
    reason = "Leave out control characters and signs that can't be seen." if named else ""
    return Verdict("invisible", not named, {"invisible": named[:20]}, reason)


def _runs(text: str) -> Iterator[str]:
    """Yield each row of invisible signs without a visible one between them."""
    for unseen, chars in groupby(text, _unseen):
        if unseen:
            yield "".join(chars)


def _unseen(char: str) -> bool:
    if char in _PLAIN:
        return False
    return (
        unicodedata.category(char) in _UNSEEN
        or char in _FILLERS
        or _SELECTORS.match(char) is not None
        or _NEVER.match(char) is not None
    )
