import json
from typing import Any

import numpy as np
import pytest

from middo.core.records import Verdict
from middo.signals.proof import (
    Terms,
    fewest_tokens,
    loss_floor,
    median_quality,
    memorisation_offset,
    prove_complexity,
    prove_diversity,
    prove_quality,
)

TERMS = Terms(offset=0.1, loss_floor=0.6, margin=0.08, quality_threshold=0.35, quality_median=0.8)
BLIND = Terms(offset=0.1, loss_floor=0.6)


def complexity(terms: Terms = TERMS, **changed: Any) -> Verdict:
    usual = {"loss": 1.5, "loss_bound": 2.0, "quality": 0.7, "original_quality": 0.75}
    return prove_complexity(terms, **{**usual, **changed})


def quality(terms: Terms = TERMS, **changed: Any) -> Verdict:
    usual = {"loss": 1.5, "quality": 0.7, "original_quality": 0.2}
    return prove_quality(terms, **{**usual, **changed})


def diversity(terms: Terms = TERMS, **changed: Any) -> Verdict:
    near = {"similarity": 0.6, "neighbours": (0.4, 0.3), "nearest": 0.7}
    usual = {**near, "loss": 1.5, "quality": 0.85}
    return prove_diversity(terms, **{**usual, **changed})


def test_the_offset_is_what_training_lowered_on_its_own_rows_alone() -> None:
    offset = memorisation_offset(
        np.array([2.0, 3.0, np.nan]),
        np.array([1.5, 2.5, 0.0]),
        np.array([2.0, 2.0]),
        np.array([1.8, 1.8]),
    )
    assert offset == pytest.approx(0.3)
    with pytest.raises(ValueError, match="0 hold-out rows"):
        memorisation_offset(np.ones(3), np.ones(3), np.array([np.nan]), np.ones(1))


def test_the_floor_is_the_tenth_percentile_and_the_median_ignores_gaps() -> None:
    assert loss_floor(np.append(np.linspace(0, 1, 101), np.nan)) == pytest.approx(0.1)
    assert median_quality(np.array([0.2, np.nan, 0.9, 0.4])) == 0.4
    assert median_quality(np.array([np.nan])) is None


@pytest.mark.parametrize("prove", [complexity, quality, diversity])
def test_a_good_proposal_passes_and_the_verdict_is_plain(prove: Any) -> None:
    verdict = prove()
    assert verdict.passed
    assert verdict.reason == ""
    assert verdict.name == f"proof.{prove.__name__}"
    assert json.loads(json.dumps(verdict.as_dict())) == verdict.as_dict()


@pytest.mark.parametrize(
    ("verdict", "word"),
    [
        (complexity(loss=2.11), "hard"),
        (complexity(loss=0.69), "trivially"),
        (complexity(quality=0.66), "less well"),
        (complexity(quality=None), "measured"),
        (complexity(loss=None), "measured"),
        (complexity(prompt_loss=3.01, prompt_loss_bound=3.0), "prompt still reads"),
        (complexity(prompt_loss=None, prompt_loss_bound=3.0), "measured"),
        (complexity(original_quality=None, quality=0.49), "less well"),
        (complexity(original_quality=0.1, quality=0.49), "less well"),
        (quality(quality=0.28), "not clearly"),
        (quality(loss=0.69), "trivially"),
        (quality(quality=0.57), "still reads"),
        (quality(quality=None), "measured"),
        (quality(loss=None), "measured"),
        (diversity(similarity=0.3), "too far"),
        (diversity(nearest=0.951), "nearly the same"),
        (diversity(similarity=0.99), "nearly the same"),
        (diversity(loss=0.69), "trivially"),
        (diversity(loss=None), "measured"),
        (diversity(quality=0.79), "less sound"),
        (diversity(quality=None), "measured"),
        (diversity(similarity=None), "measured"),
        (diversity(nearest=None), "measured"),
    ],
)
def test_each_bound_rejects_on_its_own_and_says_why_in_words(verdict: Verdict, word: str) -> None:
    assert not verdict.passed
    assert word in verdict.reason
    assert not any(sign.isdigit() for sign in verdict.reason)


def test_bounds_are_inclusive_where_the_rule_says_at_most() -> None:
    assert complexity(loss=2.1).passed
    assert complexity(loss=0.7).passed
    assert complexity(prompt_loss=3.0, prompt_loss_bound=3.0).passed
    assert complexity(quality=0.67).passed
    assert complexity(quality=0.5, original_quality=0.1).passed
    assert quality(loss=0.7).passed
    assert quality(loss=9.0).passed
    assert quality(quality=0.58).passed
    assert diversity(loss=0.7).passed
    assert diversity(quality=0.8).passed
    assert diversity(nearest=0.95).passed
    assert not diversity(similarity=0.35, neighbours=(0.4, 0.35)).passed


@pytest.mark.parametrize(
    ("trick", "signals"),
    [
        # Loss and quality as a small model gives them; quality comes from several signals.
        ("the prompt echoed", {"loss": 0.5, "quality": 0.05}),
        ("a phrase repeated", {"loss": 0.4, "quality": 0.1}),
        ("the answer cut", {"loss": 1.4, "quality": 0.08}),
        ("words shuffled", {"loss": 4.5, "quality": 0.02}),
        # Controls know neither of the two, so quality falls for them; the loss does not.
        ("the prompt echoed after a polite word", {"loss": 0.6, "quality": 0.98}),
        ("a sentence repeated", {"loss": 0.65, "quality": 0.9}),
    ],
)
@pytest.mark.parametrize("prove", [complexity, quality, diversity])
def test_tricks_do_not_pass_any_proof(prove: Any, trick: str, signals: dict[str, float]) -> None:
    assert not prove(**signals).passed, trick


def test_echo_and_repetition_fail_the_loss_floor_even_without_a_quality_axis() -> None:
    for loss in (0.5, 0.4):
        assert not complexity(BLIND, loss=loss, quality=None, original_quality=None).passed
        assert not diversity(BLIND, loss=loss, quality=None).passed


def test_a_merely_shorter_answer_gains_nothing_on_quality() -> None:
    assert not quality(quality=0.24, original_quality=0.2).passed


def test_rising_above_a_low_threshold_is_not_enough_for_quality() -> None:
    lenient = Terms(**{**TERMS.as_dict(), "quality_threshold": 0.06})
    assert not quality(lenient, quality=0.4, original_quality=0.02).passed


def test_an_answer_has_to_be_long_enough_to_be_judged() -> None:
    assert fewest_tokens(50) == 8
    assert fewest_tokens(None) == 8
    assert fewest_tokens(3) == 3


def test_without_a_quality_axis_the_other_bounds_decide_and_the_numbers_say_so() -> None:
    verdict = complexity(BLIND, quality=None, original_quality=None)
    assert verdict.passed
    assert verdict.numbers["quality"] == "axis off"
    verdict = diversity(BLIND, quality=None)
    assert verdict.passed
    assert verdict.numbers["quality"] == "axis off"
    with pytest.raises(ValueError, match="axis is off"):
        quality(BLIND)


def test_the_numbers_hold_every_bound() -> None:
    assert complexity().numbers == {
        "loss": 1.5,
        "offset": 0.1,
        "loss_compared": 1.4,
        "loss_at_most": 2.0,
        "loss_at_least": 0.6,
        "quality": 0.7,
        "original_quality": 0.75,
        "quality_at_least": 0.67,
    }
    assert quality().numbers["quality_above"] == 0.28
    assert quality().numbers["quality_at_least"] == 0.58
    assert "loss_at_most" not in diversity().numbers
    assert diversity().numbers["density"] == 0.35
    assert diversity().numbers["density_with"] == 0.5


def test_the_terms_survive_json() -> None:
    assert Terms(**json.loads(json.dumps(TERMS.as_dict()))) == TERMS
