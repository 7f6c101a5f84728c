import warnings
from pathlib import Path

import numpy as np
import pytest

from middo.signals.density import centre_and_normalise, density
from middo.stores.vectors import ChromaIndex, ExactIndex, Vectors


def vectors(rows: int, width: int = 64, seed: int = 0) -> Vectors:
    found = np.random.default_rng(seed).normal(size=(rows, width)).astype(np.float32)
    return np.asarray(found / np.linalg.norm(found, axis=1, keepdims=True))


def ids(rows: int) -> list[str]:
    return [f"{i:06d}" for i in range(rows)]


def test_chroma_finds_what_exact_search_finds(tmp_path: Path) -> None:
    rows = 3000
    held, asked = vectors(rows), vectors(200, seed=1)
    exact, chroma = ExactIndex(), ChromaIndex(tmp_path, "round-0")
    for index in (exact, chroma):
        index.add(ids(rows), held)
    expected, similarities = exact.nearest(asked, 5)
    found, near = chroma.nearest(asked, 5)
    shared = [len(set(a) & set(b)) for a, b in zip(expected, found, strict=True)]
    assert np.mean(shared) > 4.95
    assert near[:, 0] == pytest.approx(similarities[:, 0], abs=1e-5)
    own, one = chroma.nearest(held[:50], 1)
    assert [names[0] for names in own] == ids(50)
    assert one[:, 0] == pytest.approx(np.ones(50), abs=1e-5)
    chroma.close()


def test_chroma_leads_to_the_same_neighbours_as_exact_search(tmp_path: Path) -> None:
    rng = np.random.default_rng(4)
    rows = 4000
    held = rng.normal(size=(80, 64))[rng.integers(0, 80, rows)] + 0.7 * rng.normal(size=(rows, 64))
    held[1::10] = held[::10]  # copies
    held[2::40] = held[::40] + 0.02 * rng.normal(size=(100, 64))
    prompts = np.arange(rows, dtype=np.uint64)
    prompts[5::20] = prompts[4::20]
    unit = centre_and_normalise(held.astype(np.float32))
    exact, chroma = ExactIndex(), ChromaIndex(tmp_path, "round-0")
    found = []
    for index in (exact, chroma):
        index.add(ids(rows), unit)
        found.append(density(ids(rows), unit, prompts, index.nearest))
    assert found[0].neighbours == found[1].neighbours
    assert found[0].similarities == found[1].similarities
    assert np.array_equal(found[0].values, found[1].values)
    chroma.close()


def test_more_vectors_than_chroma_takes_at_once(tmp_path: Path) -> None:
    chroma = ChromaIndex(tmp_path, "round-0")
    rows = chroma.batch_size + 10
    chroma.add(ids(rows), vectors(rows, width=8))
    assert chroma.size == rows
    assert chroma.nearest(vectors(rows, width=8)[-1:], 1)[0] == [[ids(rows)[-1]]]
    chroma.close()


def test_the_index_is_there_after_reopening_and_nobody_is_warned(tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        chroma = ChromaIndex(tmp_path / "vectors", "round-0")
        chroma.add(["a", "b"], vectors(2))
        chroma.close()
        again = ChromaIndex(tmp_path / "vectors", "round-0")
        assert again.size == 2
        assert again.nearest(vectors(2)[1:], 1)[0] == [["b"]]
        other = ChromaIndex(tmp_path / "vectors", "round-1")
        assert other.size == 0
        other.close()
        again.close()


@pytest.mark.parametrize("name", ["r0", "", "x" * 513])
def test_names_that_chroma_does_not_take_are_refused_at_once(tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match="3 to 512, such as 'round-0'"):
        ChromaIndex(tmp_path, name)


def test_exact_search_orders_equal_similarities_by_id() -> None:
    index = ExactIndex()
    index.add(["z", "a", "m"], np.ones((3, 2), dtype=np.float32))
    assert index.nearest(np.ones((1, 2), dtype=np.float32), 2)[0] == [["a", "m"]]


def test_clearing_what_an_earlier_process_made_leaves_no_graph_behind(tmp_path: Path) -> None:
    vectors = np.eye(8, dtype=np.float32)
    ids = [f"s{number}" for number in range(8)]
    for name in ("round-0", "round-1", "round-0", "round-0"):
        index = ChromaIndex(tmp_path, name)
        index.clear()
        index.add(ids, vectors)
        assert index.nearest(vectors[:1], 1)[0] == [["s0"]]
        index.close()
    assert len(list(tmp_path.glob("*/header.bin"))) == 2
    other = ChromaIndex(tmp_path, "round-1")
    assert other.nearest(vectors[3:4], 1)[0] == [["s3"]]
    other.close()
