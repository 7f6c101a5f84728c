import json
from typing import Any

import numpy as np
import pytest

from middo.signals.complexity import complexity_from, correlation, fit_complexity
from middo.signals.robust import (
    FLOOR,
    Floats,
    Integers,
    baseline_from,
    centre_and_spread,
    fit_baseline,
    length_edges,
)


def losses(rows: int = 200, seed: int = 0) -> tuple[Any, Any, Any]:
    rng = np.random.default_rng(seed)
    tokens = rng.integers(8, 200, size=rows)
    scatter = 2.0 / np.sqrt(tokens)
    base = 2.0 + scatter * rng.normal(size=rows)
    return base, base - 0.3 + 0.1 * scatter * rng.normal(size=rows), tokens


def test_one_wild_value_moves_neither_centre_nor_spread() -> None:
    values = np.array([1.0, 2.0, 3.0, 4.0, 5.0])
    assert centre_and_spread(values) == pytest.approx((3.0, 1.4826))
    wild = np.array([1.0, 2.0, 3.0, 4.0, 1e9, np.nan, np.inf])
    assert centre_and_spread(wild) == pytest.approx((3.0, 1.4826))


def test_no_finite_value_is_an_error() -> None:
    with pytest.raises(ValueError, match="no finite value"):
        centre_and_spread(np.array([np.nan]))


@pytest.mark.parametrize(
    ("tokens", "bins"),
    [
        (np.arange(39), 1),
        (np.arange(40), 2),
        (np.arange(400), 8),
        (np.full(500, 12), 1),
        (np.concatenate([np.full(100, 9), np.full(10, 20)]), 1),
        (np.concatenate([np.full(100, 9), np.full(60, 20)]), 2),
    ],
)
def test_bins_hold_twenty_rows_each_or_are_merged(tokens: Any, bins: int) -> None:
    edges = length_edges(tokens)
    sizes = np.bincount(np.searchsorted(edges, tokens, side="right"), minlength=len(edges) + 1)
    assert len(edges) + 1 == bins
    assert sizes.min() >= min(20, len(tokens))


def test_a_constant_bin_has_a_spread_floor_so_that_nothing_in_it_is_an_outlier() -> None:
    tokens = np.repeat([10, 100], 30)
    values = np.where(tokens == 10, 1.0, 3.0)
    baseline = fit_baseline(values, tokens, length_edges(tokens))
    assert baseline.spreads == (FLOOR, FLOOR)
    assert baseline.standardise(np.array([1.002, 3.0]), np.array([10, 100])).max() < 0.5
    assert baseline_from(json.loads(json.dumps(baseline.as_dict()))) == baseline


def test_a_row_hard_for_both_models_scores_high_and_for_one_model_low() -> None:
    base, tuned, tokens = losses()
    model = fit_complexity(base, tuned, tokens)
    base[:3], tuned[:3], tokens[:3] = [6.0, 6.0, 2.0], [6.0, 1.7, 6.0], 100
    scores = model.score(base, tuned, tokens)
    assert scores[0] > 4
    assert scores[1] < 1
    assert scores[2] < 1


def test_short_answers_scatter_more_and_are_not_flagged_for_it() -> None:
    base, tuned, tokens = losses(2000)
    plain = (base - np.median(base)) / (1.4826 * np.median(np.abs(base - np.median(base))))
    binned = fit_complexity(base, tuned, tokens).score(base, tuned, tokens)
    short = tokens < 30
    assert np.mean(plain[short] > 2) > 3 * np.mean(plain[~short] > 2)
    assert np.mean(binned[short] > 2) < 3 * np.mean(binned[~short] > 2)


def test_rows_that_cannot_be_flagged_neither_score_nor_disturb_the_others() -> None:
    base, tuned, tokens = losses()
    clean = fit_complexity(base, tuned, tokens)
    spoilt = fit_complexity(
        np.append(base, [np.nan, 9.0, 99.0]),
        np.append(tuned, [1.0, np.inf, 99.0]),
        np.append(tokens, [50, 50, 7]),
    )
    assert spoilt == clean
    scores = clean.score(
        np.array([np.nan, 9.0, 9.0]), np.array([9.0, 9.0, 9.0]), np.array([50, 7, 8])
    )
    assert scores[0] == scores[1] == -np.inf
    assert scores[2] > 4


def test_the_shift_moves_the_tuned_model_only() -> None:
    base, tuned, tokens = losses()
    model = fit_complexity(base, tuned, tokens)
    at_first = model.score(base, tuned, tokens)
    assert np.array_equal(model.score(base, tuned - 0.5, tokens, shift=-0.5), at_first)
    assert model.bound(50, 2.0, shift=-0.5) == pytest.approx(model.bound(50, 2.0) - 0.5)


def test_the_bound_is_where_a_loss_begins_to_score_above_k() -> None:
    base, tuned, tokens = losses()
    model = fit_complexity(base, tuned, tokens)
    bound = model.bound(40, 2.0)
    scores = model.score(
        np.array([9.0, 9.0]), np.array([bound - 0.01, bound + 0.01]), np.array([40, 40])
    )
    assert scores[0] < 2.0 < scores[1]


def prompts(rows: int = 400) -> tuple[Floats, Integers]:
    """Return L(p) and lengths: the longer a prompt, the better each token is foretold."""
    rng = np.random.default_rng(11)
    tokens = rng.integers(5, 80, rows)
    return 5.0 - 0.03 * tokens + rng.normal(0, 0.3, rows), tokens


def test_a_prompt_is_held_to_prompts_of_its_length() -> None:
    base, tuned, tokens = losses()
    model = fit_complexity(base, tuned, tokens, prompts())
    scores = model.score_prompts(
        np.array([4.7, 4.7, 9.0, np.nan, 9.0]), np.array([10, 75, 7, 50, 50])
    )
    assert scores[0] < 2 < 4 < scores[1]
    assert scores[2] == scores[3] == -np.inf
    assert scores[4] > 8
    bound = model.prompt_bound(50, 2.0)
    assert bound is not None
    below, above = model.score_prompts(np.array([bound - 0.01, bound + 0.01]), np.array([50, 50]))
    assert below < 2.0 < above
    assert model.prompt_bound(7, 2.0) is None


def test_prompts_that_were_not_read_are_never_complex() -> None:
    base, tuned, tokens = losses()
    few = np.full(20, np.nan), np.full(20, 50)
    for model in (fit_complexity(base, tuned, tokens), fit_complexity(base, tuned, tokens, few)):
        assert model.score_prompts(np.array([9.0]), np.array([50])).tolist() == [-np.inf]
        assert model.prompt_bound(50, 2.0) is None


def test_prompts_that_can_not_be_flagged_do_not_disturb_the_others() -> None:
    base, tuned, tokens = losses()
    found, lengths = prompts()
    spoilt = np.append(found, [np.nan, np.inf, 99.0]), np.append(lengths, [50, 50, 7])
    model = fit_complexity(base, tuned, tokens, (found, lengths))
    assert fit_complexity(base, tuned, tokens, spoilt) == model
    assert model.score(base, tuned, tokens).tolist() == (
        fit_complexity(base, tuned, tokens).score(base, tuned, tokens).tolist()
    )


def test_a_fit_of_a_version_that_read_no_prompts_comes_back_without() -> None:
    base, tuned, tokens = losses()
    plain = fit_complexity(base, tuned, tokens).as_dict()
    del plain["prompt"]
    assert complexity_from(plain).prompt is None


def test_without_a_tuned_model_the_base_decides_alone() -> None:
    base, tuned, tokens = losses()
    model = fit_complexity(base, None, tokens)
    assert model.correlation is None
    assert model.score(np.array([6.0]), None, np.array([100]))[0] > 4
    with pytest.raises(ValueError, match="loss_tuned"):
        model.score(base, tuned, tokens)


def test_the_fit_survives_json() -> None:
    base, tuned, tokens = losses()
    for model in (
        fit_complexity(base, tuned, tokens),
        fit_complexity(base, None, tokens),
        fit_complexity(base, tuned, tokens, prompts()),
    ):
        assert complexity_from(json.loads(json.dumps(model.as_dict()))) == model


def test_too_few_rows_turn_the_axis_off_with_a_reason() -> None:
    model = fit_complexity(np.ones(20), np.ones(20), np.full(20, 5))
    assert not model.on
    assert "8 tokens" in model.reason
    assert model.score(np.ones(2), np.ones(2), np.array([50, 50])).tolist() == [-np.inf] * 2
    assert complexity_from(json.loads(json.dumps(model.as_dict()))) == model


def test_two_models_that_agree_are_one() -> None:
    base, tuned, tokens = losses()
    assert fit_complexity(base, tuned, tokens).one_model
    other = np.random.default_rng(9).permutation(tuned)
    model = fit_complexity(base, other, tokens)
    assert not model.one_model
    assert model.correlation is not None
    assert abs(model.correlation) < 0.3
    assert correlation(np.ones(5), tuned[:5]) is None
