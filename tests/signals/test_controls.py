import numpy as np
import pytest

from middo.signals.controls import KINDS, Control, build_controls, choose_calibration_rows

ROWS = [
    (f"row{i:02d}", f"Question number {i}?", " ".join(f"w{i}x{j}" for j in range(12 + 3 * i)) + ".")
    for i in range(20)
]


def by_kind(controls: list[Control], row_id: str = "row10") -> dict[str, str]:
    return {control.kind: control.answer for control in controls if control.row_id == row_id}


def test_every_row_gets_one_control_of_each_kind() -> None:
    controls = build_controls(ROWS, seed=7)
    assert len(controls) == len(ROWS) * len(KINDS)
    assert set(by_kind(controls)) == set(KINDS)


def test_each_kind_is_broken_in_its_own_way() -> None:
    answer = ROWS[10][2]
    broken = by_kind(build_controls(ROWS, seed=7))
    words = answer.split()
    assert answer.startswith(broken["cut"])
    assert len(broken["cut"].split()) == len(words) // 3
    assert broken["repeated"].split()[:8] == broken["repeated"].split()[8:16] == words[:8]
    assert len(broken["repeated"].split()) == len(words)
    assert sorted(broken["shuffled"].split()) == sorted(words)
    assert broken["shuffled"] != answer
    assert broken["echo"] == "Question number 10?"


def test_the_other_answer_is_of_similar_length() -> None:
    for row_id, _, answer in ROWS:
        other = by_kind(build_controls(ROWS, seed=7), row_id)["other"]
        assert other != answer
        assert abs(len(other.split()) - len(answer.split())) <= 15


def test_a_cut_ends_within_a_sentence() -> None:
    answer = "One two three four five. Six seven eight nine ten eleven. Twelve thirteen fourteen."
    cut = by_kind(build_controls([("row10", "p", answer)], seed=7))["cut"]
    assert cut == "One two three four"


def test_choices_depend_on_seed_and_row_not_on_the_order_of_rows() -> None:
    assert build_controls(ROWS[::-1], seed=7) == build_controls(ROWS, seed=7)
    one, other = (by_kind(build_controls(ROWS, seed=seed)) for seed in (7, 8))
    assert one["shuffled"] != other["shuffled"]
    assert one["cut"] == other["cut"]


def test_what_is_no_control_is_left_out() -> None:
    echoing = " ".join(f"word{i}" for i in range(15))
    rows = [("a", echoing, echoing), ("short", "p", "too few words"), ("b", "p", echoing)]
    controls = build_controls(rows, seed=7)
    assert {(c.row_id, c.kind) for c in controls if c.kind in ("other", "echo")} == {("b", "echo")}
    assert "short" not in {control.row_id for control in controls}


def test_half_of_the_calibration_rows_come_from_the_hold_out() -> None:
    train = [(f"t{i}", 20) for i in range(100)]
    holdout = [(f"h{i}", 20) for i in range(100)]
    chosen = choose_calibration_rows(train, holdout, 64, seed=7)
    assert sum(name.startswith("h") for name in chosen) == 32
    assert len(set(chosen)) == 64
    assert chosen == sorted(chosen)
    assert chosen == choose_calibration_rows(train[::-1], holdout[::-1], 64, seed=7)
    assert chosen != choose_calibration_rows(train, holdout, 64, seed=8)


@pytest.mark.parametrize(("held", "trained", "expected"), [(5, 100, 64), (100, 5, 64), (9, 9, 18)])
def test_a_small_side_is_filled_up_from_the_other(held: int, trained: int, expected: int) -> None:
    chosen = choose_calibration_rows(
        [(f"t{i}", 20) for i in range(trained)], [(f"h{i}", 20) for i in range(held)], 64, seed=7
    )
    assert len(chosen) == expected


def test_short_answers_are_never_calibrated_on() -> None:
    rows = [(f"t{i}", int(i)) for i in np.arange(24)]
    assert choose_calibration_rows(rows, [], 64, seed=7) == [f"t{i}" for i in range(12, 24)]
