"""A small `diagnosis.json` with its rows of `signals.parquet`, as `middo diagnose` writes them."""

from copy import deepcopy
from typing import Any

_CURVE = [[0.5, 0.3], [0.6, 0.3], [1.0, 0.2], [1.5, 0.1], [2.0, 0.1], [3.0, 0.0], [4.0, 0.0]]
_CHOICE = {"k": 1.5, "share": 0.1, "curve": _CURVE, "fixed": False}
_DOCUMENT: dict[str, Any] = {
    "data": "rows.jsonl",
    "imported": 14,
    "rows": 12,
    "not_selected": 1,
    "quarantined": 1,
    "model": "models/tiny",
    "adapter": "models/lora",
    "flagged": {"samples": 2, "complexity": 1, "diversity": 1, "quality": 0},
    "axes": {
        "complexity": {"on": True, "reason": "", "k": 1.5, "threshold": 1.5, "flagged": 1},
        "diversity": {"on": True, "reason": "", "k": 1.5, "threshold": 0.35, "flagged": 1},
        "quality": {
            "on": False,
            "reason": "no kind of broken answer is told from real ones by this model",
            "k": None,
            "threshold": None,
            "flagged": 0,
        },
    },
    "cautions": ["quality is off: no kind of broken answer is told from real ones by this model"],
    "thresholds": {
        "complexity": {"base": {}, "tuned": {}, "correlation": 0.5, "rows": 10, "reason": ""},
        "complexity_k": _CHOICE,
        "diversity": {"mean": 0.5, "std": 0.1, "k": 1.5, "value": 0.35, "choice": _CHOICE},
        "quality": None,
        "holdout_loss": None,
    },
    "calibration": {
        "on": False,
        "reason": "no kind of broken answer is told from real ones by this model",
        "rows": 24,
        "signals": ["loss", "gain"],
        "kinds": [
            {
                "kind": "cut",
                "rows": 24,
                "auc": 0.5512,
                "low": 0.4501,
                "high": 0.6604,
                "counts": False,
                "alone": {"loss": 0.31, "gain": 0.58, "log_length": 1.0},
            }
        ],
        "ratings": {"mass": 0.5, "added": 0.0123, "standard_error": 0.02, "kept": True},
    },
    "clusters": {
        "method": "kmeans",
        "noise": 1,
        "clusters": [
            {"label": 0, "size": 7, "medoid": "a", "density": 0.51, "prompt": "Tell \x1b[31mme"},
            {"label": 1, "size": 2, "medoid": "b", "density": None, "prompt": "Name " * 40},
        ],
    },
    "worst": [
        {
            "id": "a",
            "source": "rows.jsonl:3",
            "axis": "complexity",
            "score": 2.25,
            "threshold": 1.5,
            "reason": "loss unusually high under base and tuned model",
            "prompt": "Explain the \u202etides\x07 to me",
            "answer": "The moon pulls.",
        },
        {
            "id": "b",
            "source": "rows.jsonl:7",
            "axis": "diversity",
            "score": 0.2,
            "threshold": 0.35,
            "reason": "far from its nearest neighbours",
            "prompt": "漢字" * 40,
            "answer": "Yes.",
        },
    ],
}


def diagnosis(**changes: Any) -> dict[str, Any]:
    return {**deepcopy(_DOCUMENT), **changes}


def signal_rows() -> list[dict[str, Any]]:
    """Return 12 rows: one is unscored, and two have an answer that is too short for complexity."""
    scores = [-1.0, -0.5, -0.2, 0.0, 0.1, 0.3, 0.6, 1.5, 2.25, None, None, None]
    densities = [0.4, 0.45, 0.5, 0.5, 0.55, 0.6, 0.2, 0.3, 0.52, 0.51, 0.48, None]
    tokens = [*[20] * 9, 4, 5, None]
    return [
        {
            "complexity": score,
            "density": density,
            "quality": None,
            "answer_tokens": count,
            "unscored": None if count else "too_long",
        }
        for score, density, count in zip(scores, densities, tokens, strict=True)
    ]
