import json
import random

from middo.core.records import Axis, Flag
from middo.curation.plan import Task, plan_from, plan_refinement

C, D, Q = Axis.COMPLEXITY, Axis.DIVERSITY, Axis.QUALITY


def flag(name: str, axis: Axis, beyond: float = 0.1) -> Flag:
    """A flag that lies `beyond` its threshold, in the direction that is bad for the axis."""
    score = 2.0 + beyond if axis is C else 0.3 - beyond
    return Flag(name, axis, score, 2.0 if axis is C else 0.3, "reason")


def many(axis: Axis, count: int, prefix: str) -> list[Flag]:
    return [flag(f"{prefix}{i:03d}", axis, beyond=0.001 * i) for i in range(count)]


def test_without_a_budget_everything_is_refined_in_order_of_id() -> None:
    plan = plan_refinement([flag("b", Q), flag("a", C)], None)
    assert [task.sample_id for task in plan.selected] == ["a", "b"]
    assert plan.deferred == ()
    assert plan.shares == {Q: 1, C: 1, D: 0}
    assert "every flagged sample" in plan.rationale


def test_a_sample_flagged_twice_is_one_task_and_only_replaced() -> None:
    plan = plan_refinement(
        [flag("a", D), flag("a", C), flag("b", D), flag("c", C), flag("c", Q)], 9
    )
    assert plan.flagged == 3
    assert plan.selected == (
        Task("a", C, (C, D), adds=False),
        Task("b", D, (D,), adds=True),
        Task("c", Q, (Q, C), adds=False),
    )


def test_the_budget_is_shared_in_proportion_with_the_worst_first() -> None:
    flags = many(Q, 20, "q") + many(C, 10, "c") + many(D, 10, "d")
    plan = plan_refinement(flags, 10)
    assert plan.shares == {Q: 5, C: 3, D: 2}
    names = [task.sample_id for task in plan.selected]
    assert names == ["c007", "c008", "c009", "d008", "d009", *(f"q{i:03d}" for i in range(15, 20))]
    assert len(plan.deferred) == 30
    assert "quality 5 of 20" in plan.rationale


def test_nothing_depends_on_the_order_of_the_flags() -> None:
    flags = many(Q, 7, "q") + many(C, 7, "c") + many(D, 7, "c")
    expected = plan_refinement(flags, 5)
    for seed in range(5):
        assert plan_refinement(random.Random(seed).sample(flags, len(flags)), 5) == expected


def test_equally_bad_samples_are_taken_by_id() -> None:
    plan = plan_refinement([flag("b", Q), flag("c", Q), flag("a", Q)], 2)
    assert [task.sample_id for task in plan.selected] == ["a", "b"]


def test_a_budget_of_none_left_defers_all() -> None:
    plan = plan_refinement([flag("a", Q)], 0)
    assert plan.selected == ()
    assert [task.sample_id for task in plan.deferred] == ["a"]


def test_what_was_rejected_before_is_not_tried_again_on_that_axis() -> None:
    plan = plan_refinement([flag("a", Q), flag("a", C), flag("b", Q)], None, {("a", Q), ("b", Q)})
    assert plan.selected == (Task("a", C, (C,), adds=False),)
    assert (plan.flagged, plan.suppressed) == (1, 2)
    assert "2 flags left out" in plan.rationale


def test_no_flags_no_plan() -> None:
    plan = plan_refinement([], 5)
    assert (plan.selected, plan.flagged) == ((), 0)
    assert plan.rationale == "no sample is flagged"


def test_the_plan_is_json() -> None:
    plain = plan_refinement([flag("a", Q), flag("b", C)], 1).as_dict()
    assert json.loads(json.dumps(plain)) == plain
    assert plain["shares"] == {"quality": 1, "complexity": 0, "diversity": 0}


def test_given_weights_share_the_budget_instead() -> None:
    flags = many(Q, 20, "q") + many(C, 20, "c") + many(D, 20, "d")
    plan = plan_refinement(flags, 10, weights={Q: 0.1, C: 0.65, D: 0.25})
    assert plan.shares == {Q: 1, C: 7, D: 2}
    assert "c019" in {task.sample_id for task in plan.selected}  # the worst of its axis
    assert "at most 10 samples are refined, shared as planned" in plan.rationale


def test_what_an_axis_has_no_samples_for_goes_to_the_others() -> None:
    flags = many(Q, 2, "q") + many(C, 30, "c") + many(D, 30, "d")
    plan = plan_refinement(flags, 20, weights={Q: 0.8, C: 0.15, D: 0.05})
    assert plan.shares == {Q: 2, C: 14, D: 4}
    alone = plan_refinement(flags, 20, weights={Q: 1.0})
    assert alone.shares[Q] == 2
    assert sum(alone.shares.values()) == 20


def test_weights_neither_raise_nor_lower_what_is_refined() -> None:
    chance = random.Random(5)
    for _ in range(200):
        counts = [chance.randint(0, 9) for _ in range(3)]
        flags = [f for axis, n in zip((Q, C, D), counts, strict=True) for f in many(axis, n, axis)]
        limit = chance.choice([None, 0, 3, 12, 99])
        weights = {axis: chance.choice([0.0, chance.random()]) for axis in (Q, C, D)}
        plan = plan_refinement(flags, limit, weights=weights)
        assert len(plan.selected) == min(sum(counts), sum(counts) if limit is None else limit)
        assert len(plan.selected) + len(plan.deferred) == sum(counts)
        assert all(0 <= plan.shares[a] <= n for a, n in zip((Q, C, D), counts, strict=True))


def test_in_a_drawn_order_the_worst_do_not_come_first() -> None:
    flags = many(Q, 20, "q")
    names = [one.sample_id for one in flags]
    plan = plan_refinement(flags, 3, places={name: at for at, name in enumerate(names)})
    assert [task.sample_id for task in plan.selected] == names[:3]
    assert "in a drawn order: quality 3 of 20" in plan.rationale
    worst = plan_refinement(flags, 3)
    assert worst.selected != plan.selected
    assert "the worst first" in worst.rationale


def test_a_stored_plan_comes_back_as_it_was() -> None:
    flags = [*many(Q, 4, "q"), *many(C, 4, "q"), *many(D, 4, "d")]
    plan = plan_refinement(flags, 5, weights={Q: 0.2, D: 0.8})
    assert plan_from(json.loads(json.dumps(plan.as_dict())), flags) == plan
