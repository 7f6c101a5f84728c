import numpy as np
import pytest

from middo.curation.scores import score_of, share_difference, wilson


@pytest.mark.parametrize(
    ("right", "rows", "interval"),
    [  # Newcombe 1998, table I, method 3
        (81, 263, (0.2553, 0.3662)),
        (15, 148, (0.0624, 0.1605)),
        (0, 20, (0.0, 0.1611)),
        (1, 29, (0.0061, 0.1718)),
    ],
)
def test_the_interval_of_a_share_is_wilsons(
    right: int, rows: int, interval: tuple[float, float]
) -> None:
    assert wilson(right, rows) == interval


def test_right_or_wrong_rows_make_a_share() -> None:
    found = score_of([1.0, 0.0, 0.0, 0.0], seed=7)
    assert (found.mean, found.rows, found.is_share) == (0.25, 4, True)
    assert (found.low, found.high) == wilson(1, 4)


def test_other_scores_have_a_bootstrap_over_rows() -> None:
    values = np.random.default_rng(0).normal(3.0, 1.0, 400).tolist()
    found = score_of(values, seed=7)
    assert not found.is_share
    assert found.low is not None and found.high is not None
    assert found.low < found.mean < found.high
    assert found.high - found.low == pytest.approx(2 * 1.96 / 20, rel=0.15)
    assert found == score_of(values, seed=7)


def test_a_single_row_has_no_interval_but_as_a_share() -> None:
    assert (score_of([0.5], seed=7).low, score_of([0.5], seed=7).high) == (None, None)
    assert score_of([1.0], seed=7).low == 0.2065


def test_shares_that_do_not_differ_leave_a_doubt() -> None:
    low, high = share_difference([0.0] * 30, [0.0] * 30)
    assert (low, high) == (-0.0612, 0.0612)
    wide = share_difference([0.0] * 5, [0.0] * 5)
    assert wide[1] > high


def test_the_interval_of_a_difference_covers_it_as_often_as_it_says() -> None:
    rng = np.random.default_rng(3)
    held = 0
    for _ in range(2000):
        before = rng.random(60) < 0.2
        after = np.where(rng.random(60) < 0.15, ~before, before)  # 0.2 -> 0.29 on average
        low, high = share_difference(before.astype(float).tolist(), after.astype(float).tolist())
        held += low <= 0.09 <= high
    assert 0.93 < held / 2000 < 0.98
