"""The recorded noise is that of real trainings, and the gate bears noise that it has not seen."""

import json
from pathlib import Path

import numpy as np
import pytest

from middo.curation.gate import judge
from tests.training.seeds import RECORDED, TRAININGS, TRIALS, trained

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning")  # trl uses deprecated names


def test_the_recording_is_of_these_trainings(tiny_folder: Path, tmp_path: Path) -> None:
    recorded = json.loads(RECORDED.read_text("utf-8"))
    [(losses, tokens)] = trained(tiny_folder, tmp_path, [3])
    assert tokens == recorded["tokens"]
    # Other versions of torch round otherwise; another seed is 0.02 away and more in the mean.
    assert np.average(losses, weights=tokens) == pytest.approx(
        np.average(recorded["losses"][3], weights=tokens), abs=0.005
    )


@pytest.mark.torture
@pytest.mark.timeout(1800)
def test_fresh_noise_is_a_tie(tiny_folder: Path, tmp_path: Path, torture_seed: int) -> None:
    """20 trials of three seeds against three others on the same rows, drawn by the torture's."""
    chance = np.random.default_rng(torture_seed)
    seeds = chance.choice(2**30, size=TRIALS * TRAININGS, replace=False)
    found = list(trained(tiny_folder, tmp_path, map(int, seeds)))
    tokens = np.array(found[0][1])
    losses = np.array([one for one, _ in found]).reshape(TRIALS, 2, TRAININGS // 2, len(tokens))
    gates = [
        judge(now, before, before, tokens, margin=0.005, seed=7).gate for before, now in losses
    ]
    assert gates.count("tie") >= 18, gates
