"""What the gate decided, in words that fit its figures."""

import numpy as np
import pytest

from middo.curation.gate import judge
from middo.inspection.sentences import gate_line

TOKENS = np.full(40, 10, dtype=np.int64)
SPREAD = np.linspace(-0.01, 0.01, 40)


def line(against_first: float, against_best: float, margin: float | None = 0.005) -> str:
    """Return the line of a round whose losses are that far from round 0 and from the best."""
    current = np.full(40, 2.0)
    first, best = current - against_first + SPREAD, current - against_best + SPREAD
    found = judge(current, first, best, TOKENS, margin=0.005, seed=7)
    entry = {
        "gate": found.gate,
        "difference": found.against_first.as_dict(),
        "evaluation": {"rows": 40},
    }
    said = gate_line(entry, margin)
    assert said is not None and said.endswith(", on 40 held-out rows and one seed")
    return said.partition(": ")[0]


@pytest.mark.parametrize(
    ("first", "best", "said"),
    [
        (-0.02, -0.02, "better than the rounds before"),
        (0.02, 0.02, "rolled back, worse than allowed"),
        (0.0, 0.0, "a tie, not measurably better"),
        (0.006, 0.006, "a tie (worse, but not surely by more than the margin of 0.005)"),
        (-0.02, 0.0, "a tie (better than round 0, not measurably better than the best round)"),
    ],
)
def test_the_words_fit_the_interval(first: float, best: float, said: str) -> None:
    assert line(first, best) == said


def test_a_margin_that_is_not_known_is_not_told() -> None:
    said = "a tie (worse, but not surely by more than the margin)"
    assert line(0.006, 0.006, margin=None) == said


def test_a_round_that_was_not_judged_has_no_line() -> None:
    assert gate_line({"gate": None}, 0.005) is None
    baseline = "the baseline that later rounds are held against"
    assert gate_line({"gate": "baseline"}, 0.005) == baseline
