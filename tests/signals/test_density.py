from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from middo.signals.density import (
    Density,
    centre_and_normalise,
    density,
    density_with,
    mean_vector,
    prompt_hash,
)
from middo.signals.neighbours import COPY, NONE, Neighbourhood


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
    return density(ids, vectors, hashes(len(ids), prompts), exact(ids, vectors), n)


def hashes(rows: int, prompts: list[str] | None = None) -> Any:
    """Return the prompts' hashes; by default no two are equal."""
    texts = prompts or [f"prompt {i}" for i in range(rows)]
    return np.array([prompt_hash(text) for text in texts], dtype=np.uint64)


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
    space = Neighbourhood(["a", "z", "b"], vectors, hashes(3))
    rows = np.arange(3)
    candidates = np.array([[0, 1, 2], [1, 0, NONE], [2, NONE, NONE]])
    chosen, near = space.pick(rows, candidates, 2)
    assert chosen.tolist() == [[2, 1], [0, NONE], [NONE, NONE]]
    assert near[0].tolist() == [0.0, 0.0]
    assert np.isnan(near[1, 1])
    assert space.search(rows, 2)[0][0].tolist() == [2, 1]


def test_the_order_of_candidates_makes_no_difference() -> None:
    rng = np.random.default_rng(1)
    vectors = centre_and_normalise(rng.normal(size=(20, 8)).astype(np.float32))
    space = Neighbourhood([f"{i:02d}" for i in range(20)], vectors, hashes(20))
    rows = np.arange(20)
    everyone = np.tile(rows, (20, 1))
    one, other = space.pick(rows, everyone, 3), space.pick(rows, everyone[:, ::-1], 3)
    assert one[0].tolist() == other[0].tolist()
    assert one[1].tolist() == other[1].tolist()
    full = space.search(rows, 3)
    assert full[0].tolist() == one[0].tolist()
    assert full[1].tolist() == one[1].tolist()


def plainly(ids: list[str], vectors: Any, prompts: Any, n: int) -> list[list[tuple[str, float]]]:
    """Choose neighbours as the definition says, one row at a time."""
    wide = vectors.astype(np.float64)
    found = []
    for row in range(len(ids)):
        near = np.round(wide @ wide[row], 4)
        chosen: list[int] = []
        for other in sorted(range(len(ids)), key=lambda i: (-near[i], ids[i])):
            alike = [row, *chosen]
            if len(chosen) < n and not any(
                other == mate
                or prompts[other] == prompts[mate]
                or np.round(wide[other] @ wide[mate], 4) > COPY
                for mate in alike
            ):
                chosen.append(other)
        found.append([(ids[i], float(near[i])) for i in chosen])
    return found


@pytest.mark.parametrize("n", [1, 2, 4])
def test_copies_of_all_kinds_are_left_out_as_the_definition_says(n: int) -> None:
    rng = np.random.default_rng(n)
    vectors = rng.normal(size=(12, 6))[rng.integers(0, 12, 300)]
    vectors[::3] += 0.05 * rng.normal(size=(100, 6))  # about as near as a copy, or not quite
    vectors[::7] += rng.normal(size=(43, 6))
    ids = [f"{i:03d}" for i in rng.permutation(300)]
    prompts = hashes(300, [f"prompt {i}" for i in rng.integers(0, 150, 300)])
    unit_vectors = centre_and_normalise(vectors.astype(np.float32))
    found = density(ids, unit_vectors, prompts, exact(ids, unit_vectors), n)
    pairs = [
        list(zip(names, values, strict=True))
        for names, values in zip(found.neighbours, found.similarities, strict=True)
    ]
    assert pairs == plainly(ids, unit_vectors, prompts, n)


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
