from typing import Any

import numpy as np
import pytest

from middo.signals import clusters as module
from middo.signals.clusters import NOISE, find_clusters, match_clusters
from middo.signals.density import centre_and_normalise


def planted(
    sizes: list[int], seed: int = 0, spread: float = 0.1, width: int = 32
) -> tuple[list[str], Any, Any]:
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(len(sizes), width))
    truth = np.repeat(np.arange(len(sizes)), sizes)
    vectors = centres[truth] + spread * rng.normal(size=(len(truth), width))
    ids = [f"{i:04d}" for i in range(len(truth))]
    return ids, centre_and_normalise(vectors.astype(np.float32)), truth


def test_planted_clusters_are_found_and_numbered_by_size() -> None:
    ids, vectors, truth = planted([60, 100, 30])
    found = find_clusters(ids, vectors, np.linspace(0, 1, 190), seed=7)
    assert found.method == "hdbscan"
    assert [cluster.size for cluster in found.clusters] == [100, 60, 30]
    assert {found.labels[ids[i]] for i in range(60, 160)} == {0}
    for cluster in found.clusters:
        assert found.labels[cluster.medoid] == cluster.label
    assert found.clusters[2].density == pytest.approx(0.92, abs=0.01)


def test_the_medoid_is_the_member_nearest_to_all_others() -> None:
    ids, vectors, _ = planted([50, 50], spread=0.3)
    found = find_clusters(ids, vectors, np.full(100, np.nan), seed=7)
    members = [i for i, name in enumerate(ids) if found.labels[name] == 0]
    means = (vectors[members] @ vectors[members].T).mean(axis=1)
    assert found.clusters[0].medoid == ids[members[int(means.argmax())]]
    assert found.clusters[0].density is None


def test_k_means_takes_over_where_nothing_is_dense_and_repeats_itself() -> None:
    rng = np.random.default_rng(2)
    vectors = centre_and_normalise(rng.normal(size=(200, 32)).astype(np.float32))
    ids = [f"{i:04d}" for i in range(200)]
    found = find_clusters(ids, vectors, np.zeros(200), seed=7)
    assert found.method == "kmeans"
    assert NOISE not in found.labels.values()
    assert len(found.clusters) == 10
    assert find_clusters(ids, vectors, np.zeros(200), seed=7) == found


@pytest.fixture
def small_sample(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take 300 rows for a sample, so that 1,200 rows are a large set."""
    monkeypatch.setattr(module, "SAMPLED_ROWS", 300)


@pytest.mark.usefixtures("small_sample")
def test_of_a_large_set_a_sample_is_clustered_and_the_rest_goes_with_it() -> None:
    ids, vectors, truth = planted([600, 400, 200])
    found = find_clusters(ids, vectors, np.zeros(1200), seed=7)
    assert (found.method, found.sampled) == ("hdbscan", 300)
    assert found.as_dict()["rows"] == 1200
    labels = np.array([found.labels[name] for name in ids])
    for planted_label in range(3):
        inside = labels[truth == planted_label]
        # At the edge of a cluster some rows are farther out than any that was sampled.
        assert np.mean(inside == planted_label) > 0.95
        assert set(inside.tolist()) <= {planted_label, NOISE}
    assert find_clusters(ids, vectors, np.zeros(1200), seed=7) == found


@pytest.mark.usefixtures("small_sample")
def test_rows_far_from_every_cluster_stay_outside() -> None:
    ids, vectors, _ = planted([600, 500])
    rng = np.random.default_rng(5)
    vectors[::50] = centre_and_normalise(rng.normal(size=(22, 32)).astype(np.float32))
    found = find_clusters(ids, vectors, np.zeros(1100), seed=7)
    far = [found.labels[name] for name in ids[::50]]
    # Some 6 of the 22 are in the sample, and HDBSCAN has its own mind about those.
    assert far.count(NOISE) >= 14
    near = [found.labels[name] for i, name in enumerate(ids) if i % 50]
    assert near.count(NOISE) < 0.05 * len(near)


@pytest.mark.usefixtures("small_sample")
def test_k_means_of_a_large_set_is_fitted_to_a_sample() -> None:
    rng = np.random.default_rng(2)
    vectors = centre_and_normalise(rng.normal(size=(1000, 32)).astype(np.float32))
    ids = [f"{i:04d}" for i in range(1000)]
    found = find_clusters(ids, vectors, np.zeros(1000), seed=7)
    assert (found.method, found.sampled) == ("kmeans", 300)
    assert len(found.clusters) == 22
    assert NOISE not in found.labels.values()
    # Each row lies with the centre that is nearest to it.
    labels = np.array([found.labels[name] for name in ids])
    means = np.array([vectors[labels == label].mean(axis=0) for label in range(22)])
    own = np.einsum("ij,ij->i", vectors, means[labels])
    assert np.mean(own > (vectors @ means.T).mean(axis=1)) > 0.99


@pytest.mark.usefixtures("small_sample")
def test_a_planted_move_is_the_drift_of_a_large_set() -> None:
    ids, vectors, truth = planted([600, 400, 200])
    before = find_clusters(ids, vectors, np.zeros(1200), seed=7)
    moved = np.flatnonzero(truth == 0)[:120]
    later = vectors.copy()
    later[moved] = vectors[np.flatnonzero(truth == 2)[:120]]
    after = find_clusters(ids, later, np.zeros(1200), seed=7)
    match = match_clusters(before.labels, after.labels)
    assert match.common == 1200
    assert match.drift == pytest.approx(120 / 1200, abs=0.03)
    # Renumbered as it is by its size, the grown cluster is known by its members.
    assert match.matched[after.labels[ids[-1]]] == before.labels[ids[-1]]


@pytest.mark.parametrize("rows", [1, 5])
def test_a_handful_of_rows_is_one_cluster(rows: int) -> None:
    ids, vectors, _ = planted([rows])
    found = find_clusters(ids, vectors, np.zeros(rows), seed=7)
    assert found.method == "single"
    assert found.as_dict()["clusters"] == [
        {"label": 0, "size": rows, "medoid": found.clusters[0].medoid, "density": 0.0}
    ]


def test_rows_that_are_all_the_same_are_one_cluster() -> None:
    vectors = np.full((20, 4), 0.5, dtype=np.float32)
    assert find_clusters([str(i) for i in range(20)], vectors, np.zeros(20), 7).method == "single"


def test_renumbered_clusters_are_no_drift() -> None:
    before = {f"s{i}": i // 10 for i in range(30)}
    after = {name: 2 - label for name, label in before.items()}
    match = match_clusters(before, after)
    assert match.drift == 0.0
    assert match.matched == {0: 2, 1: 1, 2: 0, NOISE: NOISE}


def test_drift_is_the_share_of_common_samples_that_changed_cluster() -> None:
    before = {f"s{i}": i // 10 for i in range(20)}
    after = {**before, "s0": 1, "s1": 1, "s2": NOISE, "new": 0}
    after.pop("s19")
    match = match_clusters(before, after)
    assert match.common == 19
    assert match.drift == pytest.approx(3 / 19, abs=1e-4)


def test_the_matching_shares_as_many_members_as_possible() -> None:
    before = {f"s{i}": 0 if i < 10 else 1 for i in range(16)}
    after = {f"s{i}": 0 if i < 6 or i >= 10 else 1 for i in range(16)}
    # Greedily 0 -> 0 keeps 6 + 0; the best matching 0 -> 1, 1 -> 0 keeps 6 + 4.
    assert match_clusters(before, after).drift == pytest.approx(6 / 16)


def test_no_common_sample_no_drift() -> None:
    assert match_clusters({"a": 0}, {"b": 0}).drift is None
