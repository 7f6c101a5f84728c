"""The state machine of a run as a picture: the loop as a loop, lying where there is room.

Straight lines between boxes on a fixed plan: positions are data, so the two pictures are the same
graph with its axes exchanged. Colours are the style sheet's, by the stage of each node.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape

from ..inspection.figures import duration
from ..inspection.steps import Standing, Step

WIDTH, HEIGHT = 112, 50
_HEAD = 7
_SAID = {
    "ahead": "ahead",
    "earlier": "done in an earlier round",
    "done": "done",
    "current": "at work",
    "waiting": "waiting for a person",
    "stopped": "stopped here",
    "failed": "failed here",
}
_MARKS = {"done": "✓", "earlier": "✓", "waiting": "?", "stopped": "‖", "failed": "✕"}


@dataclass(frozen=True, slots=True)
class _Plan:
    """Where things go: `along` steps of the loop, `across` between its two sides."""

    along: float
    across: float
    is_tall: bool

    def place(self, along: float, across: float) -> tuple[float, float]:
        """Return the centre of a box."""
        a, b = along * self.along, across * self.across
        x, y = (b, a) if self.is_tall else (a, b)
        return x + WIDTH / 2 + 6, y + HEIGHT / 2 + 6


_WIDE = _Plan(along=212, across=112, is_tall=False)
_TALL = _Plan(along=102, across=178, is_tall=True)


def machine(standing: Standing, *, is_tall: bool) -> Markup:
    """Return the picture as an SVG element that scales with its container."""
    plan = _TALL if is_tall else _WIDE
    steps = {step.node: step for step in standing.steps}
    centres = {node: plan.place(*spot) for node, spot in _spots(list(steps)).items()}
    width = max(x for x, _ in centres.values()) + WIDTH / 2 + 6
    height = max(y for _, y in centres.values()) + HEIGHT / 2 + 6
    name = f"machine-{'tall' if is_tall else 'wide'}"
    parts = [
        f'<svg class="machine" role="img" viewBox="0 0 {width:g} {height:g}" '
        f'aria-labelledby="{name}-title {name}-desc">',
        f'<title id="{name}-title">The loop of the run</title>',
        f'<desc id="{name}-desc">{escape(described(standing))}</desc>',
        *(_edge(centres[a], centres[b], is_tall=is_tall) for a, b in _edges(list(steps))),
        *(_node(steps[node], *centres[node]) for node in steps),
        "</svg>",
    ]
    return Markup("".join(parts))


def described(standing: Standing) -> str:
    """Return the picture in words."""
    told = (
        f"{step.node} {_SAID[step.stage]}" + (f" ({took})" if (took := _took(step)) else "")
        for step in standing.steps
    )
    return "; ".join(told) + "."


def _spots(nodes: Sequence[str]) -> dict[str, tuple[float, float]]:
    """Return (along, across) of each node: out on one side of the loop, back on the other."""
    spots = {"prepare": (0.0, 0.0), "train": (1, 0), "evaluate": (2, 0), "gate": (3, 0)}
    spots["finalize"] = (4, 0)
    back = [node for node in ("diagnose", "refine", "review", "merge") if node in nodes]
    for number, node in enumerate(back):
        spots[node] = (3 - 2 * number / (len(back) - 1), 1)
    return {node: spots[node] for node in nodes}


def _edges(nodes: Sequence[str]) -> list[tuple[str, str]]:
    loop = [node for node in nodes if node != "finalize"]
    return [
        *zip(loop, loop[1:], strict=False),
        ("merge", "train"),
        ("gate", "finalize"),
        ("diagnose", "finalize"),
    ]


def _edge(start: tuple[float, float], end: tuple[float, float], *, is_tall: bool) -> str:
    """Return an arrow between two boxes: straight, or with one corner where they are apart."""
    (ax, ay), (bx, by) = start, end
    if abs(ay - by) < 1:  # side by side
        sign = 1 if bx > ax else -1
        points = [(ax + sign * WIDTH / 2, ay), (bx - sign * WIDTH / 2, by)]
    elif abs(ax - bx) < 1:
        sign = 1 if by > ay else -1
        points = [(ax, ay + sign * HEIGHT / 2), (bx, by - sign * HEIGHT / 2)]
    elif is_tall:
        points = [(ax, ay + HEIGHT / 2), (ax, by), (bx + WIDTH / 2, by)]
    else:
        points = [(ax + WIDTH / 2, ay), (bx, ay), (bx, by + HEIGHT / 2)]
    (px, py), (qx, qy) = points[-2:]
    dx, dy = (qx > px) - (qx < px), (qy > py) - (qy < py)
    points[-1] = (qx - dx * _HEAD, qy - dy * _HEAD)
    line = " ".join(f"{x:g},{y:g}" for x, y in points)
    head = " ".join(
        f"{x:g},{y:g}"
        for x, y in (
            (qx, qy),
            (qx - dx * _HEAD - dy * 4, qy - dy * _HEAD - dx * 4),
            (qx - dx * _HEAD + dy * 4, qy - dy * _HEAD + dx * 4),
        )
    )
    return f'<polyline class="edge" points="{line}"/><polygon class="head" points="{head}"/>'


def _took(step: Step) -> str:
    """Return a node's time; of one at work it would stand still until the picture is drawn anew."""
    return duration(step.seconds) if step.seconds and step.stage != "current" else ""


def _node(step: Step, x: float, y: float) -> str:
    mark = _MARKS.get(step.stage, "")
    took = "at work" if step.stage == "current" else _took(step)
    low = f'<text class="took" x="{x:g}" y="{y + 15:g}">{took}</text>' if took else ""
    top = y - 3 if took else y + 5
    label = escape(step.node) + (f" {mark}" if mark else "")
    return (
        f'<g class="node {step.stage}">'
        f'<rect x="{x - WIDTH / 2:g}" y="{y - HEIGHT / 2:g}" width="{WIDTH}" height="{HEIGHT}"'
        ' rx="9"/>'
        f'<text class="name" x="{x:g}" y="{top:g}">{label}</text>{low}</g>'
    )
