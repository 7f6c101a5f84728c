"""What every `VectorIndex` must do, run over each implementation."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from middo.stores.vectors import ChromaIndex, ExactIndex, VectorIndex, Vectors


@pytest.fixture(params=["chroma", "exact"])
def index(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[VectorIndex]:
    made: VectorIndex = (
        ChromaIndex(tmp_path / "vectors", "round-0") if request.param == "chroma" else ExactIndex()
    )
    yield made
    made.close()


def unit(*rows: list[float]) -> Vectors:
    vectors = np.array(rows, dtype=np.float32)
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True))


def test_the_nearest_come_first_with_their_cosine_similarity(index: VectorIndex) -> None:
    index.add(["a", "b", "c"], unit([1, 0, 0], [1, 1, 0], [-1, 0, 0.1]))
    ids, similarities = index.nearest(unit([1, 0.1, 0], [0, 1, 0]), 2)
    assert ids == [["a", "b"], ["b", "a"]] or ids[1] == ["b", "c"]
    assert similarities.dtype == np.float32
    assert similarities[0] == pytest.approx([0.995, 0.774], abs=1e-3)


def test_length_does_not_matter(index: VectorIndex) -> None:
    index.add(["long", "short"], np.array([[9, 0], [0.1, 0.1]], dtype=np.float32))
    ids, similarities = index.nearest(np.array([[5, 0]], dtype=np.float32), 2)
    assert ids == [["long", "short"]]
    assert similarities[0] == pytest.approx([1.0, 0.7071], abs=1e-4)


def test_more_is_asked_for_than_there_is(index: VectorIndex) -> None:
    assert index.size == 0
    ids, similarities = index.nearest(unit([1, 0]), 3)
    assert (ids, similarities.shape) == ([[]], (1, 0))
    index.add(["a", "b"], unit([1, 0], [0, 1]))
    ids, similarities = index.nearest(unit([1, 0.1]), 3)
    assert (ids, similarities.shape) == ([["a", "b"]], (1, 2))
    assert index.size == 2


def test_no_question_no_answer(index: VectorIndex) -> None:
    index.add(["a"], unit([1, 0]))
    ids, similarities = index.nearest(np.zeros((0, 2), dtype=np.float32), 1)
    assert (ids, len(similarities)) == ([], 0)


def test_adding_goes_on_where_it_stopped(index: VectorIndex) -> None:
    index.add(["a"], unit([1, 0]))
    index.add(["b"], unit([0, 1]))
    assert index.size == 2
    assert index.nearest(unit([0.1, 1]), 1)[0] == [["b"]]


def test_ids_are_unique(index: VectorIndex) -> None:
    with pytest.raises(ValueError, match="'a' is given twice"):
        index.add(["a", "a"], unit([1, 0], [0, 1]))
    index.add(["a"], unit([1, 0]))
    with pytest.raises(ValueError, match="'a' is already in the index"):
        index.add(["b", "a"], unit([1, 0], [0, 1]))
    assert index.size == 1


def test_malformed_vectors_are_refused(index: VectorIndex) -> None:
    with pytest.raises(ValueError, match="2 ids for 1 vectors"):
        index.add(["a", "b"], unit([1, 0]))
    with pytest.raises(ValueError, match="'b' is not finite"):
        index.add(["a", "b"], np.array([[1, 0], [np.nan, 1]], dtype=np.float32))
    index.add(["a"], unit([1, 0]))
    with pytest.raises(ValueError, match="3 wide, the index 2"):
        index.add(["c"], unit([1, 0, 0]))


def test_a_cleared_index_can_be_built_again(index: VectorIndex) -> None:
    index.add(["a"], unit([1, 0]))
    index.clear()
    assert index.size == 0
    index.add(["a", "b"], unit([1, 0, 0], [0, 1, 0]))
    assert index.nearest(unit([0, 1, 0]), 1)[0] == [["b"]]
