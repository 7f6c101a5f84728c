"""The hold-out rows of two rounds, paired: is the second better on rows that nobody trained on?"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..core.errors import DataError
from ..signals.pairing import Difference, paired_difference
from ..stores.database import intact
from ..stores.facts import Facts
from ..stores.runs import read_json
from .record import Record


@dataclass(frozen=True, slots=True)
class HeldOut:
    """The hold-out rows of both, paired.

    Attributes:
        difference: after − before, nats per token; None where there is none to show.
        reason: why there is none; empty where there is one.
        measured_by: who computed it: the gate of the run, or this page.
        only_before: rows that only the first has.
        only_after: rows that only the second has.
        left_out: rows of both that one of the runs set aside as broken.
    """

    difference: Difference | None
    reason: str
    measured_by: str = ""
    only_before: int = 0
    only_after: int = 0
    left_out: int = 0


def held_out(
    before: Record, first: int, after: Record, second: int, same_run: bool, apart: str
) -> HeldOut:
    """Pair the hold-out rows of two rounds.

    Args:
        before: the first run.
        first: its round.
        after: the second run, which may be the first.
        second: its round.
        same_run: whether it is.
        apart: why losses of the two can't be compared; empty where they can.
    """
    if apart:
        return HeldOut(None, apart)
    one, other = _losses(before, first), _losses(after, second)
    if one is None or other is None:
        which = (before, first) if one is None else (after, second)
        return HeldOut(None, f"Round {which[1]} of {which[0].name} is not evaluated yet.")
    common = sorted(one.keys() & other.keys())
    if not common:
        return HeldOut(
            None, "The two have no held-out row in common: they are made from other data."
        )
    only = len(one) - len(common), len(other) - len(common)
    aside = _set_aside(before) | _set_aside(after)
    used = [name for name in common if name not in aside]
    left_out = len(common) - len(used)
    if same_run and first == 0 and (told := _of_gate(after, second)) is not None:
        return HeldOut(told, "", "the gate of the run", *only, left_out)
    found = paired_difference(
        np.array([one[name][0] for name in used]),
        np.array([other[name][0] for name in used]),
        _integers([one[name][1] for name in used]),
        seed=before.seed(),
    )
    reason = "" if found else "No held-out row has a loss in both."
    return HeldOut(found, reason, "this page", *only, left_out)


def _of_gate(record: Record, round: int) -> Difference | None:
    """Return the difference to round 0 that the gate measured."""
    rounds = record.document().get("rounds") or []
    plain = next((one.get("difference") for one in rounds if one["round"] == round), None)
    return None if plain is None else Difference(**plain)


def _losses(record: Record, round: int) -> dict[str, tuple[float, int]] | None:
    """Return id -> loss and answer tokens of the hold-out; None where it is not evaluated."""
    path = record.round_folder(round) / "evaluation.json"
    if not path.is_file():
        return None
    document = read_json(path)
    try:
        rows = document["tuned"]["rows"]
        return {row["id"]: (_number(row["loss"]), row["tokens"]) for row in rows}
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(f"{path}: holds no hold-out rows; restore it from a copy") from error


def _number(value: float | None) -> float:
    return float("nan") if value is None else float(value)


def _set_aside(record: Record) -> set[str]:
    names: list[str] = Facts(record.ledger).get("set_aside", [])
    with intact(record.ledger.name):
        return set(names)


def _integers(values: list[int]) -> NDArray[np.int64]:
    return np.array(values, dtype=np.int64)
