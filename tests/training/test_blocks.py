"""Attention in blocks against one masked attention over the whole sequence."""

import math
from typing import Any

import numpy as np
import pytest
import torch

from middo.training.blocks import Blocks, attend
from middo.training.layout import Row, Segment
from middo.training.mask import attention_masks

TREE = [(7, 0), (2, 3), (4, 7), (1, 1)]
OTHER = [(5, 0)]


def row(shape: list[tuple[int, int]]) -> Row:
    return Row([Segment(np.zeros(length, np.int32), after) for length, after in shape])


@pytest.mark.parametrize("window", [None, 3])
@pytest.mark.parametrize("key_heads", [1, 2, 4])
def test_blocks_are_the_masked_attention_of_each_row(window: int | None, key_heads: int) -> None:
    class Config:
        sliding_window = window

    rows = [row(TREE), row(OTHER)]
    length = sum(map(len, rows))
    random = torch.Generator().manual_seed(1)
    query = torch.randn(1, 4, length, 8, generator=random)
    key = torch.randn(1, key_heads, length, 8, generator=random)
    value = torch.randn(1, key_heads, length, 6, generator=random)
    found, _ = attend(
        None, query, key, value, None, blocks=Blocks(rows), scaling=0.2, sliding_window=window
    )
    start = 0
    for one in rows:
        part = slice(start, start + len(one))
        start += len(one)
        mask = attention_masks(Config, [one], torch.float32)
        assert isinstance(mask, torch.Tensor)
        q, k, v = query[:, :, part], key[:, :, part], value[:, :, part]
        repeats = 4 // key_heads
        scores = q @ k.repeat_interleave(repeats, 1).transpose(2, 3) * 0.2 + mask
        expected = scores.softmax(-1) @ v.repeat_interleave(repeats, 1)
        torch.testing.assert_close(found[:, part], expected.transpose(1, 2))


def test_a_mask_hides_what_comes_later_and_what_is_too_far() -> None:
    blocks = Blocks([row(TREE)])
    like = torch.zeros(1)
    assert blocks.mask(0, 7, None, like) is None
    assert blocks.mask(0, 7, 7, like) is None
    seen = blocks.mask(3, 2, None, like) == 0
    assert seen.tolist() == [[True] * 4 + [False], [True] * 5]
    near = blocks.mask(3, 2, 2, like)
    assert (near == 0).tolist() == [[False, False, True, True, False], [False] * 3 + [True] * 2]
    assert float(near.min()) == -math.inf
    assert blocks.mask(3, 2, 2, like) is near


@pytest.mark.parametrize("wish", ["softcap", "s_aux", "position_bias"])
def test_what_a_model_wants_beside_is_refused(wish: str) -> None:
    state: Any = torch.zeros(1, 1, 5, 4)
    others: Any = {wish: 1.0}
    with pytest.raises(ValueError, match=wish):
        attend(None, state, state, state, None, blocks=Blocks([row(OTHER)]), **others)
