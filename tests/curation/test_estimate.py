import pytest

from middo.core.config import SignalsConfig
from middo.core.records import Axis
from middo.curation.effort import Shape, Speeds, disk_bytes, scoring_seconds, training_seconds
from middo.curation.estimate import (
    Attempts,
    Flagged,
    PerSample,
    Traffic,
    against_cap,
    attempts_of,
    expected_flags,
    total,
    traffic_of,
)


def flags(rows: int = 1000, *, quality: bool = True, rounds: int = 1, most: int | None = None,
          **signals: object) -> list[Flagged]:  # fmt: skip
    config = SignalsConfig.model_validate(signals)
    return expected_flags(rows, config, quality=quality, rounds=rounds, max_samples=most)


def test_every_axis_flags_its_share_and_a_sample_is_refined_once() -> None:
    [one] = flags(share=0.1)
    assert one.by_axis[Axis.QUALITY] == pytest.approx(100)
    assert one.by_axis[Axis.COMPLEXITY] == pytest.approx(90)  # of the 900 left
    assert one.by_axis[Axis.DIVERSITY] == pytest.approx(40.5)  # half of a tenth of 810
    assert one.samples == pytest.approx(230.5)


def test_without_quality_each_sparse_sample_gets_a_neighbour() -> None:
    [one] = flags(share=0.1, quality=False)
    assert one.by_axis[Axis.QUALITY] == 0
    assert one.by_axis[Axis.DIVERSITY] == pytest.approx(90)
    [one] = flags(share=0.1, axes=["diversity"])
    assert {axis for axis, count in one.by_axis.items() if count} == {Axis.DIVERSITY}


def test_a_fixed_k_flags_the_tail_beyond_it() -> None:
    [one] = flags(axes=["complexity"], k={"complexity": 1.6448536})
    assert one.samples == pytest.approx(50, rel=1e-4)


def test_later_rounds_flag_fewer_and_a_limit_holds_in_each() -> None:
    first, second, third = (one.samples for one in flags(axes=["complexity"], share=0.1, rounds=3))
    assert (first, second, third) == pytest.approx((100, 50, 25))
    limited = flags(axes=["complexity"], share=0.1, rounds=3, most=40)
    assert [one.samples for one in limited] == pytest.approx([40, 40, 25])
    assert flags(rounds=0) == []
    assert flags(most=0)[0].samples == 0


def test_without_a_selection_every_row_is_refined_in_every_round() -> None:
    found = flags(selection="all", share=0.1, rounds=2)
    assert [one.samples for one in found] == pytest.approx([1000, 1000])
    assert flags(selection="random", share=0.1) == flags(share=0.1)


def test_the_three_courses_of_a_sample() -> None:
    assert attempts_of("low", 3) == Attempts(1, 1, 0)
    assert attempts_of("high", 3) == Attempts(3, 0, 3)
    middle = attempts_of("middle", 3)
    assert middle.proposals == pytest.approx(1.75)
    assert middle.approved == pytest.approx(0.875)
    assert middle.refused == pytest.approx(0.4375)  # half of the 0.875 refused ones
    assert attempts_of("middle", 1).proposals == 1


def test_traffic_adds_up_over_axes_rounds_and_attempts() -> None:
    cost = PerSample(Traffic(2, 20, 4), Traffic(2, 30, 4), Traffic(1, 50, 1), Traffic(1, 50, 9))
    rounds = [Flagged({Axis.QUALITY: 3.0}), Flagged({Axis.QUALITY: 1.0})]
    found = traffic_of(rounds, {Axis.QUALITY: cost}, Attempts(3, 1, 2))
    assert found["rewriter"] == Traffic(24, 4 * (20 + 2 * 30), 48)
    assert found["critic"] == Traffic(12, 600, 4 * (1 + 18))
    assert total(found.values()).tokens == 320 + 48 + 600 + 76


@pytest.mark.parametrize(
    ("cap", "words"),
    [(1, "below the low"), (2, "below the middle"), (3, "below the high"), (4, "above the high")],
)
def test_a_cap_is_placed_within_the_estimate(cap: float, words: str) -> None:
    assert words in against_cap(cap, {"low": 2, "middle": 3, "high": 4})


SHAPE = Shape(
    rounds=2,
    steps=10,
    train_rows=100,
    holdout_rows=20,
    calibration_rows=5,
    plain_tokens=10,
    full_tokens=30,
    flagged=(8.0, 4.0),
)


def test_every_training_takes_as_many_steps() -> None:
    speeds = Speeds(start=5, step=2, load=0, scoring=1)
    assert training_seconds(SHAPE, speeds) == 3 * 25


def test_scoring_counts_every_pass() -> None:
    speeds = Speeds(start=0, step=0, load=1, scoring=10)
    evaluations = (1 + 3) * 20 * 10
    diagnoses = 2 * (5 * 7 + 120) * 30
    base = (100 + 8) * 10
    proofs = 12 * 2 * 30
    tokens = evaluations + diagnoses + base + proofs
    assert scoring_seconds(SHAPE, speeds, 2) == pytest.approx(7 + tokens / 10)


def test_without_a_round_only_training_and_evaluation_are_left() -> None:
    shape = Shape(0, 10, 100, 20, 5, 10, 30, ())
    assert scoring_seconds(shape, Speeds(0, 0, 1, 10), 1) == pytest.approx(1 + 2 * 20)


def test_disk_holds_a_model_per_training_and_one_more() -> None:
    found = disk_bytes(
        SHAPE, row_bytes=1, json_bytes=2, model_bytes=1e6, trainable=250_000, width=8
    )
    assert found["models"] == 4e6
    assert found["data"] == 3 * 100 * 3 + 20 + 200
    assert found["peak"] - found["finished"] == 6 * 1e6
