"""The tables of the repair benchmark, for the terminal and for `docs/results.md`."""

from collections.abc import Mapping
from typing import Any

from benchmarks.machine import Table, table
from benchmarks.repair_figures import ARMS

REFINING = ("random", "middo")
"""Arms that refine rows."""


def report(document: Mapping[str, Any]) -> str:
    """Return the tables as text."""
    found = repair_tables(document)
    blocks = [
        f"{document['rows']} rows, {document['share']:.0%} damaged; {document['holdout']} clean"
        f" hold-out rows; {document['rounds']} refinements; seeds {document['seeds']};"
        f" {document['model']}\nteacher: {document['teacher']}",
        f"Rows over all seeds\n{_text(found['rows'])}",
        f"Repaired, by kind of damage\n{_text(found['kinds'])}",
        f"Hold-out loss, nats per token, after the last refinement\n{_text(found['holdout'])}",
        f"Against each other, with 95 % intervals\n{_text(found['differences'])}",
        f"The same in each seed, over rows alone\n{_text(found['seeds'])}",
    ]
    return "\n\n".join(blocks)


def repair_tables(document: Mapping[str, Any]) -> dict[str, Table]:
    """Return every table by its name."""
    arms = document["arms"]
    kinds = arms["middo"]["kinds"]
    return {
        "rows": (
            [
                *("arm", "damage repaired", "damaged made better", "damaged replaced"),
                *("damaged refined", "clean refined", "clean replaced"),
            ],
            [_rows(arm, arms[arm]) for arm in REFINING],
        ),
        "kinds": (
            ["kind", *REFINING],
            [[kind, *(_of(*arms[arm]["kinds"][kind]) for arm in REFINING)] for kind in kinds],
        ),
        "holdout": (
            ["arm", "hold-out loss", "gap closed", "by seed"],
            [_loss(arm, arms[arm]) for arm in ARMS],
        ),
        "differences": (
            ["arms", "difference", "says"],
            [
                [_pair(one), _interval(one["difference"]), one["difference"]["says"]]
                for one in document["differences"]
            ],
        ),
        "seeds": (
            ["arms", *(f"seed {seed}" for seed in document["seeds"])],
            [[_pair(one), *map(_interval, one["by_seed"])] for one in document["differences"]],
        ),
    }


def _text(found: Table) -> str:
    headers, rows = found
    return table(rows, headers)


def _rows(arm: str, one: Mapping[str, Any]) -> list[Any]:
    return [
        arm,
        _of(one["repaired"], one["damaged"]),
        *(one[key] for key in ("nearer", "replaced_damaged", "sent_damaged", "sent_clean")),
        _of(one["replaced_clean"], one["clean"]),
    ]


def _of(some: int, all_of_them: int) -> str:
    return f"{some} of {all_of_them}"


def _loss(arm: str, one: Mapping[str, Any]) -> list[Any]:
    closed = one["gap_closed"] if arm != "all clean" else None
    if closed is None:
        return [arm, f"{one['loss']:.4f}", None, None]
    each = ", ".join(_share(share) for share in closed["each"])
    return [arm, f"{one['loss']:.4f}", _share(closed["share"]), each]


def _share(share: float | None) -> str:
    return "not measurable" if share is None else f"{share:.0%}"


def _pair(one: Mapping[str, Any]) -> str:
    return f"{one['arm']} \N{MINUS SIGN} {one['against']}"


def _interval(apart: Mapping[str, Any]) -> str:
    return f"{apart['mean']:+.4f} ({apart['low']:+.4f} to {apart['high']:+.4f})"
