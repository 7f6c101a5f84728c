"""The clusters of a round as a table, each beside the one of the round before that it came from."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..signals.clusters import NOISE, match_shared
from .figures import cut
from .points import Points
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


def cluster_table(
    record: Record, round: int, diagnosis: Mapping[str, Any], points: Points
) -> ClusterTable | None:
    """Return the clusters of a round; None where too few rows have an embedding.

    Args:
        record: of the run.
        round: a diagnosed one.
        diagnosis: of the round.
        points: of the round, all flagged rows among them.
    """
    found, columns = diagnosis["clusters"], record.signals(round)
    if found is None or columns is None:
        return None
    flagged = Counter(
        label for label, axes in zip(points.clusters.tolist(), points.axes, strict=True) if axes
    )
    prompts = record.index.heads([one["medoid"] for one in found["clusters"]], PROMPT_WIDTH + 1)
    before = record.signals(round - 1) if round else None
    moved = _moves(columns, before) if before is not None else None
    rows = [
        ClusterRow(
            one["label"],
            one["size"],
            one["size"] / found["rows"],
            one["density"],
            one["medoid"],
            cut(prompts.get(one["medoid"], ("", ""))[0], PROMPT_WIDTH),
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


def _moves(columns: Columns, before: Columns) -> _Moves | None:
    """Lay the map of the round before under this one; None where they have no row in common."""
    then = dict(zip(before["id"].tolist(), before["cluster"].tolist(), strict=True))
    nothing = float("nan")
    was = np.array([then.get(name, nothing) for name in columns["id"].tolist()])
    both = np.isfinite(was) & np.isfinite(columns["cluster"])
    if not both.any():
        return None
    now, earlier = (labels[both].astype(np.int64) for labels in (columns["cluster"], was))
    wide = int(earlier.max()) + 2  # labels begin at -1
    found, counts = np.unique((now + 1) * wide + earlier + 1, return_counts=True)
    pairs = Counter(
        {
            (code // wide - 1, code % wide - 1): rows
            for code, rows in zip(found.tolist(), counts.tolist(), strict=True)
        }
    )
    match = match_shared(pairs)
    return _Moves(match.matched, pairs, match.common)
