"""Differences of hold-out losses: paired by row, pooled over seeds, with intervals that hold."""

import json
from typing import Any

import numpy as np
import pytest

from middo.curation.pooling import NO_DIFFERENCE, Held, difference, pooling


def held(losses: Any, tokens: Any = None, first: int = 0) -> Held:
    values = np.asarray(losses, dtype=np.float64)
    weights = np.full(len(values), 10) if tokens is None else np.asarray(tokens)
    return Held(tuple(f"h{first + i:04d}" for i in range(len(values))), values, weights)


def moved(by: float, seed: int, rows: int = 100, first: int = 0) -> tuple[Held, Held]:
    """Return a pair of arms of which the first lies `by` above the second, give or take."""
    rng = np.random.default_rng(seed)
    base = rng.normal(2.0, 0.5, rows)
    noise = rng.normal(0, 0.02, rows)
    return held(base + by + noise - noise.mean(), first=first), held(base, first=first)


def test_a_difference_is_weighted_by_tokens_and_paired_by_id() -> None:
    one = held([1.0, 2.0, 9.0], [30, 10, 5])
    other = Held(("h0001", "h0000", "gone"), np.array([1.0, 1.5, 0.0]), np.array([10, 30, 5]))
    found = difference([(one, other)])
    assert found is not None
    assert found.mean == pytest.approx((30 * -0.5 + 10 * 1.0) / 40)
    assert (found.rows, found.each) == (2, (found.mean,))


def test_a_loss_is_weighted_by_tokens_too() -> None:
    assert held([1.0, 4.0, np.nan], [30, 10, 5]).loss == 1.75
    assert held([np.nan]).loss is None
    assert held([]).loss is None


def test_rows_without_a_loss_are_left_out_and_no_common_row_is_no_figure() -> None:
    one = held([1.0, np.nan, 3.0])
    found = difference([(one, held([1.0, 1.0, 1.0]))])
    assert found is not None
    assert found.rows == 2
    assert difference([(one, held([1.0], first=9))]) is None
    assert difference([]) is None


def test_with_one_seed_the_interval_is_the_rows() -> None:
    rng = np.random.default_rng(0)
    apart = rng.normal(-0.01, 0.1, 400)
    base = rng.normal(2.0, 0.5, 400)
    found = difference([(held(base + apart), held(base))])
    assert found is not None
    half = 1.966 * apart.std(ddof=1) / 20  # the 97.5th percentile of t with 399 degrees
    assert found.high - found.mean == pytest.approx(half, rel=0.01)
    assert found.mean == pytest.approx(apart.mean(), abs=1e-4)


def test_with_many_rows_the_interval_is_the_seeds() -> None:
    shifts = [-0.02, -0.06, -0.10]
    found = difference([moved(by, seed, rows=20_000) for seed, by in enumerate(shifts)])
    assert found is not None
    assert found.each == pytest.approx(shifts, abs=1e-4)
    half = 4.3027 * np.std(shifts, ddof=1) / np.sqrt(3)
    assert found.high - found.mean == pytest.approx(half, rel=0.01)
    assert found.says == NO_DIFFERENCE


def test_seeds_count_alike_whatever_they_held_out() -> None:
    found = difference([moved(-0.02, 0, rows=400), moved(-0.06, 1, rows=50, first=1000)])
    assert found is not None
    assert found.mean == pytest.approx(-0.04, abs=1e-4)
    assert found.rows == 450


def test_the_same_rows_in_every_seed_are_not_more_rows() -> None:
    once = difference([moved(-0.05, 0)])
    same = difference([moved(-0.05, 0)] * 4)
    other = difference([moved(-0.05, 0, first=1000 * n) for n in range(4)])
    assert once is not None and same is not None and other is not None
    assert same.high - same.low == pytest.approx(once.high - once.low, abs=2e-4)
    assert other.high - other.low == pytest.approx((once.high - once.low) / 2, rel=0.05)
    assert (same.rows, other.rows) == (100, 400)


@pytest.mark.parametrize(
    ("shifts", "rows", "says"),
    [
        ([-0.05], 100, "better in this one seed"),
        ([0.05], 100, "worse in this one seed"),
        ([-0.05, -0.051, -0.048], 100, "better"),
        ([0.05, 0.051, 0.048], 100, "worse"),
        ([-0.05, 0.02, -0.01], 100, NO_DIFFERENCE),
        ([-0.05], 19, "too few rows to tell"),
        ([-0.05, -0.051, -0.048], 19, "too few rows to tell"),
    ],
)
def test_it_says_what_the_interval_says(shifts: list[float], rows: int, says: str) -> None:
    found = difference([moved(by, seed, rows) for seed, by in enumerate(shifts)])
    assert found is not None
    assert found.says == found.as_dict()["says"] == says


def test_one_seed_is_pooled_over_rows_alone() -> None:
    assert "over rows alone" in pooling(1) and "over seeds" in pooling(3)


def test_equal_models_are_the_same() -> None:
    same = held([1.0, 2.0, 3.0])
    found = difference([(same, same)] * 3)
    assert found is not None
    assert (found.mean, found.low, found.high, found.says) == (0, 0, 0, "the same")
    assert json.loads(json.dumps(found.as_dict()))["each"] == [0.0, 0.0, 0.0]


def test_a_row_that_none_has_a_loss_for_decides_nothing() -> None:
    found = difference([(held([1.0]), held([1.1]))])
    assert found is not None
    assert (found.low, found.high, found.says) == (-0.1, -0.1, "too few rows to tell")


@pytest.mark.parametrize("seeds", [2, 3, 5])
@pytest.mark.parametrize("spread", [0.0, 0.004, 0.02])
def test_intervals_hold_what_they_promise(seeds: int, spread: float) -> None:
    """Seeds and rows both scatter; of 1,000 intervals 950 or more hold the truth, which is 0."""
    rng, inside = np.random.default_rng(1), 0
    other = held(np.full(60, 2.0))
    for _ in range(1000):
        rows = rng.normal(0, 0.03, 60)
        moves = rng.normal(0, spread, seeds)
        found = difference([(held(2 + rows + move), other) for move in moves])
        assert found is not None
        inside += found.low <= 0 <= found.high
    assert inside >= 930  # three standard errors below
