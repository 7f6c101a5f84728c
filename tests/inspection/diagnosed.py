"""Rounds whose diagnosis is whole: thresholds, calibration and clusters as runs write them."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from middo.core.records import Axis, Sample
from middo.signals.complexity import fit_complexity
from middo.signals.thresholds import choose_k, fit_threshold
from middo.stores.runs import write_json

from .folder import Folder

KIND = {
    "kind": "cut",
    "rows": 24,
    "auc": 0.94,
    "low": 0.85,
    "high": 1.0,
    "counts": True,
    "coefficients": [1.0, 0.5],
    "intercept": 0.0,
    "alone": {"loss": 0.2, "end": 0.7, "log_length": 0.99},
}


def diagnose(
    folder: Folder,
    number: int,
    samples: Sequence[Sample],
    *,
    losses: Sequence[float],
    quality: Sequence[float],
    flags: Sequence[tuple[Sample, Axis]] = (),
    clusters: Sequence[int] = (),
    tokens: Sequence[int] = (),
    off: dict[str, str] | None = None,
) -> dict[str, Any]:
    """Write a diagnosis of samples with these tuned losses; the base model's are 0.1 above."""
    ids = [one.id for one in samples]
    tuned = np.array(losses, dtype=np.float64)
    lengths = np.array(tokens or [20] * len(ids), dtype=np.int64)
    model = fit_complexity(tuned + 0.1, tuned, lengths)
    scores = model.score(tuned + 0.1, tuned, lengths)
    density = np.linspace(0.2, 0.8, len(ids))
    columns: dict[str, Sequence[float]] = {
        "complexity": np.where(np.isfinite(scores), scores, np.nan).tolist(),
        "diversity": density.tolist(),
        "quality": quality,
        "loss_tuned": tuned.tolist(),
        "loss_base": (tuned + 0.1).tolist(),
        "answer_tokens": lengths.tolist(),
    }
    angles = np.linspace(0, 3, len(ids))
    folder.diagnosis(
        number,
        {name: dict(zip(ids, values, strict=True)) for name, values in columns.items()},
        [(one.id, axis, "why") for one, axis in flags],
        off=off,
        vectors={name: (np.cos(a), np.sin(a), 0.1) for name, a in zip(ids, angles, strict=True)},
        clusters=dict(zip(ids, clusters, strict=True)) if clusters else None,
    )
    path = folder.path / "rounds" / str(number) / "diagnosis.json"
    document: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    k = choose_k(scores, 0.2)
    sparse, weak = (fit_threshold(np.array(v), 0.2) for v in (density.tolist(), quality))
    values = {"complexity": (k.k, k.k), "diversity": (sparse.k, sparse.value)}
    values["quality"] = (weak.k, weak.value)
    for axis, report in document["axes"].items():
        count = sum(str(flagged) == axis for _, flagged in flags)
        report |= {"k": values[axis][0], "threshold": values[axis][1]}
        report |= {"flagged": count, "suppressed": 0}
    labels = list(clusters)
    document |= {
        "cautions": ["<b>a caution</b>"],
        "shift": 0.0,
        "thresholds": {
            "complexity": model.as_dict(),
            "complexity_k": k.as_dict(),
            "diversity": sparse.as_dict(),
            "quality": weak.as_dict(),
        },
        "calibration": {
            "on": True,
            "reason": "",
            "rows": 24,
            "signals": ["loss", "end"],
            "kinds": [KIND],
            "ratings": {"mass": 0.07, "added": None, "standard_error": None, "kept": False},
        },
        "clusters": {
            "method": "hdbscan",
            "rows": len(ids),
            "sampled": len(ids),
            "noise": labels.count(-1),
            "clusters": [
                {
                    "label": label,
                    "size": labels.count(label),
                    "medoid": ids[labels.index(label)],
                    "density": 0.5,
                }
                for label in sorted(set(labels) - {-1})
            ],
        }
        if labels
        else None,
        "drift": None if number == 0 else 0.25,
        "plan": {"selected": [one.id for one, _ in flags], "deferred": [], "rationale": "all"},
        "proof": {"terms": {"offset": 0.01, "loss_floor": 1.0, "margin": 0.1}},
    }
    write_json(path, document)
    return document


def evaluate(path: Path, number: int, losses: Mapping[str, float | None]) -> None:
    """Write the hold-out losses of a round."""
    rows = [{"id": name, "loss": loss, "tokens": 10} for name, loss in losses.items()]
    tuned = {"rows": rows, "unscored": 0}
    document = {"round": number, "tuned": tuned, "base": None}
    write_json(path / "rounds" / str(number) / "evaluation.json", document)
