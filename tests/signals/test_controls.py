from collections import Counter

import numpy as np
import pytest

from middo.signals.controls import KINDS, Control, build_controls, choose_calibration_rows

ROWS = [
    (
        f"row{i:02d}",
        f"Question number {i}?",
        " ".join(f"w{i}x{j} {chr(97 + i) * 6}" for j in range(6 + 2 * i)) + ".",
    )
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
    repeated = broken["repeated"].split()
    period = next(n for n in range(1, len(repeated)) if repeated[n] == repeated[0])
    assert 3 <= period <= 20 < len(words) // 2
    assert repeated == [words[n % period] for n in range(len(words))]
    assert sorted(broken["shuffled"].split()) == sorted(words)
    assert broken["shuffled"] != answer
    assert broken["echo"] == "Question number 10?"
    changed = [(old, new) for old, new in zip(words, broken["reworded"].split(), strict=True)
               if old != new]  # fmt: skip
    assert len(changed) == 26 // 10
    assert {old.rstrip(".") for old, _ in changed} == {"k" * 6}
    assert all(len(set(new.rstrip("."))) == 1 for _, new in changed)


def test_many_rows_share_the_controls_of_each_kind() -> None:
    rows = [
        (f"{name}.{copy}", prompt, answer) for copy in range(5) for name, prompt, answer in ROWS
    ]
    controls = build_controls(rows, seed=7, most=30)
    assert Counter(control.kind for control in controls) == dict.fromkeys(KINDS, 30)
    per_row = Counter(control.row_id for control in controls)
    assert len(per_row) == 100 and max(per_row.values()) <= 2
    assert controls == build_controls(rows[::-1], seed=7, most=30)


def test_the_other_answer_is_of_similar_length() -> None:
    for row_id, _, answer in ROWS:
        other = by_kind(build_controls(ROWS, seed=7), row_id)["other"]
        assert other != answer
        assert abs(len(other.split()) - len(answer.split())) <= 20


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


def test_a_row_that_does_not_fit_is_replaced_by_the_next() -> None:
    rows = [(f"t{i:02d}", 20) for i in range(40)]
    chosen = choose_calibration_rows(rows, [], 24, seed=7, fits=lambda name: name > "t09")
    assert len(chosen) == 24 and min(chosen) > "t09"
    held = [(f"h{i:02d}", 20) for i in range(40)]
    chosen = choose_calibration_rows([], held, 24, seed=7, fits=lambda name: name > "h09")
    assert len(set(chosen)) == 24 and min(chosen) > "h09"


def test_short_answers_are_never_calibrated_on() -> None:
    rows = [(f"t{i}", int(i)) for i in np.arange(24)]
    assert choose_calibration_rows(rows, [], 64, seed=7) == [f"t{i}" for i in range(12, 24)]
