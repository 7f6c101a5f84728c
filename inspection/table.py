"""The table of a round's samples: filters, facets, order and pages.

Signals are columns in memory, a few dozen bytes a row; texts stay in the index, where they are
searched and from where those of one page are fetched. The rows of a round are those that its
diagnosis looked at, which after a rollback are an earlier round's; before there is one, those of
its data set.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..core.errors import DataError
from ..core.records import Axis
from ..stores.index import Index
from .columns import Columns
from .record import Record
from .samples import PAGE_ROWS, Facet, Order, Page, Query, Row

TEXT_CHARACTERS = 200
NONE = "none"
ANY = "any"
NOISE = -1
_BLOCK = 1_000
_SCORES = ("complexity", "density", "quality", "loss_base", "loss_tuned", "cluster")
_AXES = tuple(str(axis) for axis in Axis)
_FATES = ("accepted", "rejected", "failed", "deferred", NONE)

Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class _Columns:
    """A round's rows in order of id: numbers of the index, scores, flags as bits."""

    ids: list[str]
    places: dict[str, int]
    numbers: NDArray[np.int64]
    scores: Mapping[str, NDArray[np.float64]]
    flags: NDArray[np.uint8]
    held: tuple[object, ...]


@dataclass(frozen=True, slots=True, eq=False)
class _Fates:
    """A round's fates beside its rows; `gates` are codes into `names`, -1 for none."""

    codes: NDArray[np.int8]
    gates: NDArray[np.int16]
    names: tuple[str, ...]
    held: tuple[object, ...]


def page(record: Record, query: Query) -> Page:
    """Return one page of the table with the counts of its facets."""
    index = record.index
    columns, fates = _round(record, index, query.round)
    masks = _masks(index, query, columns, fates)
    places = _ordered(columns, _all(masks, len(columns.ids)), query.order, query.descending)
    start = (max(query.page, 1) - 1) * PAGE_ROWS
    shown = places[start : start + PAGE_ROWS]
    return Page(
        rows=tuple(_rows(record, index, query.round, columns, shown)),
        total=len(places),
        pages=max(-(-len(places) // PAGE_ROWS), 1),
        facets=_facets(masks, columns, fates),
    )


def rows(record: Record, query: Query) -> Iterator[Row]:
    """Yield every row of a query in its order, whatever its page; texts come block by block."""
    index = record.index
    columns, fates = _round(record, index, query.round)
    masks = _masks(index, query, columns, fates)
    places = _ordered(columns, _all(masks, len(columns.ids)), query.order, query.descending)
    for start in range(0, len(places), _BLOCK):
        yield from _rows(record, index, query.round, columns, places[start : start + _BLOCK])


def gate_of(reason: str) -> str:
    """Return the gate that refused, `critic` of `critic: ...`; a reason without one as it is."""
    gates = [part.split(":")[0] for part in reason.split("; ") if ":" in part]
    return gates[0] if gates else reason


def _round(record: Record, index: Index, number: int) -> tuple[_Columns, _Fates]:
    signals = record.signals(number)
    done = (index.versions().get(number), index.diagnoses().get(number))
    columns = record.remembered(
        ("table", number),
        (id(index), id(signals), done),
        lambda: _columns(index, number, signals),
    )
    settled = record.fates(number)
    fates = record.remembered(
        ("table fates", number),
        (id(columns), id(settled)),
        lambda: _fates(columns, settled),
    )
    return columns, fates


def _columns(index: Index, number: int, signals: Columns | None) -> _Columns:
    if signals is None:
        ids, numbers = index.rows(number)
        empty = np.full(len(ids), np.nan)
        scores = dict.fromkeys(_SCORES, empty)
        flags = np.zeros(len(ids), dtype=np.uint8)
    else:
        ids = signals["id"].tolist()
        numbers = index.measured(number)
        if len(numbers) != len(ids):  # not indexed yet: nothing can be found by its text
            numbers = np.full(len(ids), -1, dtype=np.int64)
        scores = {name: signals[name] for name in _SCORES}
        bits = {axis: np.uint8(1 << place) for place, axis in enumerate(_AXES)}
        flags = np.zeros(len(ids), dtype=np.uint8)
        for place, flagged in enumerate(signals["flags"]):
            for axis in flagged:
                flags[place] |= bits[axis]
    places = {name: place for place, name in enumerate(ids)}
    return _Columns(ids, places, numbers, scores, flags, (index, signals))


def _fates(columns: _Columns, settled: Mapping[str, tuple[str, str]]) -> _Fates:
    codes = np.full(len(columns.ids), _FATES.index(NONE), dtype=np.int8)
    gates = np.full(len(columns.ids), -1, dtype=np.int16)
    names: dict[str, int] = {}
    for name, (fate, reason) in settled.items():
        place = columns.places.get(name)
        if place is None:
            continue
        if fate not in _FATES:
            raise DataError(f"ledger.db: unknown fate {fate[:40]!r} of the sample {name}")
        codes[place] = _FATES.index(fate)
        if reason and fate != "accepted":
            gates[place] = names.setdefault(gate_of(reason), len(names))
    return _Fates(codes, gates, tuple(names), (columns, settled))


def _masks(index: Index, query: Query, columns: _Columns, fates: _Fates) -> dict[str, Mask]:
    """Return a mask per filter that is set, by the facet it belongs to."""
    masks: dict[str, Mask] = {}
    found = index.search(query.text)
    if found is not None:
        masks["text"] = np.isin(columns.numbers, found)
    if query.axis:
        masks["axis"] = _flagged(columns, query.axis)
    if query.fate:
        known = query.fate in _FATES
        masks["fate"] = fates.codes == (_FATES.index(query.fate) if known else -1)
    if query.reason:
        known = query.reason in fates.names
        masks["reason"] = fates.gates == (fates.names.index(query.reason) if known else -2)
    if query.cluster is not None:
        masks["cluster"] = columns.scores["cluster"] == query.cluster
    return masks


def _flagged(columns: _Columns, axis: str) -> Mask:
    if axis == ANY:
        return np.not_equal(columns.flags, 0)
    if axis == NONE:
        return np.equal(columns.flags, 0)
    bit = np.uint8(1 << _AXES.index(axis)) if axis in _AXES else np.uint8(0)
    return np.not_equal(np.bitwise_and(columns.flags, bit), 0)


def _all(masks: Mapping[str, Mask], rows: int, but: str = "") -> Mask:
    kept = np.ones(rows, dtype=np.bool_)
    for name, mask in masks.items():
        if name != but:
            kept &= mask
    return kept


def _ordered(columns: _Columns, kept: Mask, order: Order, descending: bool) -> NDArray[np.int64]:
    """Return the places of the kept rows; equal ones by id, those without a value last."""
    places = np.flatnonzero(kept)
    if order == "id":
        return places[::-1] if descending else places
    values = columns.scores[order][places]
    # NaN stays last in both directions.
    return places[np.argsort(-values if descending else values, kind="stable")]


def _facets(
    masks: Mapping[str, Mask], columns: _Columns, fates: _Fates
) -> dict[str, tuple[Facet, ...]]:
    """Count the values of each facet under the filters of all others."""
    size = len(columns.ids)
    under = _all(masks, size, but="axis")
    axes = [(name, int((_flagged(columns, name) & under).sum())) for name in (*_AXES, ANY, NONE)]
    codes = np.bincount(fates.codes[_all(masks, size, but="fate")], minlength=len(_FATES))
    gates = fates.gates[_all(masks, size, but="reason")]
    counts = np.bincount(gates[gates >= 0], minlength=len(fates.names))
    labels = columns.scores["cluster"][_all(masks, size, but="cluster")]
    clusters, sizes = np.unique(labels[np.isfinite(labels)].astype(np.int64), return_counts=True)
    reasons = Counter(dict(zip(fates.names, counts.tolist(), strict=True)))
    return {
        "axis": _counted(axes),
        "fate": _counted(zip(_FATES, codes.tolist(), strict=True)),
        "reason": _counted(sorted(reasons.items(), key=lambda item: (-item[1], item[0]))),
        "cluster": _counted(zip(map(str, clusters.tolist()), sizes.tolist(), strict=True)),
    }


def _counted(pairs: Any) -> tuple[Facet, ...]:
    return tuple(Facet(value, count) for value, count in pairs if count)


def _rows(
    record: Record,
    index: Index,
    number: int,
    columns: _Columns,
    places: NDArray[np.int64] | Sequence[int],
) -> Iterator[Row]:
    ids = [columns.ids[place] for place in places]
    heads = index.heads(ids, TEXT_CHARACTERS)
    settled = record.fates(number)
    for place, name in zip(places, ids, strict=True):
        prompt, answer = heads.get(name, ("", ""))
        fate, reason = settled.get(name, (None, ""))
        scores = {key: _number(columns.scores[key][place]) for key in _SCORES}
        cluster = scores.pop("cluster")
        flags = tuple(axis for n, axis in enumerate(_AXES) if columns.flags[place] >> n & 1)
        yield Row(
            sample_id=name,
            prompt=prompt,
            answer=answer,
            flags=flags,
            fate=fate,
            reason=reason,
            cluster=None if cluster is None else int(cluster),
            **scores,
        )


def _number(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
