"""The clusters of a round as a table, each beside the one of the round before that it came from."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..signals.clusters import NOISE, match_clusters
from .record import Columns, Record

PROMPT_WIDTH = 120


@dataclass(frozen=True, slots=True)
class ClusterRow:
    """One cluster.

    Attributes:
        label: 0 for the largest; -1 for the rows in none.
        size: rows in it.
        share: of all embedded rows.
        density: mean similarity of its members to their nearest; None where not measured.
        medoid: id of its most typical row; empty for noise.
        prompt: the beginning of that row's prompt.
        flagged: flagged rows in it.
        before: label that it had in the round before; None where it is new, or there is none.
        stayed: rows that were in that cluster already.
        came: rows of both rounds that were in another one.
    """

    label: int
    size: int
    share: float
    density: float | None
    medoid: str
    prompt: str
    flagged: int
    before: int | None = None
    stayed: int = 0
    came: int = 0


@dataclass(frozen=True, slots=True)
class ClusterTable:
    """The clusters of a round.

    Attributes:
        rows: largest first, the rows in no cluster last.
        method: what found them.
        sampled: rows that it saw.
        total: embedded rows.
        against: the round whose clusters they are held against; None where there is none.
        common: rows in both rounds' maps.
        drift: share of the common rows that changed their cluster; None without them.
    """

    rows: tuple[ClusterRow, ...]
    method: str
    sampled: int
    total: int
    against: int | None
    common: int
    drift: float | None


def cluster_table(record: Record, round: int, diagnosis: Mapping[str, Any]) -> ClusterTable | None:
    """Return the clusters of a round; None where too few rows have an embedding."""
    found, columns = diagnosis["clusters"], record.signals(round)
    if found is None or columns is None:
        return None
    names = {flag["id"] for flag in diagnosis["flags"]}
    ids, labels = columns["id"].tolist(), columns["cluster"]
    flagged = Counter(
        label for name, label in zip(ids, labels.tolist(), strict=True) if name in names
    )
    prompts = record.index.heads([one["medoid"] for one in found["clusters"]], PROMPT_WIDTH)
    before = record.signals(round - 1) if round else None
    moved = _moves(columns, before) if before is not None else None
    rows = [
        ClusterRow(
            one["label"],
            one["size"],
            one["size"] / found["rows"],
            one["density"],
            one["medoid"],
            prompts.get(one["medoid"], ("", ""))[0],
            flagged[one["label"]],
            *(moved.of(one["label"]) if moved else ()),
        )
        for one in found["clusters"]
    ]
    if found["noise"]:
        share = found["noise"] / found["rows"]
        numbers = moved.of(NOISE) if moved else ()
        rows.append(
            ClusterRow(NOISE, found["noise"], share, None, "", "", flagged[NOISE], *numbers)
        )
    return ClusterTable(
        rows=tuple(rows),
        method=found["method"],
        sampled=found["sampled"],
        total=found["rows"],
        against=round - 1 if moved else None,
        common=moved.common if moved else 0,
        drift=diagnosis["drift"],
    )


@dataclass(frozen=True, slots=True)
class _Moves:
    matched: Mapping[int, int]
    pairs: Counter[tuple[int, int]]
    common: int

    def of(self, label: int) -> tuple[int | None, int, int]:
        """Return former label, rows that stayed, rows that came from elsewhere."""
        was = self.matched.get(label)
        here = sum(rows for (now, _), rows in self.pairs.items() if now == label)
        stayed = 0 if was is None else self.pairs[label, was]
        return was, stayed, here - stayed


def _moves(columns: Columns, before: Columns) -> _Moves:
    now, then = _labels(columns), _labels(before)
    match = match_clusters(then, now)
    pairs = Counter((label, then[name]) for name, label in now.items() if name in then)
    return _Moves(match.matched, pairs, match.common)


def _labels(columns: Columns) -> dict[str, int]:
    known = np.isfinite(columns["cluster"])
    labels = columns["cluster"][known].astype(np.int64).tolist()
    return dict(zip(columns["id"][known].tolist(), labels, strict=True))
