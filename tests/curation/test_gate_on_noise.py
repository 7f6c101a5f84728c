"""What the gate says where nothing changed but the seed: trainings of a tiny model, recorded.

`python -m tests.training.seeds --record` records them; `make torture` trains anew (tests/training).
"""

from collections import Counter
from pathlib import Path

from middo.curation.gate import Gate
from tests.training.seeds import judged, table

SIGNALS = Path(__file__).parents[2] / "docs" / "signals.md"


def verdicts(seeds: int, better_by: float = 0.0) -> Counter[Gate]:
    return Counter(one.gate for one in judged(seeds, better_by))


def test_one_training_each_is_not_enough() -> None:
    assert verdicts(1)["tie"] <= 30  # of 60


def test_over_three_seeds_noise_is_a_tie() -> None:
    found = verdicts(3)
    assert found.total() == 20
    assert found["tie"] >= 18


def test_over_three_seeds_a_change_is_still_seen() -> None:
    found = verdicts(3, better_by=5)
    assert found["better"] >= 15
    assert found["rolled_back"] == 0


def test_the_page_tells_what_is_recorded() -> None:
    assert table() in SIGNALS.read_text(encoding="utf-8")
