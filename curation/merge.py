"""Merge: D_t and the outcomes of refinement become D_{t+1}, and the books must balance.

Everything is decided in order of sample id, replacements before additions, so the result does not
depend on which sample was refined first. Rows are streamed; only proposals and their parents are
in memory.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..core.errors import MiddoError
from ..core.records import Axis, Fate, Message, Sample, sample_id
from .balance import Counts, assert_balanced, assert_imported

__all__ = ["Counts", "MergePlan", "Outcome", "assert_balanced", "assert_imported", "merge"]

NEAR_DUPLICATE = 0.95
COPIED = "the proposal is an exact copy of a row that is already there"
TOO_NEAR = "the new sample is nearly the same as another one accepted in this round"
BLOCK = 256
CAPPED = "more new samples were accepted than refinement.added_share allows"


@dataclass(frozen=True, slots=True)
class Outcome:
    """How the refinement of one flagged sample ended. There is one per flagged sample.

    Attributes:
        sample_id: the flagged sample.
        axis: the axis that it was refined on.
        fate: accepted, rejected, failed or deferred.
        reason: in words, why it was not accepted.
        messages: the accepted proposal; None in every other case.
        adds: True where the proposal stands beside the sample instead of replacing it.
    """

    sample_id: str
    axis: Axis
    fate: Fate
    reason: str = ""
    messages: tuple[Message, ...] | None = None
    adds: bool = False


@dataclass(frozen=True, slots=True)
class MergePlan:
    """What the next version holds and how each flagged sample ended.

    Attributes:
        replaced: id of the parent -> the row that takes its place.
        added: new rows in order of their parents' ids.
        outcomes: final fates in order of sample id; merging can turn accepted ones into rejected
            or deferred.
        counts: balanced.
    """

    replaced: dict[str, Sample]
    added: tuple[Sample, ...]
    outcomes: tuple[Outcome, ...]
    counts: Counts

    def rows(self, version: Iterable[Sample]) -> Iterator[Sample]:
        """Stream D_{t+1}: every row of `version` at its place, replaced or kept, then new rows.

        Raises:
            MiddoError: after the last row, if it was not the version that the plan was made for.
        """
        written = 0
        for sample in version:
            written += 1
            yield self.replaced.get(sample.id, sample)
        if written != self.counts.rows_in:
            raise MiddoError(
                f"merge: the version has {written} rows, the plan was made for"
                f" {self.counts.rows_in}; nothing was published"
            )
        yield from self.added


def merge(
    version: Iterable[Sample],
    outcomes: Sequence[Outcome],
    *,
    round: int,
    added_share: float,
    vectors: Mapping[str, NDArray[np.float32]] | None = None,
    near_duplicate: float = NEAR_DUPLICATE,
) -> MergePlan:
    """Decide what D_{t+1} holds; `MergePlan.rows` then streams it.

    An accepted proposal is rejected where the same conversation is already in the version or was
    accepted before it; a new row also where its prompt is nearer than `near_duplicate` to that of
    another accepted proposal. New rows beyond `added_share` of the version are deferred.

    Args:
        version: the rows of D_t, read once.
        outcomes: one per flagged sample, in any order.
        round: t; the new rows carry it.
        added_share: largest share of new rows.
        vectors: id of the flagged sample -> unit vector (float32[d]) of its accepted proposal's
            prompt. None compares nothing but exact copies.
        near_duplicate: cosine similarity above which two new rows are one too many.

    Raises:
        MiddoError: two outcomes for one sample, an accepted one without messages, an outcome for
            a row that the version lacks, or counts that do not balance.
    """
    ordered = sorted(outcomes, key=lambda outcome: outcome.sample_id)
    _refuse_malformed(ordered)
    wanted = {outcome.sample_id for outcome in ordered}
    parents: dict[str, Sample] = {}
    taken: set[str] = set()
    rows_in = 0
    for sample in version:
        rows_in += 1
        taken.add(_content_id(sample.id))
        if sample.id in wanted:
            parents[sample.id] = sample
    if missing := sorted(wanted - parents.keys()):
        raise MiddoError(f"merge: flagged sample {missing[0]!r} is not a row of the version")

    replaced: dict[str, Sample] = {}
    added: list[Sample] = []
    fates: dict[str, Outcome] = {}
    adding = [one.sample_id for one in ordered if one.fate == "accepted" and one.adds]
    nearness = _Nearness(vectors, len(ordered), adding, near_duplicate)
    most = int(added_share * rows_in + 1e-9)
    for outcome in sorted(ordered, key=lambda o: (o.adds, o.sample_id)):
        parent, messages = parents[outcome.sample_id], outcome.messages
        fates[outcome.sample_id] = outcome
        if outcome.fate != "accepted" or messages is None:
            continue
        name = sample_id(messages)
        if name in taken:
            fates[outcome.sample_id] = _ended(outcome, "rejected", COPIED)
        elif outcome.adds and nearness.refuses(outcome.sample_id):
            fates[outcome.sample_id] = _ended(outcome, "rejected", TOO_NEAR)
        elif outcome.adds and len(added) >= most:
            fates[outcome.sample_id] = _ended(outcome, "deferred", CAPPED)
        else:
            taken.add(name)
            nearness.accept(outcome.sample_id)
            row = _row(name, messages, parent, round, outcome.adds)
            if outcome.adds:
                added.append(row)
            else:
                replaced[parent.id] = row
    final = tuple(fates[outcome.sample_id] for outcome in ordered)
    counts = _count(rows_in, replaced, added, final)
    assert_balanced(counts)
    return MergePlan(replaced, tuple(added), final, counts)


def _refuse_malformed(ordered: Sequence[Outcome]) -> None:
    for one, other in zip(ordered, ordered[1:], strict=False):
        if one.sample_id == other.sample_id:
            raise MiddoError(f"merge: sample {one.sample_id!r} has two outcomes, one is allowed")
    for outcome in ordered:
        if (outcome.fate == "accepted") != (outcome.messages is not None):
            raise MiddoError(
                f"merge: sample {outcome.sample_id!r} is {outcome.fate} and has"
                f" {'no' if outcome.messages is None else 'a'} proposal"
            )


def _row(
    name: str, messages: tuple[Message, ...], parent: Sample, round: int, adds: bool
) -> Sample:
    """Build the new row. A new sample has none of its parent's own input fields."""
    kept: dict[str, Any] = parent.meta
    if adds:
        kept = {key: value for key, value in parent.meta.items() if key == "_middo"}
    return Sample(
        id=name,
        messages=messages,
        source=parent.source,
        origin="added" if adds else "rewritten",
        parent_id=parent.id,
        round=round,
        meta=kept,
    )


class _Nearness:
    """Vectors of the accepted proposals so far, to compare new rows with all of them.

    New rows are compared a block at a time with what was accepted before the block, in one product
    of matrices; what is left for a single row are those accepted since.
    """

    def __init__(
        self,
        vectors: Mapping[str, NDArray[np.float32]] | None,
        rows: int,
        adding: Sequence[str],
        limit: float,
    ) -> None:
        self._vectors = vectors or {}
        self._limit = limit
        self._count = 0
        width = len(next(iter(vectors.values()))) if vectors else 0
        self._held = np.zeros((rows, width), dtype=np.float32)
        self._adding = adding
        self._place = {name: place for place, name in enumerate(adding)}
        self._nearest: NDArray[np.float32] = np.zeros(0, dtype=np.float32)
        self._block = slice(0, 0)
        self._since = 0

    def accept(self, name: str) -> None:
        if self._vectors:
            self._held[self._count] = self._vectors[name]
            self._count += 1

    def refuses(self, name: str) -> bool:
        if not self._vectors:
            return False
        place = self._place[name]
        if place >= self._block.stop:
            self._look_ahead(place)
        near = self._nearest[place - self._block.start]
        since = self._held[self._since : self._count]
        if len(since):
            near = max(near, (since @ self._vectors[name]).max())
        return bool(np.round(near, 4) > self._limit)

    def _look_ahead(self, place: int) -> None:
        names = self._adding[place : place + BLOCK]
        self._block, self._since = slice(place, place + len(names)), self._count
        block = np.array([self._vectors[name] for name in names])
        # Nothing is less similar than the opposite.
        self._nearest = (block @ self._held[: self._count].T).max(axis=1, initial=-1.0)


def _content_id(name: str) -> str:
    """Return the id without the number of the copy: copies hold the same conversation."""
    return name.partition("-")[0]


def _ended(outcome: Outcome, fate: Fate, reason: str) -> Outcome:
    return replace(outcome, fate=fate, reason=reason, messages=None)


def _count(
    rows_in: int,
    replaced: Mapping[str, Sample],
    added: Sequence[Sample],
    outcomes: Sequence[Outcome],
) -> Counts:
    fates = [outcome.fate for outcome in outcomes]
    kept = rows_in - len(replaced)
    return Counts(
        rows_in=rows_in,
        rows_out=kept + len(replaced) + len(added),
        kept=kept,
        replaced=len(replaced),
        dropped=0,
        added=len(added),
        flagged=len(outcomes),
        accepted=fates.count("accepted"),
        rejected=fates.count("rejected"),
        failed=fates.count("failed"),
        deferred=fates.count("deferred"),
    )
