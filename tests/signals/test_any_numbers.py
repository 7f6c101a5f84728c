"""NaN, infinities, constants, single rows: no crash, no warning, no NaN in a decision."""

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from numpy.typing import NDArray

from middo.core.ids import canonical_json
from middo.curation.gate import compare, holdout_loss, judge
from middo.signals.complexity import fit_complexity
from middo.signals.density import centre_and_normalise, mean_vector
from middo.signals.logistic import fit_logistic
from middo.signals.proof import loss_floor, median_quality, memorisation_offset
from middo.signals.robust import centre_and_spread, fit_baseline, length_edges
from middo.signals.thresholds import choose_k, fit_threshold, threshold_from

from ..fuzzing import fuzz
from ..torture.tally import RecordProperty

pytestmark = pytest.mark.fuzz

Floats = NDArray[np.float64]
LARGEST = float(np.finfo(np.float32).max)
"""Models compute signals in float32 at most."""
numbers = st.one_of(
    st.floats(width=32),
    st.floats(0, 10),
    st.sampled_from([np.nan, np.inf, -np.inf, 0.0, -0.0, 5e-324, LARGEST, -LARGEST, 1e-300, 2.5]),
)
few = st.lists(numbers, min_size=2, max_size=2).flatmap(
    lambda two: st.lists(st.sampled_from(two), max_size=40)
)
values = st.one_of(st.lists(numbers, max_size=60), few).map(lambda rows: np.array(rows, float))
shares = st.sampled_from([0.0, 0.01, 0.08, 0.5, 1.0])


def allowed(error: type[Exception], action: Callable[[], Any]) -> Any:
    """Return what an action gives, None where it raises the error that it promises."""
    try:
        return action()
    except error:
        return None


def strict(check: Callable[[Any], None]) -> Callable[[Any], None]:
    def run(drawn: Any) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            check(drawn)

    return run


def test_thresholds_decide_on_any_values(record_property: RecordProperty) -> None:
    @strict
    def check(drawn: tuple[Floats, float, float | None, int]) -> None:
        rows, share, cap, seed = drawn
        found = allowed(ValueError, lambda: fit_threshold(rows, share, cap=cap))
        finite = np.isfinite(rows)
        assert (found is None) == (not finite.any())
        if found is None:
            return
        flags = found.flags(rows)
        assert not flags[~finite].any()
        assert 0 <= found.share(rows) <= 1
        assert threshold_from(found.as_dict()) == found
        canonical_json(found.as_dict())
        if cap is not None:
            assert found.value <= cap
        flagged = [share for _, share in found.choice.curve]
        assert flagged == sorted(flagged, reverse=True)
        order = np.random.default_rng(seed).permutation(rows.size)
        if np.abs(rows[finite]).max() < 1e6:  # sums of larger ones depend on their order
            again = fit_threshold(rows[order], share, cap=cap)
            assert again.value == pytest.approx(found.value, abs=2e-4)
        wider = [found.at(k) for k in (0.5, 1.0, 2.0, 4.0)]
        assert wider == sorted(wider, reverse=True)

    caps = st.sampled_from([None, 0.5])
    fuzz(record_property, check, st.tuples(values, shares, caps, st.integers(0, 99)))


def test_k_is_chosen_from_any_scores(record_property: RecordProperty) -> None:
    @strict
    def check(drawn: tuple[Floats, float, float | None]) -> None:
        z, share, fixed = drawn
        choice = choose_k(z, share, fixed=fixed)
        assert choice.k == fixed if fixed is not None else 0.5 <= choice.k <= 4
        canonical_json(choice.as_dict())
        order = np.argsort(z, kind="stable")
        assert choose_k(z[order], share, fixed=fixed) == choice

    fuzz(record_property, check, st.tuples(values, shares, st.sampled_from([None, 0.5, 3.33])))


def test_robust_statistics_of_any_values(record_property: RecordProperty) -> None:
    @strict
    def check(drawn: tuple[Floats, Floats, int]) -> None:
        base, tuned, seed = drawn
        rng = np.random.default_rng(seed)
        rows = min(base.size, tuned.size)
        base, tuned = base[:rows], tuned[:rows]
        tokens = rng.integers(0, 40, rows)
        pair = allowed(ValueError, lambda: centre_and_spread(base))
        if pair is not None:
            assert not np.isnan(pair).any()
        for other in (None, tuned):
            model = fit_complexity(base, other, tokens)
            canonical_json(model.as_dict())
            score = model.score(base, other, tokens)
            assert score.shape == base.shape
            assert not np.isnan(score).any()
            assert (score[~np.isfinite(base) | (tokens < 8)] == -np.inf).all()
            order = rng.permutation(rows)
            moved = fit_complexity(
                base[order], None if other is None else other[order], tokens[order]
            )
            again = moved.score(base[order], None if other is None else other[order], tokens[order])
            assert (again == score[order]).all()

    fuzz(
        record_property,
        check,
        st.tuples(values, values, st.integers(0, 99)),
        always=[(np.full(40, LARGEST), np.full(40, -LARGEST), 1)],
    )


def test_the_gate_judges_any_losses(record_property: RecordProperty) -> None:
    @strict
    def check(drawn: tuple[list[tuple[float, float, float, int]], float]) -> None:
        rows = np.array([row[:3] for row in drawn[0]], float).reshape(-1, 3)
        tokens = np.array([row[3] for row in drawn[0]], dtype=np.int64)
        current, first, best = rows.T
        interval = allowed(ValueError, lambda: holdout_loss(current, tokens, seed=1))
        assert (interval is None) == (not (np.isfinite(current) & (tokens > 0)).any())
        found = allowed(
            ValueError, lambda: judge(current, first, best, tokens, margin=drawn[1], seed=1)
        )
        if interval is not None:
            canonical_json(interval.as_dict())
            assert interval.low <= interval.high
        if found is None:
            return
        canonical_json(found.as_dict())
        same = compare(current, current, tokens, seed=1)
        assert (same.mean, same.low, same.high) == (0, 0, 0)
        usable = np.isfinite(rows).all(axis=1) & (tokens > 0)
        assert usable.sum() >= 20 or found.gate == "undecided" or found.against_first.rows >= 20

    losses = st.one_of(st.floats(0, 10), numbers)
    row = st.tuples(losses, losses, losses, st.sampled_from([0, 1, 7, 2**31]))
    rows = st.one_of(st.lists(row, max_size=5), st.lists(row, min_size=19, max_size=40))
    fuzz(
        record_property, check, st.tuples(rows, st.sampled_from([0.0, 0.005])), few=25, torture=600
    )


def test_terms_of_a_proof_from_any_losses(record_property: RecordProperty) -> None:
    @strict
    def check(drawn: tuple[Floats, Floats]) -> None:
        one, other = drawn
        size = min(one.size, other.size)
        pair = (one[:size], other[:size])
        for told in (
            allowed(ValueError, lambda: memorisation_offset(*pair, *pair)),
            allowed(ValueError, lambda: loss_floor(one)),
            median_quality(one),
        ):
            assert told is None or np.isfinite(told)

    fuzz(record_property, check, st.tuples(values, values))


def test_vectors_of_any_size_are_centred(record_property: RecordProperty) -> None:
    shapes = st.tuples(st.integers(0, 6), st.integers(1, 4))
    vectors = arrays.arrays(np.float32, shapes, elements=st.floats(width=32))

    @strict
    def check(rows: NDArray[np.float32]) -> None:
        finite = len(rows) > 0 and bool(np.isfinite(rows).all())
        mean = allowed(ValueError, lambda: mean_vector(rows))
        assert (mean is None) == (not finite)
        if mean is None:
            return
        unit = centre_and_normalise(rows)
        lengths = np.linalg.norm(unit.astype(np.float64), axis=1)
        assert (np.isclose(lengths, 1, atol=1e-3) | (lengths == 0)).all()

    fuzz(record_property, check, vectors)


def test_a_classifier_is_fitted_to_any_finite_signals(record_property: RecordProperty) -> None:
    rows = arrays.arrays(
        np.float64, st.tuples(st.integers(1, 8), st.just(2)), elements=st.floats(-1e3, 1e3)
    )

    @strict
    def check(drawn: tuple[Floats, Floats]) -> None:
        weights, intercept = fit_logistic(*drawn)
        assert np.isfinite([*weights, intercept]).all()

    fuzz(record_property, check, st.tuples(rows, rows))


def test_edges_keep_bins_large(record_property: RecordProperty) -> None:
    @strict
    def check(lengths: list[int]) -> None:
        tokens = np.array(lengths, dtype=np.int64)
        edges = length_edges(tokens)
        assert list(edges) == sorted(set(edges))
        sizes = np.bincount(np.searchsorted(edges, tokens, side="right"), minlength=len(edges) + 1)
        assert not edges or sizes.min() >= 20
        if tokens.size:
            fit_baseline(tokens.astype(float), tokens, edges)

    fuzz(record_property, check, st.lists(st.integers(0, 50), max_size=200))
