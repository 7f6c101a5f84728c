"""A realistic `run.json` of a finished run, as `graph.document.compose` shapes it."""

from copy import deepcopy
from typing import Any

_FINISHED: dict[str, Any] = {
    "run": "20261122-100000-ab12cd",
    "status": "finished",
    "started": "2026-11-22T10:00:00+00:00",
    "base_holdout_loss": 2.73125,
    "best_round": 1,
    "difference": {"mean": -0.0121, "low": -0.0312, "high": 0.0074},
    "stopped": "all 1 rounds are done",
    "export": "export",
    "imported": 152,
    "holdout": 24,
    "quarantined": 1,
    "not_selected": 56,
    "format": "alpaca",
    "tokens": {"prompt": 12345, "completion": 2345, "calls": 31, "unknown_calls": 0},
    "cost_usd": 0.0,
    "seconds": 492.4,
    "rounds": [
        {
            "round": 0,
            "dataset": {"rows": 71, "sha256": "aa"},
            "training": {"steps": 18, "seconds": 82.3, "reused": False},
            "evaluation": {"holdout_loss": 1.81236, "interval": [1.7001, 1.9302], "rows": 24},
            "flagged": {"samples": 10, "complexity": 0, "diversity": 5, "quality": None},
            "accepted": 5,
            "rejected": 3,
            "failed": 1,
            "deferred": 1,
            "kept": 67,
            "replaced": 4,
            "added": 1,
            "dropped": 0,
            "gate": "baseline",
            "difference": None,
            "axes": {
                "complexity": {"on": True, "reason": "", "k": 4.0, "threshold": 5.1, "flagged": 0},
                "diversity": {
                    "on": True,
                    "reason": "",
                    "k": 1.25,
                    "threshold": 0.1234,
                    "flagged": 5,
                },
                "quality": {"on": False, "reason": "no kind of control counts", "k": None},
            },
            "cautions": ["losses of base and tuned model agree (0.97)"],
            "reasons": {
                "the answer repeats \x1b[31mitself\x1b[0m": 2,
                "the prompt lost a number": 1,
                "no valid JSON": 1,
                "beyond max_samples": 1,
            },
            "times": {"prepare": 1.2, "train": 90.0, "evaluate": 20.0, "diagnose": 120.0},
        },
        {
            "round": 1,
            "dataset": {"rows": 72, "sha256": "bb"},
            "training": {"steps": 18, "seconds": 0.0, "reused": True},
            "evaluation": {"holdout_loss": 1.80026, "interval": [1.69, 1.921], "rows": 24},
            "flagged": None,
            "accepted": None,
            "rejected": None,
            "failed": None,
            "deferred": None,
            "kept": None,
            "replaced": None,
            "added": None,
            "dropped": None,
            "gate": "tie",
            "difference": {"mean": -0.0121, "low": -0.0312, "high": 0.0074},
            "axes": None,
            "cautions": [],
            "reasons": None,
            "times": {"train": 85.0, "evaluate": 19.5},
        },
    ],
}


def finished(**changes: Any) -> dict[str, Any]:
    return {**deepcopy(_FINISHED), **changes}


def with_round(number: int, **changes: Any) -> dict[str, Any]:
    document = finished()
    document["rounds"][number].update(changes)
    return document
