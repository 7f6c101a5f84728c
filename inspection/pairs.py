"""The training rows of two rounds, paired by line: loss, density and quality before and after."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from .figures import cut
from .lineage import Lineage
from .record import Columns, Record

Floats = NDArray[np.float64]
Measure = Literal["loss", "density", "quality"]
MEASURES: tuple[Measure, ...] = get_args(Measure)
COLUMNS: dict[str, str] = {"loss": "loss_tuned", "density": "density", "quality": "quality"}
SHOWN = 50
PROMPT_WIDTH = 120
EVEN = 5e-5
"""Signals have four decimals: below this nothing changed."""


@dataclass(frozen=True, slots=True)
class Change:
    """How one measure changed over all pairs that have it on both sides.

    Attributes:
        measure: which.
        pairs: rows.
        before: their mean in the first round; NaN where there are none.
        after: their mean in the second one.
        rose: rows whose value rose.
        fell: rows whose value fell.
    """

    measure: Measure
    pairs: int
    before: float
    after: float
    rose: int
    fell: int


@dataclass(frozen=True, slots=True)
class PairRow:
    """One line in both rounds; values as measured, NaN where they were not.

    Attributes:
        before_id: id of its row in the first.
        after_id: id of its row in the second.
        prompt: the beginning of the prompt in the second.
        values: measure -> before and after.
        fates: what became of it in each of the two rounds; empty where it was not flagged.
    """

    before_id: str
    after_id: str
    prompt: str
    values: dict[str, tuple[float, float]]
    fates: tuple[str, str]

    @property
    def rewritten(self) -> bool:
        """Whether the text differs."""
        return self.before_id != self.after_id

    def change(self, measure: str) -> float:
        """Return how much a measure changed; NaN where it was not measured on both sides."""
        before, after = self.values[measure]
        return after - before


@dataclass(frozen=True, slots=True, eq=False)
class Paired:
    """Rows of two rounds by line.

    Attributes:
        ids: id before and after, per pair.
        values: measure -> float64[n, 2].
        changes: a row per measure.
    """

    ids: Sequence[tuple[str, str]]
    values: dict[str, Floats]
    changes: tuple[Change, ...]
    _records: tuple[Record, int, Record, int]

    @property
    def rewritten(self) -> int:
        """Pairs whose text differs."""
        return sum(before != after for before, after in self.ids)

    def rows(
        self, measure: Measure, *, falling: bool, rewritten: bool = False, most: int = SHOWN
    ) -> list[PairRow]:
        """Return the pairs that changed most.

        Args:
            measure: what they are sorted by.
            falling: those that fell most first, else those that rose most.
            rewritten: only lines whose text differs.
            most: how many.
        """
        change = self.values[measure][:, 1] - self.values[measure][:, 0]
        wanted = np.isfinite(change) & ((change < -EVEN) if falling else (change > EVEN))
        if rewritten:
            wanted &= np.fromiter((a != b for a, b in self.ids), np.bool_, len(self.ids))
        places = np.flatnonzero(wanted)
        order = np.argsort(change[places] if falling else -change[places], kind="stable")
        return self._rows(places[order][:most].tolist())

    def _rows(self, places: list[int]) -> list[PairRow]:
        before, first, after, second = self._records
        prompts = after.index.heads([self.ids[place][1] for place in places], PROMPT_WIDTH + 1)
        fates = before.fates(first), after.fates(second)
        rows = []
        for place in places:
            names = self.ids[place]
            values = {
                name: (float(both[place, 0]), float(both[place, 1]))
                for name, both in self.values.items()
            }
            ends = tuple(
                found[name][0] if name in found else ""
                for found, name in zip(fates, names, strict=True)
            )
            prompt = cut(prompts.get(names[1], ("", ""))[0], PROMPT_WIDTH)
            rows.append(PairRow(names[0], names[1], prompt, values, (ends[0], ends[1])))
        return rows


def paired_rows(
    before: tuple[Record, int, Lineage], after: tuple[Record, int, Lineage]
) -> Paired | None:
    """Return the rows that both rounds measured, by line; None where one measured none.

    Args:
        before: run, round, and the lines of the data set that the round looked at.
        after: the same of the other.
    """
    one, other = before[0].signals(before[1]), after[0].signals(after[1])
    if one is None or other is None:
        return None
    # What was made is kept with what it was made of, so that the ids of these stay theirs.
    held = (one, other, before[2], after[2])

    def look() -> tuple[Paired, object]:
        return _paired(before, one, after, other), held

    return before[0].remembered("rows of two", [id(each) for each in held], look)[0]


def _paired(
    before: tuple[Record, int, Lineage],
    one: Columns,
    after: tuple[Record, int, Lineage],
    other: Columns,
) -> Paired:
    names_one, names_other = one["id"].tolist(), other["id"].tolist()
    roots = before[2].roots
    where = {roots.get(name, name): place for place, name in enumerate(names_one)}
    roots = after[2].roots
    found = np.array([where.get(roots.get(name, name), -1) for name in names_other], np.int64)
    seconds = np.flatnonzero(found >= 0)
    places = np.stack([found[seconds], seconds], axis=1)
    values = {name: _both(one, other, places, column) for name, column in COLUMNS.items()}
    return Paired(
        [(names_one[a], names_other[b]) for a, b in places.tolist()],
        values,
        tuple(_change(measure, values[measure]) for measure in MEASURES),
        (before[0], before[1], after[0], after[1]),
    )


def _both(one: Columns, other: Columns, places: NDArray[np.int64], column: str) -> Floats:
    return np.stack([one[column][places[:, 0]], other[column][places[:, 1]]], axis=1)


def _change(measure: Measure, both: Floats) -> Change:
    known = both[np.isfinite(both).all(axis=1)]
    if not len(known):
        return Change(measure, 0, float("nan"), float("nan"), 0, 0)
    moved = known[:, 1] - known[:, 0]
    before, after = known.mean(axis=0).tolist()
    rose, fell = int((moved > EVEN).sum()), int((moved < -EVEN).sum())
    return Change(measure, len(known), before, after, rose, fell)
