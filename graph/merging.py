"""Merge: the outcomes of a round become the next data set, and the equations are asserted."""

from collections import Counter
from typing import Any

from ..core.records import message_from
from ..curation.merge import Outcome as Merged
from ..curation.merge import merge
from ..signals.density import mean_vector
from ..stores.ledger import Outcome
from ..stores.samples import MANIFEST, write_version
from ..stores.tables import read_embeddings, write_proposals
from .deps import Deps
from .embedding import TRAINEE, embedder_of
from .indexing import index_version
from .reviewing import decided
from .sealing import seal
from .state import LoopState

_PROPOSAL_COLUMNS = (
    *("id", "parent_id", "axis", "attempt", "messages", "checks", "critique", "proof"),
    *("verdict", "reason"),
)


def merge_round(deps: Deps, state: LoopState) -> tuple[dict[str, Any], str]:
    """Publish D_{t+1} and the round's proposals."""
    number, source = state["round"], state["source_round"]
    version = deps.version(source)
    words = deps.reviews.standing(number)
    outcomes = [decided(one, words.get(one.sample_id)) for one in deps.ledger.outcomes(number)]
    plan = merge(
        version,
        [_merged(outcome) for outcome in outcomes],
        round=number,
        added_share=deps.config.refinement.added_share,
        vectors=_vectors(deps, state, outcomes),
    )
    write_proposals(
        deps.round_folder(number) / "proposals.parquet",
        [row for pair in zip(outcomes, plan.outcomes, strict=True) for row in _rows(*pair)],
    )
    manifest = write_version(
        deps.round_folder(number + 1) / "dataset",
        plan.rows(version),
        parent=version.sha256,
        made_by={"step": "merge", "round": number, "counts": plan.counts.as_dict()},
    )
    seal(deps, deps.round_folder(number + 1) / "dataset" / MANIFEST)
    index_version(deps, number + 1)
    facts = deps.facts
    facts.put(f"round.{number}.counts", plan.counts.as_dict())
    facts.put(f"round.{number}.reasons", _reasons(plan.outcomes))
    facts.put(
        f"round.{number}.fates",
        {outcome.sample_id: [outcome.fate, outcome.reason] for outcome in plan.outcomes},
    )
    facts.put(f"round.{number + 1}.dataset", {"rows": manifest.rows, "sha256": manifest.sha256})
    facts.put("rounds_seen", number + 2)
    counts = plan.counts
    return (
        {"round": number + 1, "source_round": number + 1},
        f"{counts.kept} kept, {counts.replaced} replaced, {counts.added} added:"
        f" {manifest.rows} rows",
    )


def _merged(outcome: Outcome) -> Merged:
    if outcome.fate != "accepted":
        return Merged(outcome.sample_id, outcome.axis, outcome.fate, outcome.reason)
    row = outcome.proposals[-1]
    messages = tuple(message_from(plain) for plain in row["messages"])
    return Merged(
        outcome.sample_id, outcome.axis, "accepted", outcome.reason, messages, row["adds"]
    )


def _vectors(deps: Deps, state: LoopState, outcomes: list[Outcome]) -> dict[str, Any] | None:
    """Embed the prompts of accepted proposals, where there are new rows to compare."""
    accepted = [_merged(outcome) for outcome in outcomes if outcome.fate == "accepted"]
    if not any(one.adds for one in accepted):
        return None
    prompts = [
        next(m.content for m in reversed(one.messages or ()) if m.role == "user")
        for one in accepted
    ]
    return dict(zip((one.sample_id for one in accepted), _embed(deps, state, prompts), strict=True))


def _embed(deps: Deps, state: LoopState, prompts: list[str]) -> Any:
    if deps.config.checks.embedder != TRAINEE:
        return deps.embedder(prompts)
    ids, raw = read_embeddings(deps.round_folder(state["round"]) / "embeddings.parquet")
    mean = mean_vector(raw) if ids else None
    with deps.measuring(state["source_round"]) as tuned:
        return embedder_of(deps, tuned.scorer.score, mean)(prompts)


def _rows(outcome: Outcome, final: Merged) -> list[dict[str, Any]]:
    """Return a sample's proposals; one that merging refused carries that verdict."""
    rows = [{name: row[name] for name in _PROPOSAL_COLUMNS} for row in outcome.proposals]
    if outcome.fate == "accepted" and final.fate != "accepted":
        rows[-1] |= {"verdict": final.fate, "reason": final.reason}
    return rows


def _reasons(outcomes: tuple[Merged, ...]) -> dict[str, int]:
    """Count why samples were not accepted, by fate and by the gates that refused last."""
    found: Counter[str] = Counter()
    for outcome in outcomes:
        if outcome.fate != "accepted":
            gates = [part.split(":")[0] for part in outcome.reason.split("; ") if ":" in part]
            found[f"{outcome.fate}: {gates[0] if gates else outcome.reason}"] += 1
    return dict(sorted(found.items()))
