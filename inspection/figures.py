"""Figures as people read them: durations, counts, losses, aligned columns."""

from collections.abc import Sequence
from typing import Any

DASH = "-"


def count(value: Any) -> str:
    """Return a whole number with thousands separated, `-` where there is none yet."""
    return f"{value:,}" if isinstance(value, int | float) else DASH


def duration(seconds: Any) -> str:
    """Return seconds as `4.2 s`, `35 s`, `4 min 05 s` or `1 h 02 min`."""
    if not isinstance(seconds, int | float):
        return DASH
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    minutes = round(seconds / 60)
    return f"{minutes // 60} h {minutes % 60:02d} min"


def loss(value: Any) -> str:
    """Return a loss in nats per token with four decimals."""
    return f"{value:.4f}" if isinstance(value, int | float) else DASH


def between(pair: Any) -> str:
    """Return an interval of losses as `1.7000 to 1.9000`."""
    if not isinstance(pair, list | tuple) or len(pair) != 2:
        return DASH
    return f"{loss(pair[0])} to {loss(pair[1])}"


def signed_between(difference: dict[str, Any]) -> str:
    """Return the interval of a difference as `-0.0310 to +0.0070`."""
    return f"{difference['low']:+.4f} to {difference['high']:+.4f}"


def aligned(rows: Sequence[Sequence[str]], right: Sequence[bool], gap: int = 2) -> list[str]:
    """Return rows as lines of aligned columns; `right` says which columns end flush."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(right))]
    lines = []
    for row in rows:
        cells = [
            cell.rjust(width) if flush else cell.ljust(width)
            for cell, width, flush in zip(row, widths, right, strict=True)
        ]
        lines.append((" " * gap).join(cells).rstrip())
    return lines


def percent(share: Any) -> str:
    """Return a share as `9.1%`, `-` where there is none."""
    return f"{100 * share:.1f}%" if isinstance(share, int | float) else DASH


def cut(text: str, width: int) -> str:
    """Return a text of at most `width` characters; one that was longer ends in an ellipsis."""
    return text if len(text) <= width else text[: width - 1].rstrip() + "…"
