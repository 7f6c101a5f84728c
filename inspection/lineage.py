"""The lines of a run: which row of one data set became which row of another.

A rewritten row has an id of its own; what stays is the root, the row that its line began with. An
added row begins a line.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from .record import Record

Line = tuple[str, str, str | None, int]
"""Id, origin, parent and round of a row, as `Version.lines` has them."""


@dataclass(frozen=True, slots=True, eq=False)
class Lineage:
    """A data set by its lines.

    Attributes:
        ids: of its rows, by root.
        roots: id -> root, for the rows that were rewritten; the others are their own.
        added: ids of the rows that an agent added, in this data set or an earlier one.
    """

    ids: Mapping[str, str]
    roots: Mapping[str, str]
    added: frozenset[str]

    def root(self, name: str) -> str:
        """Return the id of the row that a row's line began with."""
        return self.roots.get(name, name)

    def holds(self, name: str) -> bool:
        """Return whether a row is in the data set."""
        return self.ids.get(self.roots.get(name, name)) == name


def lineage(record: Record, round: int) -> Lineage:
    """Return the lines of a round's data set.

    Raises:
        DataError: a data set on the way to it can't be read.
    """
    path = [round]
    while path[-1] > 0:
        # What a round refined is the data set that it looked at: after a rollback an earlier one.
        path.append(record.source_round(path[-1] - 1))
    versions = [record.version(number) for number in path]

    def look() -> Lineage:
        found = Lineage({}, {}, frozenset())
        for number, version in zip(reversed(path), reversed(versions), strict=True):
            found = follow(found, version.lines(), number)
        return found

    return record.remembered(("lineage", round), [one.sha256 for one in versions], look)


def follow(before: Lineage, lines: Iterable[Line], round: int) -> Lineage:
    """Return the lines of the next data set.

    Args:
        before: those of the data set that it was made from.
        lines: of its rows.
        round: its number; rows made by the round before it carry `round - 1`.
    """
    ids: dict[str, str] = {}
    roots: dict[str, str] = {}
    added: list[str] = []
    for name, origin, parent, made in lines:
        if origin == "seed":
            ids[name] = name
            continue
        if made != round - 1 and before.holds(name):
            root = before.root(name)
        elif origin == "rewritten" and parent is not None:
            root = before.root(parent)
        else:
            root = name
        ids[root] = name
        if root != name:
            roots[name] = root
        if origin == "added" or root in before.added:
            added.append(name)
    return Lineage(ids, roots, frozenset(added))
