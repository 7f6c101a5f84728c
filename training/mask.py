"""Attention masks for fused rows.

Masks are additive floats: some attention implementations take a boolean 4-D mask wrongly and say
nothing. A padding row sees itself, as a row that sees nothing gives NaN. Models with sliding
windows get a mask per kind of layer, in which distance is that of the restarted positions.
"""

from collections.abc import Sequence
from typing import Any

import torch

from .layout import Row

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


def padded(lists: Sequence[Sequence[int]], fill: int = 0) -> torch.Tensor:
    """Return lists of different lengths as int64[batch, width], padded on the right."""
    width = max(map(len, lists))
    return torch.tensor([[*values, *[fill] * (width - len(values))] for values in lists])


def _allowed(rows: Sequence[Row]) -> torch.Tensor:
    """Return bool[batch, width, width]: whether a token (row) sees another (column)."""
    segments = padded([row.segments for row in rows], fill=-1)
    visible = padded([row.visible for row in rows])
    column = torch.arange(segments.shape[1])
    causal = column[:, None] >= column[None, :]
    own = (segments[:, :, None] == segments[:, None, :]) & causal
    prefix = column[None, None, :] < visible[:, :, None]
    # Padding has a segment of its own, so that it sees padding only, itself at least.
    return own | prefix


def _within(rows: Sequence[Row], window: int) -> torch.Tensor:
    """Return bool[batch, width, width]: whether two tokens are less than a window apart."""
    positions = padded([row.positions for row in rows])
    return (positions[:, :, None] - positions[:, None, :]).abs() < window


def _additive(allowed: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    mask = torch.zeros(allowed.shape, dtype=dtype)
    mask.masked_fill_(~allowed, torch.finfo(dtype).min)
    return mask[:, None]
