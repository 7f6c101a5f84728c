"""Attention masks for fused rows.

Masks are additive floats: some attention implementations take a boolean 4-D mask wrongly and say
nothing. A padding row sees itself, as a row that sees nothing gives NaN. Models with sliding
windows get a mask per kind of layer, in which distance is that of the restarted positions.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from .layout import Ids, Row

Mask = torch.Tensor | dict[str, torch.Tensor]


def attention_masks(config: Any, rows: Sequence[Row], dtype: torch.dtype) -> Mask:
    """Return what a model with this configuration expects as `attention_mask`.

    Returns:
        An additive mask [batch, 1, width, width], or one per layer type.
    """
    window: int | None = getattr(config, "sliding_window", None)
    kinds: Sequence[str] | None = getattr(config, "layer_types", None)
    allowed = _allowed(rows)
    if window is None or (kinds is not None and "sliding_attention" not in kinds):
        return _additive(allowed, dtype)
    near = _additive(allowed & _within(rows, window), dtype)
    if kinds is None:  # every layer slides
        return near
    return {"full_attention": _additive(allowed, dtype), "sliding_attention": near}


def padded(arrays: Sequence[Ids], fill: int = 0) -> torch.Tensor:
    """Return arrays of different lengths as int64[batch, width], padded on the right."""
    table = np.full((len(arrays), max(map(len, arrays))), fill, dtype=np.int64)
    for line, values in zip(table, arrays, strict=True):
        line[: len(values)] = values
    return torch.from_numpy(table)


def _allowed(rows: Sequence[Row]) -> torch.Tensor:
    """Return bool[batch, width, width]: whether a token (row) sees another (column)."""
    # Padding has a segment of its own, so that it sees padding only, itself at least.
    segments = padded(
        [np.repeat(np.arange(len(row.segments), dtype=np.int32), row.lengths) for row in rows],
        fill=-1,
    )
    afters = [np.array([segment.after for segment in row.segments], np.int32) for row in rows]
    visible = padded(
        [np.repeat(after, row.lengths) for row, after in zip(rows, afters, strict=True)]
    )
    column = torch.arange(segments.shape[1])
    causal = column[:, None] >= column[None, :]
    own = (segments[:, :, None] == segments[:, None, :]) & causal
    return own | (column[None, None, :] < visible[:, :, None])


def _within(rows: Sequence[Row], window: int) -> torch.Tensor:
    """Return bool[batch, width, width]: whether two tokens are less than a window apart."""
    positions = padded([row.positions for row in rows])
    return (positions[:, :, None] - positions[:, None, :]).abs() < window


def _additive(allowed: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    mask = torch.zeros(allowed.shape, dtype=dtype)
    mask.masked_fill_(~allowed, torch.finfo(dtype).min)
    return mask[:, None]
