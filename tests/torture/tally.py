"""What the torture tests did, counted: each test tells its figures, and one table sums them up.

    make torture            a new seed, printed
    make torture SEED=7     the same again

The figures travel in pytest's own record of a test, so they also come back from parallel workers.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable

RecordProperty = Callable[[str, object], None]
PROPERTY = "torture"


def tell(record_property: RecordProperty, what: str, **figures: int) -> None:
    """Add figures to the table, e.g. `tell(record_property, "kills", survived=1, repeated=3)`.

    Args:
        record_property: pytest's fixture of that name.
        what: the row of the table.
        figures: counts; those of the same name in the same row are added up.
    """
    record_property(PROPERTY, (what, figures))


def summed(told: Iterable[tuple[str, dict[str, int]]]) -> dict[str, dict[str, int]]:
    """Return the sums of all figures by row, in order of name."""
    rows: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    for what, figures in told:
        for name, count in figures.items():
            rows[what][name] += count
    return {what: dict(rows[what]) for what in sorted(rows)}


def table(rows: dict[str, dict[str, int]]) -> list[str]:
    """Return a line for each row."""
    width = max((len(what) for what in rows), default=0)
    return [
        f"{what:<{width}}  " + ", ".join(f"{count:,} {name}" for name, count in figures.items())
        for what, figures in rows.items()
    ]
