r"""The number that an answer ends on, as tasks with worked solutions are marked.

GSM8K writes it behind `####`. Models write it in many ways, so it is looked for behind that mark,
in `\boxed{}`, behind "the answer is", and else the last number counts. Numbers are read as
`checks/numerals.py` reads them, units aside: `$1,250.00`, `1250` and `1 250 dollars` are the same.
"""

import re
from collections.abc import Iterator
from decimal import Decimal

from .numerals import each_numeral

_MARKS = (
    re.compile(r"####"),
    re.compile(r"\\boxed\s*\{"),
    re.compile(r"\banswer(?:\s+is\b|\s*[:=])", re.IGNORECASE),
)


def final_number(text: str) -> Decimal | None:
    """Return the number that a text ends on, None where there is none."""
    for mark in _MARKS:
        *_, rest = mark.split(text)
        if len(rest) == len(text):
            continue
        line = next((line for line in rest.splitlines() if line.strip()), "")
        # "The answer is 3 + 4 = 7": what is left of the sign is the way to it.
        found = next(_values(line.rpartition("=")[2]), None)
        if found is not None:
            return found
    return next(iter(list(_values(text))[-1:]), None)


def _values(text: str) -> Iterator[Decimal]:
    for numeral, _ in each_numeral(text):
        if isinstance(numeral.value, Decimal):
            yield numeral.value
