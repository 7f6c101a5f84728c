"""Scales and ticks: round numbers inside, in order, few; no scale without width."""

import math
import random

import pytest

from middo.viewer.charts.axes import MINUS, Scale, counting, scale, tick_labels, ticks


def test_ticks_are_few_round_and_inside_of_any_range() -> None:
    draw = random.Random(4)
    for _ in range(400):
        low = draw.uniform(-1, 1) * 10 ** draw.randint(-4, 6)
        high = low + draw.random() * 10 ** draw.randint(-3, 6) + 1e-3
        found = ticks(low, high)
        assert 1 <= len(found) <= 5
        assert found == sorted(set(found))
        slack = (high - low) * 1e-5
        assert low - slack <= found[0]
        assert found[-1] <= high + slack


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0.0, 8.0, [0, 2, 4, 6, 8]),
        (0.3, 0.74, [0.3, 0.4, 0.5, 0.6, 0.7]),
        (-2.5, 3.1, [-2, 0, 2]),
        (7.0, 7.0, [7.0]),
    ],
)
def test_ticks_are_the_numbers_a_person_would_choose(
    low: float, high: float, expected: list[float]
) -> None:
    assert ticks(low, high) == expected


def test_counts_have_whole_ticks() -> None:
    assert ticks(0, 1.4, whole=True) == [0, 1]
    assert all(value == int(value) for value in ticks(0, 7, whole=True))


def test_labels_have_the_decimals_that_tell_them_apart() -> None:
    assert tick_labels([0.0, 0.25, 0.5]) == ["0.00", "0.25", "0.50"]
    assert tick_labels([-2.0, 0.0]) == [f"{MINUS}2", "0"]
    assert tick_labels([0.0, 5000.0]) == ["0", "5,000"]
    assert tick_labels([1e9, 2e9]) == ["1e+09", "2e+09"]


@pytest.mark.parametrize("values", [[], [0.0], [5.0, 5.0], [1e12, 1e12], [math.nan], [math.inf]])
def test_a_scale_always_has_a_width(values: list[float]) -> None:
    found = scale(values, 0, 100)
    assert found.low < found.high
    assert all(math.isfinite(found.at(value)) for value in (found.low, found.high, 0.0))


def test_a_scale_keeps_order_and_holds_outsiders_at_its_ends() -> None:
    found = Scale(0, 10, 200, 100)
    assert [found.at(value) for value in (0, 5, 10)] == [200, 150, 100]
    assert (found.at(-3), found.at(99)) == (200, 100)
    assert found.holds(10)
    assert not found.holds(10.1)


def test_a_scale_of_counts_ends_on_a_round_number() -> None:
    assert counting(13, 0, 100).high == 15
    assert counting(0, 0, 100).high >= 1
