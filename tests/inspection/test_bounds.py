from collections.abc import Mapping

from middo.inspection.bounds import held_to


def told(numbers: Mapping[str, object]) -> list[tuple[str, str, str]]:
    return [(one.name, one.value, one.bounds) for one in held_to(numbers)]


def test_a_value_stands_beside_the_bounds_that_bind_it() -> None:
    numbers = {"quality": 0.7682, "quality_above": 0.4223, "quality_at_least": 0.627}
    assert told(numbers) == [("quality", "0.7682", "above 0.4223, at least 0.627")]


def test_a_loss_is_held_to_its_bounds_without_what_memory_adds() -> None:
    numbers = {"loss": 2.2, "loss_at_least": 1.3, "loss_at_most": 4.1, "loss_compared": 2.1}
    assert told(numbers) == [
        ("loss", "2.2", ""),
        ("loss compared", "2.1", "at least 1.3, at most 4.1"),
    ]


def test_low_and_high_bind_the_ratio_or_the_cosine() -> None:
    numbers = {"high": 3.0, "low": 0.1, "new": 95, "old": 67, "ratio": 1.4179}
    assert told(numbers)[-1] == ("ratio", "1.4179", "at least 0.1, at most 3")
    assert told({"bound": 0.95, "cosine": 0.1}) == [("cosine", "0.1", "below 0.95")]


def test_a_bound_without_its_value_is_shown_alone() -> None:
    assert told({"applies": False, "low": 0.45}) == [("applies", "no", ""), ("low", "0.45", "")]


def test_lists_are_cut_and_empty_ones_said() -> None:
    assert told({"lost": []}) == [("lost", "none", "")]
    assert told({"lost": list(range(20))})[0][1].endswith("11 and 8 more")
    assert told({"x": float("nan"), "y": None, "z": ""}) == [
        ("x", "-", ""),
        ("y", "-", ""),
        ("z", "-", ""),
    ]
