"""The map of a data set: deterministic, the same in blocks as at once, in the widest directions."""

import numpy as np
import pytest

from middo.signals.projection import FIT_ROWS, fit_projection

Array = np.ndarray[tuple[int, int], np.dtype[np.float32]]


def cloud(rows: int, seed: int = 0) -> Array:
    """Return rows around three centres in a plane of a space of 12 dimensions."""
    rng = np.random.default_rng(seed)
    centres = np.zeros((3, 12), dtype=np.float32)
    centres[0, 3] = centres[1, 7] = 4.0
    noise = rng.normal(scale=0.2, size=(rows, 12)).astype(np.float32)
    return np.asarray(centres[np.arange(rows) % 3] + noise + 5.0, dtype=np.float32)


def test_clusters_come_apart() -> None:
    vectors = cloud(300)
    fitted = fit_projection(lambda: [vectors], 300, 7)
    assert fitted is not None
    places = fitted(vectors)
    assert places.shape == (300, 2) and places.dtype == np.float32
    centres = np.stack([places[k::3].mean(axis=0) for k in range(3)])
    spreads = [places[k::3].std(axis=0).max() for k in range(3)]
    apart = [np.linalg.norm(centres[a] - centres[b]) for a, b in ((0, 1), (0, 2), (1, 2))]
    assert min(apart) > 4 * max(spreads)


def test_blocks_give_what_the_whole_gives() -> None:
    vectors = cloud(1000)
    whole = fit_projection(lambda: [vectors], 1000, 7)
    parts = fit_projection(lambda: np.array_split(vectors, 7), 1000, 7)
    assert whole is not None and parts is not None
    assert np.allclose(
        whole(vectors), np.concatenate([parts(b) for b in np.array_split(vectors, 9)])
    )
    assert np.allclose(whole.centre, vectors.mean(axis=0, dtype=np.float64))


def test_it_is_the_same_each_time_and_signs_are_fixed() -> None:
    vectors = cloud(FIT_ROWS + 500)
    one, other = (fit_projection(lambda: [vectors], len(vectors), 7) for _ in range(2))
    assert one is not None and other is not None
    assert np.array_equal(one(vectors), other(vectors))
    assert (one.axes[[0, 1], np.abs(one.axes).argmax(axis=1)] > 0).all()
    assert np.allclose(one.axes @ one.axes.T, np.eye(2), atol=1e-6)


def test_too_few_rows_have_no_map() -> None:
    vectors = cloud(2)
    assert fit_projection(lambda: [vectors], 2, 7) is None
    assert fit_projection(lambda: [], 0, 7) is None


def test_equal_rows_lie_in_one_place() -> None:
    vectors = np.ones((5, 4), dtype=np.float32)
    fitted = fit_projection(lambda: [vectors], 5, 7)
    assert fitted is not None
    assert np.array_equal(fitted(vectors), np.zeros((5, 2), dtype=np.float32))


def test_a_vector_that_is_not_finite_is_refused() -> None:
    vectors = cloud(10)
    vectors[3, 3] = np.nan
    with pytest.raises(ValueError, match="not finite"):
        fit_projection(lambda: [vectors], 10, 7)
