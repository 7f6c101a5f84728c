import json
from typing import Any

import numpy as np
import pytest

from middo.curation.gate import Gate, Interval, best_round, compare, holdout_loss, judge
from middo.curation.stop import should_stop


def losses(rows: int = 64, seed: int = 0) -> tuple[Any, Any]:
    rng = np.random.default_rng(seed)
    return rng.normal(2.0, 0.8, size=rows), rng.integers(10, 200, size=rows)


def shifted(values: Any, by: float, seed: int = 1) -> Any:
    return values + by + 0.02 * np.random.default_rng(seed).normal(size=len(values))


def verdict(first: float, best: float, rows: int = 64) -> str:
    """The gate of a round that differs from round 0 and the best one by that much."""
    current, tokens = losses(rows)
    return judge(
        current, shifted(current, -first), shifted(current, -best, 2), tokens, margin=0.005, seed=7
    ).gate


def test_the_loss_is_weighted_by_tokens() -> None:
    found = holdout_loss(np.array([1.0, 4.0]), np.array([30, 10]), seed=7)
    assert found.mean == 1.75
    assert found.rows == 2


def test_rows_without_a_loss_are_left_out_and_not_counted() -> None:
    values, tokens = losses()
    clean = holdout_loss(values, tokens, seed=7)
    spoilt = holdout_loss(np.append(values, [np.nan, np.inf]), np.append(tokens, [9, 9]), seed=7)
    assert spoilt == clean
    with pytest.raises(ValueError, match="no hold-out row"):
        holdout_loss(np.array([np.nan]), np.array([3]), seed=7)


def test_the_interval_is_that_of_theory_and_repeats_itself() -> None:
    values, tokens = losses(rows=400)
    tokens[:] = 50
    found = holdout_loss(values, tokens, seed=7)
    half = 1.96 * values.std() / np.sqrt(400)
    assert found.high - found.mean == pytest.approx(half, rel=0.1)
    assert found.mean - found.low == pytest.approx(half, rel=0.1)
    assert holdout_loss(values, tokens, seed=7) == found
    assert holdout_loss(values, tokens, seed=8) != found


def test_pairs_tell_a_change_that_the_losses_alone_would_not() -> None:
    values, tokens = losses()
    better = shifted(values, -0.02)
    difference = compare(better, values, tokens, seed=7)
    assert difference.high < 0
    assert difference.differs
    alone = holdout_loss(values, tokens, seed=7)
    assert alone.low < holdout_loss(better, tokens, seed=7).mean < alone.high
    assert Interval(**json.loads(json.dumps(difference.as_dict()))) == difference


def over_seeds(shifts: list[float], rows: int = 64) -> Interval:
    """Compare models of several seeds, each moved as a whole by that much."""
    values, tokens = losses(rows)
    now = np.array([shifted(values, by, place) for place, by in enumerate(shifts)])
    return compare(now, np.array([values] * len(shifts)), tokens, seed=7)


def test_what_seeds_disagree_on_is_no_difference() -> None:
    agreed = over_seeds([-0.05, -0.051, -0.049])
    assert (agreed.seeds, agreed.rows) == (3, 64)
    assert agreed.high < 0
    for apart in ([-0.05, -0.11, 0.01], [-0.05, -0.001, -0.1]):
        found = over_seeds(apart)
        assert found.low < 0 < found.high
        assert found.mean == pytest.approx(-0.05, abs=0.01)


def test_with_many_rows_the_interval_over_seeds_is_students() -> None:
    shifts = [-0.02, -0.05, -0.11, 0.01]
    found = over_seeds(shifts, rows=20_000)
    half = 3.1824 * np.std(shifts, ddof=1) / 2  # the 97.5th percentile of t with 3 degrees
    assert found.high - found.mean == pytest.approx(half, rel=0.01)
    assert found.mean == pytest.approx(np.mean(shifts), abs=0.001)


def test_with_seeds_that_agree_the_interval_is_that_of_the_rows() -> None:
    values, tokens = losses(rows=400)
    moved = shifted(values, -0.01)
    one = compare(moved, values, tokens, seed=7)
    three = compare(np.array([moved] * 3), np.array([values] * 3), tokens, seed=7)
    assert (three.low, three.high) == pytest.approx((one.low, one.high), abs=2e-4)
    assert three.seeds == 3
    same = compare(np.array([values] * 3), np.array([values] * 3), tokens, seed=7)
    assert (same.mean, same.low, same.high) == (0, 0, 0)


def test_a_row_that_one_seed_could_not_score_is_left_out() -> None:
    values, tokens = losses()
    both = np.array([values, values])
    spoilt = both.copy()
    spoilt[1, 5] = np.nan
    assert compare(spoilt, both, tokens, seed=7).rows == 63


def test_a_judgement_over_seeds_takes_all_of_them_to_move() -> None:
    values, tokens = losses()
    before = np.array([values] * 3)
    for shifts, gate in (
        ([-0.05, -0.05, -0.05], "better"),
        ([0.05, 0.05, 0.05], "rolled_back"),
        ([-0.05, 0.02, 0.01], "tie"),
        ([0.05, -0.02, -0.01], "tie"),
    ):
        now = np.array([shifted(values, by, place) for place, by in enumerate(shifts)])
        assert judge(now, before, before, tokens, margin=0.005, seed=7).gate == gate


@pytest.mark.parametrize(
    ("first", "best", "gate"),
    [
        (-0.05, -0.05, "better"),
        (-0.05, 0.0, "tie"),
        (0.0, 0.0, "tie"),
        (-0.05, 0.05, "rolled_back"),
        (0.05, 0.05, "rolled_back"),
        (0.05, -0.05, "rolled_back"),
        (0.006, 0.006, "tie"),
    ],
)
def test_a_round_is_judged_against_round_zero_and_the_best(
    first: float, best: float, gate: str
) -> None:
    assert verdict(first, best) == gate


def test_with_few_rows_nothing_is_decided() -> None:
    assert verdict(0.5, 0.5, rows=19) == "undecided"
    assert verdict(0.5, 0.5, rows=20) == "rolled_back"


def test_the_judgement_is_json() -> None:
    current, tokens = losses()
    found = judge(current, current, current, tokens, margin=0.005, seed=7).as_dict()
    assert json.loads(json.dumps(found)) == found
    assert found["gate"] == "tie"
    assert found["against_best"] == {
        "mean": 0.0,
        "low": 0.0,
        "high": 0.0,
        "rows": 64,
        "seeds": 1,
    }


def test_the_best_round_is_the_lowest_that_stands_and_the_earliest_of_equals() -> None:
    rounds: list[tuple[int, float, Gate]] = [
        (0, 2.0, "baseline"),
        (1, 1.9, "better"),
        (2, 1.7, "rolled_back"),
        (3, 1.90001, "tie"),
    ]
    assert best_round(rounds) == 1
    with pytest.raises(ValueError, match="round 0 always does"):
        best_round([(1, 1.0, "rolled_back")])


def stop(*gates: Gate, **changed: Any) -> str | None:
    usual = {"rounds": 5, "patience": 2, "on_worse": "stop", "flagged": None}
    return should_stop(gates=["baseline", *gates], **{**usual, **changed})


@pytest.mark.parametrize(
    ("found", "word"),
    [
        (stop(), None),
        (stop(flagged=3), None),
        (stop(flagged=0), "flagged no sample"),
        (stop(rounds=0), "configured rounds"),
        (stop("better", "better", rounds=2), "configured rounds"),
        (stop("better", "better", rounds=3), None),
        (stop("tie"), None),
        (stop("tie", "undecided"), "patience"),
        (stop("tie", "better", "tie"), None),
        (stop("better", "tie", "tie"), "patience"),
        (stop("better", "rolled_back"), "rolled back"),
        (stop("better", "rolled_back", on_worse="continue"), None),
        (stop("rolled_back", "tie", on_worse="continue"), "patience"),
    ],
)
def test_the_run_ends_for_a_reason(found: str | None, word: str | None) -> None:
    assert found is None if word is None else found is not None and word in found
