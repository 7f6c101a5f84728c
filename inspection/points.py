"""The rows that the pictures of a round draw one by one: all flagged ones, some of the others."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..signals.complexity import SHORTEST_ANSWER, complexity_from
from .columns import Columns
from .figures import cut
from .record import Record

Floats = NDArray[np.float64]

MOST_OTHERS = 2_000
PROMPT_WIDTH = 90
"""Characters of a prompt that a pointer shows."""


@dataclass(frozen=True, slots=True, eq=False)
class Points:
    """Rows of a round with what the pictures draw of them; arrays and lists are of one length.

    Attributes:
        ids: in order.
        prompts: their beginnings.
        axes: axes that flagged each row, joined by `+`; empty where none did.
        fates: what became of a flagged row; empty where it was not flagged or is not settled.
        clusters: float64[n], label, -1 for noise, NaN where a row has none.
        before: float64[n], loss under the base model, in `unit`; NaN where there is none.
        after: float64[n], loss under the tuned model.
        xs: float64[n], place on the map; NaN where a row has none.
        ys: float64[n].
        flagged: flagged rows among them, which are all there are.
        others: rows among them that are not flagged.
        of_others: all rows of the round that are not flagged.
        unit: of the losses.
        k: where the quadrant begins that complexity flags; None where there is none.
        too_short: rows among them that are left out of the losses for their short answers.
        reads_prompts: whether complexity flags rows for their prompts too, wherever their losses
            lie.
    """

    ids: list[str]
    prompts: list[str]
    axes: list[str]
    fates: list[str]
    clusters: Floats
    before: Floats
    after: Floats
    xs: Floats
    ys: Floats
    flagged: int
    others: int
    of_others: int
    unit: str
    k: float | None
    too_short: int
    reads_prompts: bool


STANDARD = "robust std. deviations"
PLAIN = "nats per token"


def drawn_points(record: Record, round: int, diagnosis: Mapping[str, Any], seed: int) -> Points:
    """Return the rows to draw: every flagged one, and at most 2,000 others, drawn with the seed.

    Their fates, which a run that goes on adds to, are those of `with_fates`.
    """
    columns = record.signals(round) or {}
    ids = columns["id"].tolist()
    axes = _axes(diagnosis)
    flagged = np.fromiter((name in axes for name in ids), dtype=np.bool_, count=len(ids))
    chosen = choose(flagged, seed, round)
    names = [ids[place] for place in chosen.tolist()]
    heads = record.index.heads(names, PROMPT_WIDTH + 1)
    losses = _losses(columns, chosen, diagnosis)
    xs, ys = _places(record, round, names)
    others = len(names) - int(flagged.sum())
    return Points(
        ids=names,
        prompts=[cut(heads.get(name, ("", ""))[0], PROMPT_WIDTH) for name in names],
        axes=[axes.get(name, "") for name in names],
        fates=[""] * len(names),
        clusters=columns["cluster"][chosen],
        before=losses.before,
        after=losses.after,
        xs=xs,
        ys=ys,
        flagged=int(flagged.sum()),
        others=others,
        of_others=len(ids) - int(flagged.sum()),
        unit=losses.unit,
        k=losses.k,
        too_short=losses.too_short,
        reads_prompts=losses.reads_prompts,
    )


def with_fates(points: Points, fates: Mapping[str, tuple[str, str]]) -> Points:
    """Return the points with the fate of each row that is settled; `fates` as in `Record.fates`."""
    return replace(points, fates=[fates[n][0] if n in fates else "" for n in points.ids])


def choose(flagged: NDArray[np.bool_], seed: int, round: int) -> NDArray[np.int64]:
    """Return the places of all flagged rows and of at most 2,000 others, in order.

    Args:
        flagged: bool[n].
        seed: of the run.
        round: the round, so that each shows others.
    """
    calm = np.flatnonzero(~flagged)
    if len(calm) > MOST_OTHERS:
        calm = np.random.default_rng([seed, 9, round]).choice(calm, MOST_OTHERS, replace=False)
    return np.sort(np.concatenate([np.flatnonzero(flagged), calm]))


@dataclass(frozen=True, slots=True, eq=False)
class _Losses:
    before: Floats
    after: Floats
    unit: str
    k: float | None
    too_short: int = 0
    reads_prompts: bool = False


def _losses(columns: Columns, chosen: NDArray[np.int64], diagnosis: Mapping[str, Any]) -> _Losses:
    """Return the losses as complexity compares them, or as they are where it is off.

    Complexity holds a loss against what is usual for the answer's length, so that its quadrant has
    straight sides only in these units.
    """
    base, tuned = columns["loss_base"][chosen], columns["loss_tuned"][chosen]
    model = complexity_from(diagnosis["thresholds"]["complexity"])
    if model.base is None or model.tuned is None or not diagnosis["axes"]["complexity"]["on"]:
        return _Losses(base, tuned, PLAIN, None)
    tokens = columns["answer_tokens"][chosen]
    known = np.isfinite(tokens)
    lengths = np.where(known, tokens, 0).astype(np.int64)
    short = known & (lengths < SHORTEST_ANSWER)
    out = ~known | short
    before = model.base.standardise(base, lengths)
    after = model.tuned.standardise(tuned - diagnosis["shift"], lengths)
    return _Losses(
        np.where(out, np.nan, before),
        np.where(out, np.nan, after),
        STANDARD,
        diagnosis["axes"]["complexity"]["k"],
        int(short.sum()),
        model.prompt is not None,
    )


def _places(record: Record, round: int, names: Sequence[str]) -> tuple[Floats, Floats]:
    places = record.index.places(round, names)
    where = {name: at for at, name in enumerate(places.ids)}
    rows = np.fromiter((where.get(name, -1) for name in names), dtype=np.int64, count=len(names))
    if not len(places.ids):
        return np.full(len(names), np.nan), np.full(len(names), np.nan)
    xy = np.where((rows >= 0)[:, None], places.xy[rows], np.nan).astype(np.float64)
    return xy[:, 0], xy[:, 1]


def _axes(diagnosis: Mapping[str, Any]) -> dict[str, str]:
    """Return id -> axes that flagged it, joined by `+`."""
    found: dict[str, str] = {}
    for flag in diagnosis["flags"]:
        known = found.get(flag["id"])
        found[flag["id"]] = flag["axis"] if known is None else f"{known}+{flag['axis']}"
    return found
