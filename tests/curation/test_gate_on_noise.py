"""What the gate says where nothing changed but the seed: trainings of a tiny model, recorded.

`python -m tests.training.seeds` records them; `make torture` trains anew (tests/training).
"""

import json

import numpy as np

from middo.curation.gate import Gate, judge
from tests.training.seeds import HELD, RECORDED, TRAININGS, TRIALS

FOUND = json.loads(RECORDED.read_text("utf-8"))
LOSSES = np.array(FOUND["losses"]).reshape(TRIALS, 2, TRAININGS // 2, HELD)
TOKENS = np.array(FOUND["tokens"])


def verdicts(seeds: int, better_by: float = 0.0) -> list[Gate]:
    """Judge, in each trial, trainings with some seeds against trainings with others."""
    return [
        judge(
            now[:seeds] - better_by, before[:seeds], before[:seeds], TOKENS, margin=0.005, seed=7
        ).gate
        for before, now in LOSSES
    ]


def test_one_training_each_is_not_enough() -> None:
    assert verdicts(1).count("tie") <= 10


def test_over_three_seeds_noise_is_a_tie() -> None:
    assert verdicts(3).count("tie") >= 18


def test_over_three_seeds_a_change_is_still_seen() -> None:
    noise = np.average(LOSSES, axis=-1, weights=TOKENS).std(axis=-1, ddof=1).mean()
    found = verdicts(3, better_by=5 * noise)
    assert found.count("better") >= 15
    assert "rolled_back" not in found
