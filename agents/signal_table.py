"""The signals of a data set as columns, from the measurements of its samples."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..core.measures import RATINGS, Measured
from ..core.records import Flag, Sample
from ..signals.density import Density, prompt_hash
from ..signals.quality import Calibration
from ..signals.thresholds import SOUND

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

DECIMALS = 4


@dataclass(frozen=True, slots=True, eq=False)
class Signals:
    """One entry per sample, in order of id. NaN where a signal could not be computed.

    Attributes:
        ids: of the samples, sorted.
        sources: where each came from.
        prompts: uint64[n], `prompt_hash` of each prompt: equal ones are copies.
        embedded: int64[m], positions of the samples that have an embedding, ascending.
        loss_base: float64[n], nats per token.
        loss_tuned: float64[n], nats per token; None where there is no tuned model.
        answer_tokens: int64[n].
        loss_prompt: float64[n], L(p) under the tuned model (the base where there is none), nats per
            token; NaN too where the prompt can't be rewritten, as tool turns belong to it.
        prompt_tokens: int64[n].
        ratings: float64[n, 6], in the order of `RATINGS`.
        gain: float64[n], nats per token.
        recoverability: float64[n], nats per token.
        quality: float64[n], the chance of being sound.
        likeness: position -> the kind of broken answer that a row of doubtful quality is most like.
        unscored: a reason per sample, None where it was scored.
    """

    ids: list[str]
    sources: list[str]
    prompts: NDArray[np.uint64]
    embedded: Integers
    loss_base: Floats
    loss_tuned: Floats | None
    answer_tokens: Integers
    loss_prompt: Floats
    prompt_tokens: Integers
    ratings: Floats
    gain: Floats
    recoverability: Floats
    quality: Floats
    likeness: dict[int, str]
    unscored: list[str | None]


def collect(
    samples: Iterable[Sample],
    base: Mapping[str, Measured],
    tuned: Mapping[str, Measured],
    calibration: Calibration,
    embedded: Iterable[str],
    *,
    one_model: bool,
) -> Signals:
    """Line up what was measured.

    Args:
        samples: of the data set, streamed once; their texts are not kept.
        base: id -> measurement under the base model.
        tuned: id -> measurement under the tuned model (the base again where there is none).
        calibration: turns measurements into quality.
        embedded: ids of the samples that have an embedding.
        one_model: True where no tuned model differs from the base.
    """
    rows = sorted(
        (one.id, one.source, prompt_hash(one.prompt), one.prompt_is_fixed) for one in samples
    )
    ids = [name for name, *_ in rows]
    measured = [tuned[name] for name in ids]
    on_base = [base[name] for name in ids]
    there = frozenset(embedded)
    none = (np.nan,) * len(RATINGS)
    quality = floats(calibration.probability(one) for one in measured)
    # No flag is above `SOUND`, so that no other row is ever asked what it is like.
    doubtful = np.flatnonzero(quality < SOUND).tolist()
    like = {i: calibration.likeness(measured[i]) for i in doubtful}
    return Signals(
        ids=ids,
        sources=[source for _, source, _, _ in rows],
        prompts=np.array([prompt for _, _, prompt, _ in rows], dtype=np.uint64),
        embedded=np.flatnonzero([name in there for name in ids]),
        loss_base=_losses(on_base),
        loss_tuned=None if one_model else _losses(measured),
        answer_tokens=np.array([one.answer_tokens for one in measured], dtype=np.int64),
        loss_prompt=floats(
            None if one.unscored or fixed else one.prompt
            for one, (_, _, _, fixed) in zip(measured, rows, strict=True)
        ),
        prompt_tokens=np.array([one.prompt_tokens for one in measured], dtype=np.int64),
        ratings=np.array([one.ratings or none for one in measured], dtype=np.float64).reshape(
            -1, len(RATINGS)
        ),
        gain=floats(one.gain for one in measured),
        recoverability=floats(one.recoverability for one in measured),
        quality=quality,
        likeness={i: kind for i, kind in like.items() if kind is not None},
        unscored=[m.unscored or b.unscored for m, b in zip(measured, on_base, strict=True)],
    )


def table(
    signals: Signals,
    complexity: Floats,
    density: Density | None,
    clusters: Mapping[str, int],
    flags: Sequence[Flag],
) -> dict[str, Any]:
    """Return the columns of `signals.parquet`."""
    ids, rows = signals.ids, len(signals.ids)
    axes: dict[str, list[str]] = {}
    for flag in flags:
        axes.setdefault(flag.sample_id, []).append(str(flag.axis))
    near: Floats = np.full(rows, np.nan)
    neighbours: list[Sequence[str]] = [()] * rows
    if density is not None:
        near[signals.embedded] = density.values
        for position, names in zip(signals.embedded.tolist(), density.neighbours, strict=True):
            neighbours[position] = names
    unscored = np.array([reason is not None for reason in signals.unscored], dtype=np.bool_)
    return {
        "id": ids,
        "source": signals.sources,
        "loss_base": _rounded(signals.loss_base),
        "loss_tuned": None if signals.loss_tuned is None else _rounded(signals.loss_tuned),
        "answer_tokens": np.ma.MaskedArray(signals.answer_tokens, mask=unscored),
        "loss_prompt": _rounded(signals.loss_prompt),
        "prompt_tokens": np.ma.MaskedArray(signals.prompt_tokens, mask=unscored),
        "complexity": _rounded(complexity),
        "density": _rounded(near),
        "neighbours": neighbours,
        "cluster": [clusters.get(name) for name in ids],
        **{name: _rounded(column) for name, column in zip(RATINGS, signals.ratings.T, strict=True)},
        "gain": _rounded(signals.gain),
        "recoverability": _rounded(signals.recoverability),
        "quality": _rounded(signals.quality),
        "flags": [axes.get(name, []) for name in ids],
        "unscored": signals.unscored,
    }


def _losses(measured: Iterable[Measured]) -> Floats:
    return floats(None if one.unscored else one.loss for one in measured)


def floats(values: Iterable[float | None]) -> Floats:
    """Return values as float64[n], NaN for None."""
    return np.array([np.nan if value is None else value for value in values], dtype=np.float64)


def _rounded(values: Floats) -> Floats:
    return np.where(np.isfinite(values), np.round(values, DECIMALS), np.nan)
