"""Whatever a model asks for, the plan stays within the bounds, and what was refused is noted."""

import random
from collections.abc import Mapping
from typing import Any

import pytest
from pydantic import ValidationError

from middo.agents.diagnostician import AxisReport
from middo.agents.planner import Moves, Planner, PlanWish, hold
from middo.core.chat import Answer, AnswerFailed, Prompt
from middo.core.config import PlanBounds
from middo.core.records import Axis

C, D, Q = Axis.COMPLEXITY, Axis.DIVERSITY, Axis.QUALITY
BOUNDS = PlanBounds()
ON = {axis: AxisReport(True, "", 1.5, 0.4, 10, 0) for axis in Axis}
OFF = AxisReport(False, "no kind of broken answer is told", None, None, 0, 0)


def wish(**changes: Any) -> PlanWish:
    plain: dict[str, Any] = {
        "rationale": "because",
        **dict.fromkeys(("complexity_k", "diversity_k", "quality_k")),
        **dict.fromkeys(("complexity_share", "diversity_share", "quality_share"), 1 / 3),
    }
    return PlanWish.model_validate({**plain, **changes})


def held(
    axes: Mapping[Axis, AxisReport] = ON,
    bounds: PlanBounds = BOUNDS,
    fixed: Mapping[Axis, float] | None = None,
    **changes: Any,
) -> Moves:
    return hold(wish(**changes), axes, bounds, fixed or {})


def shares(complexity: float, diversity: float, quality: float) -> dict[str, Any]:
    return {
        "complexity_share": complexity,
        "diversity_share": diversity,
        "quality_share": quality,
    }


def test_what_lies_within_the_bounds_is_granted() -> None:
    moves = held(complexity_k=2.0, quality_k=0.5, **shares(0.2, 0.1, 0.7))
    assert moves == Moves({C: 2.0, Q: 0.5}, {C: 0.2, D: 0.1, Q: 0.7}, ())


@pytest.mark.parametrize(
    ("asked", "granted"), [(9.0, 4.0), (-3.0, 0.5), (0.0, 0.5), (1e300, 4.0), (-1e300, 0.5)]
)
def test_a_k_beyond_the_bounds_is_held_there(asked: float, granted: float) -> None:
    moves = held(diversity_k=asked)
    assert moves.k == {D: granted}
    assert moves.held == (f"diversity k: asked {asked:g}, held at {granted:g}",)


@pytest.mark.parametrize("asked", [None, 1.5, 1.5004])
def test_the_k_that_stands_is_no_move(asked: float | None) -> None:
    assert held(complexity_k=asked) == held()
    assert held().k == {}


def test_a_k_that_stands_outside_the_bounds_may_stay_and_moves_only_into_them() -> None:
    narrow = PlanBounds(k=(2.0, 3.0))
    assert held(bounds=narrow, complexity_k=1.5).k == {}
    assert held(bounds=narrow, complexity_k=1.4).k == {C: 2.0}
    at_the_end = {**ON, C: AxisReport(True, "", 3.0, 3.0, 1, 0)}
    moves = held(at_the_end, narrow, complexity_k=8.0)
    assert (moves.k, moves.held) == ({}, ("complexity k: asked 8, held at 3",))


def test_an_axis_that_is_off_can_not_be_turned_on() -> None:
    moves = held({**ON, Q: OFF}, quality_k=1.0, **shares(0.3, 0.3, 0.4))
    assert moves.k == {}
    assert moves.weights == {C: 0.5, D: 0.5}
    assert moves.held == (
        "quality k: asked 1, but the axis is off",
        "quality share: asked 0.4, but the axis is off",
    )
    assert held({**ON, Q: OFF}, **shares(0.5, 0.5, 0.0)).held == ()


def test_a_k_that_a_person_set_is_not_moved_by_a_model() -> None:
    moves = held(fixed={C: 1.5}, complexity_k=3.0, quality_k=3.0)
    assert moves.k == {Q: 3.0}
    assert moves.held == ("complexity k: asked 3, but signals.k sets it to 1.5",)


@pytest.mark.parametrize("whole", [1.0, 100.0, 1e308, 1e-300])
def test_shares_of_any_whole_are_read_as_parts(whole: float) -> None:
    moves = held(**shares(0.2 * whole, 0.3 * whole, 0.5 * whole))
    assert moves.weights == {C: 0.2, D: 0.3, Q: 0.5}
    assert moves.held == ()


def test_shares_beyond_the_bounds_are_held_there() -> None:
    moves = held(**shares(0.0, 0.05, 0.95))
    assert moves.weights == {C: 0.1, D: 0.1, Q: 0.8}
    assert moves.held == (
        "complexity share: asked 0, held at 0.10",
        "diversity share: asked 0.05, held at 0.10",
        "quality share: asked 0.95, held at 0.80",
    )


def test_what_is_cut_off_one_axis_goes_to_the_others() -> None:
    moves = held(bounds=PlanBounds(share=(0.1, 0.6)), **shares(0.9, 0.1, 0.0))
    assert moves.weights == {C: 0.6, D: 0.25, Q: 0.15}


def test_a_negative_share_counts_as_none() -> None:
    moves = held(**shares(-5.0, 1.0, 1.0))
    assert moves.weights == {C: 0.1, D: 0.45, Q: 0.45}
    assert moves.held == ("complexity share: asked -5, held at 0.10",)


@pytest.mark.parametrize("asked", [(0.0, 0.0, 0.0), (-1.0, -2.0, -0.5)])
def test_where_no_share_is_asked_for_they_follow_the_flags(
    asked: tuple[float, float, float],
) -> None:
    moves = held(**shares(*asked))
    assert moves.weights is None
    assert moves.held == ("shares: none asked for an axis that is on, so they follow the flags",)


def test_one_axis_alone_gets_everything() -> None:
    moves = held({**ON, C: OFF, D: OFF}, **shares(0.0, 0.0, 0.2))
    assert (moves.weights, moves.held) == ({Q: 1.0}, ())


def test_bounds_that_no_shares_can_meet_mean_even_ones() -> None:
    few = PlanBounds(share=(0.0, 0.2))
    assert held(bounds=few, **shares(0.7, 0.2, 0.1)).weights == pytest.approx(
        {C: 1 / 3, D: 1 / 3, Q: 1 / 3}, abs=1e-4
    )
    many = PlanBounds(share=(0.6, 0.9))
    assert held({**ON, D: OFF}, many, **shares(0.9, 0.0, 0.1)).weights == {C: 0.5, Q: 0.5}


def test_any_wish_ends_within_the_bounds_and_in_sum_one() -> None:
    chance = random.Random(7)
    for _ in range(300):
        asked = [chance.choice([0.0, -1.0, 1e9, chance.random(), 1e-9]) for _ in Axis]
        ks = [chance.choice([None, -2.0, 77.0, chance.uniform(0, 5)]) for _ in Axis]
        moves = hold(
            wish(**shares(*asked), complexity_k=ks[0], diversity_k=ks[1], quality_k=ks[2]),
            ON,
            BOUNDS,
            {},
        )
        assert all(0.5 <= k <= 4.0 for k in moves.k.values())
        if max(asked) > 0:
            assert moves.weights is not None
            assert sum(moves.weights.values()) == pytest.approx(1.0, abs=2e-4)
            assert all(0.1 <= part <= 0.8 for part in moves.weights.values())


@pytest.mark.parametrize("value", ["NaN", "Infinity", "-Infinity", '"much"', "null"])
@pytest.mark.parametrize("name", ["quality_k", "quality_share"])
def test_what_is_no_number_does_not_fit(name: str, value: str) -> None:
    text = wish().model_dump_json().replace(f'"{name}":', f'"{name}":{value},"old":')
    if (name, value) == ("quality_k", "null"):
        assert PlanWish.model_validate_json(text).k(Q) is None
    else:
        with pytest.raises(ValidationError, match=name):
            PlanWish.model_validate_json(text)


class Chat:
    """Answer with one wish, or fail; keep what was asked."""

    def __init__(self, answer: PlanWish | None) -> None:
        self.answer = answer
        self.asked: list[tuple[Prompt, int]] = []

    async def __call__(self, prompt: Prompt, schema: type[Answer], *, attempt: int) -> Answer:
        self.asked.append((prompt, attempt))
        if self.answer is None:
            raise AnswerFailed("not JSON")
        return schema.model_validate(self.answer.model_dump())


async def test_the_model_hears_the_bounds_and_the_summary_in_a_fence() -> None:
    chat = Chat(wish(quality_k=3.0))
    bounds = PlanBounds(k=(1.0, 3.25), share=(0.2, 0.6))
    assert await Planner(chat).ask("900 samples", bounds) == wish(quality_k=3.0)
    ((prompt, attempt),) = chat.asked
    assert (prompt.name, attempt) == ("plan", 1)
    assert "from 1 to 3.25." in prompt.messages[0][1]
    assert "from 0.2 to 0.6," in prompt.messages[0][1]
    assert "900 samples" in prompt.messages[-1][1]
    assert "900 samples" not in prompt.messages[0][1]


async def test_a_model_without_a_plan_is_the_callers_business() -> None:
    with pytest.raises(AnswerFailed):
        await Planner(Chat(None)).ask("900 samples", BOUNDS)
