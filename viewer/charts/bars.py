"""A bar per round, in parts: how flagged samples ended, and what the calls took."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from ...core.amounts import several
from .axes import WIDTH, breadth
from .marks import Series, legend
from .svg import group, nothing, picture, tag, text

_ROW = 26.0
_BAR = 18.0
_LEFT = 58.0

FATES: dict[str, Series] = {
    "accepted": Series("accepted", "block", "accepted"),
    "rejected": Series("rejected", "block", "rejected"),
    "failed": Series("failed", "block", "failed"),
    "deferred": Series("deferred", "block", "deferred"),
}
TOKENS: dict[str, Series] = {
    "prompt": Series("prompt", "block", "tokens read"),
    "completion": Series("completion", "block", "tokens written"),
}


@dataclass(frozen=True, slots=True)
class Bar:
    """One bar: its name, its parts in their order, and what is said at its end."""

    name: str
    parts: tuple[tuple[str, int], ...]
    end: str = ""

    @property
    def total(self) -> int:
        """The sum of the parts."""
        return sum(value for _, value in self.parts)


def fates_chart(bars: Sequence[Bar]) -> Markup:
    """Draw how the flagged samples of each round ended; parts are named as `FATES`."""
    return _stacked("fates", "How the flagged samples of each round ended", bars, FATES)


def spending_chart(bars: Sequence[Bar]) -> Markup:
    """Draw the tokens of each round; parts are named as `TOKENS`, the cost stands at the end."""
    return _stacked("spending", "Tokens and cost of each round", bars, TOKENS)


def _stacked(kind: str, title: str, bars: Sequence[Bar], series: dict[str, Series]) -> Markup:
    most = max((bar.total for bar in bars), default=0)
    if not most and not any(bar.end for bar in bars):
        return nothing(kind, title, "nothing to show yet", WIDTH)
    right = WIDTH - 8 - max(breadth(_end(bar)) for bar in bars) - 6
    unit = (right - _LEFT) / most if most else 0.0
    keys, high = legend(list(series.values()), 4)
    top = high + 12
    rows = [_row(bar, top + _ROW * place, unit, series) for place, bar in enumerate(bars)]
    return picture(kind, title, _told(bars, series), WIDTH, top + _ROW * len(bars), keys, *rows)


def _row(bar: Bar, y: float, unit: float, series: dict[str, Series]) -> Markup:
    x = _LEFT
    drawn = []
    for name, value in bar.parts:
        wide = value * unit
        if not value:
            continue
        said = f"{bar.name}: {value:,} {series[name].name}"
        drawn.append(
            tag(
                "rect",
                tag("title", said),
                x=x,
                y=y,
                width=max(wide, 0.8),
                height=_BAR,
                class_=f"part {series[name].class_}",
            )
        )
        if wide > breadth(f"{value:,}") + 6:
            class_ = f"inside {series[name].class_}"
            drawn.append(text(x + wide / 2, y + 13, f"{value:,}", class_, "middle"))
        x += wide
    return group(
        "bars",
        text(_LEFT - 8, y + 13, bar.name, "tick", "end"),
        *drawn,
        text(x + 6, y + 13, _end(bar), "total"),
    )


def _end(bar: Bar) -> str:
    return bar.end or f"{bar.total:,}"


def _told(bars: Sequence[Bar], series: dict[str, Series]) -> str:
    said = []
    for bar in bars:
        parts = ", ".join(f"{value:,} {series[name].name}" for name, value in bar.parts)
        said.append(f"{bar.name}: {parts}" + (f" ({bar.end})" if bar.end else ""))
    return f"{several(len(bars), 'bar')}. " + "; ".join(said) + "."


def money(usd: float | None) -> str:
    """Return a price as people read it; unknown where no price is known."""
    if usd is None or not math.isfinite(usd):
        return "cost unknown"
    return f"${usd:,.2f}" if usd >= 0.005 or not usd else f"${usd:.4f}"
