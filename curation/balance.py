"""The equations that hold in every round. A run stops where one does not.

imported = rows of D_0 + holdout + quarantined + not_selected
rows_in  = kept + replaced + dropped
rows_out = kept + replaced + added
flagged  = accepted + rejected + failed + deferred
accepted = replaced + added
"""

from dataclasses import asdict, dataclass

from ..core.errors import MiddoError


@dataclass(frozen=True, slots=True)
class Counts:
    """What happened between D_t and D_{t+1}, in samples.

    Attributes:
        rows_in: rows of D_t.
        rows_out: rows of D_{t+1}.
        kept: rows in both, unchanged.
        replaced: rows whose rewritten form took their place.
        dropped: rows left out without a replacement.
        added: new rows.
        flagged: samples with at least one flag; a sample flagged on two axes counts once.
        accepted: flagged samples whose proposal is in D_{t+1}.
        rejected: flagged samples whose proposals did not pass.
        failed: flagged samples that no proposal could be made for.
        deferred: flagged samples beyond the refine budget or a cap.
    """

    rows_in: int
    rows_out: int
    kept: int
    replaced: int
    dropped: int
    added: int
    flagged: int
    accepted: int
    rejected: int
    failed: int
    deferred: int

    def as_dict(self) -> dict[str, int]:
        """Return the counts as JSON types; `Counts(**plain)` is the inverse."""
        return asdict(self)


def assert_balanced(counts: Counts) -> None:
    """Check the equations of a round.

    Raises:
        MiddoError: one does not hold; the message names it with its numbers.
    """
    c = counts
    _equal("rows_in", c.rows_in, kept=c.kept, replaced=c.replaced, dropped=c.dropped)
    _equal("rows_out", c.rows_out, kept=c.kept, replaced=c.replaced, added=c.added)
    _equal(
        "flagged",
        c.flagged,
        accepted=c.accepted,
        rejected=c.rejected,
        failed=c.failed,
        deferred=c.deferred,
    )
    _equal("accepted", c.accepted, replaced=c.replaced, added=c.added)


def assert_imported(
    *, imported: int, rows: int, holdout: int, quarantined: int, not_selected: int
) -> None:
    """Check that every imported row went somewhere.

    Raises:
        MiddoError: the equation does not hold; the message names it with its numbers.
    """
    _equal(
        "imported",
        imported,
        rows=rows,
        holdout=holdout,
        quarantined=quarantined,
        not_selected=not_selected,
    )


def _equal(name: str, total: int, **parts: int) -> None:
    if total != sum(parts.values()):
        sums = " + ".join(f"{key} {value}" for key, value in parts.items())
        raise MiddoError(
            f"the counts do not balance: {name} {total} is not {sums}; nothing was published,"
            " please report this as a bug"
        )
    if negative := [key for key, value in parts.items() if value < 0]:
        raise MiddoError(f"the counts do not balance: {negative[0]} is below zero")
