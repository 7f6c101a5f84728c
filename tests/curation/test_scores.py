import numpy as np
import pytest

from middo.curation.scores import score_of, wilson


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
