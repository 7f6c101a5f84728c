"""The signals of a data set as arrays, from the measurements of its samples."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..core.measures import RATINGS, Measured
from ..core.records import Axis, Flag, Sample
from ..signals.density import Density
from ..signals.quality import Calibration

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Signals:
    """One entry per sample, in order of id. NaN where a signal could not be computed.

    Attributes:
        samples: the samples, in order of id.
        measured: under the tuned model.
        loss_base: float64[n], nats per token.
        loss_tuned: float64[n], nats per token; None where there is no tuned model.
        answer_tokens: int64[n].
        quality: float64[n], the chance of being sound.
        unscored: a reason per sample, None where it was scored.
    """

    samples: tuple[Sample, ...]
    measured: tuple[Measured, ...]
    loss_base: Floats
    loss_tuned: Floats | None
    answer_tokens: NDArray[np.int64]
    quality: Floats
    unscored: tuple[str | None, ...]

    @property
    def ids(self) -> list[str]:
        """Ids in order."""
        return [sample.id for sample in self.samples]

    @property
    def embedded(self) -> list[int]:
        """Positions of the samples that have an embedding."""
        return [i for i, one in enumerate(self.measured) if one.embedding is not None]

    def vectors(self) -> NDArray[np.float32]:
        """Return the embeddings of the embedded samples, float32[m, d], as measured."""
        rows = [self.measured[i].embedding for i in self.embedded]
        return np.array(rows, dtype=np.float32)


def collect(
    samples: Sequence[Sample],
    base: Mapping[str, Measured],
    tuned: Mapping[str, Measured],
    calibration: Calibration,
    *,
    one_model: bool,
) -> Signals:
    """Line up what was measured.

    Args:
        samples: of the data set.
        base: id -> measurement under the base model.
        tuned: id -> measurement under the tuned model (the base again where there is none).
        calibration: turns measurements into quality.
        one_model: True where no tuned model differs from the base.
    """
    ordered = tuple(sorted(samples, key=lambda sample: sample.id))
    measured = tuple(tuned[sample.id] for sample in ordered)
    unscored = tuple(tuned[sample.id].unscored or base[sample.id].unscored for sample in ordered)
    qualities = [calibration.probability(one) for one in measured]
    return Signals(
        samples=ordered,
        measured=measured,
        loss_base=_losses(base[sample.id] for sample in ordered),
        loss_tuned=None if one_model else _losses(iter(measured)),
        answer_tokens=np.array([one.answer_tokens for one in measured], dtype=np.int64),
        quality=np.array([np.nan if q is None else q for q in qualities], dtype=np.float64),
        unscored=unscored,
    )


def table(
    signals: Signals,
    complexity: Floats,
    density: Density | None,
    clusters: Mapping[str, int],
    flags: Sequence[Flag],
) -> list[dict[str, Any]]:
    """Return the rows of `signals.parquet`."""
    embedded = {position: place for place, position in enumerate(signals.embedded)}
    axes: dict[str, list[Axis]] = {}
    for flag in flags:
        axes.setdefault(flag.sample_id, []).append(flag.axis)
    rows = []
    for i, (sample, one) in enumerate(zip(signals.samples, signals.measured, strict=True)):
        place = embedded.get(i)
        rows.append(
            {
                "id": sample.id,
                "source": sample.source,
                "loss_base": _finite(signals.loss_base[i]),
                "loss_tuned": None
                if signals.loss_tuned is None
                else _finite(signals.loss_tuned[i]),
                "answer_tokens": one.answer_tokens if one.unscored is None else None,
                "complexity": _finite(complexity[i]),
                **_near(density, place),
                "cluster": clusters.get(sample.id),
                **dict(zip(RATINGS, one.ratings or [None] * len(RATINGS), strict=True)),
                "gain": one.gain,
                "recoverability": one.recoverability,
                "quality": _finite(signals.quality[i]),
                "flags": [str(axis) for axis in axes.get(sample.id, [])],
                "unscored": signals.unscored[i],
            }
        )
    return rows


def _near(density: Density | None, place: int | None) -> dict[str, Any]:
    if density is None or place is None:
        return {"density": None, "neighbours": []}
    return {
        "density": _finite(density.values[place]),
        "neighbours": list(density.neighbours[place]),
    }


def _losses(measured: Any) -> Floats:
    return np.array([np.nan if m.unscored else m.loss for m in measured], dtype=np.float64)


def _finite(value: Any) -> float | None:
    return round(float(value), 4) if np.isfinite(value) else None
