"""Measurements come back as they were, per model, and a batch is written whole."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from middo.core.measures import Measured
from middo.stores.database import Database, open_database
from middo.stores.scores import BLOCK, Scores

FULL = Measured(
    answer_tokens=12,
    prompt_tokens=5,
    loss=1.2345,
    end=0.5,
    looped=0.25,
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
    slim = batch | {"a": replace(FULL, embedding=None)}
    assert Scores(second).known("model", ["a", "b", "c", "d"]) == slim
    assert Scores(second).known("model", ["b"]) == {"b": LITTLE}
    second.close()


def test_embeddings_come_as_one_array_in_the_order_asked_for(database: Database) -> None:
    scores, rows = Scores(database), 2 * BLOCK + 7
    vectors = np.random.default_rng(0).normal(size=(rows, 5)).astype(np.float32)
    names = [f"s{i:05d}" for i in range(rows)]
    with_vectors = {
        name: Measured(loss=1.0, embedding=tuple(vector.tolist()))
        for name, vector in zip(names, vectors, strict=True)
    }
    scores.add("model", with_vectors | {"s00003": LITTLE, "s01005": UNSCORED})
    asked = ["unknown", *reversed(names)]
    ids, found = scores.vectors("model", asked)
    kept = [i for i in reversed(range(rows)) if i not in (3, 1005)]
    assert ids == [names[i] for i in kept]
    assert found.dtype == np.float32
    assert np.array_equal(found, vectors[kept])
    assert len(scores.known("model", asked)) == rows


def test_where_nothing_was_embedded_there_are_no_vectors(database: Database) -> None:
    scores = Scores(database)
    scores.add("model", {"a": LITTLE})
    ids, found = scores.vectors("model", ["a"])
    assert (ids, found.shape) == ([], (0, 0))
    assert scores.known("model", []) == {}


def test_models_do_not_share_measurements(database: Database) -> None:
    scores = Scores(database)
    scores.add("base", {"a": LITTLE})
    scores.add("tuned", {"a": FULL})
    assert scores.known("base", ["a"]) == {"a": LITTLE}
    assert scores.known("tuned", ["a"]) == {"a": replace(FULL, embedding=None)}
    assert scores.vectors("base", ["a"])[0] == []
    assert scores.known("other", ["a"]) == {}


def test_a_batch_with_a_number_that_is_none_is_not_written_in_part(database: Database) -> None:
    scores = Scores(database)
    with pytest.raises(ValueError, match="JSON"):
        scores.add("model", {"a": LITTLE, "b": Measured(loss=float("nan"))})
    assert scores.known("model", ["a", "b"]) == {}


def test_what_another_run_measured_is_taken_over_whole(database: Database, tmp_path: Path) -> None:
    other = open_database(tmp_path / "other.db")
    Scores(other).add("model", {"a": FULL, "b": LITTLE, "c": LITTLE})
    Scores(other).add("another", {"d": FULL})
    scores, mine = Scores(database), replace(LITTLE, loss=9.0)
    scores.add("model", {"b": mine})
    scores.take(Scores(other), "model", ["a", "b", "d"])
    other.close()
    assert scores.known("model", ["a", "b", "c", "d"]) == {
        "a": replace(FULL, embedding=None),
        "b": mine,
    }
    ids, vectors = scores.vectors("model", ["a"])
    assert (ids, vectors.tolist()) == (["a"], [[0.5, -0.25, 1.0]])
