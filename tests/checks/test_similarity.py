import pytest

from middo.checks.similarity import check_answer_similarity, check_novelty, check_similarity
from middo.checks.words import normalise
from middo.core.records import Axis

from .proposals import context, proposal, table


def at(cosine: float) -> list[float]:
    return [cosine, (1 - cosine**2) ** 0.5]


@pytest.mark.parametrize(
    ("cosine", "axis", "passes"),
    [
        (0.6, Axis.QUALITY, True),
        (0.59, Axis.QUALITY, False),
        (0.59, Axis.COMPLEXITY, True),
        (0.45, Axis.COMPLEXITY, True),
        (0.44, Axis.COMPLEXITY, False),
        (0.995, Axis.QUALITY, True),
        (0.997, Axis.QUALITY, False),
        (0.59997, Axis.QUALITY, True),  # rounded to 4 decimals before it is compared
    ],
)
def test_the_prompt_stays_in_the_band(cosine: float, axis: Axis, passes: bool) -> None:
    known = context(embed=table({"old": at(1), "new": at(cosine)}))
    verdict = check_similarity(proposal("old", "new", axis), known)
    assert verdict.passed is passes
    assert verdict.numbers["cosine"] == pytest.approx(cosine, abs=1e-4)
    assert not any(sign.isdigit() for sign in verdict.reason)


def test_an_unchanged_prompt_is_not_embedded() -> None:
    assert check_similarity(proposal("Old?", "old? "), context()).passed


def test_the_band_follows_the_configuration() -> None:
    known = context(similarity=(0.8, 0.9), embed=table({"old": at(1), "new": at(0.7)}))
    assert not check_similarity(proposal("old", "new"), known).passed
    assert check_similarity(proposal("old", "new", Axis.COMPLEXITY), known).passed


def test_the_answer_stays_only_where_nothing_else_is_in_question() -> None:
    vectors = table({"old": at(1), "new": at(0.3)})
    flagged = frozenset({Axis.COMPLEXITY})
    held = context(embed=vectors, flagged=flagged)
    changed = proposal(("p", "old"), ("p", "new"), Axis.COMPLEXITY)
    assert not check_answer_similarity(changed, held).passed
    assert check_answer_similarity(changed, context()).passed  # flagged for quality
    other = proposal(("p", "old"), ("q", "new"), Axis.COMPLEXITY)
    assert check_answer_similarity(other, context(flagged=flagged)).passed
    near = context(embed=table({"old": at(1), "new": at(0.5)}), flagged=flagged)
    assert check_answer_similarity(changed, near).passed


def test_new_samples_must_be_new() -> None:
    vectors = table({"old": at(1), "near": at(0.96), "far": at(0.5), "side": at(0.52)})
    new = context(embed=vectors)
    assert check_novelty(proposal("old", "far", Axis.DIVERSITY, adds=True), new).passed
    assert not check_novelty(proposal("old", "near", Axis.DIVERSITY, adds=True), new).passed
    around = context(embed=vectors, neighbours=("side",))
    verdict = check_novelty(proposal("old", "far", Axis.DIVERSITY, adds=True), around)
    assert not verdict.passed and verdict.numbers["prompts"] == 2


def test_a_known_prompt_is_refused_without_embedding() -> None:
    known = context(known_prompts=frozenset({normalise("What is fog?")}))
    again = proposal("old", "what is  FOG?", Axis.DIVERSITY, adds=True)
    assert not check_novelty(again, known).passed
