"""Measurements come back as they were, per model, and a batch is written whole."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from middo.core.measures import Measured
from middo.stores.database import Database, open_database
from middo.stores.scores import Scores

FULL = Measured(
    answer_tokens=12,
    prompt_tokens=5,
    loss=1.2345,
    end=0.5,
    late=-0.25,
    alone=2.0,
    prompt=3.0,
    reverse=2.5,
    ratings=(1.0, 2.0, 3.0, 4.0, 5.0, 6.5),
    rating_mass=0.9,
    embedding=(0.5, -0.25, 1.0),
)
LITTLE = Measured(answer_tokens=3, prompt_tokens=2, loss=0.5)
UNSCORED = Measured(unscored="too_long")


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    opened = open_database(tmp_path / "ledger.db")
    yield opened
    opened.close()


def test_measurements_outlive_their_process(tmp_path: Path) -> None:
    batch = {"a": FULL, "b": LITTLE, "c": UNSCORED}
    first = open_database(tmp_path / "ledger.db")
    Scores(first).add("model", batch)
    first.close()
    second = open_database(tmp_path / "ledger.db")
    assert Scores(second).known("model", ["a", "b", "c", "d"]) == batch
    assert Scores(second).known("model", ["b"]) == {"b": LITTLE}
    second.close()


def test_an_embedding_keeps_its_float32_value(database: Database) -> None:
    vector = (0.123456, -7.654321, 1e-6)
    Scores(database).add("model", {"a": Measured(loss=1.0, embedding=vector)})
    found = Scores(database).known("model", ["a"])["a"].embedding
    assert found is not None
    assert np.array(found, np.float32).tolist() == np.array(vector, np.float32).tolist()


def test_models_do_not_share_measurements(database: Database) -> None:
    scores = Scores(database)
    scores.add("base", {"a": LITTLE})
    scores.add("tuned", {"a": FULL})
    assert scores.known("base", ["a"]) == {"a": LITTLE}
    assert scores.known("tuned", ["a"]) == {"a": FULL}
    assert scores.known("other", ["a"]) == {}


def test_a_batch_with_a_number_that_is_none_is_not_written_in_part(database: Database) -> None:
    scores = Scores(database)
    with pytest.raises(ValueError, match="JSON"):
        scores.add("model", {"a": LITTLE, "b": Measured(loss=float("nan"))})
    assert scores.known("model", ["a", "b"]) == {}
