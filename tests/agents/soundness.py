"""A calibration that can be read by eye: quality = 1 / (1 + exp(end)), whatever the length."""

import math
from typing import Any

from middo.core.measures import Measured
from middo.signals.features import LengthScale
from middo.signals.quality import Calibration, KindReport

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
