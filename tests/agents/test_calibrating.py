"""Ratings are asked of all rows only where the model answers in ratings on the first ones."""

import random
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from middo.agents.calibrating import RATED_ROWS, ROW_ASKS, calibrate_quality
from middo.agents.diagnostician import diagnose
from middo.agents.measuring import Measuring
from middo.agents.reference import fit_reference
from middo.agents.signal_table import collect, table
from middo.core.config import SignalsConfig
from middo.core.errors import Interrupted
from middo.core.measures import RATINGS, Ask, Item, Measured
from middo.core.records import Axis, Message, Sample, sample_id
from middo.signals.quality import Calibration
from middo.stores.database import Database, open_database
from middo.stores.facts import Facts
from middo.stores.scores import Scores

ROWS = 40
WORDS = [f"word{number}" for number in range(200)]
ALONE: frozenset[Ask] = frozenset({"alone"})
UNRATED: frozenset[Ask] = frozenset({"alone", "embedding"})


class Reader:
    """A scorer that sees an answer that breaks off, and gives ratings as much mass as it is told.

    Every number depends on the conversation alone, so that batches don't matter.
    """

    def __init__(self, mass: float) -> None:
        self.mass = mass
        self.asked: list[tuple[str, frozenset[Ask]]] = []

    def plan(self, items: Sequence[Item], asks: frozenset[Ask]) -> list[list[int]]:
        return [list(range(len(items)))[at : at + 8] for at in range(0, len(items), 8)]

    def score(self, items: Sequence[Item], asks: frozenset[Ask]) -> list[Measured]:
        self.asked += [(item.key, asks) for item in items]
        return [self._measured(item, asks) for item in items]

    def count_tokens(self, items: Sequence[Item], asks: frozenset[Ask]) -> list[int]:
        return [1] * len(items)

    def cost(self) -> dict[str, Any]:
        return {}

    def close(self) -> None:
        pass

    def _measured(self, item: Item, asks: frozenset[Ask]) -> Measured:
        answer = item.messages[-1].content
        chance = random.Random(answer)
        loss = chance.gauss(2, 0.1)
        rated = "answer_ratings" in asks
        ratings = (None, None, None, *(chance.uniform(2, 4) for _ in range(3)))
        return Measured(
            answer_tokens=len(answer.split()),
            prompt_tokens=5,
            loss=loss,
            end=chance.gauss(0 if answer.endswith(".") else 3, 0.5),
            peak=chance.gauss(4, 1),
            alone=loss + chance.gauss(1, 0.3),
            opening=chance.gauss(1, 0.3),
            copied=0.0,
            looped=0.0,
            ratings=ratings if rated else None,
            rating_mass=self.mass if rated else None,
            embedding=(chance.random(), chance.random()) if "embedding" in asks else None,
        )


def samples() -> list[Sample]:
    chance = random.Random(3)
    found = []
    for number in range(ROWS):
        answer = " ".join(chance.sample(WORDS, chance.randint(20, 60))) + "."
        messages = (Message("user", f"Tell me of thing {number}"), Message("assistant", answer))
        found.append(Sample(sample_id(messages), messages, f"rows:{number}"))
    return sorted(found, key=lambda sample: sample.id)


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    opened = open_database(tmp_path / "ledger.db")
    yield opened
    opened.close()


def measuring(
    database: Database, scorer: Reader, should_stop: Callable[[], bool] = lambda: False
) -> Measuring:
    return Measuring(
        scorer, "m", scores=Scores(database), facts=Facts(database), should_stop=should_stop
    )


def calibrated(model: Measuring) -> Calibration:
    return calibrate_quality(model, "calibration", samples(), (), rows=ROWS, seed=7)


def test_a_model_that_gives_ratings_little_mass_is_asked_no_more_of_them(
    database: Database,
) -> None:
    scorer = Reader(mass=0.1999)
    found = calibrated(measuring(database, scorer))
    rated = [key for key, asks in scorer.asked if "answer_ratings" in asks]
    assert rated == [sample.id for sample in samples()[:RATED_ROWS]]
    assert len(scorer.asked) > ROWS + 100  # each row and control, once
    assert len(scorer.asked) == len({key for key, _ in scorer.asked})
    assert found.ratings == {
        "mass": 0.1999,
        "added": None,
        "standard_error": None,
        "kept": False,
    }
    assert found.on
    assert found.rows == ROWS
    assert found.asks == {"alone"}


def test_a_model_that_answers_in_ratings_is_asked_for_all_of_them(database: Database) -> None:
    scorer = Reader(mass=0.2)
    found = calibrated(measuring(database, scorer))
    assert all("answer_ratings" in asks for _, asks in scorer.asked)
    assert found.ratings is not None
    assert found.ratings["mass"] == 0.2
    assert found.ratings["standard_error"] > 0
    assert found.ratings["kept"] is False  # this one rates at random


def test_ratings_that_are_not_asked_for_change_no_quality(tmp_path: Path) -> None:
    found = []
    for mass in (0.05, 0.5):
        ledger = open_database(tmp_path / f"{mass}.db")
        found.append(calibrated(measuring(ledger, Reader(mass))))
        ledger.close()
    spared, asked = (one.as_dict() for one in found)
    assert spared.pop("ratings") != asked.pop("ratings")
    assert spared == asked


@pytest.mark.parametrize("mass", [0.05, 0.5])
def test_what_the_calibration_measured_is_never_measured_again(
    database: Database, mass: float
) -> None:
    first = calibrated(measuring(database, Reader(mass)))
    scorer = Reader(mass)
    again = measuring(database, scorer)
    assert calibrated(again) == first
    rows = again.measure("diagnosis", samples(), UNRATED, wider=ROW_ASKS)
    again.measure("held", samples(), ALONE, wider=ROW_ASKS)
    assert scorer.asked == []
    assert again.embeddings(list(rows), UNRATED)[0] == list(rows)


@pytest.mark.parametrize("stops_after", [1, 2, 8])
def test_a_resumed_calibration_decides_the_same(
    database: Database, tmp_path: Path, stops_after: int
) -> None:
    whole = Reader(mass=0.05)
    other = open_database(tmp_path / "whole.db")
    expected = calibrated(measuring(other, whole))
    other.close()
    scorer, asked = Reader(mass=0.05), iter(range(stops_after))
    with pytest.raises(Interrupted):
        calibrated(measuring(database, scorer, lambda: next(asked, None) is None))
    assert calibrated(measuring(database, scorer)) == expected
    assert scorer.asked == whole.asked


def test_the_diagnosis_says_why_there_are_no_ratings(database: Database) -> None:
    model = measuring(database, Reader(mass=0.061))
    calibration = calibrated(model)
    measured = model.measure("diagnosis", samples(), UNRATED, wider=ROW_ASKS)
    signals = collect(samples(), measured, measured, calibration, [], one_model=True)
    config = SignalsConfig()
    found = diagnose(
        signals,
        None,
        calibration,
        fit_reference(signals, None, config, None),
        config,
        holdout_loss=None,
        suppressed={axis: frozenset() for axis in Axis},
        clusters=None,
        drift=None,
        seed=7,
        number=0,
    )
    told = [caution for caution in found.cautions if "rating" in caution]
    assert told == [
        "the model gives ratings only 6% of its probability: it can't judge, so they are not"
        " computed"
    ]
    assert np.isfinite(signals.quality).all()
    columns = table(signals, found.complexity, None, {}, found.flags)
    for name in RATINGS[3:]:  # absent, and not 0, where they were not asked for
        assert np.isfinite(columns[name]).tolist() == [i < RATED_ROWS for i in range(ROWS)]
