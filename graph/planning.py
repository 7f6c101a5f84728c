"""Plan a round: what is flagged, and what of that is refined.

The code has a plan of its own. Where a diagnostician's model is configured, it sees the summary and
may move k and shares within `agents.plan`. The plan that stands is in `diagnosis.json`, where
refining reads it.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, get_args

import numpy as np

from ..agents.diagnostician import Diagnosis, diagnose
from ..agents.plan_summary import Curve, LastRound, summarise
from ..agents.planner import Moves, Planner, PlanWish, hold
from ..agents.reference import Floats, Reference, fit_reference, reference_from
from ..core.chat import AnswerFailed
from ..core.records import Axis, Fate, Flag
from ..curation.plan import Plan, plan_refinement
from ..curation.selection import shuffled
from .deps import Deps
from .sources import Case
from .surveying import Survey

POINTS = 8
"""Points of the curve k -> share that the planner sees, evenly within the bounds of k."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What a model was asked and what came of it; `model` as the configuration names it."""

    model: str
    wish: PlanWish
    moves: Moves


@dataclass(frozen=True, slots=True)
class Planned:
    """A diagnosis with the plan that stands, and where it comes from."""

    found: Diagnosis
    plan: Plan
    asked: Asked | None = None

    def as_dict(self) -> dict[str, Any]:
        """Return the plan as it stands in `diagnosis.json`."""
        plain, asked = self.plan.as_dict(), self.asked
        if asked is None:
            return plain
        return {
            **plain,
            "rationale": f"{plain['rationale']}; {asked.model} says: {asked.wish.rationale}",
            "model": asked.model,
            "asked": asked.wish.model_dump(mode="json"),
            **asked.moves.as_dict(),
        }

    def brief(self) -> dict[str, Any] | None:
        """Return what a run's summary tells of a model's plan; None without one."""
        if self.asked is None:
            return None
        moves = self.asked.moves.as_dict()
        return {**moves, "model": self.asked.model, "rationale": self.asked.wish.rationale}


async def plan_round(deps: Deps, number: int, survey: Survey) -> Planned:
    """Flag by the thresholds that stand, and let the diagnostician's model move the plan.

    With nothing flagged no model is asked: that is how a run ends.

    Raises:
        ProviderError: the model's provider is down or refuses.
        BudgetReached: a cap was met before the call.
    """
    config = deps.config
    reference = _standing(deps, number, survey)
    found = _flagged(deps, number, survey, reference)
    role = config.agents.diagnostician
    if role is None or not found.flags:
        return Planned(found, _shared(deps, number, found))
    summary = _summary(deps, number, survey, found)
    try:
        wish = await Planner(deps.chats.chat(Case("diagnostician", number))).ask(
            summary, config.agents.plan
        )
    except AnswerFailed as error:
        caution = f"{role.model} gave no plan, the code's own stands: {error}"
        found = replace(found, cautions=(*found.cautions, caution))
        return Planned(found, _shared(deps, number, found))
    moves = hold(wish, found.axes, config.agents.plan, config.signals.k)
    if moves.k:
        values = _values(survey, found)
        for axis, k in moves.k.items():
            reference = reference.moved(axis, k, values[axis])
        deps.facts.put(_moved_name(number), reference.as_dict())
        found = _flagged(deps, number, survey, reference)
        if not found.flags:
            caution = f"with the k that {role.model} planned, no sample is flagged"
            found = replace(found, cautions=(*found.cautions, caution))
    plan = _shared(deps, number, found, moves.weights)
    return Planned(found, plan, Asked(role.model, wish, moves))


def _shared(
    deps: Deps, number: int, found: Diagnosis, weights: Mapping[Axis, float] | None = None
) -> Plan:
    """Share the refine budget among what is flagged; without the signals no sample comes first."""
    flags, config = found.flags, deps.config
    drawn = None
    if config.signals.selection != "signals":
        drawn = shuffled(flags, seed=config.seed, round=number)
    return plan_refinement(flags, config.refinement.max_samples, weights=weights, places=drawn)


def flags_of(diagnosis: dict[str, Any]) -> list[Flag]:
    """Return the flags of a diagnosis document."""
    return [
        Flag(plain["id"], Axis(plain["axis"]), plain["score"], plain["threshold"], plain["reason"])
        for plain in diagnosis["flags"]
    ]


def _standing(deps: Deps, number: int, survey: Survey) -> Reference:
    """Return the thresholds that stand when a round is diagnosed.

    They are those of the first diagnosis, with k where an earlier round's plan moved it to.
    """
    for earlier in reversed(range(number)):
        moved = deps.facts.get(_moved_name(earlier))
        if moved is not None:
            return reference_from(moved)
    plain = deps.facts.get("reference")
    if plain is None:
        first = fit_reference(survey.signals, survey.near, deps.config.signals, survey.holdout_loss)
        # Before the reference: a run that is killed between the two finds no reference and comes
        # here again. No model's plan decides which rows the gate looks at.
        deps.facts.put_once("set_aside", _broken(survey.held_quality, first))
        plain = deps.facts.put_once("reference", first.as_dict())
    return reference_from(plain)


def _moved_name(number: int) -> str:
    return f"round.{number}.reference"


def _broken(qualities: dict[str, float], reference: Reference) -> list[str]:
    bound = reference.quality
    if bound is None:
        return []
    return sorted(name for name, quality in qualities.items() if quality < bound.value)


def _flagged(deps: Deps, number: int, survey: Survey, reference: Reference) -> Diagnosis:
    return diagnose(
        survey.signals,
        survey.near,
        survey.calibration,
        reference,
        deps.config.signals,
        holdout_loss=survey.holdout_loss,
        suppressed=_suppressed(deps, number),
        clusters=survey.clusters,
        drift=survey.drift,
        seed=deps.config.seed,
        number=number,
    )


def _suppressed(deps: Deps, number: int) -> dict[Axis, frozenset[str]]:
    """Return samples not to be flagged again: refused on every attempt, or rolled back since.

    Ids are hashes of content, so a sample whose text changed has another id and starts afresh.
    """
    names: dict[Axis, set[str]] = {axis: set() for axis in Axis}
    for earlier in range(number):
        undone = deps.facts.get(f"round.{earlier + 1}.gate", {}).get("verdict") == "rolled_back"
        fates = deps.facts.get(f"round.{earlier}.fates", {})
        for outcome in deps.ledger.outcomes(earlier):
            fate, _ = fates[outcome.sample_id]
            if fate == "rejected" or (undone and fate == "accepted"):
                names[outcome.axis].add(outcome.sample_id)
    return {axis: frozenset(found) for axis, found in names.items()}


def _summary(deps: Deps, number: int, survey: Survey, found: Diagnosis) -> str:
    config = deps.config
    values = _values(survey, found)
    ks = [round(float(k), 2) for k in np.linspace(*config.agents.plan.k, POINTS)]
    curves: dict[Axis, Curve] = {
        axis: [(k, found.reference.share(axis, k, values[axis])) for k in ks]
        for axis, report in found.axes.items()
        if report.on
    }
    return summarise(
        found,
        survey.calibration,
        curves,
        rows=len(survey.signals.ids),
        max_samples=config.refinement.max_samples,
        fixed=config.signals.k,
        drift=survey.drift.drift if survey.drift else None,
        last=_last(deps, number) if number else None,
    )


def _values(survey: Survey, found: Diagnosis) -> dict[Axis, Floats]:
    """Return what each axis holds its threshold against."""
    values = {Axis.COMPLEXITY: found.complexity, Axis.QUALITY: survey.signals.quality}
    return values if survey.near is None else {**values, Axis.DIVERSITY: survey.near.values}


def _last(deps: Deps, number: int) -> LastRound:
    """Return how the samples that the round before refined ended, after the merge."""
    ends = deps.facts.get(f"round.{number - 1}.fates", {})
    counts: dict[Axis, Counter[str]] = {axis: Counter() for axis in Axis}
    for outcome in deps.ledger.outcomes(number - 1):
        counts[outcome.axis][ends[outcome.sample_id][0]] += 1
    fates = {
        axis: {fate: found[fate] for fate in get_args(Fate) if found[fate]}
        for axis, found in counts.items()
        if found
    }
    return LastRound(fates, deps.facts.get(f"round.{number}.gate")["verdict"])
