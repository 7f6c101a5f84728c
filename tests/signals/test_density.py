from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from middo.signals.density import (
    COPY,
    Density,
    centre_and_normalise,
    density,
    density_with,
    exact_neighbours,
    mean_vector,
)


def exact(ids: list[str], vectors: Any) -> Any:
    """A search over everything, in the form that an index has."""

    def nearest(asked: Any, count: int) -> Any:
        near = asked @ vectors.T
        order = np.argsort(-near, axis=1, kind="stable")[:, :count]
        return [[ids[i] for i in row] for row in order], np.take_along_axis(near, order, axis=1)

    return nearest


def unit(*rows: Sequence[float]) -> Any:
    vectors = np.array(rows, dtype=np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def measure(vectors: Any, prompts: list[str] | None = None, n: int = 2) -> Density:
    ids = [f"id{i}" for i in range(len(vectors))]
    prompts = prompts or [f"prompt {i}" for i in range(len(vectors))]
    return density(ids, vectors, prompts, exact(ids, vectors), n)


def test_centring_removes_the_direction_that_all_share() -> None:
    rng = np.random.default_rng(0)
    vectors = (rng.normal(size=(100, 16)) + 20).astype(np.float32)
    centred = centre_and_normalise(vectors)
    assert centred.dtype == np.float32
    assert np.linalg.norm(centred, axis=1) == pytest.approx(np.ones(100), abs=1e-5)
    assert abs((centred @ centred.T)[np.triu_indices(100, 1)].mean()) < 0.05
    later = centre_and_normalise(vectors[:1], mean_vector(vectors))
    assert later[0] == pytest.approx(centred[0], abs=1e-5)


def test_a_vector_at_the_mean_is_similar_to_nothing() -> None:
    assert centre_and_normalise(np.ones((3, 4), dtype=np.float32)).tolist() == [[0.0] * 4] * 3


def test_vectors_that_are_not_finite_are_refused() -> None:
    with pytest.raises(ValueError, match="finite"):
        centre_and_normalise(np.array([[np.nan, 1.0]], dtype=np.float32))


def test_density_is_the_mean_similarity_to_the_nearest_others() -> None:
    found = measure(unit([1, 0, 0], [1, 1, 0], [0, 1, 0], [0, 0, 1]))
    assert found.neighbours[0] == ("id1", "id2")
    assert found.similarities[0] == (0.7071, 0.0)
    assert found.values[0] == pytest.approx(0.3536, abs=2e-4)
    assert found.values[3] == 0.0


def test_equal_similarities_are_ordered_by_id() -> None:
    vectors = unit([1, 0], [0, 1], [0, -1])
    ids = ["a", "z", "b"]
    ranking = exact_neighbours(ids, vectors, [["a", "z", "b"], ["z", "a"], ["b"]])
    assert ranking[0] == [("b", 0.0), ("z", 0.0)]
    assert ranking[2] == []


def test_the_order_of_candidates_makes_no_difference() -> None:
    rng = np.random.default_rng(1)
    vectors = centre_and_normalise(rng.normal(size=(20, 8)).astype(np.float32))
    ids = [f"{i:02d}" for i in range(20)]
    one = exact_neighbours(ids, vectors, [ids] * 20)
    other = exact_neighbours(ids, vectors, [ids[::-1]] * 20)
    assert one == other
    assert len(one[0]) == 19


def test_a_row_pasted_five_times_is_still_alone() -> None:
    lonely = [0, 0, 0, 1]
    crowd = [[1, 0.3 * i, 0.2, 0] for i in range(5)]
    vectors = unit(*crowd, *[lonely] * 5)
    found = measure(vectors)
    assert found.values[5:].max() < 0.2
    assert found.values[:5].min() > 0.5


def test_equal_prompts_are_copies_however_they_are_written() -> None:
    vectors = unit([1, 0, 0], [1, 0.5, 0], [0, 0, 1])
    found = measure(vectors, ["Name a  bird.", "name a bird.\n", "Other"], n=1)
    assert found.neighbours[0] == ("id2",)
    assert measure(vectors, n=1).neighbours[0] == ("id1",)


def test_neighbours_that_are_copies_of_each_other_count_once() -> None:
    vectors = unit([1, 0, 0], [1, 0.5, 0], [1, 0.5, 0.001], [1, 0, 2])
    assert float(vectors[1] @ vectors[2]) > COPY
    assert measure(vectors).neighbours[0] == ("id1", "id3")


def test_more_copies_than_the_index_was_asked_for_are_searched_in_full() -> None:
    vectors = unit(*[[1, 0, 0]] * 600, [1, 1, 0], [1, 2, 0])
    found = measure(vectors)
    assert found.neighbours[0] == ("id600", "id601")
    assert found.similarities[0] == (0.7071, 0.4472)


def test_a_sample_without_others_has_no_density() -> None:
    found = measure(unit([1, 0]))
    assert np.isnan(found.values[0])
    assert found.neighbours == [()]


def test_a_new_sample_counts_where_it_is_nearer_than_the_farthest_neighbour() -> None:
    assert density_with([0.5, 0.3], 0.7) == 0.6
    assert density_with([0.5, 0.3], 0.2) == 0.4
    assert density_with([], 0.7) == 0.7
