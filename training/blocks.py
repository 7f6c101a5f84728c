"""Attention of fused rows in blocks: each segment against its prefix and itself, and no more.

A mask over a whole row pays for every pair of its tokens, most of which don't see one another, and
rows of different lengths need padding. Here rows stand one behind the other in a single sequence
without padding, and attention runs once per segment. On a CPU that takes a third of the time of a
masked row; on a GPU the many small calls would take longer than what they save.

Transformers finds the function under `NAME`, and hands it the `blocks` that the model was called
with. A model that does not hand them on, or does more in its attention than this function knows,
gives wrong numbers or an error; the self-test at load finds both.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch.nn.functional import scaled_dot_product_attention

from .layout import Row

NAME = "middo_blocks"
UNKNOWN = ("softcap", "s_aux", "position_bias", "cache")
"""What some models want of their attention beside the usual, and this one can't do."""


class Blocks:
    """Which tokens of a packed sequence see which."""

    def __init__(self, rows: Sequence[Row]) -> None:
        """Lay the rows one behind the other."""
        self._places: list[tuple[int, int, int, int]] = []
        self._masks: dict[tuple[int, int, int | None], torch.Tensor] = {}
        start = 0
        for row in rows:
            first = start
            for segment in row.segments:
                stop = start + len(segment.ids)
                self._places.append((first, segment.after, start, stop))
                start = stop

    def __iter__(self) -> Iterator[tuple[slice, slice]]:
        """Yield per segment where its prefix and its own tokens stand."""
        for first, after, start, stop in self._places:
            yield slice(first, first + after), slice(start, stop)

    def mask(self, after: int, length: int, window: int | None, like: torch.Tensor) -> Any:
        """Return the additive mask [length, after + length]; None where it is plainly causal.

        Args:
            after: tokens of the prefix.
            length: tokens of the segment.
            window: how far the layer sees; None for all.
            like: has the wanted dtype and device.
        """
        near = window is not None and window < after + length
        if after == 0 and not near:
            return None
        key = (after, length, window if near else None)
        if key not in self._masks:
            query = torch.arange(after, after + length)[:, None]
            distance = query - torch.arange(after + length)[None, :]
            hidden = distance < 0
            if near and window is not None:
                hidden |= distance >= window
            mask = torch.zeros(hidden.shape, dtype=like.dtype)
            self._masks[key] = mask.masked_fill_(hidden, float("-inf")).to(like.device)
        return self._masks[key]


def attend(
    module: Any,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    *,
    blocks: Blocks,
    scaling: float | None = None,
    sliding_window: int | None = None,
    **others: Any,
) -> tuple[torch.Tensor, None]:
    """Return the attention's output [1, n, heads, size], as transformers wants it.

    Args:
        module: the layer's attention, not used.
        query: [1, heads, n, size].
        key: [1, key heads, n, size].
        value: as `key`.
        attention_mask: not used.
        blocks: who sees whom.
        scaling: factor of the scores.
        sliding_window: how far this layer sees.
        others: further arguments of transformers.

    Raises:
        ValueError: the model wants something that is not known here.
    """
    if unknown := [name for name in UNKNOWN if others.get(name) is not None]:
        raise ValueError(f"its attention needs {', '.join(unknown)}")
    found = query.new_empty((1, query.shape[2], query.shape[1], value.shape[3]))
    for prefix, own in blocks:
        after, length = prefix.stop - prefix.start, own.stop - own.start
        keys, values = key[:, :, own], value[:, :, own]
        if after:
            keys = torch.cat([key[:, :, prefix], keys], dim=2)
            values = torch.cat([value[:, :, prefix], values], dim=2)
        mask = blocks.mask(after, length, sliding_window, query)
        part = scaled_dot_product_attention(
            query[:, :, own],
            keys,
            values,
            attn_mask=mask,
            is_causal=mask is None,
            scale=scaling,
            enable_gqa=query.shape[1] != key.shape[1],
        )
        found[:, own] = part.transpose(1, 2)
    return found, None
