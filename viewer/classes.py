"""Words of a run that choose how something looks: only those that the style sheet knows.

A class is no place for what a file holds: what it says is shown as text, and looks like nothing
special where it is none of these.
"""

from ..core.records import Axis

_KNOWN = {
    *(str(axis) for axis in Axis),
    *("accepted", "rejected", "failed", "deferred"),
    *("baseline", "better", "tie", "rolled_back"),
    *("system", "user", "assistant"),
}


def class_of(word: object) -> str:
    """Return an axis, a fate, a gate or a role as a class; nothing for any other word."""
    return word if isinstance(word, str) and word in _KNOWN else ""
