"""Two rounds side by side, of one run or of two, paired by sample.

What can't be compared is said in words instead of shown as numbers: losses under another base model
or another template are of other tokens, and other data has no pairs.
"""

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..core.errors import ConfigError, UsageError
from .held_out import HeldOut, held_out
from .lineage import Lineage, lineage
from .pairs import Paired, paired_rows
from .record import Record


@dataclass(frozen=True, slots=True)
class Side:
    """One of the two that are compared.

    Attributes:
        run: name of the run.
        round: number of the round.
        source_round: whose data set its rows are of: an earlier one's after a rollback.
        diagnosed: whether its rows were measured.
        loss: hold-out loss as `run.json` has it, nats per token; None where not evaluated.
        gate: the gate's word; empty where it has not spoken.
        fates: how its flagged samples ended.
    """

    run: str
    round: int
    source_round: int
    diagnosed: bool
    loss: float | None
    gate: str
    fates: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Setting:
    """A key of the configuration that differs; values as text, empty where there is none."""

    key: str
    before: str
    after: str


@dataclass(frozen=True, slots=True)
class Lines:
    """How the rows of two data sets belong together.

    Attributes:
        same: rows with the same text in both.
        rewritten: lines whose text differs.
        only_before: lines that only the first has.
        only_after: lines that only the second has.
        added: of these, rows that agents added.
    """

    same: int
    rewritten: int
    only_before: int
    only_after: int
    added: int


@dataclass(frozen=True, slots=True)
class Comparison:
    """What the Compare page shows.

    Attributes:
        before: the first side.
        after: the second one.
        same_run: whether both are rounds of one run.
        limits: what can't be compared, or only with care, in words.
        settings: keys of the configuration that differ.
        held: the hold-out.
        lines: the training rows by line.
        paired: what was measured of them; None where that can't be compared.
        no_pairs: why there is none; empty where there is one.
    """

    before: Side
    after: Side
    same_run: bool
    limits: tuple[str, ...]
    settings: tuple[Setting, ...]
    held: HeldOut
    lines: Lines
    paired: Paired | None
    no_pairs: str


def compare(before: Record, first: int, after: Record, second: int) -> Comparison:
    """Compare two rounds.

    Raises:
        UsageError: a round that its run doesn't have.
        DataError: a data set or a table can't be read.
    """
    sides = _side(before, first), _side(after, second)
    same_run = before.folder.resolve() == after.folder.resolve()
    try:
        settings = () if same_run else _settings(before, after)
        apart = _apart(settings)
    except ConfigError as error:
        settings = ()
        apart = f"It is not known whether the runs have the same base model: {error}"
    lines = lineage(before, sides[0].source_round), lineage(after, sides[1].source_round)
    no_pairs = apart or _unrelated(*lines) or _unmeasured(sides, same_run)
    return Comparison(
        before=sides[0],
        after=sides[1],
        same_run=same_run,
        limits=_limits(sides, same_run, settings),
        settings=settings,
        held=held_out(before, first, after, second, same_run, apart),
        lines=before.remembered("lines of two", [*map(id, lines)], lambda: (_lines(*lines), lines))[
            0
        ],
        paired=None
        if no_pairs
        else paired_rows((before, first, lines[0]), (after, second, lines[1])),
        no_pairs=no_pairs,
    )


def _side(record: Record, round: int) -> Side:
    if round not in record.rounds():
        raise UsageError(f"run {record.name} has no round {round}; choose one of the list")
    rounds = record.document().get("rounds") or []
    entry: dict[str, Any] = next((one for one in rounds if one["round"] == round), {})
    fates = Counter(fate for fate, _ in record.fates(round).values())
    return Side(
        record.name,
        round,
        record.source_round(round),
        record.diagnosis(round) is not None,
        (entry.get("evaluation") or {}).get("holdout_loss"),
        entry.get("gate") or "",
        fates,
    )


def _settings(before: Record, after: Record) -> tuple[Setting, ...]:
    one, other = (_flat(record.config().model_dump(mode="json")) for record in (before, after))
    return tuple(
        Setting(key, one.get(key, ""), other.get(key, ""))
        for key in sorted(one.keys() | other.keys())
        if one.get(key) != other.get(key)
    )


def _flat(plain: Any, prefix: str = "") -> dict[str, str]:
    """Return dotted key -> value as text."""
    if isinstance(plain, Mapping) and plain:
        found: dict[str, str] = {}
        for key, value in plain.items():
            found |= _flat(value, f"{prefix}.{key}" if prefix else str(key))
        return found
    written = plain if isinstance(plain, str) else json.dumps(plain, ensure_ascii=False)
    return {prefix: written}


_TOKENS = {"model.base": "base model", "model.template": "template"}


def _apart(settings: tuple[Setting, ...]) -> str:
    """Say why losses of the two runs have nothing to do with each other; empty where they have."""
    for setting in settings:
        if setting.key in _TOKENS:
            return (
                f"The runs have another {_TOKENS[setting.key]} ({setting.before} and"
                f" {setting.after}): their losses are of other tokens and can't be compared."
            )
    return ""


def _unmeasured(sides: tuple[Side, Side], same_run: bool) -> str:
    out = [side for side in sides if not side.diagnosed]
    if not out:
        return ""
    names = [f"round {s.round}" if same_run else f"round {s.round} of {s.run}" for s in out]
    verb, whose = ("was", "its") if len(out) == 1 else ("were", "their")
    told = f"{' and '.join(names)} {verb} not diagnosed"
    return (
        f"{told[0].upper()}{told[1:]}, so there are no losses of {whose} training rows to compare."
    )


def _unrelated(before: Lineage, after: Lineage) -> str:
    if not before.ids.keys().isdisjoint(after.ids.keys()):
        return ""
    return "No training row of the one is in the other: they are made from other data."


def _limits(
    sides: tuple[Side, Side], same_run: bool, settings: tuple[Setting, ...]
) -> tuple[str, ...]:
    found = []
    for side in sides:
        if side.source_round != side.round:
            found.append(
                f"Round {side.round} of {side.run} was rolled back: the rows that it looked at are"
                f" those of round {side.source_round}, under that round's model."
            )
    if all(side.diagnosed for side in sides):
        found.append(
            "Quality is calibrated anew in every round, and density is measured with that round's"
            " model: small changes of the two say little."
        )
    for setting in settings:
        if setting.key in ("model.max_length", "model.dtype"):
            found.append(
                f"{setting.key} differs ({setting.before} and {setting.after}), which moves losses."
            )
    return tuple(found)


def _lines(before: Lineage, after: Lineage) -> Lines:
    one, other = before.ids, after.ids
    same = len(one.items() & other.items())
    both = sum(root in other for root in one)
    new = [name for root, name in other.items() if root not in one]
    return Lines(
        same,
        both - same,
        len(one) - both,
        len(new),
        sum(name in after.added for name in new),
    )
