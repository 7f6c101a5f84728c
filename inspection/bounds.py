"""The numbers of a gate beside the bounds that they were held to.

Gates name their numbers so that a bound tells what it binds: `quality` and `quality_at_least`, or
`cosine` between `low` and `high`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

_SIDES = {"_at_least": "at least", "_at_most": "at most", "_above": "above", "_below": "below"}
_MEASURED = ("ratio", "cosine", "similarity")
"""What `low`, `high` and `bound` bind, where a gate has it."""
_LISTED = 12


@dataclass(frozen=True, slots=True)
class Figure:
    """A number of a gate in words.

    Attributes:
        name: what was measured.
        value: as text.
        bounds: what it was held to, such as `at least 0.6270`; empty where it was not.
        number: the value, where it is one.
    """

    name: str
    value: str
    bounds: str
    number: float | None


def held_to(numbers: Mapping[str, Any]) -> tuple[Figure, ...]:
    """Return the numbers in their order, each once, with its bounds; bounds alone come last."""
    bounds: dict[str, list[str]] = {}
    alone = []
    for name, value in numbers.items():
        stem, words = _bound(name, value, numbers)
        if not words:
            alone.append(name)
        elif stem in numbers:
            bounds.setdefault(stem, []).append(words)
        else:
            alone.append(name)
    return tuple(
        Figure(
            name.replace("_", " "),
            _text(numbers[name]),
            ", ".join(sorted(bounds.get(name, ()), key=_lower_first)),
            _number(numbers[name]),
        )
        for name in alone
    )


def _bound(name: str, value: Any, numbers: Mapping[str, Any]) -> tuple[str, str]:
    """Return what a number binds and how, in words; empty where it is no bound."""
    if name in ("low", "high", "bound"):
        stem = next((one for one in _MEASURED if one in numbers), "")
        side = "at least" if name == "low" else "at most" if name == "high" else "below"
        return stem, f"{side} {_text(value)}"
    for suffix, side in _SIDES.items():
        if name.endswith(suffix):
            stem = name.removesuffix(suffix)
            compared = f"{stem}_compared"  # the same without what memory adds
            return compared if compared in numbers else stem, f"{side} {_text(value)}"
    return "", ""


def _lower_first(words: str) -> bool:
    return not words.startswith(("at least", "above"))


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _text(value: Any) -> str:
    if value is None or value == "":
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.4f}".rstrip("0").rstrip(".") if value == value else "-"
    if isinstance(value, Mapping):
        return ", ".join(f"{name}: {_text(one)}" for name, one in value.items()) or "none"
    if isinstance(value, Sequence) and not isinstance(value, str):
        more = len(value) - _LISTED
        listed = ", ".join(_text(one) for one in value[:_LISTED])
        return (listed + (f" and {more} more" if more > 0 else "")) or "none"
    return str(value)
