"""Every chart parsed: its marks, their order, and what it does where there is nothing to draw."""

import math
from collections.abc import Callable

import numpy as np
import pytest

from middo.inspection.histogram import Bin, histogram
from middo.viewer.charts.bars import Bar, fates_chart, money, spending_chart
from middo.viewer.charts.curves import (
    AXES,
    Estimate,
    difference_curve,
    flag_curve,
    loss_curve,
)
from middo.viewer.charts.histogram import histogram_chart
from middo.viewer.charts.map import cluster_map
from middo.viewer.charts.marks import Series
from middo.viewer.charts.points import CALM, Cloud
from middo.viewer.charts.scatter import scatter
from middo.viewer.charts.share_curve import share_curve

from .seen import SVG, having, parsed, place, texts

NAN = math.nan
ROUNDS = [
    Estimate(0, 2.5, 2.0, 3.0, "baseline"),
    Estimate(1, 2.4, 1.9, 2.9, "better"),
    Estimate(2, 2.9, 2.5, 3.5, "rolled_back"),
]


def cloud(xs: list[float], ys: list[float], groups: list[int] | None = None) -> Cloud:
    places = np.array(groups or [0] * len(xs), dtype=np.int64)
    return Cloud(np.array(xs, float), np.array(ys, float), places, (CALM, *AXES.values()))


def drawn(*values: float, threshold: float = 5.0, flags_high: bool = True) -> str:
    bins = histogram(values, threshold, flags_high=flags_high)
    return histogram_chart("quality", bins, threshold, flags_high=flags_high, score="score")


# --- histogram ---


def test_a_bar_per_bin_in_order_and_those_beyond_are_marked() -> None:
    bins = histogram([float(n) for n in range(10)], 6.5, flags_high=True)
    root = parsed(histogram_chart("complexity", bins, 6.5, flags_high=True, score="loss"))
    bars = having(root, "rect", "bar")
    lefts = [place(bar, "x")[0] for bar in bars]
    assert len(bars) == len(bins)
    assert lefts == sorted(lefts)
    beyond = having(root, "rect", "beyond")
    bound = place(having(root, "line", "bound")[0], "x1")[0]
    assert len(beyond) == sum(one.beyond for one in bins)
    assert all(place(bar, "x")[0] >= bound - 1 for bar in beyond)
    assert all(sum(place(b, "x", "width")) <= bound + 1 for b in bars if b not in beyond)


def test_heights_are_in_proportion_to_counts() -> None:
    bins = [Bin(0, 1, 10, False), Bin(1, 2, 40, False), Bin(2, 3, 0, True)]
    bars = having(
        parsed(histogram_chart("quality", bins, 2, flags_high=True, score="")), "rect", "bar"
    )
    heights = [place(bar, "height")[0] for bar in bars]
    assert heights[1] == pytest.approx(4 * heights[0], abs=0.3)
    assert heights[2] == 0


@pytest.mark.parametrize("flags_high", [True, False])
@pytest.mark.parametrize("values", [(5.0,), (1.0, 1.0, 1.0), (0.0,), (1e9, 1.0, 2.0), (-1e9, 4.0)])
def test_degenerate_values_still_have_a_bar(values: tuple[float, ...], flags_high: bool) -> None:
    root = parsed(drawn(*values, flags_high=flags_high))
    bars = having(root, "rect", "bar")
    assert any(place(bar, "height")[0] > 0 for bar in bars)
    assert all(place(bar, "width")[0] > 0 for bar in bars)


def test_no_value_is_said_in_words() -> None:
    assert texts(parsed(drawn())) == ["no row has a score"]


def test_an_outlier_does_not_press_the_others_together() -> None:
    root = parsed(drawn(*[n / 100 for n in range(500)], 1e7, threshold=3.0))
    assert len(having(root, "rect", "bar")) > 5
    assert any("above" in (one.text or "") for one in root.iter(f"{SVG}title"))


# --- curve of k ---


def test_the_curve_falls_and_the_chosen_k_lies_on_it() -> None:
    curve = [(0.5, 0.4), (1.0, 0.2), (1.5, 0.1), (2.0, 0.0)]
    root = parsed(share_curve("quality", curve, 1.0, 0.2))
    line = having(root, "polyline", "curve")[0].attrib["points"]
    spots = [tuple(map(float, pair.split(","))) for pair in line.split()]
    assert [x for x, _ in spots] == sorted(x for x, _ in spots)
    assert [y for _, y in spots] == sorted(y for _, y in spots)  # down the page
    chosen = having(root, "path", "chosen")[0].attrib["d"]
    assert chosen.startswith(f"M{spots[1][0]:g} {spots[1][1]:g}")
    assert "k 1.00: 20.0%" in texts(root)


@pytest.mark.parametrize(
    "curve", [[(1.0, 0.0)], [(1.0, 0.5)], [(0.5, NAN), (1.0, 0.1)], [(1.0, 0.0), (2.0, 0.0)]]
)
def test_a_degenerate_curve_is_drawn(curve: list[tuple[float, float]]) -> None:
    assert having(parsed(share_curve("quality", curve, 1.0, 0.0)), "path", "chosen")


def test_no_curve_is_said_in_words() -> None:
    assert texts(parsed(share_curve("quality", [], 1.0, 0.1))) == ["no curve was recorded"]


# --- curves of a run ---


def test_a_round_is_a_mark_with_its_interval_in_order() -> None:
    root = parsed(loss_curve(ROUNDS, 2.6))
    rods = having(root, "g", "whisker")
    across = [place(rod[0], "x1")[0] for rod in rods]
    assert len(rods) == 3
    assert across == sorted(across)
    marks = [one for one in having(root, "path", "point") if one.find(f"{SVG}title") is not None]
    assert len(marks) == 3
    assert "cross" in (marks[2].get("class") or "").split()  # rolled back, without colour too
    assert "round 1: 2.4000 (1.9000 to 2.9000), better" in "".join(root.itertext())


def test_a_lower_loss_lies_lower() -> None:
    root = parsed(loss_curve(ROUNDS, None))
    line = having(root, "polyline", "curve")[0].attrib["points"].split()
    heights = [float(pair.split(",")[1]) for pair in line]
    assert heights[1] > heights[0] > heights[2]


def test_a_base_model_far_away_is_named_instead_of_drawn() -> None:
    far, near = parsed(loss_curve(ROUNDS, 60.0)), parsed(loss_curve(ROUNDS, 2.6))
    assert "base model 60, far above" in texts(far)
    assert not having(far, "line", "bound")
    assert "base model" in texts(near)
    assert having(near, "line", "bound")


@pytest.mark.parametrize(
    "rounds",
    [
        [Estimate(0, 2.5, 2.0, 3.0, "baseline")],
        [Estimate(0, 2.5), Estimate(1, None)],
        [Estimate(0, 2.5, NAN, 3.0), Estimate(1, NAN)],
        [Estimate(0, 2.5, 2.5, 2.5), Estimate(1, 2.5, 2.5, 2.5)],
        [Estimate(0, 1.0), Estimate(1, 1e12, 1e11, 1e13)],
        [Estimate(n, 2.0) for n in range(60)],
    ],
)
@pytest.mark.parametrize("base", [None, 2.5, NAN, 1e30])
def test_degenerate_rounds_are_drawn(rounds: list[Estimate], base: float | None) -> None:
    assert having(parsed(loss_curve(rounds, base)), "path", "point")


@pytest.mark.parametrize("rounds", [[], [Estimate(0, None)], [Estimate(0, NAN)]])
def test_no_evaluation_is_said_in_words(rounds: list[Estimate]) -> None:
    assert texts(parsed(loss_curve(rounds, 2.0))) == ["no round is evaluated yet"]


def test_a_difference_is_held_against_zero() -> None:
    root = parsed(difference_curve([Estimate(1, -0.02, -0.03, -0.01, "better")]))
    zero = place(having(root, "line", "bound")[0], "y1")[0]
    rod = having(root, "g", "whisker")[0][0]
    assert min(place(rod, "y1", "y2")) > zero  # below zero is lower on the page
    assert "−0.0200 (−0.0300 to −0.0100)" in "".join(root.itertext())


def test_an_axis_that_is_off_in_a_round_has_no_mark_there() -> None:
    root = parsed(flag_curve([0, 1], {"quality": [7, None], "diversity": [None, None]}))
    titles = [one.text for one in root.iter(f"{SVG}title")][1:]
    assert titles == ["round 0: 7 flagged for quality"]
    assert "diversity" not in texts(root)


def test_zero_flags_lie_on_the_floor() -> None:
    root = parsed(flag_curve([0, 1], {"quality": [0, 0]}))
    line = having(root, "polyline", "curve")[0].attrib["points"].split()
    assert len({pair.split(",")[1] for pair in line}) == 1


# --- bars ---


def test_parts_stand_side_by_side_and_sum_up() -> None:
    parts = (("accepted", 30), ("rejected", 60), ("failed", 0), ("deferred", 10))
    root = parsed(fates_chart([Bar("round 0", parts), Bar("round 1", (("accepted", 50),))]))
    bars = having(root, "rect", "part")
    assert len(bars) == 4  # nothing failed
    (a, wide_a), (b, wide_b) = (place(bar, "x", "width") for bar in bars[:2])
    assert b == pytest.approx(a + wide_a, abs=0.15)
    assert wide_b == pytest.approx(2 * wide_a, abs=0.15)
    assert {"100", "50"} <= set(texts(root))


def test_bars_of_nothing() -> None:
    assert texts(parsed(fates_chart([]))) == ["nothing to show yet"]
    zero = Bar("round 0", (("prompt", 0), ("completion", 0)), "0, cost unknown")
    assert "0, cost unknown" in texts(parsed(spending_chart([zero])))


@pytest.mark.parametrize(
    ("usd", "told"),
    [(None, "cost unknown"), (0.0, "$0.00"), (0.0012, "$0.0012"), (1234.5, "$1,234.50")],
)
def test_money_is_never_made_up(usd: float | None, told: str) -> None:
    assert money(usd) == told


# --- points ---


def test_points_of_a_group_are_one_path_and_the_legend_counts_them() -> None:
    chart, layout = scatter(
        cloud([0, 1, 2, 3, NAN], [0, 1, 2, 3, 1], [0, 0, 1, 2, 1]), 1.5, unit="u"
    )
    root = parsed(chart)
    assert layout is not None
    paths = having(root, "path", "many")
    assert [path.attrib["d"].count("M") for path in paths] == [2, 1, 1]
    assert {"not flagged (2)", "complexity (1)", "diversity (1)"} <= set(texts(root))
    assert not any("quality" in text for text in texts(root))


def test_places_keep_the_order_of_the_values() -> None:
    _, layout = scatter(cloud([0, 1, 2], [5, 3, 4]), None, unit="u")
    assert layout is not None
    assert layout.xs[0] < layout.xs[1] < layout.xs[2]
    assert layout.ys[0] < layout.ys[2] < layout.ys[1]  # up the page


def test_the_quadrant_begins_at_k_on_both_axes() -> None:
    chart, layout = scatter(cloud([-1, 0, 3], [-1, 0, 3]), 1.5, unit="u")
    assert layout is not None
    rect = having(parsed(chart), "rect", "flagged-side")[0]
    x, y, wide, high = place(rect, "x", "y", "width", "height")
    assert x == pytest.approx(layout.along.at(1.5), abs=0.06)
    assert y + high == pytest.approx(layout.up.at(1.5), abs=0.06)
    assert wide > 0


def test_without_k_no_quadrant_is_drawn() -> None:
    chart, _ = scatter(cloud([0, 1], [0, 1]), None, unit="u")
    assert not having(parsed(chart), "rect", "flagged-side")


def test_points_far_out_are_drawn_on_the_edge_and_counted() -> None:
    values = [n / 100 for n in range(300)]
    chart, layout = scatter(cloud([*values, 1e8], [*values, -1e8]), None, unit="u")
    assert layout is not None
    assert layout.outside >= 1
    assert np.ptp(layout.xs[:300]) > 200
    assert "drawn on the edge" in "".join(parsed(chart).itertext())


DRAW: list[Callable[[Cloud], tuple[str, object]]] = [
    lambda points: scatter(points, None, unit="u"),
    lambda points: scatter(points, 1.0, unit="u"),
    lambda points: cluster_map(points, "cluster"),
]


@pytest.mark.parametrize("draw", DRAW)
@pytest.mark.parametrize(
    ("xs", "ys"),
    [([1], [1]), ([2, 2, 2], [3, 3, 3]), ([0, math.inf], [0, 1]), ([1e300, -1e300], [0, 1])],
)
def test_degenerate_points_are_drawn(
    draw: Callable[[Cloud], tuple[str, object]], xs: list[float], ys: list[float]
) -> None:
    assert having(parsed(draw(cloud(xs, ys))[0]), "path", "many")


@pytest.mark.parametrize("draw", DRAW)
@pytest.mark.parametrize(("xs", "ys"), [([], []), ([NAN, NAN], [0, 1])])
def test_no_point_is_said_in_words(
    draw: Callable[[Cloud], tuple[str, object]], xs: list[float], ys: list[float]
) -> None:
    chart, layout = draw(cloud(xs, ys))
    assert layout is None
    assert len(texts(parsed(chart))) == 1


def test_names_of_groups_are_text() -> None:
    hostile = Series("c0", "circle", "<b>&amp;")
    points = Cloud(np.zeros(1), np.zeros(1), np.zeros(1, dtype=np.int64), (hostile,))
    assert "<b>&amp; (1)" in texts(parsed(cluster_map(points, "<i>")[0]))
