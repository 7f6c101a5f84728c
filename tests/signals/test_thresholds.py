import json
from typing import Any

import numpy as np
import pytest

from middo.signals.thresholds import SOUND, choose_k, fit_threshold, threshold_from


def scores(rows: int = 1000) -> Any:
    return np.random.default_rng(3).normal(size=rows)


def test_k_flags_the_wanted_share() -> None:
    z = scores()
    choice = choose_k(z, 0.08)
    assert np.mean(z > choice.k) == pytest.approx(0.08, abs=0.002)
    assert choice.share == pytest.approx(np.mean(np.round(z, 4) > choice.k), abs=1e-4)
    assert choice.k == round(choice.k, 2)


def test_rows_without_a_score_count_nowhere() -> None:
    z = scores()
    spoilt = np.concatenate([z, np.full(500, -np.inf), np.full(500, np.nan)])
    assert choose_k(spoilt, 0.08) == choose_k(z, 0.08)


@pytest.mark.parametrize(
    ("z", "k", "share"),
    [
        (np.zeros(50), 4.0, 0.0),
        (np.full(50, 9.0), 4.0, 1.0),
        (np.append(np.zeros(70), np.full(30, 2.0)), 4.0, 0.0),
        (np.append(np.zeros(95), np.full(5, 2.0)), 1.99, 0.05),
        (np.array([]), 4.0, 0.0),
        (np.linspace(-1, 0.55, 100), 0.5, 0.04),
    ],
)
def test_k_stays_in_its_bounds_whatever_the_scores(z: Any, k: float, share: float) -> None:
    choice = choose_k(z, 0.08)
    assert choice.k == k
    assert choice.share == pytest.approx(share, abs=0.011)


def test_the_curve_falls_from_the_lowest_to_the_highest_k() -> None:
    curve = choose_k(scores(), 0.08).curve
    ks, shares = zip(*curve, strict=True)
    assert (ks[0], ks[-1], len(ks)) == (0.5, 4.0, 36)
    assert list(shares) == sorted(shares, reverse=True)
    assert shares[0] == pytest.approx(0.31, abs=0.03)


def test_a_configured_k_is_taken_as_it_is() -> None:
    choice = choose_k(scores(), 0.08, fixed=2.345)
    assert choice.k == 2.345
    assert choice.fixed
    assert choice.share == pytest.approx(0.01, abs=0.01)


def test_the_threshold_flags_low_values_and_keeps_its_value_for_later_rounds() -> None:
    values = scores()
    threshold = fit_threshold(values, 0.08)
    assert threshold.value == pytest.approx(values.mean() - threshold.k * values.std(), abs=1e-3)
    assert threshold.flags(values).mean() == pytest.approx(0.08, abs=0.003)
    assert threshold.flags(values + 10).sum() == 0
    assert threshold_from(json.loads(json.dumps(threshold.as_dict()))) == threshold


def test_values_that_are_not_finite_are_neither_fitted_nor_flagged() -> None:
    values = scores()
    spoilt = np.append(values, [np.nan, -np.inf])
    assert fit_threshold(spoilt, 0.08) == fit_threshold(values, 0.08)
    assert fit_threshold(values, 0.08).flags(np.array([np.nan, -np.inf, -9.0])).tolist() == [
        False,
        False,
        True,
    ]


def test_quality_above_one_half_is_never_flagged() -> None:
    sound = np.random.default_rng(1).uniform(0.7, 1.0, size=300)
    threshold = fit_threshold(sound, 0.08, cap=SOUND)
    assert threshold.value == SOUND
    assert threshold.flags(sound).sum() == 0
    broken = np.append(sound, np.full(20, 0.1))
    assert fit_threshold(broken, 0.08, cap=SOUND).flags(broken).sum() == 20


def test_equal_values_flag_nothing() -> None:
    values = np.full(30, 1 / 3)
    threshold = fit_threshold(values, 0.08)
    assert threshold.std == 0.0
    assert threshold.flags(values).sum() == 0


def test_a_difference_beyond_the_fourth_decimal_decides_nothing() -> None:
    threshold = fit_threshold(np.array([0.0, 1.0, 2.0, 3.0]), 0.25, fixed=1.0)
    edge = threshold.value
    assert threshold.flags(np.array([edge - 0.00001, edge, edge - 0.0002])).tolist() == [
        False,
        False,
        True,
    ]


def test_nothing_to_fit_is_an_error() -> None:
    with pytest.raises(ValueError, match="no finite value"):
        fit_threshold(np.array([np.nan]), 0.08)


def test_another_k_gives_another_bound_without_another_fit() -> None:
    values = scores()
    threshold = fit_threshold(values, 0.08)
    later = values - 0.5
    moved = threshold.moved(2.0, later)
    assert (moved.mean, moved.std) == (threshold.mean, threshold.std)
    assert moved.value == pytest.approx(values.mean() - 2.0 * values.std(), abs=1e-4)
    assert moved.value == round(moved.value, 4)
    assert (moved.k, moved.choice.k) == (2.0, 2.0)
    assert moved.choice.share == pytest.approx(np.mean(later < moved.value), abs=1e-4)
    assert moved.choice.curve == threshold.choice.curve
    assert threshold.moved(threshold.k, values).value == pytest.approx(threshold.value, abs=1e-4)
    assert threshold_from(json.loads(json.dumps(moved.as_dict()))) == moved


def test_no_k_flags_quality_above_one_half() -> None:
    values = np.random.default_rng(1).uniform(0.4, 1.0, size=300)
    moved = fit_threshold(values, 0.08, cap=SOUND).moved(0.5, values, SOUND)
    assert moved.value == SOUND
    assert moved.share(np.append(values, np.nan)) == pytest.approx(np.mean(values < 0.5), abs=1e-3)
    assert moved.share(np.array([np.nan])) == 0.0
