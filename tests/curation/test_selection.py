"""Who is refined where the signals do not choose."""

from collections import Counter

from middo.core.records import Axis, Flag
from middo.curation.selection import select, shuffled

C, D, Q = Axis.COMPLEXITY, Axis.DIVERSITY, Axis.QUALITY
NAMES = [f"s{i:03d}" for i in range(200)]
SCORES = {axis: dict.fromkeys(NAMES, 0.25) for axis in (C, D, Q)}
BOUNDS = {C: 1.0, D: 0.5, Q: 0.4}
FLAGS = [
    *(Flag(f"s{i:03d}", C, 2.0, 1.0, "hard") for i in range(10)),
    *(Flag(f"s{i:03d}", D, 0.1, 0.5, "far") for i in range(30, 35)),
    *(Flag(f"s{i:03d}", Q, 0.1, 0.4, "broken") for i in range(5, 25)),
]


def groups(flags: list[Flag]) -> Counter[frozenset[Axis]]:
    names = {flag.sample_id for flag in flags}
    return Counter(
        frozenset(flag.axis for flag in flags if flag.sample_id == name) for name in names
    )


def drawn(seed: int = 7, round: int = 0, scores: object = SCORES) -> list[Flag]:
    return select(FLAGS, scores, BOUNDS, how="random", seed=seed, round=round)  # type: ignore[arg-type]


def test_the_signals_flags_stand_as_they_are() -> None:
    assert select(FLAGS, SCORES, BOUNDS, how="signals", seed=7, round=0) == FLAGS


def test_as_many_are_drawn_per_axis_and_with_as_many_axes_each() -> None:
    for seed in range(20):
        assert groups(drawn(seed)) == groups(FLAGS)
    assert drawn() == drawn()
    assert drawn() != drawn(8)
    assert drawn() != drawn(round=1)


def test_every_sample_is_drawn_about_as_often() -> None:
    times = Counter(flag.sample_id for seed in range(400) for flag in drawn(seed))
    assert set(times) == set(NAMES)
    assert max(times.values()) < 3 * min(times.values())  # 70 expected of each


def test_only_samples_that_can_be_refined_on_all_of_the_axes_are_drawn() -> None:
    few = {**SCORES, Q: dict.fromkeys(NAMES[:22], 0.3)}
    found = drawn(scores=few)
    assert {flag.sample_id for flag in found if flag.axis is Q} <= set(NAMES[:22])
    assert sum(flag.axis is Q for flag in found) == 20
    none = drawn(scores={**SCORES, Q: {}})
    assert {flag.axis for flag in none} == {C, D}  # what was flagged for quality goes without


def test_all_takes_every_sample_on_every_axis_that_it_has_a_score_on() -> None:
    few = {C: {"a": 1.0, "b": 3.0}, Q: {"b": 0.9}}
    found = select(FLAGS, few, BOUNDS, how="all", seed=7, round=0)
    assert [(one.sample_id, one.axis, one.score, one.threshold) for one in found] == [
        ("a", C, 1.0, 1.0),
        ("b", C, 3.0, 1.0),
        ("b", Q, 0.9, 0.4),
    ]


def test_the_order_is_drawn_anew_for_each_seed_and_round() -> None:
    first = shuffled(FLAGS, seed=7, round=0)
    assert sorted(first.values()) == list(range(len({flag.sample_id for flag in FLAGS})))
    assert first == shuffled(FLAGS[::-1], seed=7, round=0)
    assert first != shuffled(FLAGS, seed=8, round=0)
    assert first != shuffled(FLAGS, seed=7, round=1)
