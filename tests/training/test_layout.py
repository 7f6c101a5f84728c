from typing import Any

import numpy as np
import pytest
import torch

from middo.training.layout import (
    Layout,
    Row,
    Segment,
    fused,
    packed_batches,
    padded_batches,
    separate,
    shared_prefix,
)
from middo.training.mask import attention_masks


def segment(ids: list[int], after: int = 0) -> Segment:
    return Segment(np.array(ids, dtype=np.int32), after)


TREE = [segment([10, 11, 12, 13]), segment([20, 21], 2), segment([30, 31], 4)]


class Config:
    """A model configuration as far as masks read it."""

    def __init__(self, **values: Any) -> None:
        self.__dict__.update(values)


def seen(rows: list[Row], row: int, **config: Any) -> list[str]:
    """Return per token of a row the columns that it sees, as text of 0 and 1."""
    mask = attention_masks(Config(**config), rows, torch.float32)
    assert isinstance(mask, torch.Tensor)
    return picture(mask, row)


def picture(mask: torch.Tensor, row: int = 0) -> list[str]:
    assert mask.is_floating_point()
    return ["".join("1" if value == 0 else "0" for value in line) for line in mask[row, 0]]


def test_a_fused_row_restarts_positions_where_each_prefix_ends() -> None:
    (row,) = fused(TREE).rows
    assert row.ids.tolist() == [10, 11, 12, 13, 20, 21, 30, 31]
    assert row.positions.tolist() == [0, 1, 2, 3, 2, 3, 4, 5]
    assert len(row) == 8
    assert not row.is_plain


def test_separate_rows_are_the_paths_written_out() -> None:
    rows = separate(TREE).rows
    assert [row.ids.tolist() for row in rows] == [
        [10, 11, 12, 13],
        [10, 11, 20, 21],
        [10, 11, 12, 13, 30, 31],
    ]
    assert all(row.is_plain for row in rows)


@pytest.mark.parametrize("arrange", [fused, separate])
def test_the_predictor_is_the_token_before_on_the_path(arrange: Any) -> None:
    layout: Layout = arrange(TREE)
    for number, branch in enumerate(TREE):
        path = [*TREE[0].ids[: branch.after], *branch.ids]
        indices = np.arange(1, len(path) + 1)
        rows, columns = layout.predictors(np.full_like(indices, number), indices)
        found = [layout.rows[r].ids[c] for r, c in zip(rows, columns, strict=True)]
        assert found == path


def test_branches_see_their_prefix_and_themselves_but_no_sister() -> None:
    assert seen(fused(TREE).rows, 0) == [
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
    lines = seen([*fused(TREE).rows, Row([segment([1]), segment([2], 1)])], 1)
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
    assert picture(mask["full_attention"]) == seen(fused(TREE).rows, 0)
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
    assert seen(fused(TREE).rows, 0, sliding_window=2)[4] == "01001000"
    unused = {"sliding_window": 2, "layer_types": ["full_attention"]}
    assert seen(fused(TREE).rows, 0, **unused)[4] == "11001000"


def test_a_shared_prefix_ends_at_the_first_difference() -> None:
    assert shared_prefix([1, 2, 3], [1, 2, 4, 5]) == 2
    assert shared_prefix([1, 2], [1, 2, 3]) == 2
    assert shared_prefix([], [1]) == 0


def test_padded_batches_keep_their_padded_size_within_the_budget() -> None:
    lengths = [3, 9, 4, 20, 4]
    order = [3, 1, 2, 4, 0]
    assert padded_batches(lengths, order, 12) == [[3], [1], [2, 4], [0]]
    assert padded_batches([5] * 5, range(5), 12) == [[0, 1], [2, 3], [4]]
    assert padded_batches([], [], 8) == []


@pytest.mark.parametrize("budget", [1024, 16384])
def test_padding_stays_under_five_percent_in_a_small_set_of_many_lengths(budget: int) -> None:
    # Log-normal, as lengths of real conversations are: most around 150 tokens, some of 900.
    random = np.random.default_rng(1)
    lengths = sorted(random.lognormal(5, 0.6, 250).astype(int).tolist(), reverse=True)
    groups = padded_batches(lengths, range(250), budget)
    assert sorted(sum(groups, [])) == list(range(250))
    padded = sum(lengths[group[0]] * len(group) for group in groups)
    assert 1 - sum(lengths) / padded < 0.05
    assert len(groups) < 80


def test_packed_batches_keep_their_tokens_within_the_budget() -> None:
    lengths = [3, 9, 4, 20, 4]
    order = [3, 1, 2, 4, 0]
    assert packed_batches(lengths, order, 13) == [[3], [1, 2], [4, 0]]
    assert packed_batches(lengths, order, 40) == [[3, 1, 2, 4, 0]]
    assert packed_batches([], [], 8) == []
