import math
from typing import Any

import numpy as np
import pytest

from middo.inspection.histogram import MOST_BINS, Bin, drawn, histogram


def counts(bins: list[Bin]) -> list[int]:
    return [one.count for one in bins]


def beyond(bins: list[Bin]) -> int:
    return sum(one.count for one in bins if one.beyond)


def test_bins_meet_at_the_threshold() -> None:
    bins = histogram([0.0, 0.9, 1.5, 2.2, 3.0], 1.5, flags_high=True)
    edges = [one.low for one in bins]
    assert 1.5 in edges
    assert [one.beyond for one in bins] == [edge >= 1.5 for edge in edges]


@pytest.mark.parametrize("flags_high", [True, False])
def test_a_value_on_the_threshold_is_not_beyond_it(flags_high: bool) -> None:
    bins = histogram([0.1, 0.2, 0.3, 0.4], 0.3, flags_high=flags_high)
    assert beyond(bins) == (1 if flags_high else 2)
    assert sum(counts(bins)) == 4


@pytest.mark.parametrize("flags_high", [True, False])
@pytest.mark.parametrize("seed", range(20))
def test_every_value_is_counted_once_and_on_its_side(seed: int, flags_high: bool) -> None:
    rng = np.random.default_rng(seed)
    drawn_values: Any = rng.standard_t(2, size=int(rng.integers(2, 400)))
    values = [round(float(value), 4) for value in drawn_values * 10.0 ** rng.integers(-3, 3)]
    threshold = round(float(rng.choice([values[0], 2 * max(values), 2 * min(values)])), 4)
    bins = histogram(values, threshold, flags_high=flags_high)
    flagged = [v > threshold if flags_high else v < threshold for v in values]
    assert sum(counts(bins)) == len(values)
    assert beyond(bins) == sum(flagged)
    assert len(bins) <= MOST_BINS
    for one in bins:
        inside = [
            value
            for value in values
            if (one.low < value <= one.high if flags_high else one.low <= value < one.high)
        ]
        assert one.count == len(inside)
    for left, right in zip(bins, bins[1:], strict=False):
        assert left.high == right.low


def test_what_lies_far_out_goes_into_a_bin_with_an_open_end() -> None:
    values = [*np.linspace(-1, 1, 99).round(4).tolist(), 1000.0]
    bins = histogram(values, 0.5, flags_high=True)
    assert bins[-1].high == math.inf
    assert bins[-1].low <= 1.0
    assert bins[0].low > -math.inf
    assert len(bins) >= 8
    assert bins[-2].high - bins[-2].low <= 0.25


def test_one_value_is_one_bin() -> None:
    assert histogram([0.5, 0.5], 0.3, flags_high=True) == [Bin(0.5, 0.5, 2, True)]
    assert histogram([0.5], 0.5, flags_high=False) == [Bin(0.5, 0.5, 1, False)]


def test_without_values_there_are_no_bins() -> None:
    assert histogram([], 0.3, flags_high=True) == []
    assert drawn([], 0.3, flags_high=True) == []


def test_edges_stay_within_what_is_possible() -> None:
    values = [0.0, 0.02, 0.3, 0.5, 0.77, 0.95, 1.0]
    bins = histogram(values, 0.0389, flags_high=False, bounds=(0.0, 1.0))
    assert (bins[0].low, bins[-1].high) == (0.0, 1.0)
    assert sum(counts(bins)) == 7
    assert beyond(bins) == 2


def test_the_threshold_is_drawn_between_the_bins_it_separates() -> None:
    bins = [Bin(-1.0, 0.0, 2, False), Bin(0.0, 1.0, 4, False), Bin(1.0, 2.0, 1, True)]
    assert drawn(bins, 1.0, flags_high=True) == [
        "-1.00 to  0.00  2  ░░░░░░░░░░░░░░░░░░",
        " 0.00 to  1.00  4  ░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░",
        "──────────────  threshold 1.00; higher scores lie beyond it (█)",
        " 1.00 to  2.00  1  █████████",
    ]


def test_low_scores_beyond_the_threshold_come_before_it() -> None:
    bins = [Bin(-math.inf, 0.1234, 1, True), Bin(0.1234, 0.2234, 1000, False)]
    assert drawn(bins, 0.1234, flags_high=False) == [
        "    below 0.1234      1  █",
        "────────────────  threshold 0.1234; lower scores lie beyond it (█)",
        "0.1234 to 0.2234  1,000  ░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░",
    ]


def test_a_threshold_that_nothing_reaches_stands_at_the_end() -> None:
    lines = drawn([Bin(0.25, 0.25, 3, False)], 4.0, flags_high=True)
    assert lines == [
        "0.25  3  ░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░",
        "────  threshold 4.00; " + ("higher scores lie beyond it (█)"),
    ]
    assert drawn([Bin(0.25, 0.25, 3, True)], 0.0, flags_high=True)[0].startswith("────  thresh")
