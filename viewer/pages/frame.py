"""What every page shows around its own: the run's name and status, and the way to the others."""

from typing import Any, Literal

from ...inspection.record import Record

Place = Literal["run", "round", "samples", "sample", "compare", "review", "error"]


def frame(record: Record, place: Place) -> dict[str, Any]:
    """Return what `base.html` needs; `place` is the page's entry in the navigation."""
    document = record.document()
    diagnosed = [
        entry["round"] for entry in document.get("rounds") or [] if entry.get("flagged") is not None
    ]
    return {
        "place": place,
        "run_name": record.name,
        "status": document.get("status", "unknown"),
        "latest_round": diagnosed[-1] if diagnosed else None,
    }


def error_frame(record: Record) -> dict[str, Any]:
    """Return what the page of an error needs, where the run itself may be what can't be read."""
    try:
        return frame(record, "error")
    except Exception:
        # The page that tells of a failure must not fail at what made it.
        return {
            "place": "error",
            "run_name": record.name,
            "status": "unreadable",
            "latest_round": None,
        }
