"""What proofs rest on, in numbers that can be read by eye.

Quality is 1 / (1 + exp(end)), whatever the length; complexity begins at 1.0 + 2.0 * 0.5 nats.
"""

import math
from typing import Any

import numpy as np

from middo.agents.prover import Evidence
from middo.agents.reference import Reference
from middo.core.measures import Measured
from middo.signals.complexity import ComplexityModel
from middo.signals.density import centre_and_normalise
from middo.signals.features import LengthScale
from middo.signals.proof import Terms
from middo.signals.quality import Calibration, KindReport
from middo.signals.robust import LengthBaseline
from middo.signals.thresholds import Choice

RAW = np.array(
    [[4.0, 0.0, 0.0], [0.0, 4.0, 0.0], [0.0, 0.0, 4.0], [-4.0, -4.0, -4.0]], dtype=np.float32
)
MEAN = RAW.mean(axis=0, dtype=np.float64)
VECTORS = centre_and_normalise(RAW, MEAN)
BASELINE = LengthBaseline((), (1.0,), (0.5,))
COMPLEXITY = ComplexityModel(BASELINE, BASELINE, 0.5, 40)
TERMS = Terms(offset=0.1, loss_floor=0.5, margin=0.1, quality_threshold=0.4, quality_median=0.8)

OFF = Calibration(False, "no kind of broken answer is told from real ones by this model", 30)


def calibration(**changes: Any) -> Calibration:
    """Return the quality axis, on, with one kind of control."""
    plain: dict[str, Any] = {
        "on": True,
        "reason": "",
        "rows": 30,
        "asks": frozenset({"alone"}),
        "signals": ("end",),
        "kinds": (KindReport("cut", 30, 0.9, 0.85, 0.95, True, (1.0,), 0.0, {}),),
        "scale": LengthScale((0.0,), (0.0,), (1.0,), 0.0, 10.0),
        "standard_error": 0.05,
    }
    return Calibration(**{**plain, **changes})


def measured(loss: float = 1.0, quality: float | None = 0.9, **changes: Any) -> Measured:
    """Return a measurement whose quality is the one given; None leaves its signal out."""
    end = None if quality is None else math.log((1 - quality) / quality)
    plain: dict[str, Any] = {"answer_tokens": 20, "prompt_tokens": 8, "loss": loss, "end": end}
    return Measured(**{**plain, **changes})


def evidence(parent: str = "parent", **changes: Any) -> Evidence:
    """Return the evidence of a round with four samples; the first is the flagged one."""
    usual: dict[str, Any] = {
        "terms": TERMS,
        "calibration": calibration(),
        "reference": Reference(COMPLEXITY, Choice(2.0, 0.1, ()), None, None, 1.0),
        "shift": 0.25,
        "signals": {
            parent: {
                "quality": 0.3,
                "answer_tokens": 20,
                "loss_tuned": 2.2,
                "neighbours": ["near", "far"],
            }
        },
        "ids": [parent, "near", "far", "other"],
        "vectors": VECTORS,
        "mean": MEAN,
        "neighbours": 2,
    }
    return Evidence(**{**usual, **changes})
