"""Clusters of the embedded samples: the diagnostician's map of a data set, and how it drifts.

The map informs, it decides nothing. HDBSCAN is asked first, on the first principal components,
since density estimates mean little in hundreds of dimensions; where it finds fewer than two
clusters or leaves most rows outside, k-means.

HDBSCAN's time grows with the square of the rows, so that of a large set it sees a seeded sample.
Every other row then goes with the sampled row that is nearest to it: into its cluster, or into none
where that row is in none, or is much farther away than members of its cluster are from one another.
"""

import warnings
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment  # type: ignore[import-untyped]  # has no stubs

Labels = NDArray[np.int64]
Vectors = NDArray[np.float32]

Floats = NDArray[np.float64]
Method = Literal["hdbscan", "kmeans", "single"]

NOISE = -1
SAMPLED_ROWS = 4_000
COMPONENTS = 20
FEWEST_ROWS = 8
MOST_CLUSTERS = 50
BLOCK = 1_000
REACH = 2.0


@dataclass(frozen=True, slots=True)
class Cluster:
    """One cluster.

    Attributes:
        label: 0 for the largest; `NOISE` never has an entry.
        size: samples in it.
        medoid: id of the member with the highest mean similarity to the others.
        density: mean density of its members, None where none was measured.
    """

    label: int
    size: int
    medoid: str
    density: float | None


@dataclass(frozen=True, slots=True)
class ClusterMap:
    """Cluster of every sample, and a row per cluster.

    Attributes:
        labels: sample id -> label; `NOISE` for samples in no cluster.
        clusters: largest first.
        method: what found them; `single` for sets too small to split.
        sampled: rows that it saw; all of them unless the set is large.
    """

    labels: dict[str, int]
    clusters: tuple[Cluster, ...]
    method: Method
    sampled: int

    def as_dict(self) -> dict[str, Any]:
        """Return method, counts and the table of clusters as JSON types."""
        return {
            "method": self.method,
            "rows": len(self.labels),
            "sampled": self.sampled,
            "noise": sum(label == NOISE for label in self.labels.values()),
            "clusters": [asdict(cluster) for cluster in self.clusters],
        }


def find_clusters(
    ids: Sequence[str], vectors: Vectors, densities: NDArray[np.float64], seed: int
) -> ClusterMap:
    """Cluster unit vectors (float32[n, d]); `densities` (float64[n]) may hold NaN.

    Labels are numbered by size, then by smallest member id, so equal input gives equal labels.
    """
    raw, method, sampled = _labels(vectors, seed)
    members = [np.flatnonzero(raw == label) for label in np.unique(raw[raw != NOISE])]
    members.sort(key=lambda rows: (-len(rows), min(ids[row] for row in rows.tolist())))
    labels = dict.fromkeys(ids, NOISE)
    for label, rows in enumerate(members):
        labels.update((ids[row], label) for row in rows.tolist())
    clusters = tuple(
        Cluster(label, len(rows), _medoid(rows, ids, vectors), _mean(densities[rows]))
        for label, rows in enumerate(members)
    )
    return ClusterMap(labels, clusters, method, sampled)


@dataclass(frozen=True, slots=True)
class Match:
    """Two maps laid over each other.

    Attributes:
        matched: current label -> previous label, for labels that share members; `NOISE` is
            always matched with `NOISE`.
        common: samples in both maps.
        drift: share of the common samples whose cluster changed; None without common samples.
    """

    matched: dict[int, int]
    common: int
    drift: float | None


def match_clusters(previous: Mapping[str, int], current: Mapping[str, int]) -> Match:
    """Match clusters one to one so that they share as many samples as possible.

    The assignment is optimal (Kuhn 1955, as in `scipy.optimize.linear_sum_assignment`).

    Args:
        previous: sample id -> label.
        current: sample id -> label.
    """
    common = previous.keys() & current.keys()
    if not common:
        return Match({}, 0, None)
    return match_shared(Counter((current[name], previous[name]) for name in common))


def match_shared(shared: Mapping[tuple[int, int], int]) -> Match:
    """Match clusters as `match_clusters` does, from how many samples each two of them share.

    Args:
        shared: (current label, previous label) -> samples, at least one.
    """
    rows = sorted({label for label, _ in shared if label != NOISE})
    columns = sorted({label for _, label in shared if label != NOISE})
    table = np.array([[shared.get((row, column), 0) for column in columns] for row in rows])
    matched = {NOISE: NOISE}
    if table.size:
        for row, column in zip(*linear_sum_assignment(-table), strict=True):
            if table[row, column]:
                matched[rows[row]] = columns[column]
    common = sum(shared.values())
    stayed = sum(count for (now, then), count in shared.items() if matched.get(now) == then)
    return Match(matched, common, round(1 - stayed / common, 4))


def _labels(vectors: Vectors, seed: int) -> tuple[Labels, Method, int]:
    rows = len(vectors)
    if rows < FEWEST_ROWS or not np.ptp(vectors, axis=0).any():
        return np.zeros(rows, dtype=np.int64), "single", rows
    seen = np.arange(rows)
    if rows > SAMPLED_ROWS:
        drawn = np.random.default_rng([seed, 3]).choice(rows, SAMPLED_ROWS, replace=False)
        seen = np.sort(drawn)
    if (found := _by_density(vectors, seen)) is not None:
        return found, "hdbscan", len(seen)
    return _by_centres(vectors, seen, seed), "kmeans", len(seen)


def _by_density(vectors: Vectors, seen: Labels) -> Labels | None:
    """Return the clusters that HDBSCAN finds among the rows `seen`, spread to all rows."""
    # scikit-learn takes a second to import and only a diagnosis needs it.
    from sklearn.cluster import HDBSCAN
    from sklearn.decomposition import PCA

    components = min(COMPONENTS, vectors.shape[1], len(seen) - 1)
    axes = PCA(components, svd_solver="full").fit(vectors[seen].astype(np.float64))
    reduced = np.concatenate(
        [axes.transform(block.astype(np.float64)) for block in _blocks(vectors)]
    )
    smallest = max(5, len(seen) // 100)
    found = HDBSCAN(min_cluster_size=smallest, copy=True).fit_predict(reduced[seen])
    if len(set(found.tolist()) - {NOISE}) < 2 or np.mean(found == NOISE) > 0.5:
        return None
    if len(seen) == len(vectors):
        return np.asarray(found, dtype=np.int64)
    return _spread(reduced, seen, found)


def _spread(reduced: Floats, seen: Labels, found: Labels) -> Labels:
    """Give every row the label of the nearest one seen, unless that one is too far away.

    A cluster reaches `REACH` times as far from a member as its members, in the median, lie from
    their nearest fellows. (The largest of these distances would not do: HDBSCAN counts outliers as
    members.)
    """
    from sklearn.neighbors import NearestNeighbors

    reach = {NOISE: np.inf}
    for label in np.unique(found[found != NOISE]).tolist():
        members = reduced[seen[found == label]]
        distances, _ = NearestNeighbors(n_neighbors=1).fit(members).kneighbors()
        reach[label] = REACH * float(np.median(distances))
    search = NearestNeighbors(n_neighbors=1).fit(reduced[seen])
    labels = []
    for block in _blocks(reduced):
        distances, nearest = search.kneighbors(block)
        near = found[nearest[:, 0]]
        far = distances[:, 0] > np.array([reach[label] for label in near.tolist()])
        labels.append(np.where(far, NOISE, near))
    spread = np.concatenate(labels).astype(np.int64)
    spread[seen] = found
    return spread


def _by_centres(vectors: Vectors, seen: Labels, seed: int) -> Labels:
    """Return k-means clusters, their centres fitted to the rows `seen`."""
    from sklearn.cluster import KMeans
    from sklearn.exceptions import ConvergenceWarning

    count = int(np.clip(round((len(vectors) / 2) ** 0.5), 2, MOST_CLUSTERS))
    with warnings.catch_warnings():
        # Fewer distinct rows than clusters: the surplus clusters stay empty, which is no harm.
        warnings.simplefilter("ignore", ConvergenceWarning)
        fitted = KMeans(count, n_init=1, max_iter=100, random_state=seed).fit(vectors[seen])
    return np.concatenate([fitted.predict(block) for block in _blocks(vectors)]).astype(np.int64)


def _blocks(array: NDArray[Any]) -> Iterator[NDArray[Any]]:
    for start in range(0, len(array), BLOCK):
        yield array[start : start + BLOCK]


def _medoid(rows: Labels, ids: Sequence[str], vectors: Vectors) -> str:
    # For unit vectors the mean similarity to all members is the product with their mean.
    mean = np.zeros(vectors.shape[1])
    for block in _blocks(rows):
        mean += vectors[block].sum(axis=0, dtype=np.float64) / len(rows)
    near = np.concatenate([vectors[block] @ mean for block in _blocks(rows)])
    rounded = np.round(near, 6)
    nearest: list[int] = rows[rounded == rounded.max()].tolist()
    return min(ids[row] for row in nearest)


def _mean(values: NDArray[np.float64]) -> float | None:
    finite = values[np.isfinite(values)]
    return round(float(finite.mean()), 4) if finite.size else None
