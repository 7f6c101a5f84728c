"""A score against its threshold as a small bar: the flagged side shaded, the score a mark on it."""

from markupsafe import Markup, escape

from ..inspection.life import Reading

WIDTH, HEIGHT = 220, 26
_RANGES = {"complexity": (-3.0, 5.0), "diversity": (0.0, 1.0), "quality": (0.0, 1.0)}
"""The usual range of each axis: spreads above the usual loss, cosine, chance; more is drawn at its
edge."""


def gauge(reading: Reading) -> Markup | None:
    """Return an SVG of a reading; None where there is no score or no threshold."""
    if reading.score is None or reading.threshold is None:
        return None
    low, high = _RANGES[str(reading.axis)]

    def place(value: float) -> float:
        share = (min(max(value, low), high) - low) / (high - low)
        return 4 + share * (WIDTH - 8)

    at, edge = place(reading.score), place(reading.threshold)
    start, end = (edge, WIDTH - 4) if reading.flags_high else (4, edge)
    side = "above" if reading.flags_high else "below"
    words = (
        f"{reading.axis}: score {reading.score:.4f}, threshold {reading.threshold:.4f}, "
        f"flagged {side} it"
    )
    mark = "beyond" if reading.flagged else "within"
    return Markup(
        f'<svg class="gauge" role="img" viewBox="0 0 {WIDTH} {HEIGHT}"'
        f' aria-label="{escape(words)}">'
        f'<rect class="track" x="4" y="10" width="{WIDTH - 8}" height="6" rx="3"/>'
        f'<rect class="flag-side" x="{start:.1f}" y="10" width="{max(end - start, 0):.1f}"'
        ' height="6" rx="3"/>'
        f'<line class="edge" x1="{edge:.1f}" x2="{edge:.1f}" y1="4" y2="22"/>'
        f'<circle class="{mark}" cx="{at:.1f}" cy="13" r="5.5"/></svg>'
    )
