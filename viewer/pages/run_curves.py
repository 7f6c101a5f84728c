"""The pictures of the Run page: a point or a bar per round, where there is one to see."""

from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup

from ...core.amounts import several
from ...inspection.spending import Spending
from ..charts.bars import FATES, Bar, fates_chart, money, spending_chart
from ..charts.curves import AXES, Estimate, difference_curve, flag_curve, loss_curve


def curves(document: Mapping[str, Any], spent: Sequence[Spending]) -> list[tuple[str, Markup]]:
    """Return caption and picture of what the rounds so far have to show."""
    rounds = document.get("rounds") or []
    found = []
    evaluated = [entry for entry in rounds if entry.get("evaluation")]
    if evaluated:
        estimates = [_loss(entry) for entry in evaluated]
        chart = loss_curve(estimates, document.get("base_holdout_loss"))
        found.append(("Hold-out loss", chart))
    compared = [_difference(entry) for entry in evaluated if entry.get("difference")]
    if compared:
        found.append(("Against round 0, paired by row", difference_curve(compared)))
    diagnosed = [entry for entry in rounds if entry.get("flagged")]
    if diagnosed:
        numbers = [entry["round"] for entry in diagnosed]
        flags: dict[str, Sequence[int | None]] = {
            axis: [entry["flagged"].get(axis) for entry in diagnosed] for axis in AXES
        }
        found.append(("Flagged samples", flag_curve(numbers, flags)))
    settled = [_fates(entry) for entry in diagnosed if entry.get("accepted") is not None]
    if settled:
        found.append(("What became of them", fates_chart(settled)))
    if any(one.prompt_tokens or one.completion_tokens for one in spent):
        found.append(("Tokens and cost", spending_chart([_tokens(one) for one in spent])))
    return found


def _loss(entry: Mapping[str, Any]) -> Estimate:
    evaluation = entry["evaluation"]
    low, high = evaluation.get("interval") or (None, None)
    loss = evaluation.get("holdout_loss")
    return Estimate(entry["round"], loss, low, high, entry.get("gate") or "")


def _difference(entry: Mapping[str, Any]) -> Estimate:
    found = entry["difference"]
    gate = entry.get("gate") or ""
    return Estimate(entry["round"], found["mean"], found["low"], found["high"], gate)


def _fates(entry: Mapping[str, Any]) -> Bar:
    parts = tuple((fate, entry.get(fate) or 0) for fate in FATES)
    return Bar(f"round {entry['round']}", parts)


def _tokens(one: Spending) -> Bar:
    parts = (("prompt", one.prompt_tokens), ("completion", one.completion_tokens))
    end = f"{one.prompt_tokens + one.completion_tokens:,}, {money(one.usd)}"
    if one.unknown:
        end += f", unknown for {several(one.unknown, 'call')}"
    return Bar(f"round {one.round}", parts, end)
