"""The line of a sample: what stood in its place in every data set, from its import on.

A rewritten sample has a new id and stands where its parent stood. After a rollback the next data
set comes from an earlier one than the last, so that a line can part; each data set is compared with
the one that it was made from.
"""

from dataclasses import dataclass

from .record import Record


@dataclass(frozen=True, slots=True)
class Line:
    """A line.

    Attributes:
        at: round -> id of what stood in that round's data set.
        beside: the sample beside which the line's first was added; None for an imported one.
        made: ids of the samples that were added beside one of the line, in order.
    """

    at: dict[int, str]
    beside: str | None
    made: tuple[str, ...]

    @property
    def ids(self) -> tuple[str, ...]:
        """The ids in the order in which they came to be."""
        return tuple(dict.fromkeys(self.at[number] for number in sorted(self.at)))


def line_of(record: Record, sample_id: str) -> Line:
    """Return the line that a sample belongs to; the sample is in the index."""
    index = record.index
    number, name, beside = _first(record, sample_id)
    at = {number: name}
    made: list[str] = []
    for later in record.rounds():
        if later <= number:
            continue
        before = at.get(record.source_round(later - 1))
        if before is None:
            continue
        if index.holds(later, before):
            at[later] = before
            continue
        children = [
            child
            for where, child, origin in index.made_of(before)
            if where == later and origin == "rewritten"
        ]
        if children:
            at[later] = children[0]
    for one in dict.fromkeys(at.values()):
        made += [child for _, child, origin in index.made_of(one) if origin == "added"]
    return Line(at, beside, tuple(dict.fromkeys(made)))


def _first(record: Record, sample_id: str) -> tuple[int, str, str | None]:
    """Return round and id of the first of a line, and what it was added beside."""
    index = record.index
    name = sample_id
    number = min(index.rounds_of(name), default=0)
    while number > 0:
        source = record.source_round(number - 1)
        if not index.holds(source, name):
            origin, parent = index.rounds_of(name)[number]
            if origin != "rewritten" or parent is None:
                return number, name, parent
            name = parent
        number = source
    return number, name, None
