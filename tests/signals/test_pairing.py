"""The paired difference: exact mean, an interval that pairs make narrow, rows that don't count."""

import numpy as np
import pytest

from middo.curation.gate import compare
from middo.signals.pairing import paired_difference

RNG = np.random.default_rng(3)
BEFORE = RNG.gamma(5, 0.5, 200)
TOKENS = RNG.integers(5, 90, 200)


def test_a_shift_of_all_rows_is_found_exactly() -> None:
    found = paired_difference(BEFORE, BEFORE - 0.03, TOKENS, seed=1)
    assert found is not None
    assert (found.mean, found.low, found.high, found.rows) == (-0.03, -0.03, -0.03, 200)


def test_the_mean_is_weighted() -> None:
    found = paired_difference(np.array([1.0, 1.0]), np.array([2.0, 1.0]), np.array([3, 1]), seed=1)
    assert found is not None
    assert found.mean == 0.75


def test_rows_without_both_values_or_weight_are_left_out() -> None:
    before = np.array([1.0, np.nan, 1.0, 1.0])
    after = np.array([1.5, 1.0, np.inf, 1.0])
    found = paired_difference(before, after, np.array([4, 4, 4, 0]), seed=1)
    assert found is not None
    assert (found.mean, found.rows) == (0.5, 1)
    assert paired_difference(before[1:3], after[1:3], np.array([4, 4]), seed=1) is None


@pytest.mark.parametrize("seed", [0, 7])
def test_it_says_what_the_gate_says(seed: int) -> None:
    after = BEFORE + np.random.default_rng(seed).normal(0.01, 0.1, 200)
    ours = paired_difference(BEFORE, after, TOKENS, seed=seed)
    gates = compare(after, BEFORE, TOKENS, seed=seed)
    assert ours is not None
    assert (ours.mean, ours.low, ours.high) == (gates.mean, gates.low, gates.high)
