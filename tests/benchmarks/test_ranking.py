"""Areas under the ROC curve and their intervals."""

import numpy as np
import pytest

from benchmarks.ranking import areas, mean_area
from middo.agents.signal_table import floats
from middo.signals.roc import auc

ALL = np.array([True] * 50)


def test_an_area_is_the_share_of_pairs_and_lies_in_its_interval() -> None:
    rng = np.random.default_rng(0)
    clean, damaged = rng.normal(size=50), rng.normal(1.0, size=20)
    found, drawn = areas(clean, {"cut": damaged}, {"cut": ALL}, 7)
    area = found["cut"]
    assert area.auc == pytest.approx(auc(clean, damaged), abs=5e-4)
    assert 0.5 < area.low < area.auc < area.high < 1.0
    assert found == areas(clean, {"cut": damaged}, {"cut": ALL}, 7)[0]
    assert drawn["cut"].shape == (1000,)


def test_a_row_without_a_score_is_ranked_best() -> None:
    clean = floats([0.1, 0.2, None, 0.4])
    found, _ = areas(clean, {"cut": floats([None])}, {"cut": np.array([True] * 4)}, 7)
    assert found["cut"].auc == 0.125  # a tie with the one clean row that has none either


def test_damaged_rows_are_held_against_the_clean_rows_that_fit() -> None:
    clean, fits = floats([1.0, 1.0, 0.0, 0.0]), np.array([False, False, True, True])
    found, _ = areas(clean, {"number": floats([0.5, 0.6])}, {"number": fits}, 7)
    assert found["number"].auc == 1.0


def test_a_mean_over_kinds_has_a_narrower_interval() -> None:
    rng = np.random.default_rng(1)
    damaged = {kind: rng.normal(0.7, size=10) for kind in ("a", "b", "c", "d")}
    found, drawn = areas(rng.normal(size=50), damaged, dict.fromkeys(damaged, ALL), 7)
    mean = mean_area(damaged, found, drawn)
    assert mean is not None
    assert mean.auc == pytest.approx(np.mean([one.auc for one in found.values()]), abs=1e-3)
    widths = [one.high - one.low for one in found.values()]
    assert mean.high - mean.low < min(widths)
    assert mean_area(["unknown"], found, drawn) is None
