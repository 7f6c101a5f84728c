"""What a request shows a scripted teacher: the row's texts, and whether it is a further try."""

import re

from middo.prompts.loader import FENCED

_AGAIN = re.compile(r"\nAn earlier [^\n]* refused[^\n]*:\n<<<")
"""Begins what a further try is told, after the row."""


def shown(request: str) -> tuple[list[str], bool]:
    """Return the row's texts in a user turn, and whether it tells of an earlier try."""
    again = _AGAIN.search(request)
    row = request[: again.start()] if again else request
    return [text for _, text in FENCED.findall(row)], again is not None
