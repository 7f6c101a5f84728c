"""Clusters of the embedded samples: the diagnostician's map of a data set, and how it drifts.

The map informs, it decides nothing. HDBSCAN is asked first, on the first principal components,
since density estimates mean little in hundreds of dimensions; where it finds fewer than two
clusters or leaves most rows outside, and for large sets, where it would take minutes, k-means.
"""

import warnings
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment  # type: ignore[import-untyped]  # has no stubs

Labels = NDArray[np.int64]
Vectors = NDArray[np.float32]

NOISE = -1
MOST_HDBSCAN_ROWS = 10_000
COMPONENTS = 20
FEWEST_ROWS = 8
MOST_CLUSTERS = 50


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
    """

    labels: dict[str, int]
    clusters: tuple[Cluster, ...]
    method: Literal["hdbscan", "kmeans", "single"]

    def as_dict(self) -> dict[str, Any]:
        """Return method, number of samples in no cluster and the table as JSON types."""
        return {
            "method": self.method,
            "noise": sum(label == NOISE for label in self.labels.values()),
            "clusters": [asdict(cluster) for cluster in self.clusters],
        }


def find_clusters(
    ids: Sequence[str], vectors: Vectors, densities: NDArray[np.float64], seed: int
) -> ClusterMap:
    """Cluster unit vectors (float32[n, d]); `densities` (float64[n]) may hold NaN.

    Labels are numbered by size, then by smallest member id, so equal input gives equal labels.
    """
    raw, method = _labels(vectors, seed)
    members: dict[int, list[int]] = {}
    for row, label in enumerate(raw.tolist()):
        members.setdefault(label, []).append(row)
    members.pop(NOISE, None)
    ordered = sorted(members.values(), key=lambda rows: (-len(rows), min(ids[r] for r in rows)))
    labels = dict.fromkeys(ids, NOISE)
    for label, rows in enumerate(ordered):
        labels.update({ids[row]: label for row in rows})
    clusters = tuple(
        Cluster(label, len(rows), _medoid(rows, ids, vectors), _mean(densities[rows]))
        for label, rows in enumerate(ordered)
    )
    return ClusterMap(labels, clusters, method)


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
    shared = Counter((current[name], previous[name]) for name in common)
    rows = sorted({label for label, _ in shared if label != NOISE})
    columns = sorted({label for _, label in shared if label != NOISE})
    table = np.array([[shared[row, column] for column in columns] for row in rows])
    matched = {NOISE: NOISE}
    if table.size:
        for row, column in zip(*linear_sum_assignment(-table), strict=True):
            if table[row, column]:
                matched[rows[row]] = columns[column]
    stayed = sum(count for (now, then), count in shared.items() if matched.get(now) == then)
    return Match(matched, len(common), round(1 - stayed / len(common), 4))


def _labels(vectors: Vectors, seed: int) -> tuple[Labels, Literal["hdbscan", "kmeans", "single"]]:
    # scikit-learn takes a second to import and only a diagnosis needs it.
    from sklearn.cluster import HDBSCAN, KMeans
    from sklearn.decomposition import PCA
    from sklearn.exceptions import ConvergenceWarning

    rows = len(vectors)
    if rows < FEWEST_ROWS or not np.ptp(vectors, axis=0).any():
        return np.zeros(rows, dtype=np.int64), "single"
    if rows <= MOST_HDBSCAN_ROWS:
        components = min(COMPONENTS, vectors.shape[1], rows - 1)
        reduced = PCA(components, svd_solver="full").fit_transform(vectors.astype(np.float64))
        found = HDBSCAN(min_cluster_size=max(5, rows // 100), copy=True).fit_predict(reduced)
        if len(set(found.tolist()) - {NOISE}) >= 2 and np.mean(found == NOISE) <= 0.5:
            return found.astype(np.int64), "hdbscan"
    count = int(np.clip(round((rows / 2) ** 0.5), 2, MOST_CLUSTERS))
    with warnings.catch_warnings():
        # Fewer distinct rows than clusters: the surplus clusters stay empty, which is no harm.
        warnings.simplefilter("ignore", ConvergenceWarning)
        found = KMeans(count, n_init=1, max_iter=100, random_state=seed).fit_predict(vectors)
    return found.astype(np.int64), "kmeans"


def _medoid(rows: Sequence[int], ids: Sequence[str], vectors: Vectors) -> str:
    # For unit vectors the mean similarity to all members is the product with their mean.
    near = np.round(vectors[rows] @ vectors[rows].mean(axis=0), 6)
    return min(zip((-near).tolist(), (ids[row] for row in rows), strict=True))[1]


def _mean(values: NDArray[np.float64]) -> float | None:
    finite = values[np.isfinite(values)]
    return round(float(finite.mean()), 4) if finite.size else None
