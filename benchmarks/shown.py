"""What a request shows a scripted teacher: the row's texts, and whether it is a further try."""

import re

_FENCED = re.compile(r"<<<([0-9a-f]{16})\n(.*?)\n\1>>>", re.DOTALL)
_AGAIN = re.compile(r"\nAn earlier [^\n]* refused[^\n]*:\n<<<")
"""Begins what a further try is told, after the row."""


def shown(request: str) -> tuple[list[str], bool]:
    """Return the fenced texts of a user turn; those on an earlier try are only told of."""
    again = _AGAIN.search(request)
    row = request[: again.start()] if again else request
    return [text for _, text in _FENCED.findall(row)], again is not None
