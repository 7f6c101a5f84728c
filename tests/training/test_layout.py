from typing import Any

import pytest
import torch

from middo.training.layout import Layout, Segment, batches, fused, separate, shared_prefix
from middo.training.mask import attention_masks

TREE = [Segment([10, 11, 12, 13]), Segment([20, 21], 2), Segment([30, 31], 4)]


class Config:
    """A model configuration as far as masks read it."""

    def __init__(self, **values: Any) -> None:
        self.__dict__.update(values)


def seen(layout: Layout, row: int, **config: Any) -> list[str]:
    """Return per token of a row the columns that it sees, as text of 0 and 1."""
    mask = attention_masks(Config(**config), layout.rows, torch.float32)
    assert isinstance(mask, torch.Tensor)
    return picture(mask, row)


def picture(mask: torch.Tensor, row: int = 0) -> list[str]:
    assert mask.is_floating_point()
    return ["".join("1" if value == 0 else "0" for value in line) for line in mask[row, 0]]


def test_a_fused_row_restarts_positions_where_each_prefix_ends() -> None:
    (row,) = fused(TREE).rows
    assert row.ids == [10, 11, 12, 13, 20, 21, 30, 31]
    assert row.positions == [0, 1, 2, 3, 2, 3, 4, 5]
    assert not row.is_plain


def test_separate_rows_are_the_paths_written_out() -> None:
    rows = separate(TREE).rows
    assert [row.ids for row in rows] == [
        [10, 11, 12, 13],
        [10, 11, 20, 21],
        [10, 11, 12, 13, 30, 31],
    ]
    assert all(row.is_plain for row in rows)


@pytest.mark.parametrize("arrange", [fused, separate])
def test_the_predictor_is_the_token_before_on_the_path(arrange: Any) -> None:
    layout = arrange(TREE)
    for number, segment in enumerate(TREE):
        path = [*list(TREE[0].ids)[: segment.after], *segment.ids]
        for index in range(1, len(path) + 1):
            row, column = layout.predictor(number, index)
            assert layout.rows[row].ids[column] == path[index - 1]


def test_branches_see_their_prefix_and_themselves_but_no_sister() -> None:
    assert seen(fused(TREE), 0) == [
        "10000000",
        "11000000",
        "11100000",
        "11110000",
        "11001000",
        "11001100",
        "11110010",
        "11110011",
    ]


def test_padding_is_seen_by_none_and_sees_itself() -> None:
    layout = Layout([*fused(TREE).rows, *fused([Segment([1]), Segment([2], 1)]).rows], [], TREE)
    lines = seen(layout, 1)
    assert lines[:2] == ["10000000", "11000000"]
    assert all(line[index] == "1" for index, line in enumerate(lines))
    assert all(line[:2] == "00" for line in lines[2:])


def test_a_window_counts_restarted_positions() -> None:
    mask = attention_masks(
        Config(sliding_window=2, layer_types=["sliding_attention", "full_attention"]),
        fused(TREE).rows,
        torch.float32,
    )
    assert isinstance(mask, dict)
    assert picture(mask["full_attention"]) == seen(fused(TREE), 0)
    assert picture(mask["sliding_attention"]) == [
        "10000000",
        "11000000",
        "01100000",
        "00110000",
        "01001000",
        "00001100",
        "00010010",
        "00000011",
    ]


def test_a_model_that_only_slides_gets_one_windowed_mask() -> None:
    assert seen(fused(TREE), 0, sliding_window=2)[4] == "01001000"
    unused = {"sliding_window": 2, "layer_types": ["full_attention"]}
    assert seen(fused(TREE), 0, **unused)[4] == "11001000"


def test_a_shared_prefix_ends_at_the_first_difference() -> None:
    assert shared_prefix([1, 2, 3], [1, 2, 4, 5]) == 2
    assert shared_prefix([1, 2], [1, 2, 3]) == 2
    assert shared_prefix([], [1]) == 0


def test_batches_keep_their_padded_size_within_the_budget() -> None:
    lengths = [3, 9, 4, 20, 4]
    order = [3, 1, 2, 4, 0]
    assert batches(lengths, order, 12) == [[3], [1], [2, 4, 0]]
    assert batches(lengths, order, 8) == [[3], [1], [2, 4], [0]]
    assert batches([], [], 8) == []
